//! Every kernel, at every instruction set of this machine, against plain loops in f64: values and
//! gradients, on odd shapes.

use cei_kernels::{
    Activation, AdamFactors, AdamStep, AffineCoupling, Columns, CouplingTrace, Deltas, Gradient,
    Hidden, Level, Matrix, Mlp, MuonFactors, MuonMemory, Residual, ResidualTrace, blocks, norm,
};
use ndarray::{Array2, ArrayView2};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const ACTIVATIONS: [Activation; 4] =
    [Activation::Elu, Activation::Relu, Activation::Tanh, Activation::Gelu];

/// Numbers between -1 and 1.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| 2.0 * rng.random::<f32>() - 1.0).collect()
}

fn view(rows: usize, columns: usize, values: &[f32]) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((rows, columns), values).expect("as many numbers as the shape has")
}

fn matrix(rows: usize, columns: usize, values: &[f32]) -> Matrix {
    let mut matrix = Matrix::default();
    matrix.reshape(rows, columns);
    matrix.set_columns(0, view(rows, columns, values));
    matrix
}

fn columns(rows: usize, width: usize, values: &[f32]) -> Columns {
    let mut columns = Columns::default();
    columns.reshape(rows, width);
    columns.set(view(rows, width, values));
    columns
}

fn rows_of_columns(columns: &Columns) -> Vec<f32> {
    let mut values = Array2::zeros((columns.rows(), columns.columns()));
    columns.write(values.view_mut());
    values.into_iter().collect()
}

fn rows_of(matrix: &Matrix) -> Vec<f32> {
    (0..matrix.rows()).flat_map(|row| matrix.row(row).to_vec()).collect()
}

/// Largest difference, relative to the largest number.
fn error(values: &[f32], reference: &[f64]) -> f64 {
    assert_eq!(values.len(), reference.len());
    let scale = reference.iter().fold(1e-3f64, |scale, value| scale.max(value.abs()));
    let worst = values
        .iter()
        .zip(reference)
        .map(|(value, reference)| (f64::from(*value) - reference).abs())
        .fold(0.0, |worst: f64, error| if error.is_nan() { f64::NAN } else { worst.max(error) });
    worst / scale
}

/// Value and slope of an activation.
fn activation(kind: Activation, x: f64) -> (f64, f64) {
    match kind {
        Activation::Elu if x > 0.0 => (x, 1.0),
        Activation::Elu => (x.exp_m1(), x.exp()),
        Activation::Relu => (x.max(0.0), f64::from(x > 0.0)),
        Activation::Tanh => (x.tanh(), 1.0 - x.tanh().powi(2)),
        Activation::Gelu => {
            let phi = 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2);
            let density = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
            (x * phi, phi + x * density)
        }
    }
}

/// A perceptron in plain loops; heads side by side in the last layer.
struct Plain<'a> {
    widths: &'a [usize],
    heads: usize,
    kind: Activation,
    parameters: Vec<f64>,
}

struct PlainResult {
    output: Vec<f64>,
    gradient: Vec<f64>,
    input_gradient: Vec<f64>,
}

