//! The heart of the problem: two different geometries that give the same momenta (`docs/spec.md#reference-values`).
//! Does the posterior know both?

use std::path::Path;

use cei_run::presets::{OCS_WIDE, Preset, WIDE_SPLINE};

use crate::cei::Cei;
use crate::csv::{column, read_csv, vector};
use crate::reproduce::{Places, absolute};

/// Bond lengths (pm) C-O and C-S, and angle (degrees).
const GEOMETRIES: [(f64, f64, f64); 2] = [(121.053, 184.211, 163.158), (141.32, 154.03, 161.38)];
/// A draw is near a geometry if both bonds agree within this many pm.
const NEAR_PM: f64 = 8.0;
/// Draws of the posterior.
const DRAWS: usize = 20_000;
const PM_PER_BOHR: f64 = 52.917_721_090_3;
/// The masses with which the two geometries give the same momenta.
const ATOMS: &str = "molecule.atoms=[{ element = 'C', mass_u = 12.0, charge = 2 }, { element = 'O', mass_u = 16.0, charge = 2 }, { element = 'S', mass_u = 32.0, charge = 2 }]";

/// The run whose posterior is examined.
pub(crate) const RUN: Preset = WIDE_SPLINE;
/// Draws of the refinement and of the Markov chain.
const REFINED_DRAWS: usize = 20_000;

/// What the posterior of the ambiguous momenta holds.
#[derive(Debug)]
pub(crate) struct Ambiguous {
    /// Bond lengths (pm) and angle (degrees) of both geometries.
    pub(crate) geometries: [(f64, f64, f64); 2],
    /// Magnitudes of the momenta of C, O and S that each geometry gives (a.u.).
    pub(crate) momenta: [[f64; 3]; 2],
    /// The network's draws, the refined ones, and those of a Markov chain.
    pub(crate) sources: [Draws; 3],
}

/// Draws from one source.
#[derive(Debug)]
pub(crate) struct Draws {
    /// Where they come from, in words.
    pub(crate) source: &'static str,
    /// Bond lengths C-O and C-S in pm.
    lengths: [Vec<f64>; 2],
}

impl Draws {
    fn read(source: &'static str, path: &Path) -> anyhow::Result<Self> {
        let (names, rows) = read_csv(path)?;
        let event = column(&names, "event")?;
        let mut lengths = [Vec::new(), Vec::new()];
        for row in rows.iter().filter(|row| row[event] == 0.0) {
            let c = vector(&names, row, "c")?;
            for (atom, lengths) in ["o", "s"].iter().zip(&mut lengths) {
                lengths.push(distance(c, vector(&names, row, atom)?) * PM_PER_BOHR);
            }
        }
        Ok(Self { source, lengths })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.lengths[0].len()
    }

    /// Share near each geometry.
    pub(crate) fn shares(&self) -> [f64; 2] {
        GEOMETRIES.map(|(co, cs, _)| {
            let near = |(r_co, r_cs): &(&f64, &f64)| {
                (*r_co - co).abs() <= NEAR_PM && (*r_cs - cs).abs() <= NEAR_PM
            };
            let [r_co, r_cs] = &self.lengths;
            r_co.iter().zip(r_cs).filter(near).count() as f64 / self.count() as f64
        })
    }

    /// Kolmogorov distances of the marginals of both bond lengths from those of `reference`.
    pub(crate) fn distances(&self, reference: &Self) -> [f64; 2] {
        [0, 1].map(|bond| kolmogorov(&self.lengths[bond], &reference.lengths[bond]))
    }
}

/// The largest difference of two empirical distribution functions.
fn kolmogorov(a: &[f64], b: &[f64]) -> f64 {
    let sorted = |values: &[f64]| {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted
    };
    let (a, b) = (sorted(a), sorted(b));
    let share = |values: &[f64], at: f64| {
        values.partition_point(|value| *value <= at) as f64 / values.len() as f64
    };
    a.iter().chain(&b).map(|&at| (share(&a, at) - share(&b, at)).abs()).fold(0.0, f64::max)
}

