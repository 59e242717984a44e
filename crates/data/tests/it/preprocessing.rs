//! Preprocessing: dead columns, constraints, noise mode, round trips, and no leakage.

use cei_data::{
    Degenerate, GaugeConfig, MomentumGauge, PositionGauge, Preprocessing, PreprocessingConfig,
    Rows, ScalerKind, Split, SplitConfig, Table, load,
};
use ndarray::{Array2, Axis, s};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{Folder, ocs, select};

/// OCS as in the reference data (`docs/spec.md#reference-data`) but with momenta that need no simulation: centre of
/// mass at random, arbitrary orientation.
fn table(rows: usize) -> Table {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut uniform = |low: f64, high: f64| random.random_range(low..high);
    let molecule = ocs();
    let mut x = Array2::zeros((rows, 9));
    let mut y = Array2::zeros((rows, 9));
    for row in 0..rows {
        let (r_co, r_cs, angle) = (uniform(2.0, 4.0), uniform(3.0, 5.0), uniform(2.7, 3.1));
        let mut atoms =
            [0.0, 0.0, 0.0, r_co * f64::cos(angle), r_co * f64::sin(angle), 0.0, r_cs, 0.0, 0.0];
        let turn = [(); 4].map(|()| uniform(-1.0, 1.0));
        cei_physics::Rotation::from_quaternion(turn).apply(&mut atoms);
        let shift = [(); 3].map(|()| uniform(-1.0, 1.0));
        let mut momenta = [(); 9].map(|()| uniform(-200.0, 200.0));
        let total = [0, 1, 2].map(|axis| momenta[axis] + momenta[axis + 3] + momenta[axis + 6]);
        for column in 0..9 {
            x[[row, column]] = atoms[column] + shift[column % 3];
            momenta[column] -= total[column % 3] / 3.0;
            y[[row, column]] = momenta[column];
        }
    }
    Table {
        x,
        y,
        x_names: molecule.position_columns(),
        y_names: molecule.momentum_columns(),
        files: Vec::new(),
        readings: Vec::new(),
        nuisances: 0,
        charges: 0,
        may_miss: Vec::new(),
        alike: None,
        dropped: Default::default(),
    }
}

fn body_frame() -> GaugeConfig {
    GaugeConfig {
        positions: PositionGauge::BodyFrame,
        momenta: MomentumGauge::BodyFrame,
        x_axis: Some("S".into()),
        xy_plane: Some("O".into()),
        ..GaugeConfig::default()
    }
}

fn fit(config: &PreprocessingConfig, table: &Table) -> (Preprocessing, Split) {
    let split =
        Split::new(table.rows(), &SplitConfig { seed: 3, ..SplitConfig::default() }).unwrap();
    (Preprocessing::fit(config, Some(&ocs()), table, &split.train).unwrap(), split)
}

fn largest_difference(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    assert_eq!(a.dim(), b.dim());
    (a - b).iter().fold(0.0, |largest, value| largest.max(value.abs()))
}

#[test]
fn centred_body_frame_ocs_has_three_dimensions() {
    let table = table(500);
    for scaler in
        [ScalerKind::Standardise, ScalerKind::MinMax, ScalerKind::Robust, ScalerKind::None]
    {
        let config =
            PreprocessingConfig { gauge: body_frame(), x_scaler: scaler, ..Default::default() };
        let (fitted, _) = fit(&config, &table);
        // S on +x and O in the plane kill oz, sy, sz; the centre of mass then kills cz and binds x and y.
        let dead: Vec<&str> = fitted.dead_x().iter().map(|dead| dead.name.as_str()).collect();
        assert_eq!(dead, ["cz", "oz", "sy", "sz"]);
        assert!(fitted.dead_x().iter().all(|dead| dead.constant.abs() < 1e-12));
        assert_eq!(fitted.alive_x(), [0, 1, 3, 4, 6]);
        assert_eq!((fitted.d_eff(), fitted.x_dim()), (3, 3));
        // Momenta: pcz, poz, psy, psz are zero and the sum is conserved; columns are kept.
        assert_eq!((fitted.y_rank(), fitted.y_dim()), (3, 5));
        assert_eq!(fitted.noise_directions(), None);
        assert_eq!(
            fitted.frame_description(),
            "centred on the centre of mass, S on +x, O in the xy half-plane y > 0"
        );

        let encoded = fitted.encode_x(table.x.view(), table.y.view());
        assert_eq!(encoded.dim(), (500, 3));
        let (gauged, _) = fitted.gauged(table.x.view(), table.y.view());
        let difference = largest_difference(&fitted.decode_x(encoded.view()), &gauged);
        assert!(difference < 1e-5, "{difference}");
        assert_eq!(fitted.off_constant_rows(table.x.view(), table.y.view()), Default::default());
    }
}

