//! Laws of the alignment against quadrature, and rotations that are drawn from them.

use approx::{assert_abs_diff_eq, assert_relative_eq};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;

const OCS: &str = "[[atoms]]\nelement = \"C\"\ncharge = 1\n[[atoms]]\nelement = \"O\"\ncharge = 1\n[[atoms]]\nelement = \"S\"\ncharge = 1";

fn orientation(text: &str) -> Result<Orientation, toml::de::Error> {
    #[derive(Deserialize)]
    struct Holder {
        orientation: Orientation,
    }
    toml::from_str(&format!("orientation = {text}")).map(|holder: Holder| holder.orientation)
}

fn aligned(keys: &str) -> Result<Alignment, SimulationConfigError> {
    let text = format!("{{ kind = \"aligned\", laboratory_axis = \"y\", {keys} }}");
    let molecule: Molecule = toml::from_str(OCS).unwrap();
    match orientation(&text).unwrap().resolve(&molecule)? {
        ResolvedOrientation::Aligned(alignment) => Ok(alignment),
        other => panic!("{other:?}"),
    }
}

/// `int_a^b g` by Simpson's rule.
fn integral(g: impl Fn(f64) -> f64, a: f64, b: f64) -> f64 {
    let (intervals, mut sum) = (100_000, g(a) + g(b));
    let step = (b - a) / f64::from(intervals);
    for i in 1..intervals {
        sum += if i % 2 == 1 { 4.0 } else { 2.0 } * g(a + step * f64::from(i));
    }
    sum * step / 3.0
}

#[test]
fn moments_of_the_exponential_law_are_those_of_quadrature() {
    for kappa in [-500.0, -30.0, -1.0, -1e-6, 0.0, 1e-6, 0.5, 4.0, 60.0, 500.0_f64] {
        let largest = kappa.max(0.0);
        for m in [0, 1] {
            let power = i32::try_from(2 * m).unwrap();
            let weighed = |c: f64| c.powi(power) * (kappa * c * c - largest).exp();
            let expected = integral(weighed, 0.0, 1.0).ln() + largest;
            assert_abs_diff_eq!(log_moment(kappa, m), expected, epsilon = 1e-9);
        }
        assert_abs_diff_eq!(
            kappa_of(cos2_of(kappa)),
            kappa,
            epsilon = 1e-9 * (1.0 + kappa * kappa)
        );
    }
    assert_abs_diff_eq!(cos2_of(0.0), 1.0 / 3.0, epsilon = 1e-15);
}

