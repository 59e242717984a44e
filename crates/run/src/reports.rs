//! Tests of all reports: a number that is infinite or NaN is a string in JSON, never a silent null.

use cei_data::inspect::{EnergySummary, Moments, Range};
use cei_data::{Spread as ColumnSpread, Spreads};
use serde::Serialize;
use serde_json::Value;

use crate::calibrate::JointC2st;
use crate::evaluate::Floor;
use crate::folder::SupportBounds;
use crate::plausibility::{
    Cause, ChargingTime, Comparison, Direction, Directions, IonComparison, IonDirection, IonsFit,
    LawEdgeReport, PinnedLimit, Plausibility, Spread,
};
use crate::predict::RefinementReport;

const INF: f64 = f64::INFINITY;

/// Numbers that are strings in the JSON of a report, in which nothing is null.
fn strings(report: &impl Serialize) -> usize {
    fn count(value: &Value) -> usize {
        match value {
            Value::Null => panic!("a null"),
            Value::String(text) => usize::from(["inf", "-inf", "nan"].contains(&text.as_str())),
            Value::Array(values) => values.iter().map(count).sum(),
            Value::Object(values) => values.values().map(count).sum(),
            _ => 0,
        }
    }
    let value = serde_json::to_value(report).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&value.to_string()).unwrap(), value);
    count(&value)
}

fn plausibility(cause: Cause) -> Plausibility {
    let spread = Spread { q05: -INF, median: f64::NAN, q95: INF };
    let both = Comparison { file: spread, training: spread };
    Plausibility {
        events: 1,
        far: true,
        outside_share: f64::NAN,
        kinetic_energy_ev: Some(both),
        momentum_au: vec![IonComparison { ion: "C".to_owned(), momentum: both }],
        momentum_sum_au: Some(both),
        zero_momentum_sum: false,
        cause: Some(cause),
        directions: Some(Directions {
            differ: true,
            axis: "z".to_owned(),
            ions: vec![IonDirection {
                ion: "C".to_owned(),
                file: Direction { cos: f64::NAN, cos2: INF },
                simulation: Direction { cos: INF, cos2: f64::NAN },
            }],
        }),
        charging: Some(ChargingTime {
            key: "tau_fs".to_owned(),
            declared: false,
            time_fs: Some(INF),
            stretch: Some(f64::NAN),
            ions: IonsFit::Both,
        }),
    }
}

#[test]
fn no_number_of_a_report_becomes_null() {
    let causes = [
        (Cause::Unit { factor: INF, unit: "au".to_owned(), order: None }, 1),
        (Cause::Charges { trained: vec![INF], likely: vec![INF, -INF] }, 3),
        (Cause::Energy { ratio: INF }, 1),
        (Cause::Unknown { ratio: Some(f64::NAN) }, 1),
    ];
    for (cause, numbers) in causes {
        let report = plausibility(cause);
        assert_eq!(strings(&report), 25 + numbers, "{report:?}");
        let text = serde_json::to_string(&report).unwrap();
        let again: Plausibility = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), text);
    }
    let limit = PinnedLimit {
        limit: "C-O".to_owned(),
        events: 1,
        at_limit: 1,
        expected_at_most: INF,
        file: false,
    };
    assert_eq!(strings(&LawEdgeReport { events: 1, limits: vec![limit] }), 1);
    let refined = RefinementReport {
        worst_r_hat: Some(INF),
        median_effective_sample_size: Some(f64::NAN),
        ..RefinementReport::default()
    };
    assert_eq!(strings(&refined), 2);
    assert_eq!(strings(&JointC2st { accuracy: INF, standard_error: f64::NAN }), 2);
    assert_eq!(strings(&Floor { mse: INF, mse_standard_error: Some(INF), exact_draw_mse: INF }), 3);
    assert_eq!(strings(&Range { min: -INF, max: INF, mean: f64::NAN, sd: INF }), 4);
    assert_eq!(strings(&[Moments { mean: INF, sd: INF }; 3]), 6);
    let energy = EnergySummary {
        mean_ev: INF,
        sd_ev: f64::NAN,
        quantiles_ev: vec![(0.05, INF)],
        drawn_from: None,
        masses: "given".to_owned(),
        sorted_ev: Vec::new(),
    };
    assert_eq!(strings(&energy), 3);
    let spread = ColumnSpread { median: INF, sd: INF, reach: INF };
    let bounds = SupportBounds {
        momentum_sum_au: Some(INF),
        kinetic_energy_ev: Some([-INF, INF]),
        distance: INF,
        spreads: Some(Spreads { x: vec![spread], y: Vec::new() }),
    };
    assert_eq!(strings(&bounds), 7);
}
