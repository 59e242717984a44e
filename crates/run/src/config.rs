//! One experiment in one TOML file: strict, every key overridable, and printable in full.
//!
//! | in | is |
//! | --- | --- |
//! | `experiment` | [`Experiment`] and its parts |
//! | `detector` | what an experiment says about the detector |
//! | `simulation` | simulations by their names |
//! | `presets` | the configurations that come with the program |
//! | `reference` | every key with its type, default, unit, range and meaning |
//! | `sweep` | what a search is over |
//! | `overrides` | from text to a typed configuration, with `--set`, and back |
//! | `text` | the text of a file, whatever may stand where it is expected |
//! | `error` | what can be wrong with all that |

mod detector;
mod error;
mod experiment;
mod overrides;
pub mod presets;
pub mod reference;
mod simulation;
pub mod sweep;
mod text;

pub use cei_model::Density;
pub use detector::DeclaredDetector;
pub use error::{ExperimentError, Kind};
pub(crate) use experiment::MOST_DRAWS;
pub use experiment::{EvaluationConfig, Experiment, ModelConfig};
pub use overrides::{
    Configuration, parse_in_folder, parse_with_overrides, to_toml, toml_of_json, with_overrides,
};

pub use simulation::preset_simulation;
pub(crate) use simulation::simulation_by_name;
pub use text::read_text;
