//! The files of a run, each number another: what `cei evaluate`, `cei train` and `cei calibrate` write.

use serde_json::{Value, json};

/// The kinds of model, by what they say of the likelihood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Exact.
    Flow,
    /// A bound.
    DeclaredVariance,
    /// Nothing.
    FixedVariance,
}

/// `evaluation.json`.
pub(crate) fn evaluation(kind: Kind) -> Value {
    let point = |base: f64| {
        json!({
            "mse": base + 0.01, "mse_standard_error": base + 0.02, "mre": base + 0.03,
            "median_relative_error": base + 0.04
        })
    };
    let errors = |base: f64| {
        json!({
            "bond_length_rmse_pm": { "C-O": base + 0.1, "C-S": base + 0.2, "O-S": base + 0.3 },
            "angle_rmse_deg": { "O-C-S": base + 0.4 },
            "displacement_bohr": base + 0.5
        })
    };
    let mut gauge_free = errors(60.0);
    gauge_free["draw"] = errors(70.0);
    gauge_free["coverage"] = json!({ "C-O": { "0.9": 0.885 }, "C-S": { "0.9": 0.895 } });
    let mut knn = point(4.0);
    knn["k"] = json!(5);
    knn["rows_used"] = json!(7000);
    knn["gauge_free"] = errors(80.0);
    let mut evaluation = json!({
        "rows": 1500,
        "draws": 100,
        "estimators": { "mean": point(1.0), "draw": point(2.0) },
        "baselines": { "train_mean": point(3.0), "knn": knn },
        "floor": { "mse": 5.01, "mse_standard_error": 5.02, "exact_draw_mse": 5.03 },
        "gauge_free": gauge_free,
        "crps": 9.1,
        "energy_score": 9.2,
        "coverage": { "0.5": 0.51, "0.8": 0.82, "0.9": 0.93, "0.95": 0.94 },
        "resimulation": {
            "median": 11.5, "iqr": 0.5, "lower_quartile": 0.8, "upper_quartile": 1.3, "events": 1500,
            "failed_draws": 0, "failed_events": 0
        },
        "scored": {
            "model": "any", "files": ["table.csv"], "rows": "test", "data_fingerprint": "00", "frame": "as given",
            "latent": "train-latents", "seed": 0
        }
    });
    let of_kind = match kind {
        Kind::Flow => json!({ "nll": -12.25, "d_eff": 6, "invertibility_max_abs": 4e-6 }),
        Kind::DeclaredVariance => json!({
            "nll_bound": -13.75, "nll_bound_samples": 200, "nll_bound_d_eff": 6,
            "active_latent": { "active": 3, "of": 8, "declared_variance": true }
        }),
        Kind::FixedVariance => json!({ "active_latent": { "active": 0, "of": 16 } }),
    };
    for (key, value) in of_kind.as_object().into_iter().flatten() {
        evaluation[key] = value.clone();
    }
    evaluation
}

/// `model.json`, as far as results show it.
pub(crate) fn record(kind: Kind) -> Value {
    let model = match kind {
        Kind::Flow => json!({ "kind": "cinn" }),
        Kind::DeclaredVariance => json!({ "kind": "cvae", "decoder_variance": "shared" }),
        Kind::FixedVariance => json!({ "kind": "cvae", "reconstruction": "mean" }),
    };
    json!({
        "model": model,
        "training": {
            "epochs": 140, "best_epoch": 120, "best_validation_loss": -15.125, "stopped": "no better epochs",
            "seconds": 321.0, "device": "cpu", "parameters": 654_321, "active_latent": null
        }
    })
}

/// `calibration.json`, as far as results show it.
pub(crate) fn calibration() -> Value {
    json!({ "joint_c2st": { "accuracy": 0.625, "standard_error": 0.01 } })
}
