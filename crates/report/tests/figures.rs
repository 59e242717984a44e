//! Every figure gives an SVG with its labels and a PNG with ink; unfit numbers give errors.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use cei_report::{
    CoverageCurve, EpochLoss, Error, FigureFiles, LearningCurve, Residuals, TrueAndPredicted,
    coverage_curves, learning_curve, learning_curves, residual_histograms, true_vs_predicted,
};
use ndarray::{Array1, array};

/// Checks that the labels stand in the SVG, and that the PNG is wide and has ink.
fn check(files: &FigureFiles, labels: &[&str]) {
    let svg = fs::read_to_string(&files.svg).unwrap();
    for label in labels {
        assert!(svg.contains(label), "`{label}` is not in {}", files.svg.display());
    }
    let decoder = png::Decoder::new(BufReader::new(File::open(&files.png).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert!(info.width >= 1200, "{} pixels wide", info.width);
    let samples = info.color_type.samples();
    let mut inked = 0;
    let mut colors = HashSet::new();
    for pixel in pixels.chunks_exact(samples) {
        let color = [pixel[0], pixel[1], pixel[2]];
        inked += usize::from(color != [255, 255, 255]);
        colors.insert(color);
    }
    let share = inked as f64 / (info.width * info.height) as f64;
    assert!((0.005..0.6).contains(&share), "ink on {share} of the picture");
    assert!(colors.len() > 10, "{} colours", colors.len());
}

fn falling(epochs: usize) -> Vec<EpochLoss> {
    (1..=epochs)
        .map(|epoch| EpochLoss {
            epoch,
            train: 5.0 / epoch as f64 - 1.0,
            validation: 5.0 / epoch as f64 - 0.9,
        })
        .collect()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn learning_curve_has_legend_labels_and_best_epoch() {
    let (folder, history) = (folder(), falling(40));
    let curve =
        LearningCurve { title: "cINN on ocs-reference", history: &history, best_epoch: Some(40) };
    let files = learning_curve(&folder.path().join("learning"), &curve, "loss (nats)").unwrap();
    let labels = [
        "cINN on ocs-reference",
        "training",
        "validation",
        "best epoch 40",
        "loss (nats)",
        "epoch",
    ];
    check(&files, &labels);
    assert_eq!(files.svg, folder.path().join("learning.svg"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn a_single_epoch_and_losses_that_are_not_finite_are_drawn() {
    let folder = folder();
    let mut broken = falling(9);
    broken[4].train = f64::NAN;
    broken[8].validation = f64::INFINITY;
    for (name, history) in [("one", falling(1)), ("broken", broken)] {
        let curve = LearningCurve { title: name, history: &history, best_epoch: Some(1) };
        let files = learning_curve(&folder.path().join(name), &curve, "loss").unwrap();
        check(&files, &["training", "best epoch 1"]);
    }
}

#[test]
fn several_runs_share_a_figure() {
    let (folder, history) = (folder(), falling(20));
    let curve = |title| LearningCurve { title, history: &history, best_epoch: None };
    let curves = [curve("first run"), curve("second run")];
    let stem = folder.path().join("several");
    let files = learning_curves(&stem, "Both runs", &curves, "loss (nats)").unwrap();
    check(&files, &["Both runs", "first run", "second run"]);
}

#[test]
fn true_vs_predicted_states_the_error_and_what_is_drawn() {
    let folder = folder();
    let truth = Array1::linspace(100.0, 200.0, 10_000);
    let predicted = &truth + 2.5;
    let panels = ["C-O bond length", "O-C-S angle"].map(|quantity| TrueAndPredicted {
        quantity,
        unit: if quantity.ends_with("angle") { "deg" } else { "pm" },
        truth: truth.view(),
        predicted: predicted.view(),
    });
    let files = true_vs_predicted(&folder.path().join("scatter"), "Test part", &panels).unwrap();
    let labels = [
        "Test part",
        "C-O bond length: RMSE 2.50 pm",
        "O-C-S angle: RMSE 2.50 deg",
        "4000 of 10000 events drawn",
        "predicted (pm)",
        "predicted (deg)",
    ];
    check(&files, &labels);
}

#[test]
fn residuals_state_mean_and_deviation() {
    let folder = folder();
    // 1, 2, 3 thirty times each: mean 2, sd sqrt(60 / 89) = 0.821
    let residuals = Array1::from_shape_fn(90, |i| (i % 3) as f64 + 1.0);
    let panels =
        [Residuals { quantity: "C-S bond length", unit: "pm", residuals: residuals.view() }];
    let files =
        residual_histograms(&folder.path().join("residuals"), "Test part", &panels).unwrap();
    check(&files, &["C-S bond length: mean 2.00, sd 0.821 pm", "predicted - true (pm)", "events"]);
}

#[test]
fn coverage_has_its_curves() {
    let folder = folder();
    let curves = [CoverageCurve { label: "bond lengths", points: &[(0.5, 0.45), (0.9, 0.88)] }];
    let files = coverage_curves(&folder.path().join("coverage"), "Coverage", &curves).unwrap();
    check(&files, &["exact", "bond lengths", "nominal central coverage (%)"]);
}

#[test]
fn nothing_to_draw_is_an_error_that_names_the_panel() {
    let folder = folder();
    let stem = folder.path().join("none");
    let bad = array![f64::NAN, f64::INFINITY];
    let name = |result: Result<FigureFiles, Error>| match result {
        Err(Error::Empty { what }) => what,
        other => panic!("{other:?}"),
    };
    let curve = LearningCurve { title: "empty run", history: &[], best_epoch: None };
    assert_eq!(name(learning_curve(&stem, &curve, "loss")), "empty run");
    assert_eq!(name(learning_curves(&stem, "both", &[curve], "loss")), "empty run");
    assert_eq!(name(learning_curves(&stem, "both", &[], "loss")), "both");
    let residuals = Residuals { quantity: "angle", unit: "deg", residuals: bad.view() };
    assert_eq!(name(residual_histograms(&stem, "title", &[residuals])), "angle");
    assert_eq!(name(residual_histograms(&stem, "title", &[])), "title");
    let scatter = TrueAndPredicted {
        quantity: "angle",
        unit: "deg",
        truth: bad.view(),
        predicted: bad.view(),
    };
    assert_eq!(name(true_vs_predicted(&stem, "title", &[scatter])), "angle");
    assert_eq!(name(coverage_curves(&stem, "title", &[])), "title");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn unequal_numbers_of_values_are_an_error() {
    let (truth, predicted) = (array![1.0, 2.0], array![1.0]);
    let panel = TrueAndPredicted {
        quantity: "angle",
        unit: "deg",
        truth: truth.view(),
        predicted: predicted.view(),
    };
    let result = true_vs_predicted(Path::new("unused"), "title", &[panel]);
    assert!(matches!(result, Err(Error::Lengths { truth: 2, predicted: 1, .. })));
}
