//! Point, gauge-free, distributional and calibration metrics on plain matrices.
