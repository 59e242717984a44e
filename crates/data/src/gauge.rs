//! Gauges: which of the equivalent placements of one event in space a row stands for (`docs/spec.md#gauge`).
//!
//! Where ions are missing, NaN, momenta are rotated as `FrameRule::rotation_of_detected` of `physics` says.
//!
//! A row holds `(x, y, z)` an atom, atoms in the order of the molecule; what stands behind them, nuisances or charges, stays.

use cei_physics::{FrameRule, Molecule, Rotation};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How positions are placed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PositionGauge {
    /// As they stand in the file.
    #[default]
    AsGiven,
    /// Moved so that the centre of mass is the origin.
    Centred,
    /// Centred, then rotated by their own body frame.
    BodyFrame,
}

/// How momenta are rotated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MomentumGauge {
    /// As they stand in the file.
    #[default]
    AsGiven,
    /// Rotated by their own body frame.
    BodyFrame,
}

/// Whether positions and momenta are rotated apart or together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SharedFrame {
    /// Each side by its own rule.
    #[default]
    Separate,
    /// One rotation, fixed by the momenta, for both: for tables in which both share a frame.
    Momentum,
}

/// Placement of an event in space (`docs/spec.md#gauge`).
///
/// ```toml
/// [preprocessing.gauge]
/// frame = "momentum"
/// x_axis = "S"
/// xy_plane = "O"
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GaugeConfig {
    /// How positions are placed.
    pub positions: PositionGauge,
    /// How momenta are rotated.
    pub momenta: MomentumGauge,
    /// Whether both are rotated together.
    pub frame: SharedFrame,
    /// Label of the atom that a rotation puts on +x.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x_axis: Option<String>,
    /// Label of the atom that a rotation puts into the xy half-plane y > 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xy_plane: Option<String>,
}

impl GaugeConfig {
    /// Whether momenta stay as they stand in the file.
    #[must_use]
    pub fn keeps_momenta(&self) -> bool {
        !self.moves_y()
    }

    fn moves_x(&self) -> bool {
        self.positions != PositionGauge::AsGiven || self.frame == SharedFrame::Momentum
    }

    fn moves_y(&self) -> bool {
        self.momenta != MomentumGauge::AsGiven || self.frame == SharedFrame::Momentum
    }

    fn rotates(&self) -> bool {
        self.positions == PositionGauge::BodyFrame || self.moves_y()
    }
}

/// A gauge that does not fit its table or molecule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the fields are what the messages show")]
pub enum GaugeError {
    /// Anything but `as-given` without a molecule.
    #[error(
        "`gauge` moves or rotates atoms, which needs a molecule\nhint: add `[molecule]` with the atoms in column order, or leave the gauge `as-given`"
    )]
    NeedsMolecule,
    /// A rotation without its atoms.
    #[error(
        "`gauge.{key}` is missing; it names the atom that {role}\nhint: the atoms are {}",
        crate::error::list(labels)
    )]
    MissingAtom { key: &'static str, role: &'static str, labels: Vec<String> },
    /// A label that is no atom of the molecule.
    #[error(
        "`gauge.{key}` is `{label}`, which is no atom of the molecule\nhint: the atoms are {}",
        crate::error::list(labels)
    )]
    UnknownAtom { key: &'static str, label: String, labels: Vec<String> },
    /// One atom for both roles.
    #[error("`gauge.x_axis` and `gauge.xy_plane` are both `{label}` but must be two atoms")]
    SameAtom { label: String },
    /// A table whose width is not three columns an atom.
    #[error("`gauge` needs three columns an atom, {expected} for {} atoms, but `{side}` has {found}\nhint: list the columns as x, y, z of each atom in the molecule's order", expected / 3)]
    Width { side: &'static str, expected: usize, found: usize },
    /// Positions asked to have a frame of their own and the momenta's frame at once.
    #[error(
        "`gauge.positions = \"body-frame\"` contradicts `gauge.frame = \"momentum\"`\nhint: with the momentum frame, positions are `as-given` or `centred`"
    )]
    TwoFrames,
}

