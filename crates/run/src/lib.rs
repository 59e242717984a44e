//! The run folder and the pipelines from table to predictions.
