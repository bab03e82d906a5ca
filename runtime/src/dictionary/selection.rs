//! Which positions of a support become atoms, when not all of them may.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use sha2::{Digest, Sha256};
use sparsight_schemas::{AtomSampling, SparseCodingConfig};

const RANGE_OF_U64: f64 = 18_446_744_073_709_551_616.0;

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
    /// Which positions it favours.
    pub sampling: AtomSampling,
}

impl AtomSelection {
    /// The selection that a bundle or a config asks for; none if it keeps all positions.
    pub fn new(config: &SparseCodingConfig, seed: u64) -> Option<Self> {
        let (max_atoms, sampling) = (config.max_atoms, config.atom_sampling);
        (max_atoms > 0).then_some(Self { max_atoms, seed, sampling })
    }

    /// A uniform selection of all positions, in their order, where each of `shots`, given by what it is told from the others
    /// by, has `positions` of them; all if there are no more than `max_atoms`. For whoever has no features yet.
    pub fn uniform<'a>(self, shots: impl Iterator<Item = &'a str>, positions: usize) -> Vec<usize> {
        let mut chosen = self.order(shots, positions, None);
        chosen.truncate(self.max_atoms);
        chosen.sort_unstable();
        chosen
    }

    /// All positions of all shots in the order of their lots: the first ones become atoms.
    ///
    /// A lot is e / w, e being exponentially distributed and w = 1 / `densities`^2 the position's weight, or 1 without
    /// them: so the first is position i with probability w_i / sum_j w_j, and each next one likewise among the rest.
    pub(super) fn order<'a>(
        self,
        shots: impl Iterator<Item = &'a str>,
        positions: usize,
        densities: Option<&[f64]>,
    ) -> Vec<usize> {
        let draws = shots.flat_map(|shot| {
            let mut random = ChaCha8Rng::from_seed(Sha256::digest(format!("{}/{shot}", self.seed)).into());
            (0..positions).map(move |_| random.next_u64())
        });
        let lots = draws.enumerate().map(|(position, draw)| {
            let exponential = -(-(draw as f64) / RANGE_OF_U64).ln_1p();
            let lot = exponential * densities.map_or(1.0, |densities| densities[position].powi(2));
            (lot.to_bits(), position) // which are in the order of the lots: none is negative
        });
        let mut drawn: Vec<(u64, usize)> = lots.collect();
        drawn.sort_unstable();
        drawn.into_iter().map(|(_, position)| position).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SHOTS: [&str; 4] = ["a", "b", "c", "d"];

    fn selection(max_atoms: usize, seed: u64) -> AtomSelection {
        AtomSelection { max_atoms, seed, sampling: AtomSampling::Uniform }
    }

    /// Chosen positions as (shot, position in it).
    fn chosen<'a>(seed: u64, shots: &[&'a str]) -> BTreeSet<(&'a str, usize)> {
        let selection = selection(40, seed);
        let of = selection.uniform(shots.iter().copied(), 25);
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
            let selection = selection(40, seed);
            selection.uniform(SHOTS.into_iter(), 25).into_iter().for_each(|position| counts[position] += 1);
        }
        // 800 on average, with a standard deviation of 22.
        assert!(counts.iter().all(|count| (690..910).contains(count)), "{counts:?}");
    }

    #[test]
    fn all_are_chosen_if_there_are_no_more() {
        assert_eq!(selection(8, 0).uniform(["a", "b"].into_iter(), 3), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn the_first_position_is_drawn_with_its_share_of_all_weights() {
        let densities = [1.0, 0.5, 0.25, 1.0]; // weights 1, 4, 16, 1 of 22
        let mut first = [0u32; 4];
        for seed in 0..4400 {
            first[selection(1, seed).order(["a", "b"].into_iter(), 2, Some(&densities))[0]] += 1;
        }
        // Of 4400, with standard deviations of at most 30.
        let expected = [200, 800, 3200, 200u32];
        assert!(first.iter().zip(expected).all(|(count, mean)| count.abs_diff(mean) < 120), "{first:?}");
    }

    #[test]
    fn equal_densities_are_drawn_as_none() {
        let order = |densities| selection(1, 7).order(SHOTS.into_iter(), 25, densities);
        assert_eq!(order(Some(&[0.5; 100])), order(None));
    }
}
