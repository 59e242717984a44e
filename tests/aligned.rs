//! End-to-end test of alignment: molecules that lie at random and aligned ones, each analysed by both declarations. The
//! posterior of how a molecule lay is calibrated where the declaration is right, and there only.

mod folder;

use folder::{Folder, TestResult};

/// Stiff OCS and a detector so coarse that what is known before the measurement matters.
const LAW: &str = "centre = 'centre-of-mass'\n[molecule]\natoms = [{ element = 'C', charge = 1 }, { element = 'O', charge = 1 }, \
    { element = 'S', charge = 1 }]\n[geometry]\nlaw = 'triatomic'\ncentre = 'C'\nbonds = [\
    { atom = 'O', length_angstrom = { distribution = 'normal', mean = 1.2, sd = 0.1 } }, \
    { atom = 'S', length_angstrom = { distribution = 'normal', mean = 1.6, sd = 0.1 } }]\n\
    angle_deg = { distribution = 'uniform', low = 150.0, high = 178.0 }\n\
    [detector]\nmomentum_noise_au = { C = [40, 40, 80], O = [40, 40, 80], S = [40, 40, 80] }\n";

const EXPERIMENT: &str = "[source]\nevents_per_epoch = 8000\n[model]\nkind = 'cinn'\npreset = 'spline'\ncouplings = 4\nhidden = [32]\n\
    [training]\nlearning_rate = 1e-3\nmax_epochs = 4\n";

const DECLARATIONS: [(&str, &str); 2] = [
    ("random", "'random'"),
    (
        "aligned",
        "{ kind = 'aligned', molecule_axis = ['O', 'S'], laboratory_axis = 'z', cos2 = 0.9 }",
    ),
];

const EVENTS: usize = 200;
const DRAWS: usize = 100;

impl Folder {
    /// `cos^2` between the axis from O to S and z, of every row of a table.
    fn cos2(&self, table: &str) -> TestResult<Vec<f64>> {
        let column = |name: &str| self.numbers(table, name);
        let pairs = [("ox", "sx"), ("oy", "sy"), ("oz", "sz")]
            .map(|(from, to)| Ok((column(from)?, column(to)?)) as TestResult<_>);
        let [x, y, z] = pairs;
        let difference = |(from, to): (Vec<f64>, Vec<f64>)| -> Vec<f64> {
            from.iter().zip(&to).map(|(from, to)| to - from).collect()
        };
        let (x, y, z) = (difference(x?), difference(y?), difference(z?));
        let each = x.iter().zip(&y).zip(&z);
        Ok(each.map(|((x, y), z)| z * z / (x * x + y * y + z * z)).collect())
    }

    /// Kolmogorov's distance from uniformity of the ranks of the truth among the draws, of `cos^2`.
    fn distance(&self, truth: &str, draws: &str) -> TestResult<f64> {
        let (truth, draws) = (self.cos2(truth)?, self.cos2(draws)?);
        assert_eq!((truth.len(), draws.len()), (EVENTS, EVENTS * DRAWS));
        let mut ranks: Vec<f64> = truth
            .iter()
            .zip(draws.chunks(DRAWS))
            .map(|(truth, draws)| {
                let below = draws.iter().filter(|draw| *draw < truth).count();
                (below as f64 + 0.5) / (DRAWS + 1) as f64
            })
            .collect();
        ranks.sort_by(f64::total_cmp);
        let off = ranks.iter().enumerate().map(|(i, rank)| {
            let n = EVENTS as f64;
            (rank - i as f64 / n).abs().max((rank - (i + 1) as f64 / n).abs())
        });
        Ok(off.fold(0.0, f64::max))
    }
}

#[test]
fn posteriors_are_calibrated_only_where_the_declared_orientation_is_right() -> TestResult {
    let folder = Folder::empty()?;
    for (name, orientation) in DECLARATIONS {
        folder.write(&format!("{name}.toml"), format!("orientation = {orientation}\n{LAW}"))?;
        folder.write("e.toml", EXPERIMENT)?;
        folder.told(&format!(
            "simulate --config {name}.toml --events {EVENTS} --seed 5 -o {name}.csv --quiet"
        ))?;
        folder.told(&format!(
            "train --config e.toml --set source.simulator={name}.toml -o {name} --quiet"
        ))?;
    }
    for (truth, _) in DECLARATIONS {
        for (declared, _) in DECLARATIONS {
            let told = folder.told(&format!(
                "predict {declared} {truth}.csv --refine -n {DRAWS} -o draws.csv --quiet"
            ))?;
            let warned = told.contains("directions of the laboratory");
            let distance = folder.distance(&format!("{truth}.csv"), "draws.csv")?;
            // Kolmogorov: 1.63 / sqrt(200) = 0.115 is exceeded by chance in 1 of 100 cases, 0.2 in 1 of 1e6.
            let is_right = truth == declared;
            assert!(
                if is_right { distance < 0.115 } else { distance > 0.2 },
                "{truth} as {declared}: {distance}"
            );
            assert_eq!(warned, !is_right, "{truth} as {declared}: {told}");
        }
    }
    Ok(())
}
