//! The heart of the problem: two different geometries that give the same momenta (SPEC 2.1). Does the
//! posterior know both?

use std::path::Path;

use anyhow::Context as _;

use crate::cei::Cei;
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

/// What the posterior of the ambiguous momenta holds.
#[derive(Debug)]
pub(crate) struct Ambiguous {
    /// Bond lengths (pm) and angle (degrees) of both geometries.
    pub(crate) geometries: [(f64, f64, f64); 2],
    /// Share of draws near each geometry.
    pub(crate) shares: [f64; 2],
    /// Magnitudes of the momenta of C, O and S that each geometry gives (a.u.).
    pub(crate) momenta: [[f64; 3]; 2],
    /// Draws.
    pub(crate) draws: usize,
}

/// Explodes both geometries without noise, and asks `wide-cinn` what the momenta of the first mean.
pub(crate) fn examine(cei: &Cei, places: &Places) -> anyhow::Result<Ambiguous> {
    let folder = places.data.clone();
    let positions = folder.join("ambiguous-positions.csv");
    std::fs::write(absolute(&positions), positions_csv())?;
    let table = folder.join("ambiguous.csv");
    let text = |path: &Path| path.display().to_string();
    cei.run(&[
        "simulate",
        "--preset",
        "ocs-wide",
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
    let draws = folder.join("ambiguous-draws.csv");
    cei.run(&[
        "predict",
        &text(&places.run("wide-cinn")),
        &text(&table),
        "-n",
        &DRAWS.to_string(),
        "-o",
        &text(&draws),
        "--quiet",
    ])?;
    let (names, momenta_rows) = read_csv(&absolute(&table))?;
    let mut momenta = [[0.0; 3]; 2];
    for (row, magnitudes) in momenta_rows.iter().zip(&mut momenta) {
        for (atom, magnitude) in ["pc", "po", "ps"].iter().zip(magnitudes) {
            *magnitude = norm(vector(&names, row, atom)?);
        }
    }
    let (names, rows) = read_csv(&absolute(&draws))?;
    let event = column(&names, "event")?;
    let first: Vec<&Vec<f64>> = rows.iter().filter(|row| row[event] == 0.0).collect();
    let mut shares = [0.0; 2];
    for row in &first {
        let [c, o, s] = ["c", "o", "s"].map(|atom| vector(&names, row, atom));
        let (c, o, s) = (c?, o?, s?);
        let (r_co, r_cs) = (distance(c, o) * PM_PER_BOHR, distance(c, s) * PM_PER_BOHR);
        for (share, (co, cs, _)) in shares.iter_mut().zip(GEOMETRIES) {
            if (r_co - co).abs() <= NEAR_PM && (r_cs - cs).abs() <= NEAR_PM {
                *share += 1.0 / first.len() as f64;
            }
        }
    }
    Ok(Ambiguous { geometries: GEOMETRIES, shares, momenta, draws: first.len() })
}

/// C at the origin, O on +x, S in the plane.
fn positions_csv() -> String {
    let rows = GEOMETRIES.map(|(r_co, r_cs, angle)| {
        let (sin, cos) = angle.to_radians().sin_cos();
        format!("0,0,0,{r_co},0,0,{},{},0\n", r_cs * cos, r_cs * sin)
    });
    format!("cx,cy,cz,ox,oy,oz,sx,sy,sz\n{}", rows.concat())
}

fn read_csv(path: &Path) -> anyhow::Result<(Vec<String>, Vec<Vec<f64>>)> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut lines = text.lines();
    let names = lines.next().context("an empty table")?.split(',').map(str::to_owned).collect();
    let rows = lines
        .map(|line| line.split(',').map(|cell| Ok(cell.parse::<f64>()?)).collect())
        .collect::<anyhow::Result<_>>()?;
    Ok((names, rows))
}

fn column(names: &[String], name: &str) -> anyhow::Result<usize> {
    names.iter().position(|n| n == name).with_context(|| format!("there is no column `{name}`"))
}

fn vector(names: &[String], row: &[f64], atom: &str) -> anyhow::Result<[f64; 3]> {
    let mut vector = [0.0; 3];
    for (axis, value) in ["x", "y", "z"].iter().zip(&mut vector) {
        *value = row[column(names, &format!("{atom}{axis}"))?];
    }
    Ok(vector)
}

fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    norm([a[0] - b[0], a[1] - b[1], a[2] - b[2]])
}

fn norm(v: [f64; 3]) -> f64 {
    v.iter().map(|x| x * x).sum::<f64>().sqrt()
}
