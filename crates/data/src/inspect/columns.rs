//! Which columns are positions and which are momenta: as told, or by their names.

use std::collections::HashMap;
use std::path::Path;

use cei_physics::Molecule;
use cei_physics::elements::mass_u;
use cei_physics::units::ELECTRON_MASSES_PER_U;

use super::summary::InspectOptions;
use crate::columns::Columns;
use crate::error::LoadError;
use crate::source::ColumnRef;

/// What may stand between the parts of a column's name.
const SEPARATORS: [char; 4] = ['_', '.', '-', ' '];

/// The columns of both sides, three an atom.
#[derive(Debug, Default)]
pub(super) struct Sides {
    pub(super) x: Vec<usize>,
    pub(super) y: Vec<usize>,
    /// Masses of the ions in electron masses, and where they come from.
    pub(super) masses: Option<(Vec<f64>, String)>,
    /// Names of the ions, where their masses are known.
    pub(super) ions: Vec<String>,
    /// Whether the positions are named as `cei` names its own.
    pub(super) own_names: bool,
    /// What was taken for granted.
    pub(super) remarks: Vec<String>,
}

impl Sides {
    /// Finds the columns of a table with these names.
    ///
    /// # Errors
    /// Columns asked for that do not exist.
    pub(super) fn find(
        file: &Path,
        names: &[String],
        options: &InspectOptions,
    ) -> Result<Self, LoadError> {
        let atoms = atoms_by_name(names);
        let mut sides = Self::default();
        if !options.x.is_empty() || !options.y.is_empty() {
            sides.take_given(file, names, options)?;
        } else if let Some(molecule) = &options.molecule {
            sides.x = present(names, &molecule.position_columns());
            sides.y = present(names, &molecule.momentum_columns());
        }
        if options.x.is_empty() && options.y.is_empty() && sides.x.is_empty() && sides.y.is_empty()
        {
            let of = |momentum| {
                let atoms = atoms.iter().filter(|atom| atom.momentum == momentum);
                atoms.flat_map(|atom| atom.columns).collect()
            };
            (sides.x, sides.y) = (of(false), of(true));
        }
        sides.take_all_as_momenta(names, options);
        let named: Vec<&NamedAtom> = sides
            .x
            .chunks(3)
            .filter_map(|columns| atoms.iter().find(|atom| atom.columns == columns))
            .collect();
        let is_own = |atom: &&NamedAtom| names[atom.columns[0]] == format!("{}x", atom.label);
        sides.own_names = !named.is_empty()
            && 3 * named.len() == sides.x.len()
            && named.iter().all(is_own)
            && named.iter().all(|atom| atom.label == atom.label.to_lowercase());
        sides.masses = masses(options.molecule.as_ref(), &atoms, names, &sides.y);
        if sides.masses.is_some() {
            sides.ions = ions(options.molecule.as_ref(), &atoms, &sides.y);
        }
        Ok(sides)
    }

    fn take_given(
        &mut self,
        file: &Path,
        names: &[String],
        options: &InspectOptions,
    ) -> Result<(), LoadError> {
        let known = Columns::of_text(Some(names.to_vec()), names.len());
        let find = |columns: &[ColumnRef]| -> Result<Vec<usize>, LoadError> {
            columns.iter().map(|column| known.find(file, column)).collect()
        };
        let absent = |columns: &[ColumnRef]| {
            options.either_side && columns.iter().all(|column| known.find(file, column).is_err())
        };
        let (no_x, no_y) = (absent(&options.x), absent(&options.y));
        if no_x && no_y {
            // One of them fails, unless all columns can be taken in order.
            return match self.molecule_fits(names, options) {
                true => Ok(()),
                false => find(&options.y).and_then(|_| find(&options.x)).map(|_| ()),
            };
        }
        if no_x && !options.x.is_empty() {
            let said = "there are no position columns: it is taken for a table of momenta alone";
            self.remarks.push(said.into());
        } else {
            self.x = find(&options.x)?;
        }
        if no_y && !options.y.is_empty() {
            self.remarks.push("there are no momentum columns".into());
        } else {
            self.y = find(&options.y)?;
        }
        Ok(())
    }

    fn molecule_fits(&self, names: &[String], options: &InspectOptions) -> bool {
        let atoms = options.molecule.as_ref().map(Molecule::atom_count);
        atoms.is_some_and(|atoms| names.len() == 3 * atoms)
    }

    /// A table of momenta whose columns have no names that tell it: a unit of momenta or a molecule is given, and the
    /// columns are three an ion.
    fn take_all_as_momenta(&mut self, names: &[String], options: &InspectOptions) {
        if !self.y.is_empty() {
            return;
        }
        let told = options.y_unit.is_some() && !options.either_side && options.x.is_empty();
        if told && !self.x.is_empty() {
            self.y = std::mem::take(&mut self.x);
            let said = "no column is named as a momentum: those of atoms are taken for momenta, because their unit is given";
            self.remarks.push(said.into());
            return;
        }
        let fits = match &options.molecule {
            Some(_) => self.molecule_fits(names, options),
            None => told && names.len().is_multiple_of(3),
        };
        if self.x.is_empty() && fits {
            self.y = (0..names.len()).collect();
            let ions = names.len() / 3;
            self.remarks.push(format!(
                "no column has a name that tells it: all are taken for momenta, px py pz of {ions} ions in this order"
            ));
        }
    }
}

/// An atom of which three columns of one kind were recognised.
struct NamedAtom {
    label: String,
    columns: [usize; 3],
    momentum: bool,
}

