//! Rows of a table that belong together, and how a table is divided into those of training, validation and test.

use ndarray::{Array2, Axis};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::error::ScratchError;
use crate::load::Table;
use crate::split::{Rows, Split, SplitConfig, SplitError, TrainSplit};
use crate::table_rows::{TableRows, TakeRows, gathered, put};

/// What rows are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Models and scalers are fitted on them.
    Training,
    /// They decide when training stops.
    Validation,
    /// They are only scored.
    Test,
}

/// How the rows of a table are divided.
pub trait Division: std::fmt::Debug {
    /// Number of rows of training, validation and test.
    fn counts(&self) -> [usize; 3];

    /// What a row, by its number in the table, is for.
    fn role(&self, row: usize) -> Role;

    /// The training rows of the table that was divided.
    fn training<'a>(&'a self, table: &'a dyn TableRows) -> TrainingPart<'a>;

    /// Its validation rows.
    fn validation<'a>(&'a self, table: &'a dyn TableRows) -> Part<'a>;

    /// Its test rows.
    fn test<'a>(&'a self, table: &'a dyn TableRows) -> Part<'a>;
}

impl Division for Split {
    fn counts(&self) -> [usize; 3] {
        [self.train.rows().len(), self.validation.rows().len(), self.test.rows().len()]
    }

    fn role(&self, row: usize) -> Role {
        if self.validation.rows().contains(&row) {
            Role::Validation
        } else if self.test.rows().contains(&row) {
            Role::Test
        } else {
            Role::Training
        }
    }

    fn training<'a>(&'a self, table: &'a dyn TableRows) -> TrainingPart<'a> {
        TrainingPart::of(table, &self.train)
    }

    fn validation<'a>(&'a self, table: &'a dyn TableRows) -> Part<'a> {
        Part::listed(table, self.validation.rows())
    }

    fn test<'a>(&'a self, table: &'a dyn TableRows) -> Part<'a> {
        Part::listed(table, self.test.rows())
    }
}

/// The parts of a [`Split`] as one byte a row, for tables whose row numbers are too many to be listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks {
    roles: Vec<Role>,
    counts: [usize; 3],
}

impl Marks {
    /// Divides `0..rows` as [`Split::new`] does.
    ///
    /// # Errors
    /// As [`Split::new`]; more than `2^32` rows.
    ///
    /// ```
    /// use cei_data::{Division, Marks, Role, Rows, Split, SplitConfig};
    ///
    /// let marks = Marks::new(100, &SplitConfig::default())?;
    /// let split = Split::new(100, &SplitConfig::default())?;
    /// assert!(split.test.rows().iter().all(|&row| marks.role(row) == Role::Test));
    /// assert_eq!(marks.counts(), [70, 15, 15]);
    /// # Ok::<(), cei_data::SplitError>(())
    /// ```
    pub fn new(rows: usize, config: &SplitConfig) -> Result<Self, SplitError> {
        let counts = config.parts_of(rows)?;
        let end = u32::try_from(rows).map_err(|_| SplitError::TooManyRows { rows })?;
        let mut order: Vec<u32> = (0..end).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(config.seed));
        let mut roles = vec![Role::Training; rows];
        let (_, others) = order.split_at(counts[0]);
        for (place, &row) in others.iter().enumerate() {
            roles[row as usize] = if place < counts[1] { Role::Validation } else { Role::Test };
        }
        Ok(Self { roles, counts })
    }
}

impl Division for Box<dyn Division> {
    fn counts(&self) -> [usize; 3] {
        self.as_ref().counts()
    }

    fn role(&self, row: usize) -> Role {
        self.as_ref().role(row)
    }

    fn training<'a>(&'a self, table: &'a dyn TableRows) -> TrainingPart<'a> {
        self.as_ref().training(table)
    }

    fn validation<'a>(&'a self, table: &'a dyn TableRows) -> Part<'a> {
        self.as_ref().validation(table)
    }

    fn test<'a>(&'a self, table: &'a dyn TableRows) -> Part<'a> {
        self.as_ref().test(table)
    }
}

impl Division for Marks {
    fn counts(&self) -> [usize; 3] {
        self.counts
    }

    fn role(&self, row: usize) -> Role {
        self.roles[row]
    }

    fn training<'a>(&'a self, table: &'a dyn TableRows) -> TrainingPart<'a> {
        TrainingPart(Part { table, rows: PartRows::Marked(self, Role::Training) })
    }

    fn validation<'a>(&'a self, table: &'a dyn TableRows) -> Part<'a> {
        Part { table, rows: PartRows::Marked(self, Role::Validation) }
    }

    fn test<'a>(&'a self, table: &'a dyn TableRows) -> Part<'a> {
        Part { table, rows: PartRows::Marked(self, Role::Test) }
    }
}

/// The rows of a table that may be fitted on.
#[derive(Clone, Copy)]
pub struct TrainingPart<'a>(Part<'a>);

