//! The molecule: its atoms' labels, masses and charges, and the names of a table's columns.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::elements;
use crate::error::SimulationConfigError;
use crate::units::ELECTRON_MASSES_PER_U;

/// The least number of atoms of a molecule.
pub const MIN_ATOMS: usize = 2;
/// The greatest number of atoms of a molecule (`docs/spec.md#forward-model`).
pub const MAX_ATOMS: usize = 32;

/// One atom, or what flies apart as one ion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AtomSpec {
    /// Element or isotope, for example `Br`, `79Br`, `D`. Any name is allowed where `mass_u` is given.
    pub element: String,
    /// The atom's name in columns and messages; by default the element without its mass number, and numbered from 1
    /// where several atoms would have that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Mass; by default that of the element or isotope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub mass_u: Option<f64>,
    /// Charge after ionisation; any real number.
    #[schemars(extend("unit" = "e"))]
    pub charge: f64,
}

impl AtomSpec {
    /// An atom with the default label and mass of its element.
    pub fn new(element: &str, charge: f64) -> Self {
        Self { element: element.to_owned(), label: None, mass_u: None, charge }
    }

    /// The label where it is the only atom of its name.
    fn plain_label(&self) -> String {
        let default = || self.element.trim_start_matches(|c: char| c.is_ascii_digit()).to_owned();
        self.label.clone().unwrap_or_else(default)
    }
}

/// Which mass an element has that is given without its mass number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Isotopes {
    /// The mean of the natural mixture (the standard atomic weight).
    #[default]
    Mean,
    /// The mass of the commonest isotope.
    Commonest,
}

impl Isotopes {
    fn mass_u(self, element: &str) -> Option<f64> {
        match self {
            Self::Mean => elements::mass_u(element),
            Self::Commonest => elements::commonest_mass_u(element),
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The labels of all atoms: given ones stay; atoms without one that would share a name, in any letter case, are
/// numbered from 1 (`O1`, `O2`), past numbers that given labels have.
fn labels(atoms: &[AtomSpec]) -> Vec<String> {
    let plain: Vec<String> = atoms.iter().map(AtomSpec::plain_label).collect();
    let given: Vec<&String> = atoms.iter().filter_map(|atom| atom.label.as_ref()).collect();
    let is_given = |name: &str| given.iter().any(|label| label.eq_ignore_ascii_case(name));
    let mut labels: Vec<String> = Vec::with_capacity(atoms.len());
    for (atom, name) in atoms.iter().zip(&plain) {
        let namesakes = plain.iter().filter(|other| other.eq_ignore_ascii_case(name)).count();
        let mut label = name.clone();
        if atom.label.is_none() && namesakes > 1 {
            let taken = |label: &str, labels: &[String]| {
                is_given(label) || labels.iter().any(|earlier| earlier.eq_ignore_ascii_case(label))
            };
            let numbered = (1..).map(|number| format!("{name}{number}"));
            label = numbered.into_iter().find(|label| !taken(label, &labels)).unwrap_or(label);
        }
        labels.push(label);
    }
    labels
}

/// A molecule of 2 to 32 atoms.
///
/// ```toml
/// [molecule]
/// atoms = [
///     { element = "C", charge = 2.0 },
///     { element = "O", charge = 2.0 },
///     { element = "34S", charge = 2.0, label = "S" },
/// ]
/// ```
///
/// Two molecules are equal whose atoms are; whether atoms alike are told apart is no property of theirs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "MoleculeSpec", into = "MoleculeSpec")]
pub struct Molecule {
    atoms: Vec<AtomSpec>,
    isotopes: Isotopes,
    exchangeable: Option<bool>,
    labels: Vec<String>,
    masses: Vec<f64>,
    charges: Vec<f64>,
}

impl PartialEq for Molecule {
    fn eq(&self, other: &Self) -> bool {
        self.isotopes == other.isotopes && self.atoms == other.atoms
    }
}

/// The unchecked form of a molecule in a file.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MoleculeSpec {
    /// Which mass an element has that is given without its mass number.
    #[serde(default, skip_serializing_if = "Isotopes::is_default")]
    #[schemars(extend("default" = Isotopes::default()))]
    isotopes: Isotopes,
    /// Whether atoms of one element, mass and charge are exchanged at will: nobody knows which of their ions is which. By default
    /// they are where the momenta are given by places of columns, which have no names; `false` where the table tells
    /// them apart. It is of experiments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exchangeable: Option<bool>,
    /// The atoms, in the order of the columns.
    #[schemars(length(min = MIN_ATOMS, max = MAX_ATOMS))]
    atoms: Vec<AtomSpec>,
}

/// A molecule that cannot be; every variant but the first names the atom.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MoleculeError {
    /// Too few or too many atoms.
    #[error(
        "`molecule.atoms`: {found} atoms, expected {MIN_ATOMS} to {MAX_ATOMS}\n\
         hint: list what flies apart as one ion, such as CH3, as one atom with its own `mass_u`; a table of more \
         can be learned without `[molecule]`, by `columns.x` and `columns.y`"
    )]
    AtomCount {
        /// The number of atoms given.
        found: usize,
    },
    /// No mass is known for the element.
    #[error(
        "`molecule.atoms[{index}].element`: unknown element or isotope `{element}`\n\
         hint: names are like `Br` or `79Br`; any name works with a `mass_u`"
    )]
    UnknownElement {
        /// The atom's place in the list, from 0.
        index: usize,
        /// The name found.
        element: String,
    },
    /// A label that cannot name columns.
    #[error(
        "`molecule.atoms[{index}].label`: `{label}` is no label, expected ASCII letters, digits and `_`"
    )]
    Label {
        /// The atom's place in the list, from 0.
        index: usize,
        /// The label found.
        label: String,
    },
    /// The mass is not positive and finite.
    #[error("`molecule.atoms[{index}].mass_u` (atom `{label}`): `{value}` u, expected above 0")]
    Mass {
        /// The atom's place in the list, from 0.
        index: usize,
        /// The atom's label.
        label: String,
        /// The mass found, in u.
        value: f64,
    },
    /// The charge is not finite.
    #[error("`molecule.atoms[{index}].charge` (atom `{label}`): `{value}` is not finite")]
    Charge {
        /// The atom's place in the list, from 0.
        index: usize,
        /// The atom's label.
        label: String,
        /// The charge found.
        value: f64,
    },
    /// Two atoms would have a column of the same name (letter case does not count).
    #[error(
        "`molecule.atoms`: atoms `{first}` and `{second}` (numbers {first_index} and {second_index}, \
         from 0) would share the column `{column}`\nhint: give each atom its own `label`"
    )]
    SharedColumn {
        /// The one atom's label.
        first: String,
        /// The one atom's place in the list.
        first_index: usize,
        /// The other atom's label.
        second: String,
        /// The other atom's place in the list.
        second_index: usize,
        /// The column that both would name.
        column: String,
    },
}

