//! The data sets that come with the program: the simulations of `configs/data`, in TOML.

/// A configuration that comes with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// Name for `--preset`.
    pub name: &'static str,
    /// Its file in the sources of the program.
    pub path: &'static str,
    /// Its TOML, comments included.
    pub text: &'static str,
}

/// Makes a constant of each preset of a folder of `configs`, and the list of all of them, in this order.
#[doc(hidden)]
#[macro_export]
macro_rules! presets {
    ($(#[$about:meta])* $list:ident of $folder:literal: $($preset:ident = $name:literal),* $(,)?) => {
        $(
            #[doc = concat!("The preset `", $name, "`.")]
            pub const $preset: $crate::presets::Preset = $crate::presets::Preset {
                name: $name,
                path: concat!("configs/", $folder, "/", $name, ".toml"),
                text: include_str!(concat!(
                    env!("CARGO_MANIFEST_DIR"), "/../../configs/", $folder, "/", $name, ".toml"
                )),
            };
        )*

        $(#[$about])*
        pub const $list: &[$crate::presets::Preset] = &[$($preset),*];
    };
}

presets! {
    /// All of them.
    SIMULATIONS of "data":
    OCS_REFERENCE = "ocs-reference",
    OCS_WIDE = "ocs-wide",
    OCS_WIDE_FINE = "ocs-wide-fine",
    CHBRCLF = "chbrclf",
    ACETYLENE_WIDE = "acetylene-wide",
}