#[test]
fn any_network_output_decodes_onto_the_constraints() {
    let table = table(400);
    let (fitted, _) =
        fit(&PreprocessingConfig { gauge: body_frame(), ..Default::default() }, &table);
    let wild =
        Array2::from_shape_fn((20, 3), |(row, column)| (3 * row + column) as f32 * 0.7 - 20.0);
    let decoded = fitted.decode_x(wild.view());
    for row in decoded.rows() {
        let centre = ocs().centre_of_mass(row.as_slice().unwrap());
        assert!(centre.iter().all(|value| value.abs() < 1e-12), "{centre:?}");
    }
    let again = fitted.encode_x(decoded.view(), Array2::zeros((20, 9)).view());
    // Encoding turns S onto +x again, so only rows whose S is there already come back.
    for (row, (wild, again)) in wild.rows().into_iter().zip(again.rows()).enumerate() {
        if decoded[[row, 6]] > 0.0 && decoded[[row, 4]] > 0.0 {
            assert!(wild.iter().zip(again).all(|(a, b)| (a - b).abs() < 1e-4), "{wild} {again}");
        }
    }
}

#[test]
fn full_rank_tables_are_not_rotated() {
    let table = table(300);
    let (fitted, split) = fit(&PreprocessingConfig::default(), &table);
    assert_eq!((fitted.d_eff(), fitted.x_dim(), fitted.y_rank(), fitted.y_dim()), (9, 9, 6, 9));
    assert_eq!(fitted.frame_description(), "as given in the file");
    let encoded = fitted.encode_x(table.x.view(), table.y.view());
    let train = table.x.select(Axis(0), split.train.rows());
    let mut log_scale = 0.0;
    for column in 0..9 {
        let (mean, sd) = (train.column(column).mean().unwrap(), train.column(column).std(0.0));
        log_scale += sd.ln();
        let expected = ((table.x[[11, column]] - mean) / sd) as f32;
        assert!((encoded[[11, column]] - expected).abs() < 1e-5);
    }
    assert!((fitted.log_abs_det_scale() - log_scale).abs() < 1e-10);
    let difference = largest_difference(&fitted.decode_x(encoded.view()), &table.x);
    assert!(difference < 1e-5, "{difference}");
    let momenta = fitted.encode_y(table.y.view());
    assert_eq!(momenta.dim(), (300, 9));
    assert!(
        momenta
            .select(Axis(0), split.train.rows())
            .mean_axis(Axis(0))
            .unwrap()
            .iter()
            .all(|m| m.abs() < 1e-5)
    );
}

