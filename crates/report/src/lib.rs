//! Figures: learning curves, predicted against true, residuals.
