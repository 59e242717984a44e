//! What a report consists of: chapters of sections of words, tables and figures.

use super::chart::Panel;
use super::corner::Corner;

/// A report: what is said first, then chapters.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Title of the page.
    pub title: String,
    /// What is said under the title.
    pub lead: Vec<Block>,
    /// The chapters.
    pub chapters: Vec<Chapter>,
    /// What made the page, in the last line.
    pub made_by: String,
}

/// A part of a page with a title of its own, for example one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Chapter {
    /// Its title.
    pub title: String,
    /// Its sections.
    pub sections: Vec<Section>,
}

/// A part of a chapter.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// Its title.
    pub title: String,
    /// What is in it, in order.
    pub blocks: Vec<Block>,
}

/// What a section is made of.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// A paragraph.
    Words(String),
    /// A paragraph that must be seen: what is doubtful, or missing.
    Notice(String),
    /// Names and values, one under another.
    Facts(Vec<(String, String)>),
    /// A table.
    Table(Table),
    /// A figure.
    Figure(Figure),
    /// A text that is shown as it is when it is opened, for example a configuration.
    Folded {
        /// What is seen before it is opened.
        title: String,
        /// The text.
        text: String,
    },
}

/// A table; its first column holds names, the others numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// What it shows, with units.
    pub caption: String,
    /// Names of the columns.
    pub header: Vec<String>,
    /// Its cells.
    pub rows: Vec<Vec<String>>,
}

/// A figure, with what it says.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Short name for files and tests, for example `newton`.
    pub name: String,
    /// Title.
    pub title: String,
    /// What THIS figure says, from its numbers, in one sentence.
    pub reading: String,
    /// What is drawn.
    pub drawing: Drawing,
}

/// What is drawn in a figure.
#[derive(Debug, Clone, PartialEq)]
pub enum Drawing {
    /// Panels beside each other, where there is room.
    Panels(Vec<Panel>),
    /// A corner plot.
    Corner(Corner),
}

impl Page {
    /// All figures, in order.
    pub fn figures(&self) -> impl Iterator<Item = &Figure> {
        let sections = self.chapters.iter().flat_map(|chapter| &chapter.sections);
        let blocks = self.lead.iter().chain(sections.flat_map(|section| &section.blocks));
        blocks.filter_map(|block| match block {
            Block::Figure(figure) => Some(figure),
            _ => None,
        })
    }
}
