//! Processes that share the shards of a batch, such that no result depends on their number: each computes a stretch of
//! the shards, and sums go from one process to the next, which adds its own terms to them.
//!
//! ```text
//! ((g1 + g2) + g3) + g4:    process 0 has g1 and g2, sends g1 + g2; process 1 adds g3, then g4; all get that of the last
//! ```

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Numbers of a sum that go on to the next process while it adds to those before them.
const PIECE: usize = 1 << 14;

/// What carries bytes between the processes of a team, which are numbered from 0. A failure ends all of them.
pub trait Link: fmt::Debug + Send + Sync {
    /// The number of this process.
    fn rank(&self) -> usize;

    /// How many there are.
    fn size(&self) -> usize;

    /// Sends bytes to processes and waits for those that come from others, all at once. What comes is as long as what is sent;
    /// of what two processes send each other, the first comes first.
    fn exchange(&self, to: &[(usize, &[u8])], from: &mut [(usize, &mut [u8])]);
}

/// The processes of a work, which all make the same calls in the same order; by default only this one.
#[derive(Debug, Clone, Default)]
pub struct Team(Option<Arc<dyn Link>>);

impl Team {
    /// Those that are linked so.
    pub fn of(link: Arc<dyn Link>) -> Self {
        Self((link.size() > 1).then_some(link))
    }

    /// The number of this process, from 0.
    pub fn rank(&self) -> usize {
        self.0.as_ref().map_or(0, |link| link.rank())
    }

    /// How many there are.
    pub fn size(&self) -> usize {
        self.0.as_ref().map_or(1, |link| link.size())
    }

    /// Whether this process is the one that speaks and writes for all.
    pub fn leads(&self) -> bool {
        self.rank() == 0
    }

    /// Which of so many parts are those of this process: stretches in the order of the processes, of which the first has some.
    pub fn share(&self, parts: usize) -> Range<usize> {
        self.share_of(self.rank(), parts)
    }

    /// Which of so many parts are those of another process.
    pub fn share_of(&self, rank: usize, parts: usize) -> Range<usize> {
        let bound = |rank: usize| (rank * parts).div_ceil(self.size());
        bound(rank)..bound(rank + 1)
    }

    /// The team of the processes that give the same `group`, of so many: process `r` is of the group `r % groups`.
    pub fn split(&self, groups: usize) -> Self {
        let Some(link) = &self.0 else { return Self::default() };
        Self::of(Arc::new(Group { groups, link: link.clone() }))
    }

    /// Whether `flag` is set in any process. None returns before all have come here.
    pub fn any(&self, flag: bool) -> bool {
        let Some(link) = &self.0 else { return flag };
        let (rank, mut byte) = (link.rank(), [u8::from(flag)]);
        let mut step = 1;
        while step < link.size() {
            if rank & step != 0 {
                link.exchange(&[(rank - step, &byte)], &mut []);
                break;
            }
            if rank + step < link.size() {
                let mut other = [0];
                link.exchange(&[], &mut [(rank + step, &mut other)]);
                byte[0] |= other[0];
            }
            step *= 2;
        }
        self.broadcast(0, &mut byte);
        byte[0] != 0
    }

    /// Waits until all processes have come here.
    pub fn meet(&self) {
        self.any(false);
    }

    /// Sends numbers to another process; it may return only when they are received.
    pub fn send<T: bytemuck::Pod>(&self, to: usize, numbers: &[T]) {
        if let Some(link) = &self.0 {
            link.exchange(&[(to, bytemuck::cast_slice(numbers))], &mut []);
        }
    }

    /// Waits for numbers of another process, which are as many.
    pub fn receive<T: bytemuck::Pod>(&self, from: usize, numbers: &mut [T]) {
        if let Some(link) = &self.0 {
            link.exchange(&[], &mut [(from, bytemuck::cast_slice_mut(numbers))]);
        }
    }

