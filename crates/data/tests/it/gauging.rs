//! Gauges: what they fix does not depend on where and how the molecule was placed.

use cei_data::{Gauge, GaugeConfig, MomentumGauge, PositionGauge, SharedFrame};
use cei_physics::{AtomSpec, Molecule, Rotation};
use ndarray::Array2;
use proptest::prelude::*;

use crate::ocs;

fn config(positions: PositionGauge, momenta: MomentumGauge, frame: SharedFrame) -> GaugeConfig {
    GaugeConfig { positions, momenta, frame, x_axis: Some("S".into()), xy_plane: Some("o".into()) }
}

fn row() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(-5.0..5.0_f64, 9)
}

fn quaternion() -> impl Strategy<Value = [f64; 4]> {
    prop::array::uniform4(-1.0..1.0_f64)
        .prop_filter("too short", |q| q.iter().map(|c| c * c).sum::<f64>() > 0.01)
}

fn close(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9)
}

proptest! {
    #[test]
    fn the_body_frame_forgets_placement(x in row(), p in row(), turn in quaternion(), shift in prop::array::uniform3(-3.0..3.0_f64)) {
        let config = config(PositionGauge::BodyFrame, MomentumGauge::BodyFrame, SharedFrame::Separate);
        let gauge = Gauge::new(&config, Some(&ocs()), 9, 9).unwrap();
        let rotation = Rotation::from_quaternion(turn);
        let mut moved = x.clone();
        rotation.apply(&mut moved);
        moved.iter_mut().zip(shift.iter().cycle()).for_each(|(x, shift)| *x += shift);
        let mut turned = p.clone();
        rotation.apply(&mut turned);

        let [mut first, mut second] = [x, moved];
        gauge.apply_x(&mut first, &[]);
        gauge.apply_x(&mut second, &[]);
        // Close to a collinear molecule the frame amplifies round-off; the atom in the plane says by how much.
        prop_assume!(first[4] > 1e-3);
        prop_assert!(close(&first, &second), "{first:?} {second:?}");
        // S on +x and O in the plane, about the centre of mass.
        prop_assert!(first[6] > 0.0 && close(&[first[7], first[8], first[5]], &[0.0; 3]));
        let masses = ocs().masses().to_vec();
        for axis in 0..3 {
            let moment: f64 = (0..3).map(|atom| masses[atom] * first[3 * atom + axis]).sum();
            prop_assert!((moment / masses[0]).abs() < 1e-12);
        }
        let [mut first, mut second] = [p, turned];
        gauge.apply_y(&mut first);
        gauge.apply_y(&mut second);
        prop_assume!(first[4] > 1e-3);
        prop_assert!(close(&first, &second), "{first:?} {second:?}");
    }

    #[test]
    fn the_momentum_frame_keeps_the_relation_and_turns_back(x in row(), p in row(), turn in quaternion()) {
        for positions in [PositionGauge::AsGiven, PositionGauge::Centred] {
            let config = config(positions, MomentumGauge::AsGiven, SharedFrame::Momentum);
            let gauge = Gauge::new(&config, Some(&ocs()), 9, 9).unwrap();
            let (mut in_frame, mut momenta) = (x.clone(), p.clone());
            gauge.apply_x(&mut in_frame, &p);
            gauge.apply_y(&mut momenta);
            prop_assume!(momenta[4] > 1e-3);

            // Positions and momenta turned together are the same event.
            let rotation = Rotation::from_quaternion(turn);
            let (mut other_x, mut other_p) = (x.clone(), p.clone());
            rotation.apply(&mut other_x);
            rotation.apply(&mut other_p);
            let (mut other_frame, mut other_momenta) = (other_x.clone(), other_p.clone());
            gauge.apply_x(&mut other_frame, &other_p);
            gauge.apply_y(&mut other_momenta);
            prop_assert!(close(&in_frame, &other_frame) && close(&momenta, &other_momenta));

            let mut back = in_frame.clone();
            gauge.rotate_back(&mut back, &p);
            let mut expected = x.clone();
            if positions == PositionGauge::Centred {
                let centre = ocs().centre_of_mass(&x);
                expected.iter_mut().zip(centre.iter().cycle()).for_each(|(x, centre)| *x -= centre);
            }
            prop_assert!(close(&back, &expected));
        }
    }
}