#[test]
fn the_density_is_in_orthonormal_raw_coordinates() {
    // x = (a, 2a): one direction (1,2)/sqrt 5, along which the coordinate is sqrt 5 a.
    let folder = Folder::new();
    let rows: String = (0..40).map(|a| format!("{a},{},{}\n", 2 * a, a * a)).collect();
    let table =
        load(&folder.write("t.csv", format!("a,b,p\n{rows}")), &select(&["a", "b"], &["p"]))
            .unwrap();
    let split = Split::new(40, &SplitConfig::default()).unwrap();
    let fitted =
        Preprocessing::fit(&PreprocessingConfig::default(), None, &table, &split.train).unwrap();
    assert_eq!((fitted.d_eff(), fitted.x_dim()), (1, 1));
    let sd = table.part(&split.train).0.column(0).std(0.0);
    let expected = (5.0_f64.sqrt() * sd).ln();
    assert!((fitted.log_abs_det_scale() - expected).abs() < 1e-12);
    // The largest component of the direction is positive, so the coordinate grows with a.
    let encoded = fitted.encode_x(table.x.view(), table.y.view());
    assert!(encoded[[39, 0]] > 1.0 && encoded[[0, 0]] < -1.0);
    // Its chart holds the rows, with a coordinate of the scaler's sd.
    let (origin, basis) = fitted.chart().unwrap();
    assert!((basis[[0, 0]] - 1.0 / 5.0_f64.sqrt()).abs() < 1e-12);
    let u = (table.x[[7, 0]] - origin[0]) * basis[[0, 0]]
        + (table.x[[7, 1]] - origin[1]) * basis[[0, 1]];
    assert!((origin[1] + basis[[0, 1]] * u - 14.0).abs() < 1e-12);
    assert!((u / (5.0_f64.sqrt() * sd) - f64::from(encoded[[7, 0]])).abs() < 1e-6);
    assert_eq!(fitted.encode_gauged_x(table.x.view()), encoded);
    // A row off the line is counted, and decodes onto it.
    let mut off = table.x.clone();
    off[[5, 1]] += 0.1;
    assert_eq!(fitted.off_constant_rows(off.view(), table.y.view()).constraints, 1);
    let decoded = fitted.decode_x(fitted.encode_x(off.view(), table.y.view()).view());
    assert!((decoded[[5, 1]] - 2.0 * decoded[[5, 0]]).abs() < 1e-12);
}

#[test]
fn constraints_do_not_depend_on_units() {
    // The same molecule with x in bohr and y, z in units a million times smaller.
    let table = table(300);
    let (plain, _) =
        fit(&PreprocessingConfig { gauge: body_frame(), ..Default::default() }, &table);
    let (gauged, momenta) = plain.gauged(table.x.view(), table.y.view());
    let mut stretched = Table { x: gauged, y: momenta, ..table };
    for column in [1, 2, 4, 5, 7, 8] {
        stretched.x.column_mut(column).mapv_inplace(|value| value * 1e-5);
    }
    let (fitted, _) = fit(&PreprocessingConfig::default(), &stretched);
    assert_eq!((fitted.alive_x(), fitted.d_eff()), (&[0, 1, 3, 4, 6][..], 3));
    let encoded = fitted.encode_x(stretched.x.view(), stretched.y.view());
    let decoded = fitted.decode_x(encoded.view());
    for column in 0..9 {
        let scale = if [0, 3, 6].contains(&column) { 1.0 } else { 1e-5 };
        let off = (&decoded.column(column) - &stretched.x.column(column))
            .iter()
            .fold(0.0_f64, |m, v| m.max(v.abs()));
        assert!(off < 1e-5 * scale, "column {column}: {off}");
    }
}

#[test]
fn noise_mode_keeps_all_dimensions_and_removes_the_noise() {
    let table = table(400);
    for x_scaler in [ScalerKind::Standardise, ScalerKind::MinMax] {
        let config = PreprocessingConfig {
            gauge: body_frame(),
            degenerate: Degenerate::Noise,
            noise_sd: 0.05,
            x_scaler,
            ..Default::default()
        };
        let (fitted, _) = fit(&config, &table);
        assert_eq!((fitted.d_eff(), fitted.x_dim()), (3, 9));
        let (directions, sd) = fitted.noise_directions().unwrap();
        assert_eq!((directions.dim(), sd), ((6, 9), 0.05));
        let gram = directions.dot(&directions.t());
        let off = (&gram - &Array2::<f32>::eye(6)).iter().fold(0.0_f32, |m, v| m.max(v.abs()));
        assert!(off < 1e-6, "{off}");

        let encoded = fitted.encode_x(table.x.view(), table.y.view());
        // No training row varies along the noise.
        let along = encoded.dot(&directions.t());
        for column in along.columns() {
            assert!(column.std(0.0) < 1e-5, "{}", column.std(0.0));
        }
        let noise =
            Array2::from_shape_fn((400, 6), |(row, column)| ((row + 7 * column) as f32).sin());
        let noisy = &encoded + &noise.dot(&directions);
        let (gauged, _) = fitted.gauged(table.x.view(), table.y.view());
        let difference = largest_difference(&fitted.decode_x(noisy.view()), &gauged);
        assert!(difference < 2e-5, "{difference}");
    }
}

