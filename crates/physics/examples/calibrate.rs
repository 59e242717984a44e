//! scratch
use cei_physics::*;
fn cpu() -> f64 {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse::<f64>()
        .unwrap()
        * 1e-9
}
fn wall() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64()
}
fn main() {
    if std::env::var("ONE").is_ok() {
        rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global().unwrap();
    }
    let args: Vec<f64> = std::env::args().skip(1).map(|a| a.parse().unwrap()).collect();
    let n = 8192;
    for (name, text) in [
        ("ocs-reference", include_str!("../../../configs/data/ocs-reference.toml")),
        ("ocs-wide", include_str!("../../../configs/data/ocs-wide.toml")),
        ("chbrclf", include_str!("../../../configs/data/chbrclf.toml")),
    ] {
        let mut s: Simulation = toml::from_str(text).unwrap();
        s.accuracy = Accuracy::fast();
        let x = simulate(&s, n, 3).unwrap().positions;
        let tight =
            Accuracy { tolerance: 1e-13, tail: 1e-8, mode: Mode::Reference, ..Default::default() };
        let exact = explode_all(&s.molecule, x.view(), &tight).unwrap();
        let mut list = vec![
            ("scalar", Accuracy { mode: Mode::Reference, ..Default::default() }),
            ("default", Accuracy::default()),
            ("fast", Accuracy::fast()),
        ];
        if args.len() == 2 {
            list = vec![(
                "custom",
                Accuracy { tolerance: args[0], tail: args[1], ..Default::default() },
            )];
        }
        for (label, a) in list {
            let mut best = f64::MAX;
            let mut p = exact.clone();
            for _ in 0..(if label == "scalar" { 1 } else { 7 }) {
                let t = if std::env::var("ONE").is_ok() { cpu() } else { wall() };
                p = explode_all(&s.molecule, x.view(), &a).unwrap();
                best = best.min(if std::env::var("ONE").is_ok() { cpu() } else { wall() } - t);
            }
            let (mut sum, mut max, mut sume, mut maxe, mut c) = (0.0, 0.0f64, 0.0, 0.0f64, 0.0);
            for (a, b) in p.rows().into_iter().zip(exact.rows()) {
                let big = b.iter().fold(0.0f64, |m, v| m.max(v.abs()));
                for k in 0..a.len() / 3 {
                    let d =
                        (0..3).map(|i| (a[3 * k + i] - b[3 * k + i]).powi(2)).sum::<f64>().sqrt();
                    let l = (0..3).map(|i| b[3 * k + i].powi(2)).sum::<f64>().sqrt();
                    sum += d / l;
                    max = max.max(d / l);
                    sume += d / big;
                    maxe = maxe.max(d / big);
                    c += 1.0;
                }
            }
            println!(
                "{name} {label}: {:.0}/s  per-ion mean {:.2e} max {:.2e}; event-scale mean {:.2e} max {:.2e}",
                n as f64 / best,
                sum / c,
                max,
                sume / c,
                maxe
            );
        }
    }
}
