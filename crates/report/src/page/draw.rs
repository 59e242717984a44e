//! A panel as SVG. Text stays text, colours are those of the style sheet, so that a page is dark or light, on a screen or
//! on paper, without another drawing. All panels are equally wide, so that their text is equally large.

use maud::{Markup, html};

use super::chart::{Aspect, Axis, Mark, Panel, Shape, Style};
use super::ticks;

/// Width of a panel in units of its SVG; text is 11 of them high.
const WIDTH: f64 = 360.0;
/// Width of a digit.
const DIGIT: f64 = 6.3;
/// Height of the room for data in a wide panel.
const HEIGHT: f64 = 190.0;
const RIGHT: f64 = 14.0;
/// Room for ticks and label under the axis.
const BOTTOM: f64 = 38.0;
/// Height over width of the room for data at most, where units are equally long.
const STEEPEST: f64 = 1.25;
/// Room above the data where an axis is not given, as a part of it.
const PADDING: f64 = 0.05;

/// From data to the SVG, on one axis.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
    begin: f64,
    end: f64,
}

impl Scale {
    /// `range` from `begin` to `end`.
    pub(super) fn new(range: (f64, f64), logarithmic: bool, begin: f64, end: f64) -> Self {
        let take = |value: f64| if logarithmic { value.log10() } else { value };
        Self { low: take(range.0), high: take(range.1), logarithmic, begin, end }
    }

    pub(super) fn at(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.log10() } else { value };
        self.begin + (value - self.low) / (self.high - self.low) * (self.end - self.begin)
    }

    /// Whether a value lies on the axis, but for round-off.
    pub(super) fn holds(&self, value: f64) -> bool {
        let (low, high) = (self.begin.min(self.end), self.begin.max(self.end));
        (low - 0.5..=high + 0.5).contains(&self.at(value))
    }

    /// The place of a value, or the end of the axis beyond which it lies.
    fn within(&self, value: f64) -> f64 {
        self.at(value).clamp(self.begin.min(self.end), self.begin.max(self.end))
    }
}

/// Where the room for data is.
struct Frame {
    left: f64,
    top: f64,
    bottom: f64,
    x: Scale,
    y: Scale,
    x_ticks: Vec<(f64, String)>,
    y_ticks: Vec<(f64, String)>,
}

/// The SVG of a panel; `description` says what it shows to whoever cannot see it.
pub(super) fn panel(panel: &Panel, description: &str) -> Markup {
    let frame = Frame::of(panel);
    let Frame { left, top, bottom, .. } = frame;
    let right = WIDTH - RIGHT;
    let outside: usize = panel.marks.iter().map(|mark| frame.outside(mark)).sum();
    let x_label = match outside {
        0 => panel.x.label.clone(),
        outside => format!("{}; {outside} outside", panel.x.label),
    };
    // A label that is longer than its axis ends where the axis does.
    let is_long = DIGIT * x_label.chars().count() as f64 > right - left;
    let (middle, anchor) = if is_long { (right, "end") } else { (0.5 * (left + right), "middle") };
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {}", bottom + BOTTOM)) role="img" aria-label=(description) {
            @if !panel.title.is_empty() {
                text class="title" x="6" y="14" { (panel.title) }
            }
            @if !panel.y.label.is_empty() {
                text class="label" x="6" y=(round(top - 8.0)) { (panel.y.label) }
            }
            @for (value, label) in &frame.y_ticks {
                @let y = frame.y.at(*value);
                path class="grid" d=(format!("M{} {}H{}", round(left), round(y), round(right))) {}
                text x=(round(left - 6.0)) y=(round(y + 4.0)) text-anchor="end" { (label) }
            }
            @for (value, label) in &frame.x_ticks {
                @let x = frame.x.at(*value);
                path class="grid" d=(format!("M{} {}V{}", round(x), round(top), round(bottom))) {}
                text x=(round(x)) y=(round(bottom + 15.0)) text-anchor="middle" { (label) }
            }
            @for mark in &panel.marks { (frame.mark(mark)) }
            path class="axis" d=(format!("M{} {}V{}H{}", round(left), round(top), round(bottom), round(right))) {}
            text class="label" x=(round(middle)) y=(round(bottom + 31.0)) text-anchor=(anchor) { (x_label) }
        }
    }
}

