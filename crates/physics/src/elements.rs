//! Atomic masses by name: elements (standard atomic weights, abridged as by IUPAC/CIAAW) and
//! isotopes (AME2016/2020). Masses in u.

/// Standard atomic weight of each element in u. Sulfur's and its neighbours' weights are the
/// conventional ones (SPEC 2.1: O 15.999, C 12.011, S 32.06).
const ELEMENTS: &[(&str, f64)] = &[
    ("H", 1.008),
    ("He", 4.002602),
    ("Li", 6.94),
    ("Be", 9.0121831),
    ("B", 10.81),
    ("C", 12.011),
    ("N", 14.007),
    ("O", 15.999),
    ("F", 18.998403163),
    ("Ne", 20.1797),
    ("Na", 22.98976928),
    ("Mg", 24.305),
    ("Al", 26.9815385),
    ("Si", 28.085),
    ("P", 30.973761998),
    ("S", 32.06),
    ("Cl", 35.45),
    ("Ar", 39.948),
    ("K", 39.0983),
    ("Ca", 40.078),
    ("Sc", 44.955908),
    ("Ti", 47.867),
    ("V", 50.9415),
    ("Cr", 51.9961),
    ("Mn", 54.938044),
    ("Fe", 55.845),
    ("Co", 58.933194),
    ("Ni", 58.6934),
    ("Cu", 63.546),
    ("Zn", 65.38),
    ("Ga", 69.723),
    ("Ge", 72.630),
    ("As", 74.921595),
    ("Se", 78.971),
    ("Br", 79.904),
    ("Kr", 83.798),
    ("Rb", 85.4678),
    ("Sr", 87.62),
    ("Y", 88.90584),
    ("Zr", 91.224),
    ("Nb", 92.90637),
    ("Mo", 95.95),
    ("Ru", 101.07),
    ("Rh", 102.90550),
    ("Pd", 106.42),
    ("Ag", 107.8682),
    ("Cd", 112.414),
    ("In", 114.818),
    ("Sn", 118.710),
    ("Sb", 121.760),
    ("Te", 127.60),
    ("I", 126.90447),
    ("Xe", 131.293),
    ("Cs", 132.90545196),
    ("Ba", 137.327),
    ("W", 183.84),
    ("Pt", 195.084),
    ("Au", 196.966569),
    ("Hg", 200.592),
    ("Pb", 207.2),
    ("Bi", 208.98040),
];

/// Mass of each isotope in u. `D` and `T` are hydrogen's own names.
const ISOTOPES: &[(&str, f64)] = &[
    ("1H", 1.00782503223),
    ("2H", 2.01410177812),
    ("D", 2.01410177812),
    ("3H", 3.0160492779),
    ("T", 3.0160492779),
    ("3He", 3.0160293201),
    ("4He", 4.00260325413),
    ("6Li", 6.0151228874),
    ("7Li", 7.0160034366),
    ("9Be", 9.012183065),
    ("10B", 10.01293695),
    ("11B", 11.00930536),
    ("12C", 12.0),
    ("13C", 13.00335483507),
    ("14C", 14.0032419884),
    ("14N", 14.00307400443),
    ("15N", 15.00010889888),
    ("16O", 15.99491461957),
    ("17O", 16.99913175650),
    ("18O", 17.99915961286),
    ("19F", 18.99840316273),
    ("20Ne", 19.9924401762),
    ("21Ne", 20.993846685),
    ("22Ne", 21.991385114),
    ("23Na", 22.9897692820),
    ("24Mg", 23.985041697),
    ("25Mg", 24.985836976),
    ("26Mg", 25.982592968),
    ("27Al", 26.98153853),
    ("28Si", 27.97692653465),
    ("29Si", 28.97649466490),
    ("30Si", 29.973770136),
    ("31P", 30.97376199842),
    ("32S", 31.9720711744),
    ("33S", 32.9714589098),
    ("34S", 33.967867004),
    ("36S", 35.96708071),
    ("35Cl", 34.968852682),
    ("37Cl", 36.965902602),
    ("36Ar", 35.967545105),
    ("38Ar", 37.96273211),
    ("40Ar", 39.9623831237),
    ("39K", 38.9637064864),
    ("41K", 40.9618252579),
    ("40Ca", 39.962590863),
    ("48Ti", 47.94794198),
    ("52Cr", 51.94050623),
    ("55Mn", 54.93804391),
    ("56Fe", 55.93493633),
    ("58Ni", 57.93534241),
    ("60Ni", 59.93078588),
    ("63Cu", 62.92959772),
    ("65Cu", 64.92778970),
    ("64Zn", 63.92914201),
    ("69Ga", 68.9255735),
    ("71Ga", 70.92470258),
    ("70Ge", 69.92424875),
    ("72Ge", 71.922075826),
    ("74Ge", 73.921177761),
    ("75As", 74.92159457),
    ("76Se", 75.919213704),
    ("77Se", 76.919914154),
    ("78Se", 77.91730928),
    ("80Se", 79.9165218),
    ("82Se", 81.9166995),
    ("79Br", 78.9183376),
    ("81Br", 80.9162897),
    ("80Kr", 79.91637808),
    ("82Kr", 81.91348273),
    ("83Kr", 82.91412716),
    ("84Kr", 83.9114977282),
    ("86Kr", 85.9106106269),
    ("107Ag", 106.9050916),
    ("109Ag", 108.9047553),
    ("127I", 126.9044719),
    ("129Xe", 128.9047808611),
    ("131Xe", 130.90508406),
    ("132Xe", 131.9041550856),
    ("134Xe", 133.90539466),
    ("136Xe", 135.907214484),
];

