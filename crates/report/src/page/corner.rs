//! A corner plot: draws of several quantities in pairs and alone, with the truth and the modes.

use maud::{Markup, html};

use super::draw::{Scale, round};
use super::ticks;

/// Width of the drawing in units of its SVG.
const WIDTH: f64 = 360.0;
const LEFT: f64 = 46.0;
const TOP: f64 = 10.0;
const RIGHT: f64 = 12.0;
/// Room for ticks and labels under the cells.
const BOTTOM: f64 = 40.0;
/// Room between cells.
const GAP: f64 = 8.0;
/// Bars of a histogram.
const BARS: usize = 24;
/// Draws at either end of a quantity that may lie outside.
const TAIL: f64 = 0.002;

/// Draws of several quantities for one event.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Corner {
    /// The quantities with their units.
    pub quantities: Vec<String>,
    /// The draws, one number a quantity.
    pub draws: Vec<Vec<f64>>,
    /// The truth, where it is known.
    pub truth: Option<Vec<f64>>,
    /// The modes, the most probable first.
    pub modes: Vec<CornerMode>,
}

/// A geometry that explains the event.
#[derive(Debug, Clone, PartialEq)]
pub struct CornerMode {
    /// One number a quantity.
    pub values: Vec<f64>,
    /// Its probability, where modes have one.
    pub weight: Option<f64>,
}

/// The SVG of a corner plot.
pub(super) fn corner(corner: &Corner, description: &str) -> Markup {
    let count = corner.quantities.len().max(1);
    let size = (WIDTH - LEFT - RIGHT - GAP * (count - 1) as f64) / count as f64;
    let begin = |place: usize| place as f64 * (size + GAP);
    let ranges: Vec<(f64, f64)> = (0..count).map(|quantity| range(corner, quantity)).collect();
    let x_scale = |q: usize| Scale::new(ranges[q], false, LEFT + begin(q), LEFT + begin(q) + size);
    let y_scale = |q: usize| Scale::new(ranges[q], false, TOP + begin(q) + size, TOP + begin(q));
    let bottom = TOP + begin(count - 1) + size;
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {}", round(bottom + BOTTOM))) role="img" aria-label=(description) {
            @for row in 0..count {
                @for column in 0..=row {
                    @let (left, top) = (LEFT + begin(column), TOP + begin(row));
                    rect class="cell" x=(round(left)) y=(round(top)) width=(round(size)) height=(round(size)) {}
                    @if row == column {
                        (alone(corner, column, &x_scale(column), top, size))
                    } @else {
                        (pair(corner, [column, row], &x_scale(column), &y_scale(row), [left, top, size]))
                    }
                }
            }
            @for (quantity, label) in corner.quantities.iter().enumerate() {
                @let x = x_scale(quantity);
                @for (value, tick) in ticks::linear(ranges[quantity].0, ranges[quantity].1, 2) {
                    text x=(round(x.at(value))) y=(round(bottom + 14.0)) text-anchor="middle" { (tick) }
                    path class="axis" d=(format!("M{} {}v3", round(x.at(value)), round(bottom))) {}
                }
                text class="label" x=(round(LEFT + begin(quantity) + 0.5 * size)) y=(round(bottom + 30.0)) text-anchor="middle" { (label) }
                @if quantity > 0 {
                    @let y = y_scale(quantity);
                    @for (value, tick) in ticks::linear(ranges[quantity].0, ranges[quantity].1, 2) {
                        text x=(round(LEFT - 5.0)) y=(round(y.at(value) + 4.0)) text-anchor="end" { (tick) }
                        path class="axis" d=(format!("M{} {}h-3", round(LEFT), round(y.at(value)))) {}
                    }
                    text class="label" x=(round(LEFT + begin(quantity) + 4.0)) y=(round(TOP + begin(quantity) + 13.0)) { (name(label)) }
                } @else {
                    text class="label" x=(round(LEFT + 4.0)) y=(round(TOP + 13.0)) { (name(label)) }
                }
            }
        }
    }
}

/// A quantity without its unit.
fn name(label: &str) -> &str {
    label.split(" (").next().unwrap_or(label)
}

