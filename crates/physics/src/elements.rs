//! Atomic masses by name: elements to uranium (standard atomic weights, abridged as by IUPAC/CIAAW) and
//! isotopes (NIST's Atomic Weights and Isotopic Compositions, version 4.1 of 2015, whose masses are those of the
//! Atomic Mass Evaluation 2012; later evaluations differ from the eighth digit on). Masses in u.

/// Standard atomic weight of each element in u, and the mass number of its commonest isotope. Where a weight is an
/// interval it is the conventional one (O 15.999, C 12.011, S 32.06); elements without one have the mass of
/// their longest-lived listed isotope.
const ELEMENTS: &[(&str, f64, u32)] = &[
    ("H", 1.008, 1),
    ("He", 4.002602, 4),
    ("Li", 6.94, 7),
    ("Be", 9.0121831, 9),
    ("B", 10.81, 11),
    ("C", 12.011, 12),
    ("N", 14.007, 14),
    ("O", 15.999, 16),
    ("F", 18.998403163, 19),
    ("Ne", 20.1797, 20),
    ("Na", 22.98976928, 23),
    ("Mg", 24.305, 24),
    ("Al", 26.9815385, 27),
    ("Si", 28.085, 28),
    ("P", 30.973761998, 31),
    ("S", 32.06, 32),
    ("Cl", 35.45, 35),
    ("Ar", 39.948, 40),
    ("K", 39.0983, 39),
    ("Ca", 40.078, 40),
    ("Sc", 44.955908, 45),
    ("Ti", 47.867, 48),
    ("V", 50.9415, 51),
    ("Cr", 51.9961, 52),
    ("Mn", 54.938044, 55),
    ("Fe", 55.845, 56),
    ("Co", 58.933194, 59),
    ("Ni", 58.6934, 58),
    ("Cu", 63.546, 63),
    ("Zn", 65.38, 64),
    ("Ga", 69.723, 69),
    ("Ge", 72.630, 74),
    ("As", 74.921595, 75),
    ("Se", 78.971, 80),
    ("Br", 79.904, 79),
    ("Kr", 83.798, 84),
    ("Rb", 85.4678, 85),
    ("Sr", 87.62, 88),
    ("Y", 88.90584, 89),
    ("Zr", 91.224, 90),
    ("Nb", 92.90637, 93),
    ("Mo", 95.95, 98),
    ("Tc", 97.9072124, 98),
    ("Ru", 101.07, 102),
    ("Rh", 102.90550, 103),
    ("Pd", 106.42, 106),
    ("Ag", 107.8682, 107),
    ("Cd", 112.414, 114),
    ("In", 114.818, 115),
    ("Sn", 118.710, 120),
    ("Sb", 121.760, 121),
    ("Te", 127.60, 130),
    ("I", 126.90447, 127),
    ("Xe", 131.293, 132),
    ("Cs", 132.90545196, 133),
    ("Ba", 137.327, 138),
    ("La", 138.90547, 139),
    ("Ce", 140.116, 140),
    ("Pr", 140.90766, 141),
    ("Nd", 144.242, 142),
    ("Pm", 144.9127559, 145),
    ("Sm", 150.36, 152),
    ("Eu", 151.964, 153),
    ("Gd", 157.25, 158),
    ("Tb", 158.92535, 159),
    ("Dy", 162.500, 164),
    ("Ho", 164.93033, 165),
    ("Er", 167.259, 166),
    ("Tm", 168.93422, 169),
    ("Yb", 173.045, 174),
    ("Lu", 174.9668, 175),
    ("Hf", 178.49, 180),
    ("Ta", 180.94788, 181),
    ("W", 183.84, 184),
    ("Re", 186.207, 187),
    ("Os", 190.23, 192),
    ("Ir", 192.217, 193),
    ("Pt", 195.084, 195),
    ("Au", 196.966569, 197),
    ("Hg", 200.592, 202),
    ("Tl", 204.38, 205),
    ("Pb", 207.2, 208),
    ("Bi", 208.98040, 209),
    ("Po", 208.9824308, 209),
    ("At", 209.9871479, 210),
    ("Rn", 222.0175782, 222),
    ("Fr", 223.0197360, 223),
    ("Ra", 226.0254103, 226),
    ("Ac", 227.0277523, 227),
    ("Th", 232.0377, 232),
    ("Pa", 231.03588, 231),
    ("U", 238.02891, 238),
];

