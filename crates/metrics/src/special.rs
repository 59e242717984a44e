//! Tail probabilities that the tests of calibration need: chi-square, binomial and Kolmogorov
//! laws.

/// `P(X >= x)` for X chi-square with `degrees` of freedom: the upper incomplete gamma function
/// `Q(degrees / 2, x / 2)`, by its series below the mode and by Lentz's continued fraction above
/// (Press et al., Numerical Recipes, 6.2). 1 for `x <= 0`.
pub fn chi_square_survival(x: f64, degrees: f64) -> f64 {
    let (a, x) = (0.5 * degrees, 0.5 * x);
    if x <= 0.0 {
        return 1.0;
    }
    let front = (a * x.ln() - x - libm::lgamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum, mut k) = (1.0 / a, 1.0 / a, a);
        while term > sum * 1e-16 {
            k += 1.0;
            term *= x / k;
            sum += term;
        }
        return (1.0 - front * sum).clamp(0.0, 1.0);
    }
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / f64::MIN_POSITIVE;
    let mut d = 1.0 / b;
    let mut fraction = d;
    for i in 1..10_000 {
        let i = f64::from(i);
        let numerator = -i * (i - a);
        b += 2.0;
        d = 1.0 / nonzero(numerator * d + b);
        c = nonzero(b + numerator / c);
        fraction *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    (front * fraction).clamp(0.0, 1.0)
}

fn nonzero(value: f64) -> f64 {
    if value.abs() < f64::MIN_POSITIVE { f64::MIN_POSITIVE } else { value }
}

/// `P(X >= successes)` for X binomial with `trials` and success probability `p` in (0, 1).
pub fn binomial_upper_tail(trials: usize, p: f64, successes: usize) -> f64 {
    if successes == 0 {
        return 1.0;
    }
    let terms = (successes..=trials).map(|k| binomial_ln_pmf(trials, p, k).exp());
    terms.sum::<f64>().min(1.0)
}

/// The counts between which X, binomial with `trials` and success probability `p` in (0, 1), lies
/// with probability at least `1 - level`, at most `level / 2` on either side.
pub fn binomial_interval(trials: usize, p: f64, level: f64) -> (f64, f64) {
    let end = |p: f64| {
        let mut below = 0.0;
        let place = (0..=trials).find(|&k| {
            below += binomial_ln_pmf(trials, p, k).exp();
            below > 0.5 * level
        });
        place.unwrap_or(trials)
    };
    (end(p) as f64, (trials - end(1.0 - p)) as f64)
}

/// `ln P(X = k)` for X binomial with `trials` and success probability `p` in (0, 1).
pub(crate) fn binomial_ln_pmf(trials: usize, p: f64, k: usize) -> f64 {
    let ln_factorial = |n: usize| libm::lgamma(n as f64 + 1.0);
    ln_factorial(trials) - ln_factorial(k) - ln_factorial(trials - k)
        + k as f64 * p.ln()
        + (trials - k) as f64 * (-p).ln_1p()
}

/// `P(D >= distance)` for the Kolmogorov distance D between the empirical distribution of `n`
/// independent numbers and their continuous law: `2 sum_k (-1)^(k-1) exp(-2 k^2 t^2)` with the
/// finite-n argument `t = (sqrt n + 0.12 + 0.11 / sqrt n) distance` of Stephens (1970).
pub fn kolmogorov_survival(n: usize, distance: f64) -> f64 {
    let root = (n as f64).sqrt();
    let t = (root + 0.12 + 0.11 / root) * distance;
    if t < 0.2 {
        // The series alternates too long to be summed, and its value is 1 to 12 digits.
        return 1.0;
    }
    let term = |k: i32| {
        let sign = if k % 2 == 1 { 2.0 } else { -2.0 };
        sign * (-2.0 * f64::from(k * k) * t * t).exp()
    };
    (1..=100).map(term).sum::<f64>().clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    #[test]
    fn tabulated_tails() {
        // two degrees of freedom: exp(-x / 2), on both branches
        for x in [0.3, 1.0, 5.0, 40.0] {
            assert_relative_eq!(
                chi_square_survival(x, 2.0),
                (-x / 2.0).exp(),
                max_relative = 1e-10
            );
        }
        // one degree: 2 (1 - Phi(sqrt x))
        assert_relative_eq!(chi_square_survival(6.634_896_6, 1.0), 0.01, epsilon = 1e-8);
        assert_relative_eq!(chi_square_survival(36.190_87, 19.0), 0.01, epsilon = 1e-6);
        // 5 or more heads of 6: 7 / 64
        assert_relative_eq!(binomial_upper_tail(6, 0.5, 5), 7.0 / 64.0, epsilon = 1e-12);
        // asymptotic 1 % point of the Kolmogorov law: 1.6276
        let n = 1_000_000;
        assert_relative_eq!(kolmogorov_survival(n, 1.6276e-3), 0.01, epsilon = 2e-5);
    }
}