    /// The text of the process `from`, in all of them.
    pub fn text(&self, from: usize, own: String) -> String {
        let mut length = [own.len() as u64];
        self.broadcast(from, &mut length);
        let mut bytes = own.into_bytes();
        bytes.resize(length[0] as usize, 0);
        self.broadcast(from, &mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Gives all processes the numbers of the process `from`, which are as many in each.
    pub fn broadcast<T: bytemuck::Pod>(&self, from: usize, numbers: &mut [T]) {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(numbers);
        let Some(link) = &self.0 else { return };
        let size = link.size();
        // A binomial tree, whose numbers are counted from its root.
        let own = (link.rank() + size - from) % size;
        let at = |number: usize| (number + from) % size;
        let mut step = 1;
        while step < size {
            if own < step {
                if own + step < size {
                    link.exchange(&[(at(own + step), bytes)], &mut []);
                }
            } else if own < 2 * step {
                link.exchange(&[], &mut [(at(own - step), bytes)]);
            }
            step *= 2;
        }
    }

    /// Gives all processes the numbers of all: `stretches` says where those of each are, apart from each other.
    ///
    /// # Panics
    /// If there is not one stretch a process, or they overlap.
    pub fn gather<T: bytemuck::Pod>(&self, numbers: &mut [T], stretches: &[Range<usize>]) {
        let Some(link) = &self.0 else { return };
        let (rank, size) = (link.rank(), link.size());
        assert!(stretches.len() == size, "one stretch a process");
        let (next, before) = ((rank + 1) % size, (rank + size - 1) % size);
        // Round the ring: what came last is what goes on.
        for tick in 0..size - 1 {
            let [sent, got] =
                [0, 1].map(|lag| stretches[(rank + 2 * size - tick - lag) % size].clone());
            let Ok([sent, got]) = numbers.get_disjoint_mut([sent, got]) else {
                panic!("stretches are apart");
            };
            let outgoing: &[(usize, &[u8])] = &[(next, bytemuck::cast_slice(sent))];
            let incoming: &mut [(usize, &mut [u8])] =
                &mut [(before, bytemuck::cast_slice_mut(got))];
            // Where there are no numbers, neither side waits for any.
            let outgoing = if outgoing[0].1.is_empty() { &[] } else { outgoing };
            let incoming = if incoming[0].1.is_empty() { &mut [] } else { incoming };
            link.exchange(outgoing, incoming);
        }
    }

    /// Makes `sum` the sum of the terms of all processes: `add` adds those of this one to the numbers of a range, or writes their
    /// sum where there is nothing before.
    ///
    /// The sum goes from process to process in pieces, and from the last one round to the others, all at a time: of `n` processes,
    /// process `r` adds to piece `t - r` in tick `t`, and has its end value in tick `t + n`.
    pub(crate) fn add_in_order<T: bytemuck::Pod>(
        &self,
        sum: &mut [T],
        mut add: impl FnMut(Range<usize>, &mut [T], bool),
    ) {
        let Some(link) = self.0.as_ref().filter(|_| !sum.is_empty()) else {
            return add(0..sum.len(), sum, false);
        };
        let (rank, size) = (link.rank(), link.size());
        let (next, last) = ((rank + 1) % size, size - 1);
        let before = (rank + last) % size;
        let mut pieces: Vec<&mut [T]> = sum.chunks_mut(PIECE).collect();
        let count = pieces.len();
        for tick in 0..count + 2 * size {
            let at = |lag: usize| tick.checked_sub(lag).filter(|piece| *piece < count);
            // Begun sums go on to the last, sums at their end from there to the one before it.
            let sent = [
                at(rank + 1).filter(|_| rank < last),
                match next {
                    0 => at(size),
                    _ => at(size + next).filter(|_| next < last),
                },
            ];
            let got = [at(rank).filter(|_| rank > 0), at(size + rank).filter(|_| rank < last)];
            let [to, from] = [sent, got]
                .map(|two| two.map(|at| (at, at.map(|at| std::mem::take(&mut pieces[at])))));
            let outgoing: Vec<(usize, &[u8])> = to
                .iter()
                .filter_map(|(_, piece)| Some((next, bytemuck::cast_slice(piece.as_deref()?))))
                .collect();
            let mut from = from;
            let mut incoming: Vec<(usize, &mut [u8])> = from
                .iter_mut()
                .filter_map(|(_, piece)| {
                    Some((before, bytemuck::cast_slice_mut(piece.as_deref_mut()?)))
                })
                .collect();
            link.exchange(&outgoing, &mut incoming);
            for (at, piece) in to.into_iter().chain(from) {
                if let (Some(at), Some(piece)) = (at, piece) {
                    pieces[at] = piece;
                }
            }
            if let Some(at) = at(rank) {
                let begin = at * PIECE;
                let piece = &mut *pieces[at];
                add(begin..begin + piece.len(), piece, rank > 0);
            }
        }
    }
}

/// Every so many-th process of a team.
#[derive(Debug)]
struct Group {
    groups: usize,
    link: Arc<dyn Link>,
}

impl Group {
    fn own(&self) -> usize {
        self.link.rank() % self.groups
    }
}

impl Link for Group {
    fn rank(&self) -> usize {
        self.link.rank() / self.groups
    }

    fn size(&self) -> usize {
        (self.link.size() - self.own()).div_ceil(self.groups)
    }

    fn exchange(&self, to: &[(usize, &[u8])], from: &mut [(usize, &mut [u8])]) {
        let at = |rank: usize| rank * self.groups + self.own();
        let to: Vec<(usize, &[u8])> = to.iter().map(|(rank, bytes)| (at(*rank), *bytes)).collect();
        let mut from: Vec<(usize, &mut [u8])> =
            from.iter_mut().map(|(rank, bytes)| (at(*rank), &mut **bytes)).collect();
        self.link.exchange(&to, &mut from);
    }
}