#[test]
fn full_rank_tables_need_no_noise() {
    let config = PreprocessingConfig { degenerate: Degenerate::Noise, ..Default::default() };
    let (fitted, _) = fit(&config, &table(300));
    assert_eq!((fitted.x_dim(), fitted.noise_directions()), (9, None));
}

#[test]
fn only_training_rows_are_read() {
    let mut table = table(300);
    let config = PreprocessingConfig { gauge: body_frame(), ..Default::default() };
    let (before, split) = fit(&config, &table);
    for &row in split.test.rows().iter().chain(split.validation.rows()) {
        table.x.row_mut(row).mapv_inplace(|value| 10.0 * value + 3.0);
        table.y.row_mut(row).fill(f64::NAN);
    }
    assert_eq!(fit(&config, &table).0, before);
    let row = split.train.rows()[0];
    table.x[[row, 0]] += 0.5;
    assert_ne!(fit(&config, &table).0, before);
}

#[test]
fn a_saved_preprocessing_is_the_same_bit_for_bit() {
    let table = table(300);
    for degenerate in [Degenerate::Project, Degenerate::Noise] {
        let config = PreprocessingConfig { gauge: body_frame(), degenerate, ..Default::default() };
        let (fitted, _) = fit(&config, &table);
        let text = serde_json::to_string(&fitted).unwrap();
        let again: Preprocessing = serde_json::from_str(&text).unwrap();
        assert_eq!(again, fitted);
        assert_eq!(serde_json::to_string(&again).unwrap(), text);
        let encoded = fitted.encode_x(table.x.view(), table.y.view());
        assert_eq!(again.encode_x(table.x.view(), table.y.view()), encoded);
        assert_eq!(again.decode_x(encoded.view()), fitted.decode_x(encoded.view()));
    }
}

#[test]
fn rows_off_the_constants_of_training_are_counted() {
    let folder = Folder::new();
    let rows: String = (0..30).map(|row| format!("{row},7,{},2\n", row * row)).collect();
    let source = folder.write("t.csv", format!("a,b,p,q\n{rows}"));
    let mut table = load(&source, &select(&["a", "b"], &["p", "q"])).unwrap();
    let split = Split::new(30, &SplitConfig::default()).unwrap();
    let fitted =
        Preprocessing::fit(&PreprocessingConfig::default(), None, &table, &split.train).unwrap();
    assert_eq!((fitted.dead_x()[0].name.as_str(), fitted.dead_x()[0].constant), ("b", 7.0));
    assert_eq!((fitted.dead_y()[0].index, fitted.dead_y()[0].constant), (1, 2.0));
    table.x[[3, 1]] = 7.5;
    table.y[[4, 1]] = 0.0;
    table.y[[5, 1]] = 1.0;
    let off = fitted.off_constant_rows(table.x.view(), table.y.view());
    assert_eq!((off.dead_x, off.dead_y, off.constraints), (1, 2, 0));
    let decoded = fitted.decode_x(fitted.encode_x(table.x.view(), table.y.view()).view());
    assert_eq!(decoded[[3, 1]], 7.0);
}

#[test]
fn sides_without_variation_are_named() {
    let folder = Folder::new();
    let split = Split::new(20, &SplitConfig::default()).unwrap();
    let message = |config: &PreprocessingConfig, rows: String, x: &[&str]| {
        let table = load(&folder.write("t.csv", format!("a,p,q\n{rows}")), &select(x, &["p", "q"]))
            .unwrap();
        Preprocessing::fit(config, None, &table, &split.train).unwrap_err().to_string()
    };
    let flat_y: String = (0..20).map(|row| format!("{row},0.1,3\n")).collect();
    let flat_x: String = (0..20).map(|row| format!("0.1,{row},3\n")).collect();
    let plain = PreprocessingConfig::default();
    assert_eq!(
        message(&plain, flat_y, &["a"]),
        "on the 14 training rows no `y` column varies: `p`, `q`\n\
         hint: choose columns that vary between events, or another gauge"
    );
    assert!(
        message(&plain, flat_x.clone(), &["a"])
            .starts_with("on the 14 training rows no `x` column varies: `a`")
    );
    assert!(
        message(&plain, flat_x.clone(), &[])
            .starts_with("`columns.x` is empty: there are no position columns")
    );
    let noise = PreprocessingConfig { degenerate: Degenerate::Noise, noise_sd: 0.0, ..plain };
    assert_eq!(
        message(&noise, flat_x, &["a"]),
        "`noise_sd` is `0` but must be a positive number of scaled units"
    );
}