/// A gauge resolved against a molecule, ready to be applied to rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gauge {
    config: GaugeConfig,
    labels: Vec<String>,
    masses: Vec<f64>,
    x_axis: usize,
    xy_plane: usize,
}

impl Gauge {
    /// Resolves atom labels and checks widths (`x_width` and `y_width` are numbers of columns; a
    /// side that the gauge does not touch may have any).
    ///
    /// # Errors
    /// See [`GaugeError`].
    pub fn new(
        config: &GaugeConfig,
        molecule: Option<&Molecule>,
        x_width: usize,
        y_width: usize,
    ) -> Result<Self, GaugeError> {
        if config.positions == PositionGauge::BodyFrame && config.frame == SharedFrame::Momentum {
            return Err(GaugeError::TwoFrames);
        }
        let mut gauge = Self {
            config: config.clone(),
            labels: Vec::new(),
            masses: Vec::new(),
            x_axis: 0,
            xy_plane: 0,
        };
        if !config.moves_x() && !config.moves_y() {
            return Ok(gauge);
        }
        let molecule = molecule.ok_or(GaugeError::NeedsMolecule)?;
        let expected = 3 * molecule.labels().len();
        for (side, moved, found) in
            [("x", config.moves_x(), x_width), ("y", config.moves_y(), y_width)]
        {
            if moved && found != expected {
                return Err(GaugeError::Width { side, expected, found });
            }
        }
        gauge.labels = molecule.labels().to_vec();
        gauge.masses = molecule.masses().to_vec();
        if config.rotates() {
            gauge.x_axis = atom(molecule, "x_axis", "is put on +x", config.x_axis.as_deref())?;
            let role = "is put into the xy half-plane y > 0";
            gauge.xy_plane = atom(molecule, "xy_plane", role, config.xy_plane.as_deref())?;
            if gauge.x_axis == gauge.xy_plane {
                return Err(GaugeError::SameAtom { label: gauge.labels[gauge.x_axis].clone() });
            }
        }
        Ok(gauge)
    }

    /// As configured.
    #[must_use]
    pub fn config(&self) -> &GaugeConfig {
        &self.config
    }

    /// Whether [`Self::rotate_back`] is needed to return to the orientation of the file.
    #[must_use]
    pub fn shares_momentum_frame(&self) -> bool {
        self.config.frame == SharedFrame::Momentum
    }

    /// Whether positions and momenta of a row stay in one frame, if they were in one in the file.
    #[must_use]
    pub fn keeps_one_frame(&self) -> bool {
        let apart = self.config.positions == PositionGauge::BodyFrame
            || self.config.momenta == MomentumGauge::BodyFrame;
        self.shares_momentum_frame() || !apart
    }

    /// Moves one row of positions in place; `y_raw` are the momenta of the same event as loaded
    /// (only read where the frame is the momenta's).
    pub fn apply_x(&self, x: &mut [f64], y_raw: &[f64]) {
        let x = self.vectors_of(x);
        if self.config.positions != PositionGauge::AsGiven {
            self.centre(x);
        }
        if self.config.positions == PositionGauge::BodyFrame {
            self.rotation(x).apply(x);
        } else if self.shares_momentum_frame() {
            self.rotation(y_raw).apply(x);
        }
    }

    /// Rotates one row of momenta in place.
    pub fn apply_y(&self, y: &mut [f64]) {
        if self.config.moves_y() {
            let y = self.vectors_of(y);
            self.rotation(y).apply(y);
        }
    }

    /// Turns positions in the momentum frame back to the orientation of the file, in place; centred
    /// positions stay centred. Does nothing unless the momenta fix the frame of both sides.
    pub fn rotate_back(&self, x: &mut [f64], y_raw: &[f64]) {
        if self.shares_momentum_frame() {
            self.rotation(y_raw).apply_inverse(self.vectors_of(x));
        }
    }

    /// A row-major position table (`rows x x columns`) in this gauge; `y_raw` as loaded.
    #[must_use]
    pub fn positions(&self, mut x: Array2<f64>, y_raw: ArrayView2<'_, f64>) -> Array2<f64> {
        self.move_positions(x.view_mut(), y_raw);
        x
    }

