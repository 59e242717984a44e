//! Processes that share a batch, played by threads: every sum has the bits of one process.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use cei_kernels::{
    AdamFactors, AdamStep, Gradient, Level, Link, MuonFactors, MuonMemory, Team, sum_over_tiles,
};

/// A process, by its mailboxes.
#[derive(Debug)]
struct Member {
    rank: usize,
    out: Vec<Sender<(usize, Vec<u8>)>>,
    mailbox: Mutex<Mailbox>,
}

#[derive(Debug)]
struct Mailbox {
    incoming: Receiver<(usize, Vec<u8>)>,
    /// What came from others than who was waited for.
    kept: HashMap<usize, Vec<Vec<u8>>>,
}

impl Link for Member {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.out.len()
    }

    fn exchange(&self, to: &[(usize, &[u8])], from: &mut [(usize, &mut [u8])]) {
        for (rank, bytes) in to {
            assert_ne!(*rank, self.rank, "a process sends nothing to itself");
            self.out[*rank].send((self.rank, bytes.to_vec())).unwrap();
        }
        let mut mailbox = self.mailbox.lock().unwrap();
        for (rank, bytes) in from {
            while mailbox.kept.get(rank).is_none_or(Vec::is_empty) {
                let (sender, message) = mailbox.incoming.recv().unwrap();
                mailbox.kept.entry(sender).or_default().push(message);
            }
            bytes.copy_from_slice(&mailbox.kept.get_mut(rank).unwrap().remove(0));
        }
    }
}

/// What `work` gives in each of so many processes.
fn in_processes<T: Send>(size: usize, work: impl Fn(Team) -> T + Sync) -> Vec<T> {
    let (out, boxes): (Vec<_>, Vec<_>) = (0..size).map(|_| channel()).unzip();
    thread::scope(|scope| {
        let members = boxes.into_iter().enumerate().map(|(rank, incoming)| {
            let mailbox = Mutex::new(Mailbox { incoming, kept: HashMap::new() });
            let team = Team::of(Arc::new(Member { rank, out: out.clone(), mailbox }));
            let work = &work;
            scope.spawn(move || work(team))
        });
        let members: Vec<_> = members.collect();
        members.into_iter().map(|member| member.join().unwrap()).collect()
    })
}

/// A number of many digits that differs from row to row and place to place, so that the order of a sum is seen in its bits.
fn term(row: usize, place: usize) -> f32 {
    let number = (row * 7919 + place * 104_729) % 100_003;
    (number as f32 - 50_000.0) * 1.37e-3_f32.powi((number % 5) as i32)
}

/// Gradient, sum of a loss and sum without a gradient of a batch.
fn sums(team: Team, rows: usize, parameters: usize) -> (Vec<u32>, u64, u64) {
    let mut gradient = Gradient::shared(team.clone());
    let mut loss = [f64::NAN];
    // The second batch finds the memory of the first.
    for rows in [rows + 1000, rows] {
        gradient.accumulate(rows, parameters, &mut loss, |tile, gradient, add, loss| {
            for (place, value) in gradient.iter_mut().enumerate() {
                let sum: f32 = tile.clone().step_by(9).map(|row| term(row, place)).sum();
                *value = if add { *value + sum } else { sum };
            }
            loss[0] += tile.map(|row| f64::from(term(row, 0)) * 0.1).sum::<f64>();
        });
    }
    let mut other = [f64::NAN];
    sum_over_tiles(&team, rows, &mut other, |tile, sums| {
        sums[0] += tile.map(|row| f64::from(term(row, 1)) * 0.1).sum::<f64>();
    });
    let total = gradient.total().iter().map(|value| value.to_bits()).collect();
    (total, loss[0].to_bits(), other[0].to_bits())
}

#[test]
fn every_sum_has_the_bits_of_one_process() {
    // One shard, an odd number of them, and the most; fewer numbers than a piece, and pieces of which the last is short.
    for (rows, parameters) in [(100, 3), (130, 17), (600, 40_000), (2500, 1000)] {
        let whole = sums(Team::default(), rows, parameters);
        for size in 1..=5 {
            for (rank, found) in
                in_processes(size, |team| sums(team, rows, parameters)).into_iter().enumerate()
            {
                assert!(found == whole, "{rows} rows, {parameters} parameters, {rank} of {size}");
            }
        }
    }
}

/// The sums above are of numbers whose order matters: otherwise they would prove nothing.
#[test]
fn another_order_has_other_bits() {
    let sum = |rows: &mut dyn Iterator<Item = usize>| rows.map(|row| term(row, 5)).sum::<f32>();
    assert_ne!(sum(&mut (0..600)).to_bits(), sum(&mut (0..600).rev()).to_bits());
}