impl Plain<'_> {
    /// Places of weight `(i, j)` and of bias `j` (with `i = inputs`) in layer `layer`.
    fn place(&self, layer: usize, i: usize, j: usize) -> usize {
        let size = |layer: usize| (self.widths[layer] + 1) * self.widths[layer + 1];
        let begin: usize = (0..layer).map(size).sum();
        let width = self.widths[layer + 1];
        begin + (j / width) * size(layer) + i * width + j % width
    }

    fn outputs(&self, layer: usize) -> usize {
        let last = layer + 2 == self.widths.len();
        self.widths[layer + 1] * if last { self.heads } else { 1 }
    }

    /// One row forward, and back from the gradient `delta` of its output.
    fn row(&self, input: &[f32], delta: &[f32], result: &mut PlainResult) {
        let depth = self.widths.len() - 1;
        let mut values = vec![input.iter().map(|&v| f64::from(v)).collect::<Vec<_>>()];
        let mut slopes = vec![vec![1.0; input.len()]];
        for layer in 0..depth {
            let below = &values[layer];
            let linear = (0..self.outputs(layer)).map(|j| {
                let bias = self.parameters[self.place(layer, below.len(), j)];
                let terms = below.iter().enumerate();
                bias + terms.map(|(i, v)| v * self.parameters[self.place(layer, i, j)]).sum::<f64>()
            });
            let (above, slope) = linear
                .map(|u| if layer + 1 < depth { activation(self.kind, u) } else { (u, 1.0) })
                .unzip();
            values.push(above);
            slopes.push(slope);
        }
        result.output.extend(&values[depth]);
        let mut delta: Vec<f64> = delta.iter().map(|&v| f64::from(v)).collect();
        for layer in (0..depth).rev() {
            let below = &values[layer];
            let mut next = vec![0.0; below.len()];
            for (j, d) in delta.iter().enumerate() {
                for (i, v) in below.iter().enumerate() {
                    let place = self.place(layer, i, j);
                    result.gradient[place] += v * d;
                    next[i] += d * self.parameters[place] * slopes[layer][i];
                }
                result.gradient[self.place(layer, below.len(), j)] += d;
            }
            delta = next;
        }
        result.input_gradient.extend(delta);
    }
}

#[test]
fn perceptron_agrees_with_plain_loops() {
    let shapes: [(&[usize], usize); 9] = [
        (&[1, 1], 1),
        (&[5, 3], 2),
        (&[1, 1, 1], 1),
        (&[13, 31, 10], 1),
        (&[13, 79, 80, 10], 1),
        (&[3, 17, 33, 7], 2),
        (&[9, 128, 50], 1),
        (&[20, 16, 12, 47, 23], 2),
        (&[64, 129, 5, 100, 64], 1),
    ];
    for level in Level::all() {
        for (index, (widths, heads)) in shapes.into_iter().enumerate() {
            for kind in ACTIVATIONS {
                for rows in [1, 7, 130] {
                    check_perceptron(level, widths, heads, kind, rows, index as u64);
                }
            }
        }
    }
}

fn check_perceptron(
    level: Level,
    widths: &[usize],
    heads: usize,
    kind: Activation,
    rows: usize,
    seed: u64,
) {
    const OFFSET: usize = 3;
    let case = format!("{level:?}, widths {widths:?}, {heads} heads, {kind:?}, {rows} rows");
    let mut mlp = Mlp::with_heads(level, widths, heads, kind, OFFSET);
    let count = mlp.parameters();
    let mut flat = numbers(OFFSET + count + 2, seed);
    for value in &mut flat {
        // Wide enough that the activations leave their linear part.
        *value *= 0.7;
    }
    mlp.set_parameters(&flat);
    let input = numbers(rows * mlp.inputs(), seed + 100);
    let delta = numbers(rows * mlp.outputs(), seed + 200);

    let parameters = flat[OFFSET..OFFSET + count].iter().map(|&v| f64::from(v)).collect();
    let plain = Plain { widths, heads, kind, parameters };
    let mut expected =
        PlainResult { output: Vec::new(), gradient: vec![0.0; count], input_gradient: Vec::new() };
    for (input, delta) in input.chunks_exact(mlp.inputs()).zip(delta.chunks_exact(mlp.outputs())) {
        plain.row(input, delta, &mut expected);
    }

    let input = matrix(rows, mlp.inputs(), &input);
    let (mut hidden, mut output, mut deltas) = <(Hidden, Matrix, Deltas)>::default();
    mlp.infer(&input, &mut hidden, &mut output);
    assert!(error(&rows_of(&output), &expected.output) < 1e-5, "{case}: inference");
    mlp.forward(&input, &mut hidden, &mut output);
    assert!(error(&rows_of(&output), &expected.output) < 1e-5, "{case}: forward");

    deltas.output = matrix(rows, mlp.outputs(), &delta);
    let mut gradient = vec![7.0; flat.len()];
    let mut input_gradient = Matrix::default();
    for add in [false, true] {
        mlp.backward(&input, &hidden, &mut deltas, &mut gradient, add, Some(&mut input_gradient));
    }
    let (own, outside) = (&gradient[OFFSET..OFFSET + count], [0, 1, 2, OFFSET + count]);
    assert!(outside.iter().all(|&place| gradient[place] == 7.0), "{case}: wrote elsewhere");
    let twice: Vec<f64> = expected.gradient.iter().map(|g| 2.0 * g).collect();
    assert!(error(own, &twice) < 1e-5, "{case}: gradient {}", error(own, &twice));
    let input_gradient = rows_of(&input_gradient);
    assert!(error(&input_gradient, &expected.input_gradient) < 1e-5, "{case}: input gradient");
}

