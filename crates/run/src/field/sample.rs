//! What the figures are made of: events, their ions, and which of these are in plots of a plane.

use ndarray::ArrayView2;

use super::coordinates::Momentum;

/// Momenta of one kind of events.
#[derive(Debug, Clone, Copy)]
pub struct MomentaSample<'a> {
    /// Whose they are, for example `measured`.
    pub name: &'a str,
    /// Events x 3 ions, a.u.; an ion that was not detected has three NaN.
    pub momenta_au: ArrayView2<'a, f64>,
}

impl MomentaSample<'_> {
    /// The momentum of an ion in an event; none where it was not detected.
    pub(super) fn momentum(&self, event: usize, ion: usize) -> Option<Momentum> {
        let p = [0, 1, 2].map(|axis| self.momenta_au[[event, 3 * ion + axis]]);
        p.iter().all(|p| p.is_finite()).then_some(p)
    }

    /// The momenta of several ions, in the events in which all of these were detected.
    pub(super) fn of<const N: usize>(
        &self,
        ions: [usize; N],
    ) -> impl Iterator<Item = [Momentum; N]> {
        (0..self.momenta_au.nrows()).filter_map(move |event| {
            let mut momenta = [[0.0; 3]; N];
            for (momentum, ion) in momenta.iter_mut().zip(ions) {
                *momentum = self.momentum(event, ion)?;
            }
            Some(momenta)
        })
    }

    /// Events in which all ions were detected.
    pub(super) fn complete(&self) -> impl Iterator<Item = usize> {
        let is_complete = |event: &usize| self.momenta_au.row(*event).iter().all(|p| p.is_finite());
        (0..self.momenta_au.nrows()).filter(is_complete)
    }
}

/// The ions of all events.
#[derive(Debug, Clone, PartialEq)]
pub struct IonsOfEvents {
    /// Names, in the order of the momenta.
    pub labels: Vec<String>,
    /// Masses in electron masses.
    pub masses: Vec<f64>,
    /// The ions of Newton, Dalitz and native-frame plots by their places: the one along the axis, the one above it and,
    /// for the last two plots, the middle one. Without a choice, see [`IonsOfEvents::chosen`].
    pub chosen: Option<Vec<usize>>,
}

impl IonsOfEvents {
    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    /// The ions of Newton plots: those that were chosen; otherwise, of three ions, the two of the same mass, and else the two
    /// heaviest, in the order of the file. The third is the middle one where there are three, or where it was chosen.
    #[must_use]
    pub fn chosen(&self) -> Vec<usize> {
        if let Some(chosen) = &self.chosen {
            let mut chosen = chosen.clone();
            if self.len() == 3 {
                chosen.extend((0..3).find(|ion| !chosen.contains(ion)));
                chosen.truncate(3);
            }
            return chosen;
        }
        let mut ions: Vec<usize> = (0..self.len()).collect();
        ions.sort_by(|a, b| self.masses[*b].total_cmp(&self.masses[*a]));
        if self.len() == 3 && self.masses[ions[1]] == self.masses[ions[2]] {
            ions.rotate_left(1);
        }
        let mut chosen = ions[..ions.len().min(2)].to_vec();
        chosen.sort_unstable();
        if self.len() == 3 {
            chosen.push(ions[2]);
        }
        chosen
    }

    /// The middle ion with its partners, where there are three of them.
    pub(super) fn three(&self) -> Option<[usize; 3]> {
        match self.chosen()[..] {
            [a, b, middle] => Some([a, b, middle]),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ions(masses: &[f64], chosen: Option<Vec<usize>>) -> IonsOfEvents {
        let labels = (0..masses.len()).map(|ion| format!("ion {ion}")).collect();
        IonsOfEvents { labels, masses: masses.to_vec(), chosen }
    }

    #[test]
    fn the_middle_ion_is_the_odd_one_or_the_lightest() {
        // O, C, S; O, H, H; H, C, N; C, C, H, H; two ions.
        assert_eq!(ions(&[16.0, 12.0, 32.0], None).chosen(), [0, 2, 1]);
        assert_eq!(ions(&[16.0, 1.0, 1.0], None).chosen(), [1, 2, 0]);
        assert_eq!(ions(&[1.0, 12.0, 14.0], None).chosen(), [1, 2, 0]);
        assert_eq!(ions(&[12.0, 12.0, 1.0, 1.0], None).chosen(), [0, 1]);
        assert_eq!(ions(&[12.0, 16.0], None).chosen(), [0, 1]);
        assert_eq!(ions(&[16.0, 12.0, 32.0], Some(vec![1, 0])).chosen(), [1, 0, 2]);
        assert_eq!(ions(&[12.0, 12.0, 1.0, 1.0], Some(vec![2, 0])).three(), None);
    }
}