/// Atoms by names such as `cx cy cz` and `pcx pcy pcz`, or `C_x` and `p_C_x`, or `Px1 Py1 Pz1`. `pcx` is a momentum if
/// there is a position `cx` or an element C; `px py pz` are positions of phosphorus beside those of other atoms.
fn atoms_by_name(names: &[String]) -> Vec<NamedAtom> {
    let mut places: HashMap<String, usize> = HashMap::with_capacity(names.len());
    for (place, name) in names.iter().enumerate() {
        places.entry(name.to_ascii_lowercase()).or_insert(place);
    }
    let find = |name: String| places.get(&name.to_ascii_lowercase()).copied();
    let triple = |before: &str, after: &str| {
        let find = |axis| find(format!("{before}{axis}{after}"));
        Some([find('x')?, find('y')?, find('z')?])
    };
    let mut atoms = Vec::new();
    for name in names {
        let Some(label) = name.strip_suffix(['x', 'X']).filter(|label| !label.is_empty()) else {
            atoms.extend(momentum_with_ion_behind(name, triple));
            continue;
        };
        let Some(columns) = triple(label, "") else {
            continue;
        };
        let of_momentum = label.strip_prefix(['p', 'P']).filter(|rest| {
            let rest = rest.trim_start_matches(SEPARATORS);
            let atom = rest.trim_end_matches(SEPARATORS);
            // `Pb_x` beside `p_Pb_x` is a position of lead and no momentum of boron.
            let is_position =
                ["p", "p_"].iter().any(|p| triple(&format!("{p}{label}"), "").is_some());
            !atom.is_empty()
                && !is_position
                && (triple(rest, "").is_some() || element_mass(atom).is_some())
        });
        atoms.push(NamedAtom {
            label: of_momentum.unwrap_or(label).trim_matches(SEPARATORS).to_owned(),
            columns,
            momentum: of_momentum.is_some(),
        });
    }
    // `px py pz`, or `p1x p1y p1z`: without any other position, momenta of ions that have no name.
    let is_bare = |atom: &NamedAtom| {
        let rest = atom.label.strip_prefix(['p', 'P']).map(|rest| rest.trim_matches(SEPARATORS));
        rest.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit()))
    };
    if atoms.iter().all(|atom| atom.momentum || is_bare(atom)) {
        for atom in &mut atoms {
            if !atom.momentum {
                atom.momentum = true;
                atom.label = atom.label.trim_start_matches(['p', 'P']).to_owned();
            }
        }
    }
    atoms
}

/// `Px1`, `px_C`: a momentum with its ion behind the axis.
fn momentum_with_ion_behind(
    name: &str,
    triple: impl Fn(&str, &str) -> Option<[usize; 3]>,
) -> Option<NamedAtom> {
    let (axis, _) = name.char_indices().find(|(_, c)| matches!(c, 'x' | 'X'))?;
    let (before, after) = (&name[..axis], &name[axis + 1..]);
    let label = after.trim_matches(SEPARATORS);
    let is_ion = label.chars().all(|c| c.is_ascii_digit()) || element_mass(label).is_some();
    let is_momentum = before.trim_matches(SEPARATORS).eq_ignore_ascii_case("p");
    let columns = triple(before, after).filter(|_| !label.is_empty() && is_ion && is_momentum)?;
    Some(NamedAtom { label: label.to_owned(), columns, momentum: true })
}

fn present(names: &[String], wanted: &[String]) -> Vec<usize> {
    let found: Vec<usize> = wanted
        .iter()
        .filter_map(|name| names.iter().position(|candidate| candidate == name))
        .collect();
    if found.len() == wanted.len() { found } else { Vec::new() }
}

/// Mass in u of an element named in any case, perhaps followed by a number: `br1`.
fn element_mass(label: &str) -> Option<f64> {
    let letters = label.trim_end_matches(|c: char| c.is_ascii_digit());
    let (first, rest) = letters.split_at_checked(1)?;
    mass_u(&format!("{}{}", first.to_uppercase(), rest.to_lowercase()))
}

/// Names of the ions of the momentum columns: those of the molecule, or as columns are named.
fn ions(molecule: Option<&Molecule>, guessed: &[NamedAtom], y: &[usize]) -> Vec<String> {
    if let Some(molecule) = molecule {
        return molecule.labels().to_vec();
    }
    let of = |columns: &[usize]| guessed.iter().find(|a| a.momentum && a.columns == columns);
    let element = |label: &str| {
        let (first, rest) = label.split_at_checked(1).unwrap_or((label, ""));
        format!("{}{}", first.to_uppercase(), rest.to_lowercase())
    };
    y.chunks(3).map(|columns| of(columns).map_or_else(String::new, |a| element(&a.label))).collect()
}

/// Electron masses of the atoms of the momentum columns, and where they come from.
fn masses(
    molecule: Option<&Molecule>,
    guessed: &[NamedAtom],
    names: &[String],
    y: &[usize],
) -> Option<(Vec<f64>, String)> {
    if let Some(molecule) = molecule {
        let fits = y.len() == 3 * molecule.atom_count();
        return fits.then(|| (molecule.masses().to_vec(), "of the given molecule".to_owned()));
    }
    let atoms: Vec<&NamedAtom> = y
        .chunks(3)
        .map(|columns| guessed.iter().find(|atom| atom.momentum && atom.columns == columns))
        .collect::<Option<_>>()?;
    let masses: Vec<f64> = atoms
        .iter()
        .map(|atom| element_mass(&atom.label).map(|mass| mass * ELECTRON_MASSES_PER_U))
        .collect::<Option<_>>()?;
    let said: Vec<String> = atoms
        .iter()
        .zip(&masses)
        .map(|(atom, mass)| {
            format!("`{}` {:.3} u", names[atom.columns[0]], mass / ELECTRON_MASSES_PER_U)
        })
        .collect();
    (!masses.is_empty())
        .then(|| (masses, format!("guessed from column names: {}", said.join(", "))))
}
