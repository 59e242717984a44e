//! The kinds of layers that a flow may have: a table, with a file for each.

mod act_norm;
mod affine;
mod coupling;
mod flip;
mod lu_linear;
mod permutation;
pub(crate) mod spline;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layer::LayerKind;

/// Makes the configuration of a layer, one of the kinds, from the table.
macro_rules! kinds {
    ($($file:ident::$kind:ident,)*) => {
        $(pub use $file::$kind;)*

        /// One layer of a flow.
        ///
        /// ```toml
        /// [model]
        /// kind = "cinn"
        /// layers = [
        ///     { layer = "act-norm" },
        ///     { layer = "lu-linear" },
        ///     { layer = "spline", bins = 16 },
        ///     { layer = "permutation", seed = 1 },
        ///     { layer = "affine", subnet = { kind = "mlp", hidden = [64, 64], activation = "elu" } },
        /// ]
        /// ```
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[expect(missing_docs, reason = "each is described by its type")]
        #[serde(tag = "layer", rename_all = "kebab-case")]
        pub enum LayerConfig {
            $($kind($kind),)*
        }

        impl LayerConfig {
            /// One of every kind, with its defaults.
            pub fn of_every_kind() -> Vec<Self> {
                vec![$(Self::$kind($kind::default()),)*]
            }

            /// What can be asked of any of them.
            pub fn kind(&self) -> &dyn LayerKind {
                match self {
                    $(Self::$kind(kind) => kind,)*
                }
            }
        }
    };
}

kinds! {
    affine::Affine,
    spline::Spline,
    flip::Flip,
    permutation::Permutation,
    act_norm::ActNorm,
    lu_linear::LuLinear,
}
