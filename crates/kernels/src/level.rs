//! Which instruction set the kernels use: found at run time, so that one binary runs everywhere.

use pulp::{Arch, Simd, WithSimd};

/// An instruction set that this machine has.
#[derive(Debug, Clone, Copy)]
pub struct Level(Arch);

impl Level {
    /// The widest one: AVX-512, AVX2 with FMA, NEON, or none.
    pub fn best() -> Self {
        Self(Arch::new())
    }

    /// All that this machine has, from none to the widest; for tests.
    pub fn all() -> Vec<Self> {
        let mut levels = vec![Self(Arch::Scalar)];
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        levels.extend(pulp::x86::V3::try_new().map(|simd| Self(Arch::V3(simd))));
        if !matches!(Arch::new(), Arch::Scalar) {
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
        self.0.dispatch(operation)
    }
}