impl Frame {
    fn of(panel: &Panel) -> Self {
        let y_range = range(panel, &panel.y, 1);
        let mut x_range = range(panel, &panel.x, 0);
        if panel.aspect == Aspect::Equal {
            x_range = widened(x_range, y_range);
        }
        let line = |text: &str| if text.is_empty() { 0.0 } else { 18.0 };
        let top = 8.0 + line(&panel.title) + line(&panel.y.label);
        let y_ticks = axis_ticks(&panel.y, y_range, 5);
        let widest = y_ticks.iter().map(|(_, label)| label.chars().count()).max().unwrap_or(1);
        let left = 12.0 + DIGIT * widest.max(3) as f64;
        let wide = WIDTH - RIGHT - left;
        let high = match panel.aspect {
            Aspect::Wide if !panel.y.names.is_empty() => {
                (26.0 * panel.y.names.len() as f64).max(60.0)
            }
            Aspect::Wide => HEIGHT,
            Aspect::Square => wide,
            Aspect::Equal => {
                let ratio = (y_range.1 - y_range.0) / (x_range.1 - x_range.0);
                wide * ratio.abs()
            }
        };
        let bottom = top + high;
        Self {
            left,
            top,
            bottom,
            x: Scale::new(x_range, panel.x.logarithmic, left, WIDTH - RIGHT),
            y: Scale::new(y_range, panel.y.logarithmic, bottom, top),
            x_ticks: axis_ticks(&panel.x, x_range, 5),
            y_ticks,
        }
    }

    /// How many points of a mark do not lie in the frame.
    fn outside(&self, mark: &Mark) -> usize {
        match &mark.shape {
            Shape::Points(points) | Shape::Markers(points) | Shape::Line(points) => {
                points.iter().filter(|point| !self.holds(**point)).count()
            }
            _ => 0,
        }
    }

    fn holds(&self, (x, y): (f64, f64)) -> bool {
        x.is_finite() && y.is_finite() && self.x.holds(x) && self.y.holds(y)
    }

    fn mark(&self, mark: &Mark) -> Markup {
        let class = |kind: &str| format!("{kind} {}", mark.style.class());
        let path = |kind: &str, d: String| html! { path class=(class(kind)) d=(d) {} };
        match &mark.shape {
            Shape::Line(points) => path("line", self.line(points, false)),
            Shape::Dashed(points) => path("line dashed", self.line(points, true)),
            Shape::Points(points) => {
                let kind = match points.len() {
                    0..=150 => "dots few",
                    151..=600 => "dots some",
                    _ => "dots many",
                };
                path(kind, self.dots(points))
            }
            Shape::Markers(points) => path("markers", self.dots(points)),
            Shape::Band(points) => path("band", self.band(points)),
            Shape::Bars { edges, heights } => path("bars", self.bars(edges, heights)),
        }
    }

    /// A line through the points; those that are not on the axes break it, or are drawn at their ends if it is no data.
    fn line(&self, points: &[(f64, f64)], clamped: bool) -> String {
        let mut d = String::new();
        let mut is_drawn = false;
        for &(x, y) in points {
            let is_in = clamped && x.is_finite() && y.is_finite() || self.holds((x, y));
            if is_in {
                let (x, y) = (self.x.within(x), self.y.within(y));
                let letter = if is_drawn { 'L' } else { 'M' };
                d.push_str(&format!("{letter}{} {}", round(x), round(y)));
            }
            is_drawn = is_in;
        }
        d
    }

    /// Dots: lines of no length with round ends, the shortest way to write them.
    fn dots(&self, points: &[(f64, f64)]) -> String {
        let visible = points.iter().filter(|point| self.holds(**point));
        visible
            .map(|&(x, y)| format!("M{} {}h0", round(self.x.at(x)), round(self.y.at(y))))
            .collect()
    }

    fn band(&self, points: &[[f64; 3]]) -> String {
        let at =
            |x: f64, y: f64| format!("{} {}", round(self.x.within(x)), round(self.y.within(y)));
        let lower = points.iter().map(|&[x, low, _]| at(x, low));
        let upper = points.iter().rev().map(|&[x, _, high]| at(x, high));
        let corners: Vec<String> = lower.chain(upper).collect();
        if corners.is_empty() { String::new() } else { format!("M{}Z", corners.join("L")) }
    }