/// The histogram of one quantity, with lines at truth and modes.
fn alone(corner: &Corner, quantity: usize, x: &Scale, top: f64, size: f64) -> Markup {
    let (low, high) = range(corner, quantity);
    let mut counts = [0.0_f64; BARS];
    for draw in &corner.draws {
        let place = (draw[quantity] - low) / (high - low) * BARS as f64;
        if place >= 0.0 && place < BARS as f64 {
            counts[place as usize] += 1.0;
        }
    }
    let most = counts.iter().copied().fold(1.0, f64::max);
    let base = top + size;
    let mut d = format!("M{} {}", round(x.at(low)), round(base));
    for (place, count) in counts.iter().enumerate() {
        let end = low + (high - low) * (place + 1) as f64 / BARS as f64;
        // The name of the quantity stands above the bars.
        let y = base - 0.8 * size * count / most;
        d.push_str(&format!("V{}H{}", round(y), round(x.at(end))));
    }
    d.push_str(&format!("V{}", round(base)));
    let upright =
        |value: f64| format!("M{} {}V{}", round(x.at(value)), round(base), round(top + 0.2 * size));
    html! {
        path class="bars s1" d=(d) {}
        @for mode in corner.modes.iter().filter(|mode| x.holds(mode.values[quantity])) {
            path class="line s2" d=(upright(mode.values[quantity])) {}
        }
        @if let Some(truth) = corner.truth.as_ref().filter(|truth| x.holds(truth[quantity])) {
            path class="line dashed truth" d=(upright(truth[quantity])) {}
        }
    }
}

/// Two quantities: draws as dots, modes as rings, the truth as a cross.
fn pair(
    corner: &Corner,
    [a, b]: [usize; 2],
    x: &Scale,
    y: &Scale,
    [left, top, size]: [f64; 3],
) -> Markup {
    let holds = |values: &Vec<f64>| x.holds(values[a]) && y.holds(values[b]);
    let visible = corner.draws.iter().filter(|draw| holds(draw));
    let dots: String = visible
        .map(|draw| format!("M{} {}h0", round(x.at(draw[a])), round(y.at(draw[b]))))
        .collect();
    html! {
        path class="dots corner s1" d=(dots) {}
        @for mode in corner.modes.iter().filter(|mode| holds(&mode.values)) {
            @let radius = 2.5 + 3.0 * mode.weight.unwrap_or(0.5);
            circle class="ring s2" cx=(round(x.at(mode.values[a]))) cy=(round(y.at(mode.values[b]))) r=(round(radius)) {}
        }
        @if let Some(truth) = corner.truth.as_ref().filter(|truth| holds(truth)) {
            path class="line dashed truth" d=(format!("M{} {}v{}M{} {}h{}", round(x.at(truth[a])), round(top), round(size), round(left), round(y.at(truth[b])), round(size))) {}
        }
    }
}

/// The central draws of a quantity, truth and modes, with a little room.
fn range(corner: &Corner, quantity: usize) -> (f64, f64) {
    let mut values: Vec<f64> = corner.draws.iter().map(|draw| draw[quantity]).collect();
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1) as f64;
    let at = |level: f64| values.get((level * last).round() as usize).copied();
    let ends = [at(TAIL), at(1.0 - TAIL)].into_iter().flatten();
    let known = corner.truth.iter().chain(corner.modes.iter().map(|mode| &mode.values));
    let known = known.map(|values| values[quantity]).filter(|value| value.is_finite());
    let (low, high) = ends
        .chain(known)
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low > high {
        return (0.0, 1.0);
    }
    let room = if high > low { 0.06 * (high - low) } else { 0.01 * low.abs().max(0.1) };
    (low - room, high + room)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_two() -> Corner {
        Corner {
            quantities: vec!["C-O (pm)".to_owned(), "O-C-S (deg)".to_owned()],
            draws: (0..50)
                .map(|i| vec![116.0 + 0.1 * f64::from(i), 170.0 - f64::from(i % 7)])
                .collect(),
            truth: Some(vec![118.0, 168.0]),
            modes: vec![CornerMode { values: vec![117.0, 167.0], weight: Some(0.7) }],
        }
    }

    #[test]
    fn all_pairs_have_draws_truth_and_modes() {
        let svg = corner(&of_two(), "what").into_string();
        assert_eq!(svg.matches("h0").count(), 50);
        assert_eq!(svg.matches("class=\"ring").count(), 1);
        // One cross, and two upright lines.
        assert_eq!(svg.matches("dashed truth").count(), 3);
        assert!(svg.contains("C-O (pm)") && svg.contains("O-C-S (deg)"));
    }

    #[test]
    fn one_draw_or_none_has_axes() {
        let draws = [Vec::new(), vec![vec![116.0, 170.0]]];
        for draws in draws {
            let svg = corner(&Corner { draws, truth: None, modes: Vec::new(), ..of_two() }, "")
                .into_string();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