/// Covalent radius of each element in pm, in the order of the elements (Cordero et al., Dalton Trans. 2008, 2832; the larger
/// one where there are several, but sp3 carbon).
const COVALENT_RADII_PM: [u16; 92] = [
    31, 28, 128, 96, 84, 76, 71, 66, 57, 58, 166, 141, 121, 111, 107, 105, 102, 106, 203, 176, 170,
    160, 153, 139, 161, 152, 150, 124, 132, 122, 122, 120, 119, 120, 120, 116, 220, 195, 190, 175,
    164, 154, 147, 146, 142, 139, 145, 144, 142, 139, 139, 138, 139, 140, 244, 215, 207, 204, 203,
    201, 199, 198, 198, 196, 194, 192, 192, 189, 190, 187, 187, 175, 170, 162, 151, 144, 141, 136,
    136, 132, 145, 146, 148, 140, 150, 150, 260, 221, 215, 206, 200, 196,
];

/// Mass of each isotope in u: the commonest of every element, and more of light ones. `D` and `T` are hydrogen's own names.
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
    ("45Sc", 44.95590828),
    ("48Ti", 47.94794198),
    ("51V", 50.94395704),
    ("52Cr", 51.94050623),
    ("55Mn", 54.93804391),
    ("56Fe", 55.93493633),
    ("59Co", 58.93319429),
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
    ("85Rb", 84.9117897379),
    ("88Sr", 87.9056125),
    ("89Y", 88.9058403),
    ("90Zr", 89.9046977),
    ("93Nb", 92.9063730),
    ("98Mo", 97.90540482),
    ("98Tc", 97.9072124),
    ("102Ru", 101.9043441),
    ("103Rh", 102.9054980),
    ("106Pd", 105.9034804),
    ("107Ag", 106.9050916),
    ("109Ag", 108.9047553),
    ("114Cd", 113.90336509),
    ("115In", 114.903878776),
    ("120Sn", 119.90220163),
    ("121Sb", 120.9038120),
    ("123Sb", 122.9042132),
    ("128Te", 127.90446128),
    ("130Te", 129.906222748),
    ("127I", 126.9044719),
    ("129Xe", 128.9047808611),
    ("131Xe", 130.90508406),
    ("132Xe", 131.9041550856),
    ("134Xe", 133.90539466),
    ("136Xe", 135.907214484),
    ("133Cs", 132.9054519610),
    ("138Ba", 137.90524700),
    ("139La", 138.9063563),
    ("140Ce", 139.9054431),
    ("141Pr", 140.9076576),
    ("142Nd", 141.9077290),
    ("145Pm", 144.9127559),
    ("152Sm", 151.9197397),
    ("153Eu", 152.9212380),
    ("158Gd", 157.9241123),
    ("159Tb", 158.9253547),
    ("164Dy", 163.9291819),
    ("165Ho", 164.9303288),
    ("166Er", 165.9302995),
    ("169Tm", 168.9342179),
    ("174Yb", 173.9388664),
    ("175Lu", 174.9407752),
    ("180Hf", 179.9465570),
    ("181Ta", 180.9479958),
    ("184W", 183.95093092),
    ("187Re", 186.9557501),
    ("192Os", 191.9614770),
    ("193Ir", 192.9629216),
    ("195Pt", 194.9647917),
    ("197Au", 196.96656879),
    ("202Hg", 201.97064340),
    ("205Tl", 204.9744278),
    ("208Pb", 207.9766525),
    ("209Bi", 208.9803991),
    ("209Po", 208.9824308),
    ("210At", 209.9871479),
    ("222Rn", 222.0175782),
    ("223Fr", 223.0197360),
    ("226Ra", 226.0254103),
    ("227Ac", 227.0277523),
    ("232Th", 232.0380558),
    ("231Pa", 231.0358842),
    ("238U", 238.0507884),
];

/// The mass in u of an element (`Br`) or isotope (`79Br`, `D`), or `None` for an unknown name.
///
/// Names are case-sensitive: `Co` is cobalt, `CO` is nothing.
///
/// ```
/// use cei_physics::elements::mass_u;
///
/// assert_eq!(mass_u("C"), Some(12.011));
/// assert!(mass_u("79Br").is_some_and(|mass| (mass - 78.918).abs() < 1e-3));
/// assert_eq!(mass_u("Xx"), None);
/// ```
pub fn mass_u(name: &str) -> Option<f64> {
    let elements = ELEMENTS.iter().map(|(known, mass, _)| (known, mass));
    let isotopes = ISOTOPES.iter().map(|(known, mass)| (known, mass));
    elements.chain(isotopes).find(|(known, _)| **known == name).map(|(_, mass)| *mass)
}

/// The mass in u of the commonest isotope of an element, or `None` for an unknown element. An isotope has its own.
pub fn commonest_mass_u(name: &str) -> Option<f64> {
    match ELEMENTS.iter().find(|(known, ..)| *known == name) {
        Some((_, _, number)) => mass_u(&format!("{number}{name}")),
        None => mass_u(name),
    }
}

