//! One step of DOP853 for one trajectory: `y_{n+1} = y_n + h sum_i b_i k_i`,
//! `k_i = f(t_n + c_i h, y_n + h sum_{j<i} a_ij k_j)`, for the coefficients of [`super::tableau`].

use super::tableau::{A, B, B_3, ERROR_5, NODES, Row, STAGES};

/// Position and momentum `(x, y, z, px, py, pz)` of each of N atoms, or their derivatives. The size is a
/// constant so that the sums over stages unroll.
pub(super) type State<const N: usize> = [[f64; 6]; N];

/// The integrator at one point of a trajectory: `time`, `state` and its derivative.
pub(super) struct Dop853<const N: usize, F> {
    pub(super) time: f64,
    pub(super) state: State<N>,
    derivative: F,
    stages: [State<N>; STAGES],
    /// Atoms that there are; the state may have room for more, which stay where they are.
    atoms: usize,
}

/// A step that was tried: where it ends and how large its error is in units of the allowed one.
pub(super) struct Trial<const N: usize> {
    state: State<N>,
    time: f64,
    pub(super) error: f64,
}

impl<const N: usize, F: Fn(f64, &State<N>) -> State<N>> Dop853<N, F> {
    /// At time 0.
    pub(super) fn new(derivative: F, state: State<N>, atoms: usize) -> Self {
        let mut stages = [[[0.0; 6]; N]; STAGES];
        stages[0] = derivative(0.0, &state);
        Self { time: 0.0, state, derivative, stages, atoms }
    }

    /// Tries a step of size `h`. `scale` is the allowed error of each entry of the state.
    pub(super) fn attempt(&mut self, h: f64, scale: &State<N>) -> Trial<N> {
        for ((row, node), stage) in A.iter().zip(NODES).zip(1..) {
            let argument = self.moved(&self.weighted(row), h);
            self.stages[stage] = (self.derivative)(self.time + node * h, &argument);
        }
        let slope = self.weighted(B);
        let (state, error) = (self.moved(&slope, h), self.error(&slope, h, scale));
        Trial { state, time: self.time + h, error }
    }

    /// Moves to the end of `trial`.
    pub(super) fn accept(&mut self, trial: &Trial<N>) {
        (self.time, self.state) = (trial.time, trial.state);
        self.stages[0] = (self.derivative)(self.time, &self.state);
    }

    /// `state + h slope`.
    fn moved(&self, slope: &State<N>, h: f64) -> State<N> {
        let mut state = self.state;
        add_scaled(&mut state, h, slope);
        state
    }

    /// `sum_i w_i k_i`.
    fn weighted(&self, weights: Row) -> State<N> {
        let mut sum = [[0.0; 6]; N];
        for &(stage, weight) in weights {
            add_scaled(&mut sum, weight, &self.stages[stage]);
        }
        sum
    }

    /// Hairer's combination of both estimators, `h e5^2 / sqrt(e5^2 + 0.01 e3^2)`, of order 8.
    fn error(&self, slope: &State<N>, h: f64, scale: &State<N>) -> f64 {
        let (order_5, order_3_slope) = (self.weighted(ERROR_5), self.weighted(B_3));
        let (mut square_5, mut square_3) = (0.0, 0.0);
        // What there is room for and rests has no error.
        for atom in 0..N {
            for c in 0..6 {
                square_5 += (order_5[atom][c] / scale[atom][c]).powi(2);
                square_3 += ((slope[atom][c] - order_3_slope[atom][c]) / scale[atom][c]).powi(2);
            }
        }
        let combined = square_5 + 0.01 * square_3;
        if combined == 0.0 {
            return 0.0;
        }
        h.abs() * square_5 / (combined * (6 * self.atoms) as f64).sqrt()
    }
}

/// `sum += factor * term`.
fn add_scaled<const N: usize>(sum: &mut State<N>, factor: f64, term: &State<N>) {
    for (sums, terms) in sum.iter_mut().zip(term) {
        for (value, addend) in sums.iter_mut().zip(terms) {
            *value += factor * addend;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A circular Kepler orbit over one period (2 pi): halving the step must divide the closing error by
    /// about 2^8 where round-off does not yet count (error 4e-9 at 20 steps).
    #[test]
    fn halving_the_step_gains_eight_orders_of_two() {
        let kepler = |_, state: &State<1>| {
            let [x, y, _, px, py, _] = state[0];
            let cube = (x * x + y * y).powf(1.5);
            [[px, py, 0.0, -x / cube, -y / cube, 0.0]]
        };
        let closing_error = |steps: usize| {
            let start = [[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]];
            let mut integrator = Dop853::new(kepler, start, 1);
            for _ in 0..steps {
                let h = std::f64::consts::TAU / steps as f64;
                let trial = integrator.attempt(h, &[[1.0; 6]]);
                integrator.accept(&trial);
            }
            let end = integrator.state[0];
            end.iter().zip(&start[0]).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
        };
        for steps in [20, 25, 30] {
            let order = (closing_error(steps) / closing_error(2 * steps)).log2();
            assert!((order - 8.0).abs() < 0.1, "observed order {order}");
        }
    }
}