    /// The same in place.
    pub fn move_positions(&self, mut x: ArrayViewMut2<'_, f64>, y_raw: ArrayView2<'_, f64>) {
        if self.config.moves_x() {
            let y_raw = y_raw.as_standard_layout();
            x.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(row, mut x)| {
                let y =
                    if self.shares_momentum_frame() { y_raw.row(row).to_vec() } else { Vec::new() };
                if let Some(x) = x.as_slice_mut() {
                    self.apply_x(x, &y);
                }
            });
        }
    }

    /// A row-major momentum table (`rows x y columns`) into this gauge.
    #[must_use]
    pub fn momenta(&self, mut y: Array2<f64>) -> Array2<f64> {
        if self.config.moves_y() {
            y.axis_iter_mut(Axis(0)).into_par_iter().for_each(|mut y| {
                if let Some(y) = y.as_slice_mut() {
                    self.apply_y(y);
                }
            });
        }
        y
    }

    /// The frame of the positions in words, for example `centred on the centre of mass, S on +x, O
    /// in the xy half-plane y > 0`.
    #[must_use]
    pub fn describe_positions(&self) -> String {
        let place = match self.config.positions {
            PositionGauge::AsGiven => "as given in the file",
            PositionGauge::Centred | PositionGauge::BodyFrame => "centred on the centre of mass",
        };
        let (axis, plane) = (self.label(self.x_axis), self.label(self.xy_plane));
        if self.shares_momentum_frame() {
            format!(
                "{place}, in the momentum frame: momentum of {axis} along +x, momentum of {plane} in the xy half-plane y > 0"
            )
        } else if self.config.positions == PositionGauge::BodyFrame {
            format!("{place}, {axis} on +x, {plane} in the xy half-plane y > 0")
        } else {
            place.to_owned()
        }
    }

    /// The same where ions may be missing.
    #[must_use]
    pub(crate) fn describe_where_ions_are_missing(&self) -> String {
        let mut frame = self.describe_positions();
        if self.shares_momentum_frame() {
            let first = [self.x_axis, self.xy_plane];
            let others = (0..self.labels.len()).filter(|atom| !first.contains(atom));
            let order: Vec<&str> =
                first.into_iter().chain(others).map(|atom| self.label(atom)).collect();
            frame.push_str(
                "; a single missing momentum is taken for minus the sum of the others; where more are missing, the first two detected of ",
            );
            frame.push_str(&order.join(", "));
        }
        frame
    }

    /// The positions or momenta of a row, all of it without a molecule.
    fn vectors_of<'r>(&self, row: &'r mut [f64]) -> &'r mut [f64] {
        let columns = if self.labels.is_empty() { row.len() } else { 3 * self.labels.len() };
        &mut row[..columns]
    }

    /// Names of the atoms; none without a molecule.
    pub(crate) fn labels(&self) -> &[String] {
        &self.labels
    }

    fn label(&self, atom: usize) -> &str {
        self.labels.get(atom).map_or("", String::as_str)
    }

    fn rotation(&self, vectors: &[f64]) -> Rotation {
        let rule = FrameRule { x_axis: self.x_axis, xy_plane: self.xy_plane };
        rule.rotation_of_detected(vectors)
    }

    fn centre(&self, x: &mut [f64]) {
        let total: f64 = self.masses.iter().sum();
        for axis in 0..3 {
            let moment: f64 =
                self.masses.iter().zip(x.iter().skip(axis).step_by(3)).map(|(m, x)| m * x).sum();
            for value in x.iter_mut().skip(axis).step_by(3) {
                *value -= moment / total;
            }
        }
    }
}

fn atom(
    molecule: &Molecule,
    key: &'static str,
    role: &'static str,
    wanted: Option<&str>,
) -> Result<usize, GaugeError> {
    let labels = || molecule.labels().to_vec();
    let label = wanted.ok_or_else(|| GaugeError::MissingAtom { key, role, labels: labels() })?;
    let unknown = || GaugeError::UnknownAtom { key, label: label.to_owned(), labels: labels() };
    molecule.index_of(label).ok_or_else(unknown)
}