/// Explodes both geometries without noise, and asks [`RUN`] what the momenta of the first mean.
pub(crate) fn examine(cei: &Cei, places: &Places) -> anyhow::Result<Ambiguous> {
    let folder = places.data.clone();
    let positions = folder.join("ambiguous-positions.csv");
    std::fs::write(absolute(&positions), positions_csv())?;
    let table = folder.join("ambiguous.csv");
    let text = |path: &Path| path.display().to_string();
    cei.run(&[
        "simulate",
        "--preset",
        OCS_WIDE.name,
        "--set",
        ATOMS,
        "--set",
        "detector.momentum_noise_au=0.0",
        "--set",
        "orientation=as-drawn",
        "--positions",
        &text(&positions),
        "--position-unit",
        "pm",
        "-o",
        &text(&table),
        "--quiet",
    ])?;
    let (run, table_text) = (text(&places.run(RUN.name)), text(&table));
    let files =
        ["draws", "refined", "chain"].map(|what| folder.join(format!("ambiguous-{what}.csv")));
    let [network, refined, chain] = files.each_ref().map(|path| text(path));
    let predict = ["predict", &run, &table_text, "--quiet", "-n"];
    let draws = DRAWS.to_string();
    cei.run(&[&predict[..], &[&draws, "-o", &network]].concat())?;
    let draws = REFINED_DRAWS.to_string();
    let more = [draws.as_str(), "-o", &refined, "--refine", "--chain", &chain];
    cei.run(&[&predict[..], &more].concat())?;
    let (names, momenta_rows) = read_csv(&absolute(&table))?;
    let mut momenta = [[0.0; 3]; 2];
    for (row, magnitudes) in momenta_rows.iter().zip(&mut momenta) {
        for (atom, magnitude) in ["pc", "po", "ps"].iter().zip(magnitudes) {
            *magnitude = norm(vector(&names, row, atom)?);
        }
    }
    let [network, refined, chain] = files.map(|path| absolute(&path));
    let sources = [
        Draws::read("network", &network)?,
        Draws::read("refined by the simulator", &refined)?,
        Draws::read("Markov chain", &chain)?,
    ];
    Ok(Ambiguous { geometries: GEOMETRIES, momenta, sources })
}

/// C at the origin, O on +x, S in the plane.
fn positions_csv() -> String {
    let rows = GEOMETRIES.map(|(r_co, r_cs, angle)| {
        let (sin, cos) = angle.to_radians().sin_cos();
        format!("0,0,0,{r_co},0,0,{},{},0\n", r_cs * cos, r_cs * sin)
    });
    format!("cx,cy,cz,ox,oy,oz,sx,sy,sz\n{}", rows.concat())
}

fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    norm([a[0] - b[0], a[1] - b[1], a[2] - b[2]])
}

fn norm(v: [f64; 3]) -> f64 {
    v.iter().map(|x| x * x).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kolmogorov_distance_by_hand() {
        // At 2.5 three of four numbers of the first lie below, and one of two of the second.
        assert!((kolmogorov(&[0.0, 1.0, 2.0, 9.0], &[0.5, 7.0]) - 0.25).abs() < 1e-12);
        assert_eq!(kolmogorov(&[1.0, 2.0], &[2.0, 1.0]), 0.0);
    }

    #[test]
    fn shares_and_distances_stand_in_their_rows() -> anyhow::Result<()> {
        let path = std::env::temp_dir().join(format!("cei-ambiguity-{}.csv", std::process::id()));
        // C at the origin, O on +x, S on +y: the first geometry, twice the second, neither; and another event.
        let mut text = "event,draw,cx,cy,cz,ox,oy,oz,sx,sy,sz\n".to_owned();
        for (event, co, cs) in [
            (0, 121.0, 184.0),
            (0, 141.0, 154.0),
            (0, 141.5, 155.0),
            (0, 121.0, 154.0),
            (1, 121.0, 184.0),
        ] {
            let [co, cs] = [co, cs].map(|length: f64| length / PM_PER_BOHR);
            text.push_str(&format!("{event},0,0,0,0,{co},0,0,0,{cs},0\n"));
        }
        std::fs::write(&path, text)?;
        let draws = |source| Draws::read(source, &path);
        let sources = [draws("network")?, draws("refined")?, draws("chain")?];
        let momenta = [[177.4, 319.5, 362.9], [177.41, 319.5, 362.9]];
        let ambiguous = Ambiguous { geometries: GEOMETRIES, momenta, sources };
        std::fs::remove_file(&path)?;
        let text = crate::results::ambiguity(&ambiguous);
        for row in [
            "| 121.053 | 184.211 | 163.158 | 177.4, 319.5, 362.9 |",
            "| network | 4 | 25.0 % | 50.0 % | 0.000 | 0.000 |",
        ] {
            assert!(text.lines().any(|line| line == row), "no row `{row}` in\n{text}");
        }
        Ok(())
    }
}
