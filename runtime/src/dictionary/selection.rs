//! Which positions of a support become atoms, when not all of them may.

use ndarray::{Array2, ArrayView4, Axis};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use sparsight_schemas::SparseCodingConfig;

use crate::sparse_coding::{Atoms, unfold};

/// A random selection of positions that become atoms, the same for the same seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtomSelection {
    /// Atoms that remain, at most.
    pub max_atoms: usize,
    /// Seed of the selection.
    pub seed: u64,
}

impl AtomSelection {
    /// The atoms of `support_features` \[k, d, h, w\]: of all positions, or of those that `selection` keeps.
    pub fn atoms(
        selection: Option<Self>,
        support_features: ArrayView4<f32>,
        config: &SparseCodingConfig,
    ) -> Atoms {
        Atoms::from_unfolded(Self::unfolded(selection, support_features, config))
    }

    /// What [`AtomSelection::atoms`] scales to atoms: the unfolded support features as they are, \[A, m\].
    pub fn unfolded(
        selection: Option<Self>,
        support_features: ArrayView4<f32>,
        config: &SparseCodingConfig,
    ) -> Array2<f32> {
        let unfolded = unfold(support_features, config.receptive_field);
        match selection {
            Some(selection) if selection.max_atoms < unfolded.nrows() => {
                unfolded.select(Axis(0), &selection.of(unfolded.nrows()))
            }
            _ => unfolded,
        }
    }

    /// The selection that a bundle or a config asks for; none if it keeps all positions.
    pub fn new(config: &SparseCodingConfig, seed: u64) -> Option<Self> {
        (config.max_atoms > 0).then_some(Self { max_atoms: config.max_atoms, seed })
    }

    /// `max_atoms` of `count` positions, each equally likely, in their order; all if there are no more.
    pub fn of(self, count: usize) -> Vec<usize> {
        if count <= self.max_atoms {
            return (0..count).collect();
        }
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        let mut random = ChaCha8Rng::from_seed(seed);
        let mut positions: Vec<usize> = (0..count).collect();
        for i in 0..self.max_atoms {
            positions.swap(i, i + below(&mut random, (count - i) as u64) as usize);
        }
        positions.truncate(self.max_atoms);
        positions.sort_unstable();
        positions
    }
}

/// A number below `bound`, each equally likely: the last, incomplete run of remainders is drawn again.
fn below(random: &mut ChaCha8Rng, bound: u64) -> u64 {
    loop {
        let number = random.next_u64();
        if number < u64::MAX - u64::MAX % bound {
            return number % bound;
        }
    }
}
