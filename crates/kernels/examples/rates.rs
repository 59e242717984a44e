//! Rates of the kernels, measured by hand.
use cei_kernels::*;
use std::time::Instant;

fn best(mut f: impl FnMut(), n: usize) -> (f64, f64) {
    let mut ts: Vec<f64> = (0..n)
        .map(|_| {
            let t = Instant::now();
            f();
            t.elapsed().as_secs_f64()
        })
        .collect();
    ts.sort_by(f64::total_cmp);
    (ts[0], ts[n / 2])
}

#[derive(Default)]
struct Work {
    inputs: Vec<Matrix>,
    hidden: Vec<Hidden>,
    traces: Vec<CouplingTrace>,
    output: Matrix,
    x: Columns,
    log_det: Columns,
    deltas: Deltas,
    d_in: Matrix,
}

struct Flow {
    subnets: Vec<Mlp>,
    affine: AffineCoupling,
    pool: Pool<Work>,
    shards: ShardGradients,
}
impl Flow {
    fn new(h: usize) -> Self {
        let level = Level::best();
        let mut offset = 0;
        let subnets = (0..20)
            .map(|_| {
                let m = Mlp::new(level, &[13, h, h, 10], Activation::Relu, offset);
                offset += m.parameters();
                m
            })
            .collect();
        Self {
            subnets,
            affine: AffineCoupling { level, kept: 4, clamp: 2.0 },
            pool: Pool::default(),
            shards: ShardGradients::default(),
        }
    }
    fn set(&mut self, p: &[f32]) {
        use rayon::prelude::*;
        self.subnets.par_iter_mut().for_each(|s| s.set_parameters(p));
    }
    fn step(&self, x: &[f32], y: &[f32], g: &mut [f32]) -> f64 {
        let n = x.len() / 9;
        let mut sums = [0.0];
        self.shards.accumulate(n, g, &mut sums, |r, g, add, sums| {
            self.pool.with(|w| {
                let rows = r.len();
                w.inputs.resize_with(20, Matrix::default);
                w.hidden.resize_with(20, Hidden::default);
                w.traces.resize_with(20, CouplingTrace::default);
                w.x.reshape(rows, 9);
                w.log_det.reshape(rows, 1);
                w.log_det.fill(0.0);
                w.x.set(view(&x[r.start * 9..r.end * 9]));
                for i in 0..20 {
                    let input = &mut w.inputs[i];
                    input.reshape(rows, 13);
                    input.set_leading(0, &w.x, 4);
                    input.set_columns(4, view(&y[r.start * 9..r.end * 9]));
                    self.subnets[i].forward(input, &mut w.hidden[i], &mut w.output);
                    self.affine.forward(&w.output, &mut w.x, &mut w.log_det, &mut w.traces[i]);
                    w.x.flip();
                }
                for c in 0..9 {
                    for v in w.x.column_mut(c) {
                        sums[0] += f64::from(*v * *v) * 0.5;
                        *v /= n as f32;
                    }
                }
                for v in w.log_det.column(0) {
                    sums[0] -= f64::from(*v);
                }
                for i in (0..20).rev() {
                    w.x.flip();
                    self.affine.backward(
                        &mut w.traces[i],
                        &mut w.x,
                        -1.0 / n as f32,
                        &mut w.deltas.output,
                    );
                    self.subnets[i].backward(
                        &w.inputs[i],
                        &w.hidden[i],
                        &mut w.deltas,
                        g,
                        add,
                        Some(&mut w.d_in),
                    );
                    w.x.add_leading(&w.d_in, 4);
                }
            })
        });
        sums[0] / n as f64
    }
    fn sample(&self, z: &[f32], y: &[f32], out: &mut [f32]) {
        let n = out.len() / 9;
        blocks(ndarray::ArrayViewMut2::from_shape((n, 9), out).unwrap(), |r, out| {
            self.pool.with(|w| {
                let rows = r.len();
                w.inputs.resize_with(20, Matrix::default);
                w.hidden.resize_with(20, Hidden::default);
                w.traces.resize_with(20, CouplingTrace::default);
                w.x.reshape(rows, 9);
                w.x.set(view(&z[r.start * 9..r.end * 9]));
                let input = &mut w.inputs[0];
                input.reshape(rows, 13);
                input.set_columns(4, view(&y[r.start * 9..r.end * 9]));
                for i in (0..20).rev() {
                    w.x.flip();
                    input.set_leading(0, &w.x, 4);
                    self.subnets[i].infer(input, &mut w.hidden[0], &mut w.output);
                    self.affine.inverse(&w.output, &mut w.x, &mut w.traces[0]);
                }
                w.x.write(out);
            })
        });
    }
}

