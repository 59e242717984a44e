//! The figures of a table of momenta.

use cei_data::inspect::{Inspection, IonMomenta};
use cei_run::field::{FieldFigures, IonsOfEvents, MomentaSample, field_figures};

use crate::args::InspectArgs;
use crate::error::Usage;

/// Draws what `--figures` asks for.
pub(super) fn figures(
    args: &InspectArgs,
    inspection: &Inspection,
) -> anyhow::Result<Option<FieldFigures>> {
    let Some(folder) = &args.figures else { return Ok(None) };
    let Some(kept) = &inspection.ion_momenta else { return Err(missing(inspection).into()) };
    let IonMomenta { labels, masses, momenta_au, .. } = kept;
    if labels.len() < 2 {
        return Err(Usage("`--figures` needs momenta of two ions at least".to_owned()).into());
    }
    let ions = IonsOfEvents {
        labels: labels.clone(),
        masses: masses.clone(),
        chosen: chosen(&args.figure_ions, labels)?,
    };
    let sample = MomentaSample { name: "measured", momenta_au: momenta_au.view() };
    Ok(Some(field_figures(folder, &ions, &[sample])?))
}

/// What is not known of the momenta.
fn missing(inspection: &Inspection) -> Usage {
    let (what, hint) = match &inspection.momenta {
        None => ("momentum columns", "name them with `--columns`, or the ions with `--ions`"),
        Some(side) if side.unit.is_none() && side.unit_guess.is_none() => {
            ("the unit of the momenta", "say it with `--unit`")
        }
        Some(_) => {
            ("which ions the momenta are of", "name them with `--ions`, as in `--ions O,C,S`")
        }
    };
    Usage(format!("`--figures` needs to know {what}\nhint: {hint}"))
}

/// The places of ions that were named.
fn chosen(named: &[String], labels: &[String]) -> Result<Option<Vec<usize>>, Usage> {
    if named.is_empty() {
        return Ok(None);
    }
    let place = |name: &String| {
        let is = |label: &String| label.eq_ignore_ascii_case(name.trim());
        labels.iter().position(is).ok_or_else(|| {
            let known = labels.join(", ");
            Usage(format!("`--figure-ions`: there is no ion `{name}`\nhint: the ions are {known}"))
        })
    };
    let places = named.iter().map(place).collect::<Result<Vec<usize>, Usage>>()?;
    let is_twice = (1..places.len()).any(|at| places[..at].contains(&places[at]));
    if is_twice || !(2..=3).contains(&places.len()) {
        let given = named.join(",");
        return Err(Usage(format!(
            "`--figure-ions`: expected two or three ions, each once, not `{given}`"
        )));
    }
    Ok(Some(places))
}

pub(super) fn describe_figures(written: &FieldFigures) -> String {
    let line = |figure: &cei_run::field::FieldFigure| {
        let events: Vec<String> = figure.events.iter().map(ToString::to_string).collect();
        let path = figure.svg.display();
        format!("figure {path} (and .png, .csv): {} events", events.join(" and "))
    };
    let lines = written.figures.iter().map(line);
    let left_out = written.left_out.iter().map(|said| format!("left out of the figures: {said}"));
    lines.chain(left_out).collect::<Vec<String>>().join("\n")
}
