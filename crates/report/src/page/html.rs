//! The page of a report as HTML.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart::{Mark, Panel, Shape};
use super::corner::{Corner, corner};
use super::csv::Download;
use super::document::{Block, Chapter, Drawing, Figure, Page, Section, Table};
use super::draw;

const STYLE: &str = include_str!("style.css");

/// Nothing comes from elsewhere and nothing is executed, whatever stands in the page.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

pub(super) fn page(page: &Page) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (page.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (page.title) }
                    (contents(&page.chapters))
                }
                main {
                    @if !page.lead.is_empty() {
                        section { (blocks(&page.lead, "overview")) }
                    }
                    @for (place, of) in page.chapters.iter().enumerate() { (chapter(of, place)) }
                }
                footer { (page.made_by) }
            }
        }
    }
}

/// Where a section is found.
fn anchor(chapter: usize, section: usize) -> String {
    format!("part-{}-{}", chapter + 1, section + 1)
}

fn contents(chapters: &[Chapter]) -> Markup {
    html! {
        nav aria-label="contents" {
            @for (place, chapter) in chapters.iter().enumerate() {
                p {
                    @if chapters.len() > 1 { strong { (chapter.title) ": " } }
                    @for (number, section) in chapter.sections.iter().enumerate() {
                        a href=(format!("#{}", anchor(place, number))) { (section.title) } " "
                    }
                }
            }
        }
    }
}

fn chapter(chapter: &Chapter, place: usize) -> Markup {
    html! {
        h2 class="chapter" { (chapter.title) }
        @for (number, part) in chapter.sections.iter().enumerate() {
            (section(part, &anchor(place, number)))
        }
    }
}

fn section(section: &Section, anchor: &str) -> Markup {
    html! {
        section id=(anchor) {
            h3 { (section.title) }
            (blocks(&section.blocks, anchor))
        }
    }
}

/// Blocks one under another; figures that follow each other stand beside each other where there is room.
fn blocks(blocks: &[Block], anchor: &str) -> Markup {
    let is_figure = |block: &Block| matches!(block, Block::Figure(_));
    let groups = blocks.chunk_by(|a, b| is_figure(a) && is_figure(b));
    html! {
        @for group in groups {
            @if is_figure(&group[0]) {
                div class="figures" { @for block in group { (self::block(block, anchor)) } }
            } @else {
                @for block in group { (self::block(block, anchor)) }
            }
        }
    }
}

fn block(block: &Block, anchor: &str) -> Markup {
    match block {
        Block::Words(words) => html! { p { (words) } },
        Block::Notice(words) => html! { p class="notice" { (words) } },
        Block::Facts(facts) => html! {
            dl { @for (name, value) in facts { dt { (name) } dd { (value) } } }
        },
        Block::Table(of) => table(of),
        Block::Figure(of) => figure(of, anchor),
        Block::Folded { title, text } => html! {
            details { summary { (title) } pre { (text) } }
        },
    }
}

fn table(table: &Table) -> Markup {
    html! {
        div class="scroll" tabindex="0" {
            table {
                caption { (table.caption) }
                thead { tr { @for name in &table.header { th scope="col" { (name) } } } }
                tbody {
                    @for row in &table.rows {
                        tr {
                            @for (place, cell) in row.iter().enumerate() {
                                @if place == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn figure(figure: &Figure, anchor: &str) -> Markup {
    let Figure { name, title, reading, drawing } = figure;
    let file = format!("{anchor}-{name}");
    let (kind, downloads) = match drawing {
        Drawing::Panels(panels) if panels.len() > 1 => ("wide", Download::of_panels(&file, panels)),
        Drawing::Panels(panels) => ("", Download::of_panels(&file, panels)),
        Drawing::Corner(of) => ("", vec![Download::of_corner(&file, of)]),
    };
    html! {
        figure class=(kind) data-figure=(name) {
            h4 { (title) }
            @match drawing {
                Drawing::Panels(panels) => {
                    (legend(panels))
                    div class="panels" {
                        @for panel in panels { (draw::panel(panel, &described(title, &panel.title))) }
                    }
                }
                Drawing::Corner(of) => {
                    (corner_legend(of))
                    div class="panels" { (corner(of, title)) }
                }
            }
            figcaption {
                p class="reading" { (reading) }
                p class="downloads" {
                    "Numbers: "
                    @for download in &downloads {
                        a href=(download.href) download=(download.file) { (download.label) } " "
                    }
                }
            }
        }
    }
}

/// What a panel is called where it cannot be seen.
fn described(figure: &str, panel: &str) -> String {
    if panel.is_empty() { figure.to_owned() } else { format!("{figure}: {panel}") }
}

/// The series of all panels, each once.
fn legend(panels: &[Panel]) -> Markup {
    let mut series: Vec<&Mark> = Vec::new();
    for mark in panels.iter().flat_map(Panel::series) {
        if series.iter().all(|known| known.name != mark.name) {
            series.push(mark);
        }
    }
    let kind = |mark: &Mark| match mark.shape {
        Shape::Line(_) => "line",
        Shape::Dashed(_) => "line dashed",
        Shape::Points(_) | Shape::Markers(_) => "markers",
        Shape::Band(_) => "band",
        Shape::Bars { .. } => "bars",
    };
    let entries: Vec<(String, String)> = series
        .iter()
        .map(|mark| (format!("{} {}", kind(mark), mark.style.class()), mark.name.clone()))
        .collect();
    entries_of(&entries)
}

fn corner_legend(corner: &Corner) -> Markup {
    let mut entries = vec![("markers s1".to_owned(), format!("{} draws", corner.draws.len()))];
    if !corner.modes.is_empty() {
        entries.push(("ring s2".to_owned(), "modes".to_owned()));
    }
    if corner.truth.is_some() {
        entries.push(("line dashed truth".to_owned(), "truth".to_owned()));
    }
    entries_of(&entries)
}

/// Names beside what they look like; a single one says nothing.
fn entries_of(entries: &[(String, String)]) -> Markup {
    html! {
        @if entries.len() > 1 {
            p class="legend" {
                @for (class, name) in entries {
                    span {
                        svg viewBox="0 0 22 12" aria-hidden="true" {
                            @if class.starts_with("band") || class.starts_with("bars") {
                                path class=(class) d="M1 11V3H21V11Z" {}
                            } @else if class.starts_with("markers") {
                                path class=(class) d="M11 6h0" {}
                            } @else if class.starts_with("ring") {
                                circle class=(class) cx="11" cy="6" r="4" {}
                            } @else {
                                path class=(class) d="M1 6H21" {}
                            }
                        }
                        (name)
                    }
                }
            }
        }
    }
}