fn main() {
    let threads: usize = std::env::args().nth(1).map_or(2, |a| a.parse().unwrap());
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().unwrap();
    let mut seed = 1u64;
    let mut rnd = move || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((seed >> 33) as f32 / (1u64 << 31) as f32) * 2.0 - 1.0
    };
    for (k, n) in [(13, 128), (128, 128), (128, 10), (256, 256), (512, 512)] {
        let mut m = Mlp::new(Level::best(), &[k, n], Activation::Relu, 0);
        let p: Vec<f32> = (0..m.parameters()).map(|_| rnd() * 0.1).collect();
        m.set_parameters(&p);
        for rows in [96, 128] {
            let (mut a, mut h, mut d) = (Matrix::default(), Hidden::default(), Deltas::default());
            a.reshape(rows, k);
            for r in 0..rows {
                for v in a.row_mut(r) {
                    *v = rnd();
                }
            }
            let mut out = Matrix::default();
            let fl = 2.0 * (rows * k * n) as f64;
            let f = best(|| m.infer(&a, &mut h, &mut out), 1000).0;
            d.output = out.clone();
            let mut g = vec![0.0; p.len()];
            let w = best(|| m.backward(&a, &h, &mut d, &mut g, false, None), 1000).0;
            let mut din = Matrix::default();
            let b = best(|| m.backward(&a, &h, &mut d, &mut g, false, Some(&mut din)), 1000).0 - w;
            println!(
                "{k}x{n} rows {rows}: forward {:.0} GF/s, weight {:.0}, input {:.0}",
                fl / f / 1e9,
                fl / w / 1e9,
                fl / b / 1e9
            );
        }
    }
    for h in [128, 256] {
        let mut flow = Flow::new(h);
        let count: usize = flow.subnets.iter().map(Mlp::parameters).sum();
        let mut p: Vec<f32> = (0..count).map(|_| rnd() / (h as f32).sqrt()).collect();
        let x: Vec<f32> = (0..512 * 9).map(|_| rnd()).collect();
        let y: Vec<f32> = (0..512 * 9).map(|_| rnd()).collect();
        let mut g = vec![0.0; count];
        let (mut m, mut v) = (vec![0.0; count], vec![0.0; count]);
        let f = AdamFactors {
            first: 0.9,
            second: 0.999,
            epsilon: 1e-8,
            rate: 1e-4,
            root: 1.0,
            keep: 1.0,
            clip: 1.0,
        };
        let set = best(|| flow.set(&p), 50);
        let adam = best(
            || {
                adam_step(Level::best(), f, &mut p, &g, &mut m, &mut v);
            },
            50,
        );
        let grad = best(
            || {
                flow.step(&x, &y, &mut g);
            },
            50,
        );
        let all = best(
            || {
                flow.step(&x, &y, &mut g);
                adam_step(Level::best(), f, &mut p, &g, &mut m, &mut v);
                flow.set(&p);
            },
            100,
        );
        let z: Vec<f32> = (0..8192 * 9).map(|_| rnd()).collect();
        let y: Vec<f32> = (0..8192 * 9).map(|_| rnd()).collect();
        let mut out = vec![0.0; 8192 * 9];
        let s = best(|| flow.sample(&z, &y, &mut out), 20);
        println!(
            "cinn{h} threads {threads}: set {:.3} adam {:.3} grad {:.2} step {:.2}/{:.2} ms, sample {:.0}/{:.0} k/s",
            set.0 * 1e3,
            adam.0 * 1e3,
            grad.0 * 1e3,
            all.0 * 1e3,
            all.1 * 1e3,
            8.192 / s.0,
            8.192 / s.1
        );
    }
}

fn view(values: &[f32]) -> ndarray::ArrayView2<'_, f32> {
    ndarray::ArrayView2::from_shape((values.len() / 9, 9), values).unwrap()
}
