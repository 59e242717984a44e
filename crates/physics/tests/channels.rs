//! Charge states that differ between events: recorded, as frequent as said, exploded by their own charges.

use cei_physics::{
    Accuracy, Channel, Detector, Frame, Simulation, explode, presets, simulate, simulate_positions,
    simulate_range,
};
use ndarray::s;

fn ocs(channels: &[(&[f64], f64)]) -> Simulation {
    let preset: Simulation = toml::from_str(presets::OCS_WIDE.text).unwrap();
    let channel =
        |(charges, weight): &(&[f64], f64)| Channel { charges: charges.to_vec(), weight: *weight };
    Simulation { channels: channels.iter().map(channel).collect(), ..preset }
}

fn message(simulation: &Simulation) -> String {
    simulation.check().unwrap_err().to_string()
}

#[test]
fn each_event_has_the_charges_of_a_channel() {
    let simulation = Simulation {
        detector: Detector::default(),
        frame: Frame::default(),
        ..ocs(&[(&[2.0, 2.0, 2.0], 3.0), (&[1.0, 1.0, 2.0], 1.0)])
    };
    let events = simulate(&simulation, 4_000, 5).unwrap();
    let mut first = 0;
    for row in 0..4_000 {
        let charges = events.charges.row(row).to_vec();
        let is_first = charges == [2.0, 2.0, 2.0];
        assert!(is_first || charges == [1.0, 1.0, 2.0], "{charges:?}");
        first += usize::from(is_first);
        if row % 100 == 0 {
            let molecule = simulation.molecule.with_charges(&charges);
            let positions = events.positions.row(row).to_vec();
            let mut momenta = [0.0; 9];
            explode(&molecule, &positions, None, &Accuracy::default(), &mut momenta).unwrap();
            for (found, expected) in events.momenta.row(row).iter().zip(momenta) {
                assert_eq!(*found, expected, "event {row}");
            }
        }
    }
    // Binomial: 3,000 with a standard deviation of 27.4.
    assert!((first as f64 - 3_000.0).abs() < 110.0, "{first}");
    // An event does not depend on those beside it.
    let part = simulate_range(&simulation, 1_000..1_300, 5).unwrap();
    assert_eq!(part.momenta, events.momenta.slice(s![1_000..1_300, ..]));
    assert_eq!(part.charges, events.charges.slice(s![1_000..1_300, ..]));
    let given = simulate_positions(&simulation, events.positions.slice(s![..50, ..]), 1).unwrap();
    assert_eq!(given.charges.dim(), (50, 3));
}

#[test]
fn one_channel_is_the_molecule_as_it_is() {
    let plain = simulate(&ocs(&[]), 300, 2).unwrap();
    let one = simulate(&ocs(&[(&[2.0, 2.0, 2.0], 0.4)]), 300, 2).unwrap();
    assert_eq!(plain, one);
    assert_eq!(plain.charges.dim(), (300, 0));
}

#[test]
fn lists_of_channels_that_are_wrong_are_told() {
    let own: (&[f64], f64) = (&[2.0, 2.0, 2.0], 1.0);
    let told = |channels: &[(&[f64], f64)]| message(&ocs(channels));
    assert!(told(&[own, (&[1.0, 1.0], 1.0)]).contains("`channels[1].charges` has 2 numbers for 3"));
    assert!(told(&[own, (&[1.0, 1.0, 1.0], 0.0)]).contains("`channels[1].weight`"));
    assert!(told(&[own, (&[1.0, f64::NAN, 1.0], 1.0)]).contains("`channels[1].charges[1]`"));
    assert!(told(&[own, own]).contains("`channels[1]` has the charges of `channels[0]`"));
    let other = told(&[(&[1.0, 1.0, 1.0], 1.0), (&[3.0, 1.0, 1.0], 1.0)]);
    assert!(other.contains("[2.0, 2.0, 2.0]"), "{other}");
    let charges: Vec<[f64; 3]> = (1..=65).map(|charge| [2.0, 2.0, f64::from(charge)]).collect();
    let many: Vec<(&[f64], f64)> = charges.iter().map(|charges| (&charges[..], 1.0)).collect();
    assert!(told(&many).contains("lists 65, at most 64"));
    let text =
        format!("{}\n[[channels]]\ncharges = [2, 2, 2]\nwight = 1\n", presets::OCS_WIDE.text);
    assert!(toml::from_str::<Simulation>(&text).unwrap_err().to_string().contains("wight"));
}
