//! Pareto-smoothed importance weights.
