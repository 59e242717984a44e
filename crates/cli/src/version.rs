//! Which program this is: `cei --version`.

use std::sync::LazyLock;

/// Version and commit in a line, as `0.1.0 (90db2a7c1f 2026-11-28)`.
static SHORT: LazyLock<String> = LazyLock::new(|| {
    let version = env!("CARGO_PKG_VERSION");
    match option_env!("CEI_COMMIT") {
        Some(commit) => format!("{version} ({commit})"),
        None => version.to_owned(),
    }
});

/// The same, and the features: of each kind of device, whether it is compiled in.
static LONG: LazyLock<String> = LazyLock::new(|| {
    let features: Vec<String> = cei_model::devices()
        .iter()
        .map(|device| format!("{}{}", if device.compiled_in { '+' } else { '-' }, device.name))
        .collect();
    format!("{}\nfeatures: {}", *SHORT, features.join(" "))
});

/// For `-V`.
pub(crate) fn short() -> &'static str {
    &SHORT
}

/// For `--version`.
pub(crate) fn long() -> &'static str {
    &LONG
}
