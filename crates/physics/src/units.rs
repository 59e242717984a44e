//! Hartree atomic units and the conversions out of them (`docs/spec.md#conventions`; CODATA 2018 values).

/// One bohr in picometres.
pub const BOHR_PM: f64 = 52.917_721_090_3;
/// One bohr in angstrom.
pub const BOHR_ANGSTROM: f64 = 0.529_177_210_903;
/// One hartree in electronvolts.
pub const HARTREE_EV: f64 = 27.211_386_245_988;
/// One hartree as a wavenumber in 1/cm.
pub const HARTREE_CM1: f64 = 219_474.631_363_20;
/// One unified atomic mass unit in electron masses.
pub const ELECTRON_MASSES_PER_U: f64 = 1_822.888_486_209;
/// One atomic unit of momentum in kg m/s.
pub const MOMENTUM_AU_SI: f64 = 1.992_851_914_10e-24;
/// One atomic unit of time in femtoseconds.
pub const TIME_AU_FS: f64 = 0.024_188_843_265_857;
/// The Boltzmann constant in hartree per kelvin.
pub const BOLTZMANN_HARTREE_PER_K: f64 = 3.166_811_563e-6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_consistent_with_each_other() {
        assert_eq!(BOHR_PM, 100.0 * BOHR_ANGSTROM);
        // momentum unit = hbar / bohr, with hbar = 1.054571817e-34 J s.
        let hbar = 1.054_571_817e-34;
        approx::assert_relative_eq!(MOMENTUM_AU_SI, hbar / (BOHR_PM * 1e-12), max_relative = 1e-9);
        // time unit = hbar / hartree, with 1 eV = 1.602176634e-19 J.
        let hartree_joule = HARTREE_EV * 1.602_176_634e-19;
        approx::assert_relative_eq!(TIME_AU_FS, hbar / hartree_joule * 1e15, max_relative = 1e-9);
        // k_B = 1.380649e-23 J/K.
        approx::assert_relative_eq!(
            BOLTZMANN_HARTREE_PER_K,
            1.380_649e-23 / hartree_joule,
            max_relative = 1e-9
        );
    }
}