    fn bars(&self, edges: &[f64], heights: &[f64]) -> String {
        let base = self.y.within(0.0);
        let mut d = String::new();
        if let Some(first) = edges.first() {
            d.push_str(&format!("M{} {}", round(self.x.within(*first)), round(base)));
        }
        for (edge, height) in edges.iter().skip(1).zip(heights) {
            let (x, y) = (self.x.within(*edge), self.y.within(*height));
            d.push_str(&format!("V{}H{}", round(y), round(x)));
        }
        if !heights.is_empty() {
            d.push_str(&format!("V{}", round(base)));
        }
        d
    }
}

/// The horizontal range with room on either side, if a panel of equal units would be too high without.
fn widened((low, high): (f64, f64), y: (f64, f64)) -> (f64, f64) {
    let room = 0.5 * ((y.1 - y.0).abs() / STEEPEST - (high - low)).max(0.0);
    (low - room, high + room)
}

/// Least and largest value of an axis (0: horizontal), with room where these follow from what is drawn.
fn range(panel: &Panel, axis: &Axis, which: usize) -> (f64, f64) {
    if let Some(range) = axis.range.filter(|(low, high)| (high - low).abs() > 0.0) {
        return range;
    }
    let data = panel.marks.iter().filter(|mark| mark.style != Style::Guide);
    let extents = data.filter_map(Mark::extent).map(|extent| extent[which]);
    let found = extents.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let (low, high) = found.unwrap_or((0.0, 1.0));
    if axis.logarithmic {
        let low = if low > 0.0 { low } else { 1e-3 * high.max(1e-300) };
        let room = (high / low).powf(PADDING).max(1.05);
        return (low / room, high * room);
    }
    let span = high - low;
    let room = if span > 0.0 { PADDING * span } else { 0.05 * low.abs().max(1.0) };
    // Heights of bars begin at zero.
    let from_zero = low == 0.0 && which == 1;
    (if from_zero { 0.0 } else { low - room }, high + room)
}

fn axis_ticks(axis: &Axis, (low, high): (f64, f64), count: usize) -> Vec<(f64, String)> {
    if !axis.names.is_empty() {
        return axis.names.iter().enumerate().map(|(at, name)| (at as f64, name.clone())).collect();
    }
    if axis.logarithmic { ticks::logarithmic(low, high) } else { ticks::linear(low, high, count) }
}

/// A coordinate of the SVG: a tenth of a unit is finer than a pixel.
pub(super) fn round(value: f64) -> String {
    // Adding zero takes the sign of a negative zero.
    let tenths = (10.0 * value).round() + 0.0;
    if tenths.rem_euclid(10.0) == 0.0 {
        format!("{:.0}", tenths / 10.0)
    } else {
        format!("{:.1}", tenths / 10.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(marks: Vec<Mark>) -> String {
        let (x, y) =
            (Axis::new("x (pm)").from_to(0.0, 10.0), Axis::new("y (eV)").from_to(0.0, 1.0));
        let of = Panel { title: "a <b>".to_owned(), x, y, marks, aspect: Aspect::Wide };
        panel(&of, "what").into_string()
    }

    #[test]
    fn labels_are_text_and_are_escaped() {
        let svg = drawn(vec![Mark::points("p", Style::First, vec![(1.0, 0.5)])]);
        for text in ["a &lt;b&gt;", "x (pm)", "y (eV)", "aria-label=\"what\"", ">10<"] {
            assert!(svg.contains(text), "{text} is not in {svg}");
        }
    }

    #[test]
    fn what_lies_outside_is_counted_and_not_drawn() {
        let inside = drawn(vec![Mark::points("p", Style::First, vec![(1.0, 0.5)])]);
        let points = vec![(1.0, 0.5), (11.0, 0.5), (f64::NAN, 0.5)];
        let more = drawn(vec![Mark::points("p", Style::First, points)]);
        assert!(!inside.contains("outside") && more.contains("x (pm); 2 outside"), "{more}");
        assert_eq!(inside.matches("h0").count(), more.matches("h0").count());
    }

    #[test]
    fn scales_meet_their_ends() {
        let scale = Scale::new((1.0, 100.0), true, 10.0, 30.0);
        assert_eq!([1.0, 10.0, 100.0].map(|value| scale.at(value)), [10.0, 20.0, 30.0]);
        assert!(scale.holds(100.0) && !scale.holds(200.0));
        assert_eq!([round(1.04), round(1.06), round(-0.02)], ["1", "1.1", "0"].map(str::to_owned));
    }
}
