//! One plain function a command: checked arguments in, exit code out.

pub(crate) mod c2st;
pub(crate) mod calibrate;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod devices;
pub(crate) mod evaluate;
pub(crate) mod inspect;
pub(crate) mod log_prob;
pub(crate) mod predict;
pub(crate) mod simulate;
pub(crate) mod train;