#[test]
fn matrices_are_gauged_row_by_row() {
    let x = Array2::from_shape_fn((5, 9), |(row, column)| ((7 * row + 3 * column) as f64).sin());
    let p = Array2::from_shape_fn((5, 9), |(row, column)| ((5 * row + 2 * column) as f64).cos());
    for (positions, frame) in [
        (PositionGauge::BodyFrame, SharedFrame::Separate),
        (PositionGauge::Centred, SharedFrame::Momentum),
    ] {
        let config = config(positions, MomentumGauge::BodyFrame, frame);
        let gauge = Gauge::new(&config, Some(&ocs()), 9, 9).unwrap();
        let (all_x, all_p) = (gauge.positions(x.clone(), p.view()), gauge.momenta(p.clone()));
        for row in 0..5 {
            let (mut one_x, mut one_p) = (x.row(row).to_vec(), p.row(row).to_vec());
            gauge.apply_x(&mut one_x, &p.row(row).to_vec());
            gauge.apply_y(&mut one_p);
            assert_eq!(all_x.row(row).to_vec(), one_x);
            assert_eq!(all_p.row(row).to_vec(), one_p);
        }
    }
}

#[test]
fn diatomic_molecules_lie_along_x() {
    let pair = Molecule::new(vec![AtomSpec::new("H", 1.0), AtomSpec::new("D", 1.0)]).unwrap();
    let config = GaugeConfig {
        positions: PositionGauge::BodyFrame,
        x_axis: Some("H".into()),
        xy_plane: Some("D".into()),
        ..GaugeConfig::default()
    };
    let gauge = Gauge::new(&config, Some(&pair), 6, 6).unwrap();
    // 3 bohr apart along (1,2,2)/3.
    let mut x = [1.0, 2.0, 2.0, 0.0, 0.0, 0.0];
    gauge.apply_x(&mut x, &[]);
    let (h, d) = (pair.masses()[0], pair.masses()[1]);
    let expected = [3.0 * d / (h + d), 0.0, 0.0, -3.0 * h / (h + d), 0.0, 0.0];
    assert!(close(&x, &expected), "{x:?}");
}

#[test]
fn frames_are_described_in_words() {
    let describe = |positions, frame| {
        let config = config(positions, MomentumGauge::AsGiven, frame);
        Gauge::new(&config, Some(&ocs()), 9, 9).unwrap().describe_positions()
    };
    assert_eq!(describe(PositionGauge::AsGiven, SharedFrame::Separate), "as given in the file");
    assert_eq!(
        describe(PositionGauge::Centred, SharedFrame::Separate),
        "centred on the centre of mass"
    );
    assert_eq!(
        describe(PositionGauge::BodyFrame, SharedFrame::Separate),
        "centred on the centre of mass, S on +x, O in the xy half-plane y > 0"
    );
    assert_eq!(
        describe(PositionGauge::Centred, SharedFrame::Momentum),
        "centred on the centre of mass, in the momentum frame: momentum of S along +x, momentum of O in the xy half-plane y > 0"
    );
}

#[test]
fn gauges_that_do_not_fit_are_named() {
    let body = config(PositionGauge::BodyFrame, MomentumGauge::AsGiven, SharedFrame::Separate);
    let of = |config: &GaugeConfig, molecule: Option<&Molecule>, x, y| {
        Gauge::new(config, molecule, x, y).unwrap_err().to_string()
    };
    let ocs = ocs();
    assert!(
        of(&body, None, 9, 9)
            .starts_with("`gauge` moves or rotates atoms, which needs a molecule\nhint: ")
    );
    assert_eq!(
        of(&body, Some(&ocs), 8, 2),
        "`gauge` needs three columns an atom, 9 for 3 atoms, but `x` has 8\n\
         hint: list the columns as x, y, z of each atom in the molecule's order"
    );
    assert!(
        Gauge::new(&body, Some(&ocs), 9, 2).is_ok(),
        "momenta that are left alone may have any width"
    );
    assert_eq!(
        of(&GaugeConfig { x_axis: None, ..body.clone() }, Some(&ocs), 9, 9),
        "`gauge.x_axis` is missing; it names the atom that is put on +x\nhint: the atoms are `C`, `O`, `S`"
    );
    assert_eq!(
        of(&GaugeConfig { xy_plane: Some("N".into()), ..body.clone() }, Some(&ocs), 9, 9),
        "`gauge.xy_plane` is `N`, which is no atom of the molecule\nhint: the atoms are `C`, `O`, `S`"
    );
    assert_eq!(
        of(&GaugeConfig { xy_plane: Some("s".into()), ..body.clone() }, Some(&ocs), 9, 9),
        "`gauge.x_axis` and `gauge.xy_plane` are both `S` but must be two atoms"
    );
    assert_eq!(
        of(&GaugeConfig { frame: SharedFrame::Momentum, ..body }, Some(&ocs), 9, 9),
        "`gauge.positions = \"body-frame\"` contradicts `gauge.frame = \"momentum\"`\n\
         hint: with the momentum frame, positions are `as-given` or `centred`"
    );
}