/// The laws that tests go through, with what `<cos^2 theta>` must be.
fn laws() -> [(&'static str, f64); 8] {
    // A cone of 90 degrees at the front whose weight falls linearly in the angle to 0: by parts,
    // <c^2> = int (1 - 2 t / pi) cos^2 sin / int (1 - 2 t / pi) sin = (1/3 - 4 / (9 pi)) / (1 - 2 / pi).
    let pi = std::f64::consts::PI;
    let cone = (1.0 / 3.0 - 4.0 / (9.0 * pi)) / (1.0 - 2.0 / pi);
    [
        ("cos2 = 0.65", 0.65),
        ("cos2 = 0.1", 0.1),
        ("kappa = 0", 1.0 / 3.0),
        ("beta = 2", 1.0 / 3.0 + 4.0 / 15.0),
        ("beta = -1", 1.0 / 3.0 - 2.0 / 15.0),
        ("weights = [[0, 3], [90, 3]]", 1.0 / 3.0),
        ("weights = [[0, 2], [90, 0]]", cone),
        ("molecule_axis = [\"O\", \"S\"], weights = [[0, 0.5], [90, 0], [180, 0]]", cone),
    ]
}

/// `int 2 f dc / 2 = 1`, and the mean of `c^2` is the declared one; over the angle, in which tables are smooth.
#[test]
fn laws_are_normalised_and_have_the_declared_moment() {
    for (keys, cos2) in laws() {
        let law = aligned(keys).unwrap().law;
        let half = std::f64::consts::FRAC_PI_2;
        let mean = |power: i32| {
            let weighed = |angle: f64| {
                let cosine = angle.cos();
                0.5 * law.log_density(cosine).exp() * cosine.powi(power) * angle.sin()
            };
            integral(weighed, 0.0, half) + integral(weighed, half, 2.0 * half)
        };
        assert_abs_diff_eq!(mean(0), 1.0, epsilon = 1e-7);
        assert_abs_diff_eq!(mean(2), cos2, epsilon = 1e-7);
    }
}

#[test]
fn tables_are_linear_between_their_points() {
    let law = aligned("weights = [[0, 1], [30, 4], [60, 0], [90, 2]]").unwrap().law;
    let at = |degrees: f64| law.log_density(degrees.to_radians().cos()).exp();
    assert_relative_eq!(at(15.0) / at(0.0), 2.5, max_relative = 1e-9);
    assert_relative_eq!(at(45.0) / at(0.0), 2.0, max_relative = 1e-9);
    assert_relative_eq!(at(100.0), at(80.0), max_relative = 1e-9);
    assert_relative_eq!(at(90.0) / at(0.0), 2.0, max_relative = 1e-9);
}

/// 20,000 turned molecules: `<c^2>` within 5 standard errors, and each of 20 bins of the cosine holds what the density's
/// quadrature says within 4.5 binomial standard deviations (1 of 900 times in 160 bins; the seed is fixed). Azimuth and
/// turn about the axis are uniform: the mean of a unit phase of n uniform angles has components of 1 / sqrt(2 n).
#[test]
fn turned_molecules_follow_the_declared_law() {
    let given = [0.1, 0.0, -0.2, 0.3, 2.1, 0.2, -0.5, -2.6, 1.1];
    let count = 20_000;
    let n = f64::from(count);
    for (seed, (keys, cos2)) in (0..).zip(laws()) {
        let alignment = aligned(keys).unwrap();
        let law = alignment.law.clone();
        let turned = ResolvedOrientation::Aligned(alignment.clone());
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut bins, mut squares, mut fourths) = ([0.0; 20], 0.0, 0.0);
        let mut phases = [[0.0; 2]; 2];
        for _ in 0..count {
            let mut row = given;
            let mut momenta = given;
            turned.apply(&mut rng, &mut row, &mut momenta);
            assert_eq!(row, momenta);
            let mut axis = alignment.axis(&row).unwrap();
            // Least inertia has no front: that of the molecule is where S is.
            if dot(axis, difference(of_atom(&row, 2), of_atom(&row, 1))) < 0.0 {
                axis = scaled(axis, -1.0);
            }
            let cosine = axis[1];
            bins[((cosine + 1.0) * 10.0).min(19.0) as usize] += 1.0;
            squares += cosine * cosine / n;
            fourths += cosine.powi(4) / n;
            // Across the laboratory's axis; and C about the molecule's, from the plane of both axes.
            let aside = cross([0.0, 1.0, 0.0], axis);
            let carbon = difference(of_atom(&row, 0), of_atom(&row, 1));
            let of_carbon = [dot(carbon, aside), dot(carbon, cross(axis, aside))];
            for (sum, [a, b]) in phases.iter_mut().zip([[axis[2], axis[0]], of_carbon]) {
                let length = a.hypot(b);
                sum[0] += a / length / n;
                sum[1] += b / length / n;
            }
        }
        let error = ((fourths - squares * squares) / n).sqrt();
        assert!((squares - cos2).abs() < 5.0 * error, "{keys}: {squares}, not {cos2}");
        for (bin, found) in (0..).zip(bins) {
            let low = f64::from(bin) / 10.0 - 1.0;
            let share = integral(|c| 0.5 * law.log_density(c).exp(), low, low + 0.1);
            let sd = (n * share * (1.0 - share)).sqrt();
            assert!(
                (found - n * share).abs() <= 4.5 * sd + 1e-9,
                "{keys}, {low}: {found}, {}",
                n * share
            );
        }
        let most = 4.5 / (2.0 * n).sqrt();
        assert!(phases.iter().flatten().all(|phase| phase.abs() < most), "{keys}: {phases:?}");
    }
}