#[test]
fn coupling_agrees_with_plain_formulas_and_inverts() {
    for level in Level::all() {
        for (d, clamp) in [(1, 2.0f32), (2, 0.5), (3, 2.0), (9, 3.0)] {
            for rows in [1, 7, 513] {
                check_coupling(AffineCoupling { level, kept: d / 2, clamp }, d, rows);
            }
        }
    }
}

fn check_coupling(coupling: AffineCoupling, d: usize, rows: usize) {
    let case = format!("{coupling:?}, d = {d}, {rows} rows");
    let (kept, width, c) = (coupling.kept, d - coupling.kept, f64::from(coupling.clamp));
    let x: Vec<f32> = numbers(rows * d, 1).iter().map(|v| 3.0 * v).collect();
    let raw: Vec<f32> = numbers(rows * 2 * width, 2).iter().map(|v| 4.0 * v).collect();
    let d_z = numbers(rows * d, 3);
    let d_log_det = -0.25;

    let f = |v: f32| f64::from(v);
    let (mut z, mut log_det, mut d_x, mut d_raw) = <(Vec<_>, Vec<_>, Vec<_>, Vec<_>)>::default();
    for row in 0..rows {
        let (x, raw) = (&x[row * d..][..d], &raw[row * 2 * width..][..2 * width]);
        let d_z = &d_z[row * d..][..d];
        let s: Vec<f64> = raw[..width].iter().map(|&u| c * (f(u) / c).tanh()).collect();
        log_det.push(s.iter().sum::<f64>());
        z.extend(x[..kept].iter().map(|&v| f(v)));
        z.extend((0..width).map(|j| f(x[kept + j]) * s[j].exp() + f(raw[width + j])));
        d_x.extend(d_z[..kept].iter().map(|&v| f(v)));
        d_x.extend((0..width).map(|j| f(d_z[kept + j]) * s[j].exp()));
        d_raw.extend((0..width).map(|j| {
            let d_s = f(d_z[kept + j]) * f(x[kept + j]) * s[j].exp() + d_log_det;
            d_s * (1.0 - (s[j] / c).powi(2))
        }));
        d_raw.extend((0..width).map(|j| f(d_z[kept + j])));
    }

    let output = matrix(rows, 2 * width, &raw);
    let mut state = columns(rows, d, &x);
    let mut sum = columns(rows, 1, &vec![0.0; rows]);
    let mut trace = CouplingTrace::default();
    coupling.forward(&output, &mut state, &mut sum, &mut trace);
    let values = rows_of_columns(&state);
    assert!(error(&values, &z) < 1e-6, "{case}: {}", error(&values, &z));
    assert!(error(sum.column(0), &log_det) < 1e-6, "{case}: log det");

    let mut back = columns(rows, d, &d_z);
    let mut d_output = Matrix::default();
    coupling.backward(&mut trace, &mut back, d_log_det as f32, &mut d_output);
    let values = rows_of_columns(&back);
    assert!(error(&values, &d_x) < 1e-6, "{case}: gradient of x");
    assert!(error(&rows_of(&d_output), &d_raw) < 2e-6, "{case}: gradient of the subnet's output");

    coupling.inverse(&output, &mut state, &mut trace);
    let values = rows_of_columns(&state);
    let x: Vec<f64> = x.iter().map(|&v| f(v)).collect();
    assert!(error(&values, &x) < 1e-5, "{case}: inverse");
}