impl Molecule {
    /// Checks the atoms and looks up their masses.
    ///
    /// # Errors
    /// [`MoleculeError`] for fewer than 2 or more than 32 atoms, an unknown element without a mass,
    /// a mass that is not positive, a charge that is not finite, and labels that are not unique.
    ///
    /// ```
    /// use cei_physics::{AtomSpec, Molecule};
    ///
    /// let water = Molecule::new(["O", "D", "D"].map(|element| AtomSpec::new(element, 1.0)).into())?;
    /// assert_eq!(water.labels(), ["O", "D1", "D2"]);
    /// assert_eq!(water.momentum_columns()[3], "pd1x");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(atoms: Vec<AtomSpec>) -> Result<Self, MoleculeError> {
        Self::with_isotopes(atoms, Isotopes::default())
    }

    /// The same, with a choice of the masses of elements.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_isotopes(atoms: Vec<AtomSpec>, isotopes: Isotopes) -> Result<Self, MoleculeError> {
        if !(MIN_ATOMS..=MAX_ATOMS).contains(&atoms.len()) {
            return Err(MoleculeError::AtomCount { found: atoms.len() });
        }
        let labels = labels(&atoms);
        let mut masses = Vec::with_capacity(atoms.len());
        for (index, (atom, label)) in atoms.iter().zip(&labels).enumerate() {
            let label = label.clone();
            let unknown = || MoleculeError::UnknownElement { index, element: atom.element.clone() };
            let mass =
                atom.mass_u.or_else(|| isotopes.mass_u(&atom.element)).ok_or_else(unknown)?;
            if !(mass.is_finite() && mass > 0.0) {
                return Err(MoleculeError::Mass { index, label, value: mass });
            }
            if !atom.charge.is_finite() {
                return Err(MoleculeError::Charge { index, label, value: atom.charge });
            }
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if label.is_empty() || !label.chars().all(is_name) {
                return Err(MoleculeError::Label { index, label });
            }
            masses.push(mass * ELECTRON_MASSES_PER_U);
        }
        let charges = atoms.iter().map(|atom| atom.charge).collect();
        let molecule = Self { atoms, isotopes, exchangeable: None, labels, masses, charges };
        molecule.check_columns()?;
        Ok(molecule)
    }

    /// What is said of whether atoms alike ([`Self::alike`]) are exchanged at will, nobody knowing which of their ions is which.
    pub fn exchangeable(&self) -> Option<bool> {
        self.exchangeable
    }

    /// The same molecule, with what is to be said of that.
    #[must_use]
    pub fn exchanging(self, exchangeable: bool) -> Self {
        Self { exchangeable: Some(exchangeable), ..self }
    }

    /// The number of atoms, N.
    pub fn atom_count(&self) -> usize {
        self.atoms.len()
    }

    /// The atoms as configured.
    pub fn atoms(&self) -> &[AtomSpec] {
        &self.atoms
    }

    /// The atoms' labels.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The atoms' masses in electron masses.
    pub fn masses(&self) -> &[f64] {
        &self.masses
    }

    /// The atoms' charges in elementary charges.
    pub fn charges(&self) -> &[f64] {
        &self.charges
    }

    /// The same atoms with other charges (one an atom, finite).
    #[must_use]
    pub fn with_charges(&self, charges: &[f64]) -> Self {
        let atoms = self.atoms.iter().zip(charges);
        let atoms = atoms.map(|(atom, &charge)| AtomSpec { charge, ..atom.clone() }).collect();
        Self { atoms, charges: charges.to_vec(), ..self.clone() }
    }

    /// The molecule of some of the atoms, in this order.
    pub(crate) fn part(&self, atoms: &[usize]) -> Self {
        let of = |values: &[f64]| atoms.iter().map(|&atom| values[atom]).collect::<Vec<f64>>();
        Self {
            atoms: atoms.iter().map(|&atom| self.atoms[atom].clone()).collect(),
            labels: atoms.iter().map(|&atom| self.labels[atom].clone()).collect(),
            masses: of(&self.masses),
            charges: of(&self.charges),
            ..self.clone()
        }
    }

    /// The place of the atom with this label, or else of the only atom of this element or isotope (`2H` for an
    /// atom of `D`); letter case does not count.
    pub fn index_of(&self, label: &str) -> Option<usize> {
        let labelled = self.labels.iter().position(|known| known.eq_ignore_ascii_case(label));
        labelled.or_else(|| {
            let mut named = (0..self.atoms.len()).filter(|&index| self.may_be_called(index, label));
            named.next().filter(|_| named.next().is_none())
        })
    }

    /// Whether a file may call the atom of this place `name`: by its label, its element or its isotope.
    pub fn may_be_called(&self, index: usize, name: &str) -> bool {
        self.labels[index].eq_ignore_ascii_case(name)
            || elements::names_atom_of(name, &self.atoms[index].element)
    }

    /// Names of the 3N position columns: `cx`, `cy`, `cz`, `ox`, ...
    pub fn position_columns(&self) -> Vec<String> {
        self.columns("")
    }

    /// Names of the 3N momentum columns: `pcx`, `pcy`, `pcz`, `pox`, ...
    pub fn momentum_columns(&self) -> Vec<String> {
        self.columns("p")
    }

    /// Names of the 3N columns of initial momenta: `initial_pcx`, `initial_pcy`, ...
    pub fn initial_momentum_columns(&self) -> Vec<String> {
        self.columns("initial_p")
    }

    /// Names of the N columns of charges that differ between events: `charge_c`, `charge_o`, ...
    pub fn charge_columns(&self) -> Vec<String> {
        let of_label = |label: &String| format!("charge_{}", label.to_ascii_lowercase());
        self.labels.iter().map(of_label).collect()
    }

    /// The centre of mass of `positions` (3N numbers), in their unit.
    pub fn centre_of_mass(&self, positions: &[f64]) -> [f64; 3] {
        let mut centre = [0.0; 3];
        for (atom, mass) in positions.chunks_exact(3).zip(&self.masses) {
            for (sum, coordinate) in centre.iter_mut().zip(atom) {
                *sum += mass * coordinate;
            }
        }
        let total: f64 = self.masses.iter().sum();
        centre.map(|sum| sum / total)
    }

    /// The place of the atom with this label, else an error that names the configuration `key`.
    pub(crate) fn require_index(
        &self,
        key: &str,
        label: &str,
    ) -> Result<usize, SimulationConfigError> {
        self.index_of(label).ok_or_else(|| SimulationConfigError::UnknownAtom {
            key: key.to_owned(),
            label: label.to_owned(),
            known: self.labels.clone(),
        })
    }

    fn columns(&self, prefix: &str) -> Vec<String> {
        let of_label = |label: &String| {
            let label = label.to_ascii_lowercase();
            ["x", "y", "z"].map(|axis| format!("{prefix}{label}{axis}"))
        };
        self.labels.iter().flat_map(of_label).collect()
    }

    /// Columns of positions, momenta and charges must all differ: `Po` has a position column `pox`, and so
    /// has O a momentum column.
    fn check_columns(&self) -> Result<(), MoleculeError> {
        let vectors = [self.position_columns(), self.momentum_columns()].concat();
        let atoms = self.atom_count();
        let atom_of = |column: usize| {
            if column < 6 * atoms { (column / 3) % atoms } else { column - 6 * atoms }
        };
        let columns = [vectors, self.charge_columns()].concat();
        for (later, column) in columns.iter().enumerate() {
            if let Some(earlier) = columns[..later].iter().position(|other| other == column) {
                let (first_index, second_index) = (atom_of(earlier), atom_of(later));
                return Err(MoleculeError::SharedColumn {
                    first: self.labels[first_index].clone(),
                    first_index,
                    second: self.labels[second_index].clone(),
                    second_index,
                    column: column.clone(),
                });
            }
        }
        Ok(())
    }
}

