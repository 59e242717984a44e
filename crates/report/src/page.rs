//! A report as one page of HTML that needs nothing else: figures are inline SVG, numbers are links to CSV inside the page,
//! there is no script, and the page itself forbids whatever would come from elsewhere.
//!
//! | in | is |
//! | --- | --- |
//! | `document` | what a report consists of |
//! | `chart` | what a figure shows: panels, axes, marks |
//! | `ticks` | places and labels of ticks |
//! | `draw` | a panel as SVG |
//! | `corner` | a corner plot as SVG |
//! | `learning` | learning curves as a panel |
//! | `csv` | the numbers of a figure for download |
//! | `html` | the page |

mod chart;
mod corner;
mod csv;
mod document;
mod draw;
mod html;
mod learning;
mod ticks;

use std::path::Path;

use crate::Result;

pub(crate) use csv::row as csv_row;

pub use chart::{Aspect, Axis, Mark, Panel, Shape, Style};
pub use corner::{Corner, CornerMode};
pub use document::{Block, Chapter, Drawing, Figure, Page, Section, Table};
pub use learning::learning_panel;

impl Page {
    /// The page as HTML.
    ///
    /// ```
    /// use cei_report::page::{Aspect, Axis, Block, Chapter, Drawing, Figure, Mark, Page, Panel, Section, Style};
    ///
    /// let panel = Panel {
    ///     title: String::new(),
    ///     x: Axis::new("time (fs)"),
    ///     y: Axis::new("charge (e)"),
    ///     marks: vec![Mark::line("O", Style::First, vec![(0.0, 0.0), (10.0, 1.0)])],
    ///     aspect: Aspect::Wide,
    /// };
    /// let figure = Figure {
    ///     name: "charge".to_owned(),
    ///     title: "Charge".to_owned(),
    ///     reading: "O has all of its charge after 10 fs.".to_owned(),
    ///     drawing: Drawing::Panels(vec![panel]),
    /// };
    /// let section = Section { title: "Charging".to_owned(), blocks: vec![Block::Figure(figure)] };
    /// let page = Page {
    ///     title: "A report".to_owned(),
    ///     lead: Vec::new(),
    ///     chapters: vec![Chapter { title: "One".to_owned(), sections: vec![section] }],
    ///     made_by: "by hand".to_owned(),
    /// };
    /// assert!(page.html().contains("O has all of its charge after 10 fs."));
    /// ```
    #[must_use]
    pub fn html(&self) -> String {
        html::page(self).into_string()
    }

    /// Writes the page into a file, whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        Ok(cei_files::write(path, self.html().as_bytes())?)
    }
}