#[test]
fn a_coupling_may_scale_by_the_largest_and_smallest_factors() {
    for level in Level::all() {
        let coupling = AffineCoupling { level, kept: 0, clamp: 80.0 };
        let output = matrix(2, 2, &[f32::INFINITY, 1.0, f32::NEG_INFINITY, 1.0]);
        let mut x = columns(2, 1, &[1.0, 1.0]);
        let mut log_det = columns(2, 1, &[0.0, 0.0]);
        coupling.forward(&output, &mut x, &mut log_det, &mut CouplingTrace::default());
        // An error of tanh by a few units of 6e-8 is one of s, and of exp(s), 80 times as large.
        let expected = [80f64.exp(), 1.0];
        for (value, expected) in x.column(0).iter().zip(expected) {
            assert!((f64::from(*value) / expected - 1.0).abs() < 2e-5, "{level:?}: {value}");
        }
        for (value, expected) in log_det.column(0).iter().zip([80.0, -80.0]) {
            assert!((value - expected).abs() < 2e-5, "{level:?}: {value}");
        }
    }
}

#[test]
fn not_a_number_stays_one() {
    for level in Level::all() {
        for kind in ACTIVATIONS {
            let mut mlp = Mlp::new(level, &[1, 1, 1], kind, 0);
            mlp.set_parameters(&[1.0, 0.0, 1.0, 0.0]);
            let (mut hidden, mut output) = <(Hidden, Matrix)>::default();
            mlp.infer(&matrix(1, 1, &[f32::NAN]), &mut hidden, &mut output);
            assert!(output.row(0)[0].is_nan(), "{level:?}, {kind:?}");
        }
    }
}

/// Columns are reversed in place, and back.
#[test]
fn a_flip_reverses_the_columns() {
    let mut x = columns(2, 3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    x.flip();
    assert_eq!(rows_of_columns(&x), [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
    x.flip();
    assert_eq!(x.column(0), [1.0, 4.0]);
}

/// A batch of any size is cut the same way whatever the threads, so the sums are equal bit for bit.
#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    for rows in [1, 7, 513, 3000] {
        let results: Vec<_> =
            [1, 2, 3].into_iter().map(|threads| batch_gradient(rows, threads)).collect();
        assert!(results[0].iter().any(|bits| *bits != 0));
        assert!(results.iter().all(|result| *result == results[0]), "{rows} rows");
    }
}

/// Bits of the gradient, of the sums, of an Adam step and of blockwise inference.
fn batch_gradient(rows: usize, threads: usize) -> Vec<u32> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.expect("a machine can start threads");
    let level = Level::best();
    let mut mlp = Mlp::new(level, &[9, 33, 65, 4], Activation::Elu, 0);
    let mut parameters = numbers(mlp.parameters(), 1);
    mlp.set_parameters(&parameters);
    let (x, delta) = (numbers(rows * 9, 2), numbers(rows * 4, 3));
    pool.install(|| {
        let (mut gradient, mut sums) = (Gradient::default(), [0.0]);
        for _ in 0..2 {
            gradient.accumulate(rows, parameters.len(), &mut sums, |tile, gradient, add, sums| {
                let (mut hidden, mut output, mut deltas) = <(Hidden, Matrix, Deltas)>::default();
                let input = matrix(tile.len(), 9, &x[tile.start * 9..tile.end * 9]);
                mlp.forward(&input, &mut hidden, &mut output);
                deltas.output = matrix(tile.len(), 4, &delta[tile.start * 4..tile.end * 4]);
                mlp.backward(&input, &hidden, &mut deltas, gradient, add, None);
                sums[0] += rows_of(&output).iter().map(|&v| f64::from(v)).sum::<f64>();
            });
        }
        let mut output = Array2::zeros((rows, 4));
        blocks(output.view_mut(), |block, mut part| {
            let (mut hidden, mut rows) = <(Hidden, Matrix)>::default();
            let input = matrix(block.len(), 9, &x[block.start * 9..block.end * 9]);
            mlp.infer(&input, &mut hidden, &mut rows);
            part.assign(&view(block.len(), 4, &rows_of(&rows)));
        });
        let total: f64 = output.iter().map(|&v| f64::from(v)).sum();
        assert!((total - sums[0]).abs() < 1e-3 * rows as f64, "every row once");
        let total = gradient.total();
        let (mut first, mut second) = (vec![0.1; total.len()], vec![0.2; total.len()]);
        assert_eq!(gradient.norm(level), norm(level, &total));
        let clip = 1.0 / gradient.norm(level) as f32;
        let step = AdamStep::new(factors(clip), &gradient, &mut first, &mut second);
        step.apply_in_parallel(level, &mut parameters);
        let floats = total.iter().chain(&parameters).chain(&first).chain(&output);
        let sum = sums[0].to_bits();
        floats.map(|v| v.to_bits()).chain([sum as u32, (sum >> 32) as u32]).collect()
    })
}