impl TryFrom<MoleculeSpec> for Molecule {
    type Error = MoleculeError;

    fn try_from(spec: MoleculeSpec) -> Result<Self, MoleculeError> {
        let molecule = Self::with_isotopes(spec.atoms, spec.isotopes)?;
        Ok(Self { exchangeable: spec.exchangeable, ..molecule })
    }
}

impl From<Molecule> for MoleculeSpec {
    fn from(molecule: Molecule) -> Self {
        let Molecule { isotopes, exchangeable, atoms, .. } = molecule;
        Self { isotopes, exchangeable, atoms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn atoms(elements: &[&str]) -> Vec<AtomSpec> {
        elements.iter().map(|element| AtomSpec::new(element, 1.0)).collect()
    }

    #[test]
    fn columns_carry_the_lower_case_label_and_the_axis() {
        let molecule = Molecule::new(atoms(&["C", "79Br"])).unwrap();
        assert_eq!(molecule.position_columns(), ["cx", "cy", "cz", "brx", "bry", "brz"]);
        assert_eq!(molecule.momentum_columns(), ["pcx", "pcy", "pcz", "pbrx", "pbry", "pbrz"]);
        assert_eq!(molecule.index_of("br"), Some(1));
        assert_eq!(molecule.masses()[1], 78.9183376 * ELECTRON_MASSES_PER_U);
    }

    #[test]
    fn molecules_round_trip_through_toml() {
        let text = "atoms = [{ element = \"C\", charge = 2 }, { element = \"35Cl\", label = \"Cl1\", \
                    charge = -0.5 }, { element = \"Mu\", mass_u = 0.1134, charge = 1.0 }]";
        let molecule: Molecule = toml::from_str(text).unwrap();
        let again: Molecule = toml::from_str(&toml::to_string(&molecule).unwrap()).unwrap();
        assert_eq!(molecule, again);
        assert_eq!(again.labels(), ["C", "Cl1", "Mu"]);
    }

    #[test]
    fn errors_name_the_atom() {
        let message = |atoms| Molecule::new(atoms).unwrap_err().to_string();
        assert!(message(atoms(&["C"])).contains("1 atoms, expected 2 to 32"));
        assert!(
            message(atoms(&["C", "Xx"]))
                .contains("atoms[1].element`: unknown element or isotope `Xx`")
        );
        assert!(Molecule::new(atoms(&["C"; 32])).is_ok());
        let many = message(atoms(&["C"; 33]));
        assert!(many.starts_with("`molecule.atoms`: 33 atoms, expected 2 to 32"), "{many}");
        assert!(many.contains("hint: list what flies apart as one ion"));
        assert!(message(atoms(&["C", "c"])).contains("unknown"));
        let bad = |change: fn(&mut AtomSpec)| {
            let mut list = atoms(&["C", "O"]);
            change(&mut list[1]);
            Molecule::new(list).unwrap_err()
        };
        assert!(matches!(bad(|a| a.mass_u = Some(0.0)), MoleculeError::Mass { index: 1, .. }));
        assert!(matches!(bad(|a| a.charge = f64::NAN), MoleculeError::Charge { index: 1, .. }));
        assert!(matches!(bad(|a| a.label = Some("O 1".into())), MoleculeError::Label { .. }));
        let collision = bad(|a| a.label = Some("pc".into()));
        assert!(collision.to_string().contains("share the column `pcx`"), "{collision}");
        assert!(toml::from_str::<Molecule>("atoms = []\ncolour = 1").is_err());
    }

    #[test]
    fn like_atoms_are_numbered_and_given_labels_stay() {
        let labels = |list: Vec<AtomSpec>| Molecule::new(list).unwrap().labels().to_vec();
        assert_eq!(labels(atoms(&["C", "O", "O"])), ["C", "O1", "O2"]);
        assert_eq!(labels(atoms(&["C", "16O", "18O", "H"])), ["C", "O1", "O2", "H"]);
        let mut list = atoms(&["O", "O", "O"]);
        list[1].label = Some("o1".into());
        assert_eq!(labels(list), ["O2", "o1", "O3"]);
        let mut list = atoms(&["C", "O", "O"]);
        list[1].label = Some("Oa".into());
        assert_eq!(labels(list), ["C", "Oa", "O"]);
        let molecule = Molecule::new(atoms(&["C", "H", "H", "H", "H"])).unwrap();
        assert_eq!(molecule.momentum_columns()[3..6], ["ph1x", "ph1y", "ph1z"]);
    }

    #[test]
    fn atoms_are_found_by_isotope_where_it_is_the_only_one() {
        let molecule = Molecule::new(atoms(&["C", "2H", "H"])).unwrap();
        assert_eq!(molecule.labels(), ["C", "H1", "H2"]);
        assert_eq!(molecule.index_of("D"), Some(1));
        assert_eq!(molecule.index_of("1H"), Some(2));
        assert_eq!(molecule.index_of("H"), None, "both are hydrogen");
        assert_eq!(molecule.index_of("T"), None);
    }

    #[test]
    fn isotopes_say_which_mass_an_element_has() {
        let text = "isotopes = \"commonest\"\natoms = [{ element = \"Cl\", charge = 1 }, \
                    { element = \"37Cl\", charge = 1 }, { element = \"H\", mass_u = 1.5, charge = 1 }]";
        let molecule: Molecule = toml::from_str(text).unwrap();
        let masses = [34.968852682, 36.965902602, 1.5].map(|mass| mass * ELECTRON_MASSES_PER_U);
        assert_eq!(molecule.masses(), masses);
        let written = toml::to_string(&molecule).unwrap();
        assert_eq!(toml::from_str::<Molecule>(&written).unwrap(), molecule);
        let mean = Molecule::new(atoms(&["Cl", "H"])).unwrap();
        assert_eq!(mean.masses()[0], 35.45 * ELECTRON_MASSES_PER_U);
        assert!(!toml::to_string(&mean).unwrap().contains("isotopes"));
    }

    #[test]
    fn centre_of_mass_of_a_weighted_pair() {
        let mut list = atoms(&["H", "D"]);
        list[0].mass_u = Some(1.0);
        list[1].mass_u = Some(3.0);
        let molecule = Molecule::new(list).unwrap();
        // (1 * (0,0,0) + 3 * (4,8,-4)) / 4
        assert_eq!(molecule.centre_of_mass(&[0.0, 0.0, 0.0, 4.0, 8.0, -4.0]), [3.0, 6.0, -3.0]);
    }
}
