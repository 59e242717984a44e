//! Which instruction set the kernels use: found at run time, so that one binary runs everywhere.

use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
use pulp::x86::{V3, V4};
use pulp::{Arch, Simd, WithSimd};

/// An instruction set that this machine has.
#[derive(Debug, Clone, Copy)]
pub struct Level(Kind);

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// AVX-512.
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    V4(V4),
    /// AVX2 with FMA.
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    V3(V3),
    /// What other processors have, or none.
    Other(Arch),
}

/// Whether [`Level::best`] is AVX2 at most.
static IS_AVX_512_LEFT: AtomicBool = AtomicBool::new(false);

impl Level {
    /// The widest one: AVX-512 (unless [`Self::leave_avx_512`] was called), AVX2 with FMA, NEON, or none.
    pub fn best() -> Self {
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        {
            if !IS_AVX_512_LEFT.load(Ordering::Relaxed)
                && let Some(simd) = V4::try_new()
            {
                return Self(Kind::V4(simd));
            }
            if let Some(simd) = V3::try_new() {
                return Self(Kind::V3(simd));
            }
        }
        Self(Kind::Other(if cfg!(any(target_arch = "x86", target_arch = "x86_64")) {
            Arch::Scalar
        } else {
            Arch::new()
        }))
    }

    /// From now on this process computes as on a processor without AVX-512, for measurements.
    pub fn leave_avx_512() {
        IS_AVX_512_LEFT.store(true, Ordering::Relaxed);
    }

    /// What its maker calls it.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Kind::V4(_) => "AVX-512",
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Kind::V3(_) => "AVX2 with FMA",
            Kind::Other(Arch::Scalar) => "none",
            #[allow(unreachable_patterns, reason = "where there is none but Scalar")]
            Kind::Other(_) => "NEON",
        }
    }

    /// All that this machine has, from none to the widest; for tests.
    pub fn all() -> Vec<Self> {
        let mut levels = vec![Self(Kind::Other(Arch::Scalar))];
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        levels.extend(V3::try_new().map(|simd| Self(Kind::V3(simd))));
        if !matches!(Self::best().0, Kind::Other(Arch::Scalar)) {
            levels.push(Self::best());
        }
        levels
    }

    /// `f32` numbers in a vector.
    pub(crate) fn lanes(self) -> usize {
        struct Lanes;
        impl WithSimd for Lanes {
            type Output = usize;
            fn with_simd<S: Simd>(self, _simd: S) -> usize {
                S::F32_LANES
            }
        }
        self.run(Lanes)
    }

    /// Runs `operation` compiled for this instruction set.
    #[inline]
    pub(crate) fn run<O: WithSimd>(self, operation: O) -> O::Output {
        match self.0 {
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Kind::V4(simd) => Simd::vectorize(simd, operation),
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Kind::V3(simd) => Simd::vectorize(simd, operation),
            Kind::Other(arch) => arch.dispatch(operation),
        }
    }
}