fn whole(values: &[f32]) -> Gradient {
    let mut gradient = Gradient::default();
    gradient.whole(values.len()).copy_from_slice(values);
    gradient
}

fn factors(clip: f32) -> AdamFactors {
    AdamFactors {
        first: 0.9,
        second: 0.999,
        epsilon: 1e-8,
        rate: 0.01,
        root: 1.5,
        keep: 0.99,
        clip,
    }
}

#[test]
fn adam_agrees_with_its_formula_at_every_level() {
    let n = 40_001;
    let (start, gradient) = (numbers(n, 1), numbers(n, 2));
    for level in Level::all() {
        let (mut theta, mut m, mut v) = (start.clone(), numbers(n, 3), vec![0.3; n]);
        let before = m.clone();
        let whole = whole(&gradient);
        let step = AdamStep::new(factors(0.5), &whole, &mut m, &mut v);
        step.apply_in_parallel(level, &mut theta);
        for i in [0, 1, 777, n - 1] {
            let g = f64::from(gradient[i]) * 0.5;
            let m_new = 0.9 * f64::from(before[i]) + 0.1 * g;
            let v_new = 0.999 * 0.3 + 0.001 * g * g;
            let expected = 0.99 * f64::from(start[i]) - 0.01 * m_new / (v_new.sqrt() * 1.5 + 1e-8);
            assert!((f64::from(theta[i]) - expected).abs() < 1e-6, "{level:?}: {}", theta[i]);
            assert!(
                (f64::from(m[i]) - m_new).abs() < 1e-6 && (f64::from(v[i]) - v_new).abs() < 1e-6
            );
        }
        let exact = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
        assert!((norm(level, &gradient) / exact - 1.0).abs() < 1e-12);
    }
    assert_eq!(norm(Level::best(), &[]), 0.0);
}

/// A step that a network takes by itself leaves what the steps of its weights and biases and new parameters leave, to the bit.
#[test]
fn an_update_is_a_step_and_new_parameters() {
    let (rows, width) = (5, 7);
    let input = matrix(rows, width, &numbers(rows * width, 4));
    for level in Level::all() {
        for (widths, heads) in [(&[7usize, 3][..], 1), (&[7, 65, 33, 5], 1), (&[7, 40, 3], 2)] {
            let mlp = || Mlp::with_heads(level, widths, heads, Activation::Elu, 0);
            let mut layers: Vec<_> = widths.windows(2).map(|width| [width[0], width[1]]).collect();
            layers.extend(vec![layers[layers.len() - 1]; heads - 1]);
            let outputs = |mlp: &Mlp| {
                let (mut hidden, mut output) = <(Hidden, Matrix)>::default();
                mlp.infer(&input, &mut hidden, &mut output);
                rows_of(&output)
            };
            assert_updates(level, &layers, mlp, Mlp::set_parameters, Mlp::update, outputs);
        }
        let residual = || Residual::new(level, (width, 34, 6), 2, Activation::Tanh, 0);
        let layers = [[width, 34], [34; 2], [34; 2], [34; 2], [34; 2], [34, 6]];
        let outputs = |network: &Residual| {
            let (mut trace, mut output) = <(ResidualTrace, Matrix)>::default();
            network.forward(&input, None, &mut trace, &mut output);
            rows_of(&output)
        };
        let set = Residual::set_parameters;
        assert_updates(level, &layers, residual, set, Residual::update, outputs);
    }
}

