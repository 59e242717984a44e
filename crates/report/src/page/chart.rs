//! What a figure of a page shows: panels with axes and marks. How it looks is decided where it is drawn.

/// One system of axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// Title; may be empty.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// What is drawn, the first at the bottom.
    pub marks: Vec<Mark>,
    /// The proportions.
    pub aspect: Aspect,
}

/// The proportions of a panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aspect {
    /// Wider than high.
    Wide,
    /// As high as wide.
    Square,
    /// One unit is as long on both axes.
    Equal,
}

/// An axis.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Axis {
    /// What it is of, with its unit; heads the column of the downloaded numbers too.
    pub label: String,
    /// Least and largest value; from what is drawn where there is none.
    pub range: Option<(f64, f64)>,
    /// Whether it is logarithmic.
    pub logarithmic: bool,
    /// Names in the place of numbers: the first at 0, the next at 1.
    pub names: Vec<String>,
}

impl Axis {
    /// A linear axis as wide as what is drawn.
    pub fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), ..Self::default() }
    }

    /// The same from `low` to `high`.
    #[must_use]
    pub fn from_to(self, low: f64, high: f64) -> Self {
        Self { range: Some((low, high)), ..self }
    }

    /// An axis of names, downwards from the top.
    pub fn of_names(label: impl Into<String>, names: Vec<String>) -> Self {
        let range = Some((names.len() as f64 - 0.5, -0.5));
        Self { label: label.into(), range, logarithmic: false, names }
    }
}

/// What is drawn of one series of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Its name in the legend and in the downloaded numbers; empty for none.
    pub name: String,
    /// What it looks like.
    pub style: Style,
    /// The numbers.
    pub shape: Shape,
}

/// Numbers and how they are drawn.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A line through points.
    Line(Vec<(f64, f64)>),
    /// A dashed one.
    Dashed(Vec<(f64, f64)>),
    /// Small dots.
    Points(Vec<(f64, f64)>),
    /// Large ones.
    Markers(Vec<(f64, f64)>),
    /// The room between two lines: x, lower, upper.
    Band(Vec<[f64; 3]>),
    /// Bars from zero; one more edge than heights.
    Bars {
        /// Edges of the bars, ascending.
        edges: Vec<f64>,
        /// Their heights.
        heights: Vec<f64>,
    },
}

/// What a series looks like; colours are those of M. Okabe and K. Ito, which all kinds of colour vision tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Blue.
    First,
    /// Vermilion.
    Second,
    /// Green.
    Third,
    /// Purple.
    Fourth,
    /// Orange.
    Fifth,
    /// Sky blue.
    Sixth,
    /// The colour of text: what is known.
    Truth,
    /// Grey: what is no data, and is not downloaded.
    Guide,
}

impl Style {
    /// One after another, from the beginning again after the last.
    #[must_use]
    pub fn of_series(place: usize) -> Self {
        let styles =
            [Self::First, Self::Second, Self::Third, Self::Fourth, Self::Fifth, Self::Sixth];
        styles[place % styles.len()]
    }

    /// Its class in the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::First => "s1",
            Self::Second => "s2",
            Self::Third => "s3",
            Self::Fourth => "s4",
            Self::Fifth => "s5",
            Self::Sixth => "s6",
            Self::Truth => "truth",
            Self::Guide => "guide",
        }
    }
}

impl Mark {
    fn new(name: impl Into<String>, style: Style, shape: Shape) -> Self {
        Self { name: name.into(), style, shape }
    }

    /// A line through points.
    pub fn line(name: impl Into<String>, style: Style, points: Vec<(f64, f64)>) -> Self {
        Self::new(name, style, Shape::Line(points))
    }

    /// Small dots.
    pub fn points(name: impl Into<String>, style: Style, points: Vec<(f64, f64)>) -> Self {
        Self::new(name, style, Shape::Points(points))
    }

    /// Large dots.
    pub fn markers(name: impl Into<String>, style: Style, points: Vec<(f64, f64)>) -> Self {
        Self::new(name, style, Shape::Markers(points))
    }

    /// The room between two lines: x, lower, upper.
    pub fn band(name: impl Into<String>, style: Style, points: Vec<[f64; 3]>) -> Self {
        Self::new(name, style, Shape::Band(points))
    }

    /// Bars from zero.
    pub fn bars(name: impl Into<String>, style: Style, edges: Vec<f64>, heights: Vec<f64>) -> Self {
        Self::new(name, style, Shape::Bars { edges, heights })
    }

    /// A dashed line that is no data.
    pub fn guide(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self::new(name, Style::Guide, Shape::Dashed(points))
    }

    /// Least and largest finite x and y; none of nothing.
    pub(super) fn extent(&self) -> Option<[(f64, f64); 2]> {
        let mut extent: Option<[(f64, f64); 2]> = None;
        let mut take = |x: f64, y: f64| {
            if x.is_finite() && y.is_finite() {
                let [xs, ys] = extent.unwrap_or([(x, x), (y, y)]);
                extent = Some([(xs.0.min(x), xs.1.max(x)), (ys.0.min(y), ys.1.max(y))]);
            }
        };
        match &self.shape {
            Shape::Line(points)
            | Shape::Dashed(points)
            | Shape::Points(points)
            | Shape::Markers(points) => points.iter().for_each(|&(x, y)| take(x, y)),
            Shape::Band(points) => points.iter().for_each(|&[x, low, high]| {
                take(x, low);
                take(x, high);
            }),
            Shape::Bars { edges, heights } => {
                edges.iter().for_each(|&edge| take(edge, 0.0));
                edges.iter().zip(heights).for_each(|(&edge, &height)| take(edge, height));
            }
        }
        extent
    }
}

impl Panel {
    /// The names of the series, each once, with their first mark.
    pub(super) fn series(&self) -> Vec<&Mark> {
        let mut series: Vec<&Mark> = Vec::new();
        for mark in self.marks.iter().filter(|mark| !mark.name.is_empty()) {
            if series.iter().all(|known| known.name != mark.name) {
                series.push(mark);
            }
        }
        series
    }
}
