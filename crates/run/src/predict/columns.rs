//! The columns of a prediction's tables. Each is said once: its name, its type, its unit, where it is given, what it
//! means and how it follows from the results. Headers and rows follow from these lists, and the tables of
//! `docs/spec.md#prediction-tables` are compared with them.

use cei_data::{ColumnData, ColumnType, Further};
use ndarray::Array2;

use super::tables::{Kind, Rows, Tables};

/// One column, or several that the run or the momenta file names.
#[cfg_attr(not(test), expect(dead_code, reason = "a test compares unit and meaning with the page"))]
pub(super) struct Column {
    /// Its name; of several the pattern, what differs in capitals.
    name: &'static str,
    /// The unit; empty if there is none.
    unit: &'static str,
    given: Given,
    meaning: &'static str,
    cells: Cells,
}

/// The type of a column, and its cells in some rows.
enum Cells {
    U64(fn(&Rows<'_>) -> Vec<u64>),
    U32(fn(&Rows<'_>) -> Vec<u32>),
    F64(fn(&Rows<'_>) -> Vec<f64>),
    Text(fn(&Rows<'_>) -> Vec<Option<String>>),
    /// Several columns of numbers: their names, and the matrix that they make up.
    Numbers(fn(&Tables<'_>) -> Vec<String>, for<'a> fn(&'a Rows<'_>) -> &'a Array2<f64>),
    /// The further columns of the momenta file, with the types that they have there.
    Further,
}

/// Where a column is given.
#[derive(Clone, Copy)]
enum Given {
    Always,
    /// For runs that have kept what their training momenta are like.
    Support,
    /// For laws of geometries that have limits.
    Limits,
    /// For runs whose positions are turned by the momenta.
    Turned,
    /// For runs that infer nuisances.
    Nuisances,
    /// Where momenta at the start are asked for.
    Moving,
    /// For events whose charge state is inferred.
    States,
    /// For runs of a molecule.
    Molecule,
    Refined,
    /// Refined, of momenta with noise.
    Noise,
    /// Where it is asked which events are false coincidences.
    Coincidences,
}

impl Given {
    fn holds(self, tables: &Tables<'_>) -> bool {
        match self {
            Self::Always => true,
            Self::Support => tables.outside.is_some(),
            Self::Limits => tables.has_limits,
            Self::Turned => tables.rotates_back,
            Self::Nuisances => !tables.nuisances().is_empty(),
            Self::Moving => !tables.initial_momenta.is_empty(),
            Self::States => !tables.states.is_empty(),
            Self::Molecule => tables.coordinates.is_some(),
            Self::Refined => tables.refined.is_some(),
            Self::Noise => tables.refined == Some(true),
            Self::Coincidences => tables.has_coincidences,
        }
    }
}

const EVENT: Column = Column {
    name: "event",
    unit: "",
    given: Given::Always,
    meaning: "row of the momenta file, from 0 and numbered on over several files, left-out rows counted",
    cells: Cells::U64(|rows| rows.of_event(|tables, event| tables.numbers[event])),
};
const DRAW: Column = Column {
    name: "draw",
    unit: "",
    given: Given::Always,
    meaning: "number of the draw, from 0 for each event",
    cells: Cells::U32(|rows| rows.numbers_in_event()),
};
const IS_OUTSIDE_MODEL: Column = Column {
    name: "outside_model",
    unit: "",
    given: Given::Refined,
    meaning: "1 where the model does not describe the event, else 0",
    cells: Cells::U32(|rows| rows.of_refined(|event| u32::from(event.outside.any()))),
};
const POSITIONS: Column = Column {
    name: "POSITION",
    unit: "bohr",
    given: Given::Always,
    meaning: "each position, in the frame of the run and under its name there",
    cells: Cells::Numbers(|tables| tables.positions().to_vec(), |rows| &rows.positions),
};
const TURNED_POSITIONS: Column = Column {
    name: "POSITION_file",
    unit: "bohr",
    given: Given::Turned,
    meaning: "the same in the orientation of the momenta file",
    cells: Cells::Numbers(
        |tables| tables.positions().iter().map(|name| format!("{name}_file")).collect(),
        |rows| &rows.turned,
    ),
};
const NUISANCES: Column = Column {
    name: "NUISANCE",
    unit: "in its name",
    given: Given::Nuisances,
    meaning: "each nuisance that is inferred (`charging_tau_fs`)",
    cells: Cells::Numbers(|tables| tables.nuisances().to_vec(), |rows| &rows.nuisances),
};
const INITIAL_MOMENTA: Column = Column {
    name: "INITIAL_MOMENTUM",
    unit: "a.u.",
    given: Given::Moving,
    meaning: "each momentum with which the ions start (`initial_pcx`), in the orientation of the momenta file",
    cells: Cells::Numbers(|tables| tables.initial_momenta.clone(), |rows| &rows.initial_momenta),
};
const CHARGES: Column = Column {
    name: "CHARGE",
    unit: "e",
    given: Given::States,
    meaning: "each ion's charge in the charge state of the row (`charge_c`)",
    cells: Cells::Numbers(|tables| tables.charges(), |rows| &rows.charges),
};
const LENGTHS: Column = Column {
    name: "LENGTH_pm",
    unit: "pm",
    given: Given::Molecule,
    meaning: "each distance of two atoms (`C-O_pm`)",
    cells: Cells::Numbers(|tables| tables.lengths(), |rows| &rows.lengths_pm),
};
const ANGLES: Column = Column {
    name: "ANGLE_deg",
    unit: "degrees",
    given: Given::Molecule,
    meaning: "each angle of three atoms (`O-C-S_deg`)",
    cells: Cells::Numbers(|tables| tables.angles(), |rows| &rows.angles_deg),
};
const FURTHER: Column = Column {
    name: "FURTHER",
    unit: "",
    given: Given::Always,
    meaning: "each further column of the momenta file, as it stands there",
    cells: Cells::Further,
};

const DRAWS: &[Column] = &[
    EVENT,
    DRAW,
    IS_OUTSIDE_MODEL,
    POSITIONS,
    TURNED_POSITIONS,
    NUISANCES,
    INITIAL_MOMENTA,
    CHARGES,
    FURTHER,
];

const CHAIN: &[Column] = &[EVENT, DRAW, POSITIONS, TURNED_POSITIONS, NUISANCES, FURTHER];

const SUMMARY: &[Column] = &[
    EVENT,
    Column {
        name: "outside",
        unit: "",
        given: Given::Support,
        meaning: "why the event is outside the training support, or empty",
        cells: Cells::Text(|rows| rows.of_event(|tables, event| tables.why_outside(event))),
    },
    Column {
        name: "outside_model",
        unit: "",
        given: Given::Refined,
        meaning: "why the model does not describe the event, or empty",
        cells: Cells::Text(|rows| {
            rows.of_refined(|event| event.outside.any().then(|| event.outside.to_string()))
        }),
    },
    Column {
        name: "modes",
        unit: "",
        given: Given::Refined,
        meaning: "how many geometries explain the event",
        cells: Cells::U32(|rows| rows.of_refined(|event| event.modes.len() as u32)),
    },
    Column {
        name: "k_hat",
        unit: "",
        given: Given::Noise,
        meaning: "shape of the tail of the importance weights",
        cells: Cells::F64(|rows| rows.of_refined(|event| event.k_hat.unwrap_or(f64::NAN))),
    },
    Column {
        name: "effective_sample_size",
        unit: "",
        given: Given::Noise,
        meaning: "how many independent draws the weighted ones are worth",
        cells: Cells::F64(|rows| {
            rows.of_refined(|event| event.effective_sample_size.unwrap_or(f64::NAN))
        }),
    },
    Column {
        name: "log_evidence",
        unit: "nats",
        given: Given::Noise,
        meaning: "logarithm of the density of the momenta under the model; nothing where no draw lies within the geometry law (`outside-law`)",
        cells: Cells::F64(|rows| rows.of_refined(|event| event.log_evidence.unwrap_or(f64::NAN))),
    },
    Column {
        name: "log_background",
        unit: "nats",
        given: Given::Coincidences,
        meaning: "logarithm of the density of the momenta if the ions come from two molecules",
        cells: Cells::F64(|rows| rows.of_coincidence(|event| event.log_background)),
    },
    Column {
        name: "p_true",
        unit: "",
        given: Given::Coincidences,
        meaning: "the probability that the ions come from one molecule",
        cells: Cells::F64(|rows| rows.of_coincidence(|event| event.p_true)),
    },
    Column {
        name: "QUANTITY_STATISTIC",
        unit: "of the quantity",
        given: Given::Always,
        meaning: "for each position, nuisance, distance, angle and asked initial momentum: `mean`, `sd` and the quantiles `q05`, `q16`, `q50`, `q84`, `q95` of the draws",
        cells: Cells::Numbers(|tables| tables.statistics(), |rows| &rows.statistics),
    },
    Column {
        name: "outside_file",
        unit: "",
        given: Given::Support,
        meaning: "why the file as a set is far from training, or empty",
        cells: Cells::Text(|rows| rows.of_event(|tables, _| tables.file.map(str::to_owned))),
    },
    Column {
        name: "law_edge",
        unit: "",
        given: Given::Limits,
        meaning: "the limits of the geometry law that the posterior is pinned to, or empty",
        cells: Cells::Text(|rows| rows.law_edge()),
    },
    Column {
        name: "p_state_CHARGES",
        unit: "",
        given: Given::States,
        meaning: "the probability of each charge state (`p_state_1_1_1`)",
        cells: Cells::Numbers(|tables| tables.probabilities(), |rows| &rows.probabilities),
    },
    FURTHER,
];

const MODES: &[Column] = &[
    EVENT,
    Column {
        name: "mode",
        unit: "",
        given: Given::Always,
        meaning: "number of the geometry, from 0 for each event, the most probable first",
        cells: Cells::U32(|rows| rows.numbers_in_event()),
    },
    Column {
        name: "weight",
        unit: "",
        given: Given::Noise,
        meaning: "posterior probability of what is nearest to it",
        cells: Cells::F64(|rows| rows.of_mode(|mode| mode.weight.unwrap_or(f64::NAN))),
    },
    Column {
        name: "misfit",
        unit: "noise, or a.u. without",
        given: Given::Always,
        meaning: "root mean square difference of its momenta from the measured ones",
        cells: Cells::F64(|rows| rows.of_mode(|mode| mode.misfit)),
    },
    Column {
        name: "searches",
        unit: "",
        given: Given::Always,
        meaning: "how many searches ended there",
        cells: Cells::U32(|rows| rows.of_mode(|mode| mode.searches as u32)),
    },
    POSITIONS,
    TURNED_POSITIONS,
    NUISANCES,
    INITIAL_MOMENTA,
    CHARGES,
    LENGTHS,
    ANGLES,
    Column { given: Given::Always, ..IS_OUTSIDE_MODEL },
    Column {
        name: "outside_law",
        unit: "",
        given: Given::Always,
        meaning: "1 for a geometry that the law excludes, else 0",
        cells: Cells::U32(|rows| rows.of_mode(|mode| u32::from(mode.outside_law))),
    },
    FURTHER,
];

impl Kind {
    fn all_columns(self) -> &'static [Column] {
        match self {
            Self::Draws => DRAWS,
            Self::Summary => SUMMARY,
            Self::Modes => MODES,
            Self::Chain => CHAIN,
        }
    }

    /// The columns that a table has.
    pub(super) fn columns(self, tables: &Tables<'_>) -> Vec<&'static Column> {
        self.all_columns().iter().filter(|column| column.given.holds(tables)).collect()
    }

    /// Names and types of all of them.
    pub(super) fn header(self, tables: &Tables<'_>) -> Vec<(String, ColumnType)> {
        self.columns(tables).into_iter().flat_map(|column| column.header(tables)).collect()
    }
}

/// Passes further columns of the momenta file on into all tables; gives what has to be said about them.
pub(super) fn pass_on(further: Further, tables: &mut Tables<'_>) -> Vec<String> {
    let own = [Kind::Draws, Kind::Summary, Kind::Modes].map(|kind| kind.header(tables)).concat();
    let own: Vec<String> = own.into_iter().map(|(name, _)| name).collect();
    let (columns, remarks) = further.beside(&own);
    tables.further = columns;
    remarks
}

impl Column {
    fn header(&self, tables: &Tables<'_>) -> Vec<(String, ColumnType)> {
        let one = |kind| vec![(self.name.to_owned(), kind)];
        match &self.cells {
            Cells::U64(_) => one(ColumnType::U64),
            Cells::U32(_) => one(ColumnType::U32),
            Cells::F64(_) => one(ColumnType::F64),
            Cells::Text(_) => one(ColumnType::Text),
            Cells::Numbers(names, _) => {
                names(tables).into_iter().map(|name| (name, ColumnType::F64)).collect()
            }
            Cells::Further => cei_data::header(&tables.further),
        }
    }

    /// The cells of rows, in as many columns as the header has.
    pub(super) fn data(&self, rows: &Rows<'_>) -> Vec<ColumnData> {
        match &self.cells {
            Cells::U64(values) => vec![ColumnData::U64(values(rows))],
            Cells::U32(values) => vec![ColumnData::U32(values(rows))],
            Cells::F64(values) => vec![ColumnData::F64(values(rows))],
            Cells::Text(values) => vec![ColumnData::Text(values(rows))],
            Cells::Numbers(_, matrix) => {
                let columns = matrix(rows).columns().into_iter();
                columns.map(|column| ColumnData::F64(column.to_vec())).collect()
            }
            Cells::Further => {
                let events = || rows.events_in_file();
                rows.tables.further.iter().map(|(_, data)| data.select(events())).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Given {
        fn words(self) -> &'static str {
            match self {
                Self::Always => "",
                Self::Support => "the run knows its support",
                Self::Limits => "the law has limits",
                Self::Turned => "`frame = \"momentum\"`",
                Self::Nuisances => "`columns.nuisances`",
                Self::Moving => "`--initial-momenta`",
                Self::States => "the charge state is inferred",
                Self::Molecule => "the run has a molecule",
                Self::Refined => "`--refine`",
                Self::Noise => "`--refine`, noise",
                Self::Coincidences => "`--false-coincidences`",
            }
        }
    }

    impl Column {
        /// Its line in the page.
        fn line(&self) -> String {
            let Self { name, unit, given, meaning, cells } = self;
            let kind = match cells {
                Cells::U64(_) => "u64",
                Cells::U32(_) => "u32",
                Cells::F64(_) | Cells::Numbers(..) => "f64",
                Cells::Text(_) => "text",
                Cells::Further => "its own",
            };
            format!("| `{name}` | {kind} | {unit} | {} | {meaning} |\n", given.words())
        }
    }

    #[test]
    fn the_specification_has_the_same_columns() -> Result<(), std::io::Error> {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/spec.md");
        let page = std::fs::read_to_string(page)?;
        for kind in [Kind::Draws, Kind::Summary, Kind::Modes, Kind::Chain] {
            let lines: String = kind.all_columns().iter().map(Column::line).collect();
            let table = format!(
                "\n| column | type | unit | only if | meaning |\n| --- | --- | --- | --- | --- |\n{lines}\n"
            );
            assert!(
                page.contains(&table),
                "docs/spec.md has not the columns of {kind:?}:\n{table}"
            );
        }
        Ok(())
    }
}