/// An element and, where the name says it, the mass number: `79Br` and `br` are bromine, `D` and `2H` are one
/// nuclide; `35` is the element of that atomic number. Letter case does not count. None for a name that is no element.
fn nuclide(name: &str) -> Option<(&'static str, Option<u32>)> {
    if let Ok(number) = name.parse::<usize>() {
        let (element, ..) = ELEMENTS.get(number.checked_sub(1)?)?;
        return Some((element, None));
    }
    let letters = name.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = &name[..name.len() - letters.len()];
    let heavy =
        [("D", 2), ("T", 3)].into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    if let Some((_, number)) = heavy {
        return Some(("H", Some(number)));
    }
    let (element, ..) = ELEMENTS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(letters))?;
    match number {
        "" => Some((element, None)),
        number => Some((element, Some(number.parse().ok()?))),
    }
}

/// Covalent radius of an element or isotope in angstrom; none where its element is not known.
pub fn covalent_radius_angstrom(name: &str) -> Option<f64> {
    let (element, _) = nuclide(name)?;
    let place = ELEMENTS.iter().position(|(known, ..)| *known == element)?;
    Some(f64::from(COVALENT_RADII_PM[place]) / 100.0)
}

/// Whether an atom that a file or a key calls `name` may be an atom of `element`: it is the same nuclide, or one of
/// both leaves the isotope open and the other is one of that element (for `name`, the commonest alone).
///
/// `D`, `2H` and `H` may name an atom of `D`; `D` cannot name one of `H`.
///
/// ```
/// use cei_physics::elements::names_atom_of;
///
/// assert!(names_atom_of("H", "D") && names_atom_of("2H", "D") && !names_atom_of("D", "H"));
/// ```
pub fn names_atom_of(name: &str, element: &str) -> bool {
    let (Some((found, found_number)), Some((wanted, wanted_number))) =
        (nuclide(name), nuclide(element))
    else {
        return name.eq_ignore_ascii_case(element);
    };
    let commonest = || ELEMENTS.iter().find(|(known, ..)| *known == wanted).map(|(_, _, n)| *n);
    found == wanted
        && match (found_number, wanted_number) {
            (None, _) => true,
            (Some(found), Some(wanted)) => found == wanted,
            (found, None) => found == commonest(),
        }
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
    fn all_elements_to_uranium_have_a_weight_near_that_of_their_commonest_isotope() {
        assert_eq!(ELEMENTS.len(), 92);
        for (name, weight, _) in ELEMENTS {
            let commonest = commonest_mass_u(name).unwrap();
            // The mixture moves the mean by less than 2.2 u everywhere (tellurium).
            assert!((commonest - weight).abs() < 2.4, "{name} {weight} {commonest}");
        }
        assert_eq!(commonest_mass_u("Cl"), mass_u("35Cl"));
        assert_eq!(commonest_mass_u("37Cl"), mass_u("37Cl"));
        assert_eq!(commonest_mass_u("D"), mass_u("2H"));
        assert_eq!(commonest_mass_u("Xx"), None);
    }

    /// Halogens against half of the bond lengths of their molecules, and the bonds of methane and water.
    #[test]
    fn covalent_radii_give_known_bonds() {
        let radius = |name| covalent_radius_angstrom(name).unwrap();
        for (name, bond) in [("35Cl", 1.99), ("Br", 2.28), ("I", 2.67)] {
            let deviation: f64 = radius(name) - bond / 2.0;
            assert!(deviation.abs() < 0.065, "{name} {deviation}");
        }
        assert!((radius("C") + radius("D") - 1.09).abs() < 0.03);
        assert!((radius("O") + radius("H") - 0.96).abs() < 0.03);
        assert_eq!(covalent_radius_angstrom("U"), Some(1.96));
        assert_eq!(covalent_radius_angstrom("CH3"), None);
    }

    #[test]
    fn hydrogens_names_mean_the_same_nuclide() {
        for (name, element, same) in [
            ("D", "2H", true),
            ("2H", "D", true),
            ("d", "D", true),
            ("H", "D", true),
            ("3H", "T", true),
            ("1H", "H", true),
            ("H", "1H", true),
            ("D", "H", false),
            ("T", "D", false),
            ("Br", "79Br", true),
            ("81Br", "79Br", false),
            ("81Br", "Br", false),
            ("C", "O", false),
            ("Mu", "mu", true),
        ] {
            assert_eq!(names_atom_of(name, element), same, "{name} for {element}");
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
            let ((first, light, _), (second, heavy, _)) = (pair[0], pair[1]);
            let inverted =
                matches!((first, second), ("Ar", "K") | ("Co", "Ni") | ("Te", "I") | ("Th", "Pa"));
            assert_eq!(light > heavy, inverted, "{first} {second}");
        }
    }
}
