//! Tables of positions and momenta: loading, checks, splits, scaling and gauges.
