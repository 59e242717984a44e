//! Which instruction set of the processor computes: the widest one, unless the environment says otherwise.

use cei_model::Level;

/// Where this is set, to anything but `0`, AVX-512 is left alone, so that a processor that has it tells what one without would take.
pub const LEAVE_AVX_512: &str = "CEI_LEAVE_AVX512";

/// Follows [`LEAVE_AVX_512`] in models, trainings and explosions of this process from now on.
pub fn settle() {
    if std::env::var_os(LEAVE_AVX_512).is_some_and(|value| !value.is_empty() && value != "0") {
        Level::leave_avx_512();
        cei_physics::leave_avx_512();
    }
}

/// The instruction set by its name: `AVX-512`, `AVX2 with FMA`, `NEON` or `none`.
pub fn used() -> &'static str {
    Level::best().name()
}
