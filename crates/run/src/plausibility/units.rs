//! The unit that momenta seem to be in.

use cei_physics::units::MOMENTUM_AU_SI;

/// By how much, in the logarithm, a power of ten of an atomic unit must be nearer than other units.
const SELDOM: f64 = 0.4;

/// The unit, of those that momenta are written in, that is nearest to `au` atomic units, and its size in a.u. Powers of ten
/// of an atomic unit are seldom meant: they must be nearer by [`SELDOM`].
pub(super) fn nearest_unit(au: f64) -> (String, f64) {
    let si = 1.0 / MOMENTUM_AU_SI;
    let mut units: Vec<(String, f64)> = vec![("au".to_owned(), 1.0), ("si".to_owned(), si)];
    for exponent in -30..=-1 {
        units.push((format!("1e{exponent} kg m/s"), si * 10f64.powi(exponent)));
    }
    for exponent in (-12..=12).filter(|exponent| *exponent != 0) {
        units.push((format!("1e{exponent} au"), 10f64.powi(exponent)));
    }
    let off = |(name, size): &(String, f64)| {
        let seldom = if name.ends_with(" au") { SELDOM } else { 0.0 };
        (size / au).ln().abs() + seldom
    };
    let nearest = units.into_iter().min_by(|a, b| off(a).total_cmp(&off(b)));
    nearest.unwrap_or_else(|| ("au".to_owned(), 1.0))
}

#[cfg(test)]
mod tests {
    use cei_data::MomentumUnit;

    use super::*;
    use crate::plausibility::Cause;

    /// What is named can be declared, and is the size that was meant, whatever unit was declared by mistake.
    #[test]
    fn every_unit_that_is_named_is_one() {
        for exponent in -300..=400 {
            let (name, size) = nearest_unit(10_f64.powf(f64::from(exponent) / 10.0));
            let unit: MomentumUnit = name.parse().unwrap();
            assert!((unit.factor() / size - 1.0).abs() < 1e-12, "{name}: {size}");
            let said = Cause::Unit { factor: size, unit: name, order: None }.in_words();
            let hint = said.split_once("\nhint: ").unwrap().1;
            let declared = hint.split('"').nth(1).unwrap();
            assert_eq!(declared.parse::<MomentumUnit>().unwrap(), unit);
        }
    }

    /// The momenta of other charges and bonds, a factor of two away, are still in the unit that laboratories write.
    #[test]
    fn powers_of_ten_of_kilogram_metre_per_second_come_first() {
        for exponent in [-23, -22, -20] {
            let size = 10_f64.powi(exponent) / MOMENTUM_AU_SI;
            for factor in [0.6, 1.0, 1.6] {
                let (name, _) = nearest_unit(factor * size);
                assert_eq!(name, format!("1e{exponent} kg m/s"), "{factor}");
            }
        }
        assert_eq!(nearest_unit(0.9).0, "au");
        assert_eq!(nearest_unit(1.0 / MOMENTUM_AU_SI).0, "si");
        assert_eq!(nearest_unit(1e-3).0, "1e-3 au");
    }
}
