//! Draws every kind of figure with made-up numbers, to be looked at:
//! `cargo run -p cei-report --example gallery -- FOLDER`.

use std::path::Path;

use cei_report::{
    CoverageCurve, EpochLoss, LearningCurve, Residuals, TrueAndPredicted, coverage_curves,
    learning_curve, learning_curves, residual_histograms, true_vs_predicted,
};
use ndarray::Array1;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let folder = Path::new(&folder);
    let mut rng = ChaCha8Rng::seed_from_u64(1);

    let flow = history(
        800,
        |t| -14.0 + 23.0 * (-t / 60.0).exp() + 4.0 * (-t / 300.0).exp(),
        0.25,
        &mut rng,
    );
    let mut exploding = flow.clone();
    exploding[0].train = 4.0e4;
    exploding[0].validation = 310.0;
    let autoencoder = history(300, |t| 0.02 + 6.0 * (-t / 20.0).exp(), 0.002, &mut rng);
    let short = history(5, |t| 3.0 - 0.3 * t, 0.01, &mut rng);
    let curve = |title, history| LearningCurve { title, history, best_epoch: best(history) };
    learning_curve(
        &folder.join("learning-flow"),
        &curve("cINN, gauge-fixed", &flow),
        "loss (nats)",
    )?;
    learning_curve(
        &folder.join("learning-spike"),
        &curve("cINN, as given", &exploding),
        "loss (nats)",
    )?;
    learning_curve(
        &folder.join("learning-log"),
        &curve("CVAE, gauge-fixed", &autoencoder),
        "loss (scaled units squared)",
    )?;
    learning_curve(
        &folder.join("learning-short"),
        &curve("CVAE, quick", &short),
        "loss (scaled units squared)",
    )?;
    learning_curves(
        &folder.join("learning-several"),
        "Validation loss",
        &[
            curve("cinn-gauge-fixed", &flow),
            curve("cinn-as-given", &exploding),
            curve("cinn-quick", &short),
        ],
        "validation loss (nats)",
    )?;

    for events in [150, 1500, 30_000] {
        let (truth, predicted) = molecule(events, &mut rng);
        let names = ["C-O bond length", "C-S bond length", "O-S distance", "O-C-S angle"];
        let units = ["pm", "pm", "pm", "deg"];
        let panels: Vec<TrueAndPredicted<'_>> = (0..4)
            .map(|i| TrueAndPredicted {
                quantity: names[i],
                unit: units[i],
                truth: truth[i].view(),
                predicted: predicted[i].view(),
            })
            .collect();
        let title = "Posterior mean against truth, test part";
        true_vs_predicted(&folder.join(format!("true-vs-predicted-{events}")), title, &panels)?;
        let differences: Vec<Array1<f64>> = (0..4).map(|i| &predicted[i] - &truth[i]).collect();
        let panels: Vec<Residuals<'_>> = (0..4)
            .map(|i| Residuals {
                quantity: names[i],
                unit: units[i],
                residuals: differences[i].view(),
            })
            .collect();
        let title = "Residuals of the posterior mean, test part";
        residual_histograms(&folder.join(format!("residuals-{events}")), title, &panels)?;
        residual_histograms(&folder.join(format!("residuals-one-{events}")), title, &panels[..1])?;
        residual_histograms(
            &folder.join(format!("residuals-three-{events}")),
            title,
            &panels[..3],
        )?;
    }

    let bonds = [(0.5, 0.46), (0.8, 0.77), (0.9, 0.86), (0.95, 0.93)];
    let angle = [(0.5, 0.52), (0.8, 0.81), (0.9, 0.91), (0.95, 0.96)];
    coverage_curves(
        &folder.join("coverage"),
        "Central coverage, cINN, test part",
        &[
            CoverageCurve { label: "C-O bond length", points: &bonds },
            CoverageCurve { label: "O-C-S angle", points: &angle },
        ],
    )?;
    Ok(())
}

fn history(
    epochs: usize,
    loss: impl Fn(f64) -> f64,
    noise: f64,
    rng: &mut impl Rng,
) -> Vec<EpochLoss> {
    (1..=epochs)
        .map(|epoch| {
            let t = epoch as f64;
            EpochLoss {
                epoch,
                train: loss(t) + 0.2 * noise * rng.random::<f64>(),
                validation: loss(t)
                    + 0.4 * noise
                    + noise * (t / epochs as f64).powi(3)
                    + noise * rng.random::<f64>(),
            }
        })
        .collect()
}

fn best(history: &[EpochLoss]) -> Option<usize> {
    let best = history.iter().min_by(|a, b| a.validation.total_cmp(&b.validation));
    best.map(|losses| losses.epoch)
}

/// Three lengths in pm and an angle in degrees, and predictions of them.
fn molecule(events: usize, rng: &mut impl Rng) -> (Vec<Array1<f64>>, Vec<Array1<f64>>) {
    let laws = [(133.0, 18.0, 0.8), (187.0, 26.0, 1.2), (320.0, 44.0, 0.9), (176.0, 2.4, 1.1)];
    let mut truth = Vec::new();
    let mut predicted = Vec::new();
    for (mean, deviation, error) in laws {
        let mut normal = || -> f64 { StandardNormal.sample(rng) };
        let values = Array1::from_shape_fn(events, |_| mean + deviation * normal().abs());
        let errors =
            Array1::from_shape_fn(events, |_| error * normal() * (1.0 + 0.4 * normal().powi(2)));
        predicted.push(&values + &errors);
        truth.push(values);
    }
    (truth, predicted)
}