/// `layers`: inputs and outputs of each weight, which a bias follows.
fn assert_updates<N>(
    level: Level,
    layers: &[[usize; 2]],
    new: impl Fn() -> N,
    set: impl Fn(&mut N, &[f32]),
    update: impl Fn(&mut N, &mut [f32], AdamStep<'_>),
    outputs: impl Fn(&N) -> Vec<f32>,
) {
    let n = layers.iter().map(|[inputs, outputs]| (inputs + 1) * outputs).sum();
    let (gradient, memory) = (whole(&numbers(n, 1)), MuonMemory::default());
    for muon in [None, Some(MuonFactors { momentum: 0.9, rate: 0.01 })] {
        let [by_itself, in_parts] = [true, false].map(|by_itself| {
            let mut network = new();
            let mut values = numbers(n, 2);
            let (mut first, mut second) = (numbers(n, 3), vec![0.3; n]);
            let mut step = AdamStep::new(factors(0.5), &gradient, &mut first, &mut second);
            if let Some(muon) = muon {
                step = step.with_muon(muon, &memory);
            }
            if by_itself {
                set(&mut network, &values);
                update(&mut network, &mut values, step);
            } else {
                let mut rest = &mut values[..];
                for [inputs, outputs] in layers {
                    let weight = rest.split_off_mut(..inputs * outputs).expect("a weight");
                    let shape = [*inputs, *outputs];
                    step.split_off(weight.len()).apply_to_weight(level, shape, weight);
                    let bias = rest.split_off_mut(..*outputs).expect("a bias");
                    step.split_off(bias.len()).apply(level, bias);
                }
                set(&mut network, &values);
            }
            [values, first, second, outputs(&network)]
        });
        assert_eq!(by_itself, in_parts);
        let adams = by_itself[2].iter().filter(|second| **second != 0.3).count();
        let biases = layers.iter().map(|[_, outputs]| outputs).sum();
        assert_eq!(adams, if muon.is_some() { biases } else { n }, "second moments that moved");
    }
}

/// The analytic gradient is that of the values, by central differences in the kernels themselves.
#[test]
fn gradient_is_that_of_finite_differences() {
    let widths = [4, 11, 6, 3];
    let mut mlp = Mlp::new(Level::best(), &widths, Activation::Gelu, 0);
    let parameters = numbers(mlp.parameters(), 5);
    let (rows, input) = (5, matrix(5, 4, &numbers(20, 6)));
    let weights = numbers(rows * 3, 7);
    let (mut hidden, mut output, mut deltas) = <(Hidden, Matrix, Deltas)>::default();
    let mut value = |parameters: &[f32], hidden: &mut Hidden| {
        mlp.set_parameters(parameters);
        mlp.forward(&input, hidden, &mut output);
        let terms = rows_of(&output);
        terms.iter().zip(&weights).map(|(o, w)| f64::from(*o) * f64::from(*w)).sum::<f64>()
    };
    let direction = numbers(parameters.len(), 8);
    let moved = |step: f32| -> Vec<f32> {
        parameters.iter().zip(&direction).map(|(p, d)| p + step * d).collect()
    };
    let h = 1.0 / 256.0;
    let numeric =
        (value(&moved(h), &mut hidden) - value(&moved(-h), &mut hidden)) / (2.0 * f64::from(h));
    value(&parameters, &mut hidden);
    deltas.output = matrix(rows, 3, &weights);
    let mut gradient = vec![0.0; parameters.len()];
    mlp.backward(&input, &hidden, &mut deltas, &mut gradient, false, None);
    let analytic: f64 =
        gradient.iter().zip(&direction).map(|(g, d)| f64::from(*g) * f64::from(*d)).sum();
    assert!((numeric / analytic - 1.0).abs() < 1e-3, "{numeric} against {analytic}");
}