#[test]
fn what_one_says_all_know() {
    for size in 1..=9 {
        for told in [None, Some(0), Some(size - 1), Some(size / 2)] {
            let said = in_processes(size, |team| team.any(told == Some(team.rank())));
            assert!(said.iter().all(|said| *said == told.is_some()), "{told:?} of {size}");
        }
        for from in 0..size {
            let numbers = in_processes(size, |team| {
                let mut numbers = [team.rank() as f32; 3];
                team.broadcast(from, &mut numbers);
                numbers
            });
            assert!(numbers.iter().all(|numbers| *numbers == [from as f32; 3]), "{from} of {size}");
        }
    }
}

/// Groups are as large as they can be alike, have a first one each, and do not hear each other.
#[test]
fn a_team_splits_into_groups() {
    for (size, groups) in [(5, 2), (4, 4), (6, 3), (3, 1), (1, 1)] {
        let found = in_processes(size, |team| {
            let group = team.split(groups);
            let mut number = [team.rank() as u64];
            group.broadcast(0, &mut number);
            (group.rank(), group.size(), number[0], group.any(team.rank() == 0))
        });
        for (rank, found) in found.into_iter().enumerate() {
            let group = rank % groups;
            let members = (0..size).filter(|other| other % groups == group).count();
            assert_eq!(
                found,
                (rank / groups, members, group as u64, group == 0),
                "{rank} of {size}"
            );
        }
    }
}

/// Parts go to the processes in order, none twice; the first has some where there are any.
#[test]
fn parts_are_dealt_in_order() {
    for (size, parts) in [(3, 16), (5, 4), (4, 1), (2, 0), (1, 7)] {
        let shares = in_processes(size, |team| team.share(parts));
        let dealt: Vec<usize> = shares.iter().cloned().flatten().collect();
        assert_eq!(dealt, (0..parts).collect::<Vec<_>>());
        assert_eq!(shares[0].is_empty(), parts == 0);
    }
}

/// Weights, momentum and directions of two steps of Muon.
fn muon(team: &Team) -> [Vec<u32>; 2] {
    let shapes = [[3, 40], [40, 40], [40, 7], [5, 5]];
    let mut place = 2;
    let weights = shapes.map(|shape: [usize; 2]| {
        // Each with a bias behind it.
        place += (shape[0] + 1) * shape[1];
        (place - (shape[0] + 1) * shape[1], shape)
    });
    let all = |seed: usize| -> Vec<f32> { (0..place).map(|p| term(seed, p) * 1e-4).collect() };
    let (mut values, mut first, mut second) = (all(1), all(2), all(3));
    let mut memory = MuonMemory::default();
    let muon = MuonFactors { momentum: 0.9, rate: 0.01 };
    let (b1, b2) = (0.9, 0.999);
    for seed in [4, 5] {
        let mut gradient = Gradient::default();
        gradient.accumulate(1, place, &mut [0.0], |_, gradient, _, _| {
            gradient.copy_from_slice(&all(seed));
        });
        let (first, second) = (&mut first, &mut second);
        let factors = AdamFactors {
            first: b1,
            second: b2,
            epsilon: 1e-8,
            rate: 0.0,
            root: 1.0,
            keep: 0.99,
            clip: 0.5,
        };
        let step = AdamStep::new(factors, &gradient, first, second);
        let mut step = match team.size() {
            1 => step.with_muon(muon, &memory),
            _ => step.with_shared_muon(muon, &mut memory, &weights, team),
        };
        step.split_off(2);
        for (begin, shape) in weights {
            let weight = &mut values[begin..begin + shape[0] * shape[1]];
            step.split_off(weight.len()).apply_to_weight(Level::best(), shape, weight);
            step.split_off(shape[1]);
        }
    }
    [values, first].map(|numbers| numbers.into_iter().map(f32::to_bits).collect())
}

#[test]
fn weights_move_alike_whoever_finds_their_directions() {
    let alone = muon(&Team::default());
    // Of six processes some have no weight.
    for size in [2, 3, 4, 6] {
        for found in in_processes(size, |team| muon(&team)) {
            assert_eq!(found, alone, "{size} processes");
        }
    }
}

#[test]
fn all_get_the_numbers_of_each() {
    for size in 1..6 {
        // The second process has none.
        let lengths = [7, 0, 3, 9, 1];
        let stretches: Vec<_> = (0..size).map(|r| 10 * r..10 * r + lengths[r]).collect();
        let found = in_processes(size, |team| {
            let mut numbers = vec![0_usize; 60];
            numbers[stretches[team.rank()].clone()].fill(team.rank() + 1);
            team.gather(&mut numbers, &stretches);
            numbers
        });
        let mut expected = vec![0; 60];
        for (rank, stretch) in stretches.iter().enumerate() {
            expected[stretch.clone()].fill(rank + 1);
        }
        assert!(found.iter().all(|numbers| *numbers == expected), "{size}: {found:?}");
    }
}