/// Of an L-shaped molecule, against the eigenvectors by hand: masses 1 at (+-a, 0, 0), and 1 at (0, b, 0), b < a, turned.
#[test]
fn the_axis_of_least_inertia_is_the_long_one() {
    let masses = [1.0, 1.0, 1.0];
    let mut row = [2.0, 0.0, 0.0, -2.0, 0.0, 0.0, 0.0, 1.5, 0.0];
    let turn = Rotation::from_quaternion([0.3, -0.8, 0.2, 0.5]);
    turn.apply(&mut row);
    let mut expected = [1.0, 0.0, 0.0];
    turn.apply(&mut expected);
    let axis = longest_axis(&masses, &row);
    let cosine = dot(axis, expected) / norm(axis);
    assert_abs_diff_eq!(cosine.abs(), 1.0, epsilon = 1e-12);
    // Nothing is spread.
    assert_eq!(longest_axis(&masses, &[1.0; 9]), [0.0; 3]);
}

#[test]
fn configurations_round_trip_and_errors_name_the_key() {
    #[derive(Serialize)]
    struct Holder {
        orientation: Orientation,
    }
    assert_eq!(orientation("\"random\"").unwrap(), Orientation::Random);
    assert_eq!(orientation("\"as-drawn\"").unwrap(), Orientation::AsDrawn);
    let text = "{ kind = \"aligned\", laboratory_axis = \"z\", molecule_axis = [\"O\", \"S\"], cos2 = 0.65 }";
    for text in ["\"random\"", text] {
        let given = orientation(text).unwrap();
        let written = toml::to_string(&Holder { orientation: given.clone() }).unwrap();
        #[derive(Deserialize)]
        struct Read {
            orientation: Orientation,
        }
        assert_eq!(toml::from_str::<Read>(&written).unwrap().orientation, given, "{written}");
    }
    let unread = |text: &str| orientation(text).unwrap_err().to_string();
    assert!(unread("\"aligned\"").contains("unknown variant `aligned`"));
    assert!(unread("3").contains("or a table with `kind = \"aligned\"`"));
    assert!(unread(&text.replace("cos2", "cos3")).contains("unknown field `cos3`"));
    assert!(unread(&text.replace("\"z\"", "\"w\"")).contains("unknown variant `w`"));

    let refused = |keys: &str| aligned(keys).unwrap_err().to_string();
    assert!(refused("").contains("found 0"));
    assert!(refused("cos2 = 0.5, beta = 1").contains("found 2"));
    assert!(refused("cos2 = 1.0").starts_with("`orientation.cos2`: `1`"));
    assert!(refused("kappa = 501").starts_with("`orientation.kappa`"));
    assert!(refused("beta = 2.1").starts_with("`orientation.beta`"));
    assert!(refused("cos2 = 0.5, molecule_axis = [\"O\", \"N\"]").contains("no atom `N`"));
    assert!(refused("cos2 = 0.5, molecule_axis = [\"O\", \"O\"]").contains("named twice"));
    let table = |weights: &str| refused(&format!("weights = {weights}"));
    assert!(table("[]").contains("90 or 180 as the last angle"));
    assert!(table("[[0, 1]]").contains("90 or 180 as the last angle"));
    assert!(table("[[10, 1], [90, 1]]").starts_with("`orientation.weights[0]`: `10`"));
    assert!(table("[[0, 1], [0, 2], [90, 1]]").starts_with("`orientation.weights[1]`: `0`"));
    assert!(table("[[0, 1], [90, -1]]").contains("a weight of at least 0"));
    assert!(table("[[0, 0], [90, 0]]").contains("some weight above 0"));
    assert!(table("[[0, 1], [180, 0]]").contains("name two atoms in `molecule_axis`"));
    assert!(table("[[0, 1], [0.1, 0], [90, 0]]").contains("10,000 times"));
}