/// The mass in u of an element (`Br`) or isotope (`79Br`, `D`), or `None` for an unknown name.
///
/// Names are case-sensitive: `Co` is cobalt, `CO` is nothing.
pub fn mass_u(name: &str) -> Option<f64> {
    ELEMENTS.iter().chain(ISOTOPES).find(|(known, _)| *known == name).map(|(_, mass)| *mass)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masses_of_the_reference_molecule_are_the_specified_ones() {
        assert_eq!(mass_u("O"), Some(15.999));
        assert_eq!(mass_u("C"), Some(12.011));
        assert_eq!(mass_u("S"), Some(32.06));
        assert_eq!(mass_u("D"), mass_u("2H"));
        assert_eq!(mass_u("Xx"), None);
        assert_eq!(mass_u("br"), None);
    }

    #[test]
    fn every_isotope_is_near_its_mass_number_and_belongs_to_an_element() {
        for (name, mass) in ISOTOPES {
            let digits: String = name.chars().take_while(char::is_ascii_digit).collect();
            if digits.is_empty() {
                continue;
            }
            let mass_number: f64 = digits.parse().unwrap();
            // Mass excesses of the nuclei in the table lie within 0.1 u.
            assert!((mass - mass_number).abs() < 0.1, "{name} {mass}");
            assert!(mass_u(&name[digits.len()..]).is_some(), "{name}");
        }
    }

    #[test]
    fn natural_mixtures_give_the_standard_weights() {
        // Natural abundances: 79Br 50.69 %, 35Cl 75.76 %, 63Cu 69.15 %, 32S/33S/34S/36S.
        let cases: [(&str, &[(&str, f64)]); 4] = [
            ("Br", &[("79Br", 0.5069), ("81Br", 0.4931)]),
            ("Cl", &[("35Cl", 0.7576), ("37Cl", 0.2424)]),
            ("Cu", &[("63Cu", 0.6915), ("65Cu", 0.3085)]),
            ("S", &[("32S", 0.9499), ("33S", 0.0075), ("34S", 0.0425), ("36S", 0.0001)]),
        ];
        for (element, mixture) in cases {
            let mean: f64 = mixture.iter().map(|(name, share)| share * mass_u(name).unwrap()).sum();
            approx::assert_abs_diff_eq!(mean, mass_u(element).unwrap(), epsilon = 0.006);
        }
    }

    #[test]
    fn elements_are_listed_once_and_by_increasing_weight_but_for_known_inversions() {
        for pair in ELEMENTS.windows(2) {
            let ((first, light), (second, heavy)) = (pair[0], pair[1]);
            let inverted = matches!((first, second), ("Ar", "K") | ("Co", "Ni") | ("Te", "I"));
            assert_eq!(light > heavy, inverted, "{first} {second}");
        }
    }
}
