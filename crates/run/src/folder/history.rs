//! The losses of every epoch, as `history.csv` keeps them.

use std::path::Path;

use super::layout::HISTORY;

/// What a line says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Epoch {
    /// Counted from 1.
    pub(crate) number: usize,
    pub(crate) training_loss: f64,
    pub(crate) validation_loss: f64,
    /// How long it took.
    pub(crate) seconds: f64,
}

/// The epochs of the run in the folder `path`.
///
/// # Errors
/// A file that cannot be read, in words.
pub(crate) fn read(path: &Path) -> Result<Vec<Epoch>, String> {
    let file = path.join(HISTORY);
    let text = std::fs::read_to_string(&file)
        .map_err(|error| format!("`{}` cannot be read: {error}", file.display()))?;
    parse(&text).map_err(|why| format!("`{}`: {why}", file.display()))
}

fn parse(text: &str) -> Result<Vec<Epoch>, String> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let place = |name: &str| {
        header.iter().position(|column| *column == name).ok_or(format!("it has no column `{name}`"))
    };
    let [number, training, validation, seconds] =
        [place("epoch")?, place("training_loss")?, place("validation_loss")?, place("seconds")?];
    let of_line = |(row, line): (usize, &str)| {
        let cells: Vec<&str> = line.split(',').collect();
        let cell = |place: usize| -> Result<f64, String> {
            let cell = cells.get(place).copied().unwrap_or_default();
            cell.parse().map_err(|_| format!("row {row}: `{cell}` is no number"))
        };
        Ok(Epoch {
            number: cell(number)? as usize,
            training_loss: cell(training)?,
            validation_loss: cell(validation)?,
            seconds: cell(seconds)?,
        })
    };
    lines.enumerate().map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_read_by_the_names_of_its_columns() {
        let text = "epoch,training_loss,validation_loss,seconds\n1,2.5,3,0.1\n2,1.5,NaN,0.1\n";
        let history = parse(text).unwrap();
        let first = Epoch { number: 1, training_loss: 2.5, validation_loss: 3.0, seconds: 0.1 };
        assert_eq!(history[0], first);
        assert!(history[1].validation_loss.is_nan());
        let error = parse("epoch,training_loss,validation_loss,seconds\n1,x,3,0\n").unwrap_err();
        assert_eq!(error, "row 0: `x` is no number");
        assert_eq!(parse("epoch\n1\n").unwrap_err(), "it has no column `training_loss`");
    }
}
