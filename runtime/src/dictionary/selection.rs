//! Which positions of a support become atoms, when not all of them may.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use sha2::{Digest, Sha256};
use sparsight_schemas::SparseCodingConfig;

/// A random selection of positions that become atoms, the same for the same seed and shots.
///
/// Every position of a shot draws a lot, which depends on the seed and the shot alone, and the lowest lots become atoms.
/// So a dictionary that lacks a shot has the atoms of the whole one, but for that shot's, whose places are taken by the
/// next: what calibration measures by leaving shots out holds for the dictionary that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtomSelection {
    /// Atoms that remain, at most.
    pub max_atoms: usize,
    /// Seed of the selection.
    pub seed: u64,
}

impl AtomSelection {
    /// The selection that a bundle or a config asks for; none if it keeps all positions.
    pub fn new(config: &SparseCodingConfig, seed: u64) -> Option<Self> {
        (config.max_atoms > 0).then_some(Self { max_atoms: config.max_atoms, seed })
    }

    /// The chosen ones of all positions, in their order, where each of `shots`, given by what it is told from the others
    /// by, has `positions` of them; all if there are no more than `max_atoms`.
    pub fn of<'a>(self, shots: impl Iterator<Item = &'a str>, positions: usize) -> Vec<usize> {
        let mut chosen = self.order(shots, positions);
        chosen.truncate(self.max_atoms);
        chosen.sort_unstable();
        chosen
    }

    /// All positions as [`AtomSelection::of`] has them, in the order of their lots: of any of the shots, the first ones
    /// become atoms.
    pub fn order<'a>(self, shots: impl Iterator<Item = &'a str>, positions: usize) -> Vec<usize> {
        let lots = shots.flat_map(|shot| {
            let mut random = ChaCha8Rng::from_seed(Sha256::digest(format!("{}/{shot}", self.seed)).into());
            (0..positions).map(move |_| random.next_u64())
        });
        let mut drawn: Vec<(u64, usize)> = lots.zip(0..).collect();
        drawn.sort_unstable();
        drawn.into_iter().map(|(_, position)| position).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SHOTS: [&str; 4] = ["a", "b", "c", "d"];

    /// Chosen positions as (shot, position in it).
    fn chosen<'a>(seed: u64, shots: &[&'a str]) -> BTreeSet<(&'a str, usize)> {
        let selection = AtomSelection { max_atoms: 40, seed };
        let of = selection.of(shots.iter().copied(), 25);
        of.into_iter().map(|position| (shots[position / 25], position % 25)).collect()
    }

    #[test]
    fn another_order_of_the_shots_chooses_the_same() {
        assert_eq!(chosen(0, &SHOTS), chosen(0, &["c", "a", "d", "b"]));
        assert_ne!(chosen(0, &SHOTS), chosen(1, &SHOTS));
    }

    #[test]
    fn without_a_shot_the_others_keep_their_atoms_and_its_places_are_filled() {
        let all = chosen(0, &SHOTS);
        for left_out in SHOTS {
            let others: Vec<&str> = SHOTS.into_iter().filter(|shot| *shot != left_out).collect();
            let fewer = chosen(0, &others);
            assert_eq!(fewer.len(), 40);
            assert!(all.iter().filter(|(shot, _)| *shot != left_out).all(|atom| fewer.contains(atom)));
        }
    }

    #[test]
    fn every_position_is_chosen_as_often_as_any_other() {
        let mut counts = [0u32; 100];
        for seed in 0..2000 {
            let selection = AtomSelection { max_atoms: 40, seed };
            selection.of(SHOTS.into_iter(), 25).into_iter().for_each(|position| counts[position] += 1);
        }
        // 800 on average, with a standard deviation of 22.
        assert!(counts.iter().all(|count| (690..910).contains(count)), "{counts:?}");
    }

    #[test]
    fn all_are_chosen_if_there_are_no_more() {
        assert_eq!(AtomSelection { max_atoms: 8, seed: 0 }.of(["a", "b"].into_iter(), 3), [0, 1, 2, 3, 4, 5]);
    }
}