impl<'a> TrainingPart<'a> {
    /// Those of a split.
    pub fn of(table: &'a dyn TableRows, train: &'a TrainSplit) -> Self {
        Self(Part::listed(table, train.rows()))
    }

    /// As rows like others.
    #[must_use]
    pub fn part(self) -> Part<'a> {
        self.0
    }
}

/// Some rows of a table. A row has a place in the part, counted from 0, and a number in the table.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    table: &'a dyn TableRows,
    rows: PartRows<'a>,
}

#[derive(Clone, Copy)]
enum PartRows<'a> {
    All,
    Listed(&'a [usize]),
    Marked(&'a Marks, Role),
}

impl<'a> Part<'a> {
    /// All rows, in their order.
    pub fn all(table: &'a dyn TableRows) -> Self {
        Self { table, rows: PartRows::All }
    }

    /// The rows of these numbers, in this order.
    pub fn listed(table: &'a dyn TableRows, rows: &'a [usize]) -> Self {
        Self { table, rows: PartRows::Listed(rows) }
    }

    /// The table.
    pub(crate) fn table(&self) -> &'a dyn TableRows {
        self.table
    }

    /// The table without its rows.
    #[must_use]
    pub fn head(&self) -> &'a Table {
        self.table.head()
    }

    /// Number of rows.
    #[must_use]
    pub fn count(&self) -> usize {
        match self.rows {
            PartRows::All => self.table.count(),
            PartRows::Listed(rows) => rows.len(),
            PartRows::Marked(marks, role) => marks.counts[role as usize],
        }
    }

    /// The numbers of the rows at these places, which rise or repeat.
    ///
    /// # Panics
    /// If a place does not exist.
    #[must_use]
    pub fn numbers(&self, places: &[usize]) -> Vec<usize> {
        match self.rows {
            PartRows::All => places.to_vec(),
            PartRows::Listed(rows) => places.iter().map(|&place| rows[place]).collect(),
            PartRows::Marked(marks, role) => {
                let (mut row, mut place) = (0, 0);
                let number = |&wanted: &usize| {
                    while marks.roles[row] != role || place < wanted {
                        place += usize::from(marks.roles[row] == role);
                        row += 1;
                    }
                    row
                };
                places.iter().map(number).collect()
            }
        }
    }

    /// Whether the rows are to be gathered in memory where they are needed more than once.
    pub(crate) fn is_listed(&self) -> bool {
        matches!(self.rows, PartRows::Listed(_))
    }

    /// Hands over the rows in blocks, in any order, with their places.
    ///
    /// # Errors
    /// Rows that cannot be read again.
    pub fn each(&self, take: &mut TakeRows<'_>) -> Result<(), ScratchError> {
        let mut done = 0;
        match self.rows {
            PartRows::Listed(rows) => self.table.each_of(rows, take),
            PartRows::All => self.table.each_block(&mut |first, x, y| {
                let places: Vec<usize> = (first..first + x.nrows()).collect();
                take(&places, x, y);
            }),
            PartRows::Marked(marks, role) => self.table.each_block(&mut |first, x, y| {
                let roles = &marks.roles[first..first + x.nrows()];
                let at: Vec<usize> = (0..roles.len()).filter(|&row| roles[row] == role).collect();
                let places: Vec<usize> = (done..done + at.len()).collect();
                done += at.len();
                take(&places, x.select(Axis(0), &at), y.select(Axis(0), &at));
            }),
        }
    }

    /// What `make` makes of positions and condition of the rows at these places, which rise: `places x width`.
    ///
    /// # Errors
    /// As [`Self::each`].
    pub fn gathered<B: Clone + Default>(
        &self,
        places: &[usize],
        width: usize,
        make: impl FnMut(Array2<f64>, Array2<f64>) -> Array2<B>,
    ) -> Result<Array2<B>, ScratchError> {
        gathered(self.table, &self.numbers(places), width, make)
    }

    /// The same of all rows, in their order.
    ///
    /// # Errors
    /// As [`Self::each`].
    pub(crate) fn gathered_whole<B: Clone + Default>(
        &self,
        width: usize,
        mut make: impl FnMut(Array2<f64>, Array2<f64>) -> Array2<B>,
    ) -> Result<Array2<B>, ScratchError> {
        let mut out = Array2::from_elem((self.count(), width), B::default());
        self.each(&mut |places, x, y| put(&mut out, places, &make(x, y)))?;
        Ok(out)
    }

    /// Copies of all rows, in their order: positions and condition.
    ///
    /// # Errors
    /// As [`Self::each`].
    pub fn whole(&self) -> Result<(Array2<f64>, Array2<f64>), ScratchError> {
        let (rows, head) = (self.count(), self.head());
        let mut out =
            (Array2::zeros((rows, head.x.ncols())), Array2::zeros((rows, head.y.ncols())));
        self.each(&mut |places, x, y| {
            put(&mut out.0, places, &x);
            put(&mut out.1, places, &y);
        })?;
        Ok(out)
    }
}