#[test]
fn configurations_are_strict() {
    let config: PreprocessingConfig = toml::from_str(
        "degenerate = \"noise\"\nnoise_sd = 0.1\nx_scaler = \"min-max\"\n[gauge]\npositions = \"body-frame\"\nx_axis = \"S\"\nxy_plane = \"O\"\n",
    )
    .unwrap();
    assert_eq!(config.gauge.positions, PositionGauge::BodyFrame);
    assert_eq!(config.degenerate, Degenerate::Noise);
    assert!(toml::from_str::<PreprocessingConfig>("noise = 1").is_err());
    assert!(toml::from_str::<PreprocessingConfig>("[gauge]\nposition = \"centred\"").is_err());
}

/// Uniform in [-1, 1] and [0, 6], and a third column without bounds.
fn boxed() -> (Table, PreprocessingConfig) {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let names = |side: &str| (1..=3).map(|column| format!("{side}{column}")).collect::<Vec<_>>();
    let mut x = Array2::zeros((400, 3));
    for mut row in x.rows_mut() {
        row[0] = random.random_range(-1.0..1.0);
        row[1] = random.random_range(0.0..6.0);
        row[2] = random.random_range(-5.0..5.0);
    }
    let table = Table {
        y: x.clone(),
        x,
        x_names: names("x"),
        y_names: names("y"),
        files: Vec::new(),
        readings: Vec::new(),
        nuisances: 0,
        charges: 0,
        may_miss: Vec::new(),
        alike: None,
        dropped: Default::default(),
    };
    let bounds = [("x1".to_owned(), [-1.0, 1.0]), ("x2".to_owned(), [0.0, 6.0])].into();
    (table, PreprocessingConfig { bounds, ..Default::default() })
}

#[test]
fn bounded_positions_come_back_and_no_draw_leaves_the_box() {
    let (table, config) = boxed();
    let split = Split::new(400, &SplitConfig::default()).unwrap();
    let fitted = Preprocessing::fit(&config, None, &table, &split.train).unwrap();
    let encoded = fitted.encode_x(table.x.view(), table.y.view());
    // f32 between: 1e-7 of a range of 10, with some of it lost in the logarithm.
    assert!(largest_difference(&fitted.decode_x(encoded.view()), &table.x) < 1e-5);
    let wild = Array2::from_shape_fn((50, 3), |(row, _)| row as f32 * 4.0 - 100.0);
    for row in fitted.decode_x(wild.view()).rows() {
        assert!((-1.0..=1.0).contains(&row[0]) && (0.0..=6.0).contains(&row[1]), "{row}");
    }
    let text = serde_json::to_string(&fitted).unwrap();
    assert_eq!(serde_json::from_str::<Preprocessing>(&text).unwrap(), fitted);
}

/// The determinant against a central difference of the decoder, column by column: the map is diagonal.
#[test]
fn the_determinant_of_bounds_is_the_derivative_of_decoding() {
    let (table, config) = boxed();
    let split = Split::new(400, &SplitConfig::default()).unwrap();
    let fitted = Preprocessing::fit(&config, None, &table, &split.train).unwrap();
    let found = fitted.log_abs_det(table.x.view(), table.y.view());
    let encoded = fitted.encode_x(table.x.view(), table.y.view());
    let step = 1.0 / 64.0;
    let [above, below] = [step, -step].map(|step| fitted.decode_x((&encoded + step).view()));
    for row in 0..400 {
        let expected: f64 = (0..3)
            .map(|column| {
                ((above[[row, column]] - below[[row, column]]) / f64::from(2.0 * step)).ln()
            })
            .sum();
        // The third derivative's term, h^2 / 6 of a scaled unit of up to 1.8, and f32 steps.
        assert!((found[row] - expected).abs() < 1e-3, "{} {expected}", found[row]);
    }
    let mut outside = table.x.clone();
    outside[[0, 1]] = 6.1;
    assert_eq!(fitted.log_abs_det(outside.view(), table.y.view())[0], f64::INFINITY);
}

