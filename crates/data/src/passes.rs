//! Rows of one side of a part that are gone through again and again: gathered in memory, or read and made anew each time.

use ndarray::{Array2, ArrayView2};

use crate::error::ScratchError;
use crate::parts::Part;
use crate::preprocessing::in_place;

/// What makes rows of a side of positions and condition.
type Make<'a> = Box<dyn Fn(Array2<f64>, Array2<f64>) -> Array2<f64> + 'a>;

/// Rows, and how they come.
pub(crate) enum Passes<'a> {
    /// In memory, as one block.
    Kept(Array2<f64>),
    /// A block at a time.
    Read { part: Part<'a>, make: Make<'a> },
}

impl<'a> Passes<'a> {
    /// What `make` makes of the rows of a part, `rows x width`: kept where the part is a list of rows.
    pub(crate) fn of(
        part: Part<'a>,
        width: usize,
        make: impl Fn(Array2<f64>, Array2<f64>) -> Array2<f64> + 'a,
    ) -> Result<Self, ScratchError> {
        if part.is_listed() {
            Ok(Self::Kept(part.gathered_whole(width, make)?))
        } else {
            Ok(Self::Read { part, make: Box::new(make) })
        }
    }

    /// Hands over the rows in blocks, in their order.
    pub(crate) fn each(
        &self,
        take: &mut dyn FnMut(ArrayView2<'_, f64>),
    ) -> Result<(), ScratchError> {
        match self {
            Self::Kept(rows) => {
                take(rows.view());
                Ok(())
            }
            Self::Read { part, make } => part.each(&mut |_, x, y| take(make(x, y).view())),
        }
    }

    /// The rows made anew one by one, of no more columns than they had; `make` gets a row and the zeroed place for the result.
    pub(crate) fn map(self, width: usize, make: impl Fn(&[f64], &mut [f64]) + 'a) -> Self {
        match self {
            Self::Kept(rows) => Self::Kept(in_place(rows, width, make)),
            Self::Read { part, make: first } => {
                let make = move |x, y| in_place(first(x, y), width, &make);
                Self::Read { part, make: Box::new(make) }
            }
        }
    }
}
