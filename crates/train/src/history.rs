//! The record of a training: one line an epoch.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// What one epoch gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Counted from 1.
    pub epoch: usize,
    /// Loss averaged over the training rows while the parameters moved.
    pub training_loss: f64,
    /// Loss on the validation rows at the end of the epoch.
    pub validation_loss: f64,
    /// Terms of the training loss.
    pub training_terms: Vec<f64>,
    /// Terms of the validation loss.
    pub validation_terms: Vec<f64>,
    /// Step size at the end of the epoch.
    pub learning_rate: f64,
    /// Wall time of the epoch in seconds.
    pub seconds: f64,
}

/// All epochs of a training and the names of the loss terms.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct History {
    /// Names of the terms.
    pub terms: Vec<String>,
    /// The epochs in order.
    pub epochs: Vec<EpochRecord>,
}

impl History {
    /// The record as CSV with a header.
    pub fn to_csv(&self) -> String {
        let mut csv = String::from("epoch,training_loss,validation_loss");
        for side in ["training", "validation"] {
            for term in &self.terms {
                let _ = write!(csv, ",{side}_{term}");
            }
        }
        csv.push_str(",learning_rate,seconds\n");
        for record in &self.epochs {
            let EpochRecord { epoch, training_loss, validation_loss, .. } = record;
            let _ = write!(csv, "{epoch},{training_loss},{validation_loss}");
            for term in record.training_terms.iter().chain(&record.validation_terms) {
                let _ = write!(csv, ",{term}");
            }
            let _ = writeln!(csv, ",{},{:.3}", record.learning_rate, record.seconds);
        }
        csv
    }
}