#[test]
fn bounds_that_cannot_be_are_named() {
    let (mut table, config) = boxed();
    let split = Split::new(400, &SplitConfig::default()).unwrap();
    let message = |table: &Table, config: &PreprocessingConfig| {
        Preprocessing::fit(config, None, table, &split.train).unwrap_err().to_string()
    };
    let with = |name: &str, bound: [f64; 2]| PreprocessingConfig {
        bounds: [(name.to_owned(), bound)].into(),
        ..Default::default()
    };
    assert!(message(&table, &with("q", [0.0, 1.0])).contains("`q`, which is no position column"));
    assert!(
        message(&table, &with("x1", [1.0, -1.0])).contains("`preprocessing.bounds.x1` is [1, -1]")
    );
    let row = split.train.rows()[7];
    table.x[[row, 1]] = 6.5;
    assert!(message(&table, &config).contains(&format!("row {row} has `x2` = 6.5, outside")));
    table.x.column_mut(1).fill(3.0);
    assert!(message(&table, &config).contains("in all 3 directions, but these do in 2"));
}

/// Where ions may be missing, scalers and dead columns are those of what was detected, a missing momentum is what the others
/// lack to a sum of zero, and one number an ion says which are missing.
#[test]
fn missing_ions_are_what_the_others_lack_with_an_indicator() {
    let mut table = table(400);
    table.may_miss = vec![true; 3];
    let split = Split::new(400, &SplitConfig::default()).unwrap();
    let molecule = ocs();
    let mut filled = table.y.clone();
    let missing = |row: usize| (row % 4).checked_sub(1);
    for row in 0..400 {
        if let Some(ion) = missing(row) {
            for axis in 0..3 {
                let others = (0..3).filter(|other| *other != ion);
                let sum: f64 = others.map(|other| table.y[[row, 3 * other + axis]]).sum();
                filled[[row, 3 * ion + axis]] = -sum;
            }
            table.y.slice_mut(s![row, 3 * ion..3 * ion + 3]).fill(f64::NAN);
        }
    }
    let config = PreprocessingConfig::default();
    let fitted = Preprocessing::fit(&config, Some(&molecule), &table, &split.train).unwrap();
    assert_eq!(fitted.y_dim(), 12);
    let scaled = fitted.encode_y(table.y.view());
    let of_filled = fitted.encode_y(filled.view());
    let mut sums = [0.0_f64; 9];
    for row in 0..400 {
        for column in 0..9 {
            assert!((scaled[[row, column]] - of_filled[[row, column]]).abs() < 1e-6);
        }
        for ion in 0..3 {
            assert_eq!(scaled[[row, 9 + ion]], f32::from(u8::from(missing(row) == Some(ion))));
        }
    }
    for &row in split.train.rows() {
        let detected = (0..9).filter(|column| missing(row) != Some(column / 3));
        detected.for_each(|column| sums[column] += f64::from(scaled[[row, column]]));
    }
    assert!(sums.iter().all(|sum| sum.abs() < 1e-3), "{sums:?}");
    // Back, with what is missing missing.
    let back = fitted.decode_y(scaled.view());
    for (a, b) in back.iter().zip(&table.y) {
        assert!(a.is_nan() == b.is_nan() && (a.is_nan() || (a - b).abs() < 1e-4));
    }
    // Events of which other ions were detected are no neighbours.
    let apart = fitted.neighbour_y(table.y.view());
    let distance = |a: usize, b: usize| {
        let squares =
            apart.row(a).iter().zip(apart.row(b)).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        squares.sqrt()
    };
    assert!(distance(0, 4) < 100.0 && distance(0, 1) > 900.0 && distance(1, 2) > 900.0);
}
