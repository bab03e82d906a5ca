//! The atoms of a dictionary without one of its shots, for each of them in turn. What differs between them is little, so
//! that the rest is computed once.

use sparsight_schemas::SparseCodingConfig;

use super::Dictionary;
use crate::sparse_coding::{Atoms, UnitAtoms};

/// Every position that is an atom of the dictionary, or becomes one when a shot is left out.
pub(super) struct Pool {
    atoms: UnitAtoms,
    /// For each shot, which of the pool are atoms without it.
    chosen: Vec<Vec<usize>>,
}

impl Pool {
    pub(super) fn new(dictionary: &Dictionary, config: &SparseCodingConfig) -> Self {
        let (shots, of_shot) = (dictionary.shots.len(), dictionary.positions_of_shot());
        let most = dictionary.selection.map_or(usize::MAX, |selection| selection.max_atoms);
        let by_lot = dictionary.positions_by_lot();
        let without = |shot: usize| {
            let others = by_lot.iter().copied().filter(|position| position / of_shot != shot);
            let mut chosen: Vec<usize> = others.take(most).collect();
            chosen.sort_unstable();
            chosen
        };
        let chosen: Vec<Vec<usize>> = (0..shots).map(without).collect();

        let mut place = vec![usize::MAX; shots * of_shot];
        chosen.iter().flatten().for_each(|position| place[*position] = 0);
        let pool: Vec<usize> = (0..place.len()).filter(|position| place[*position] == 0).collect();
        pool.iter().enumerate().for_each(|(at, position)| place[*position] = at);
        let chosen = chosen.into_iter().map(|chosen| chosen.into_iter().map(|p| place[p]).collect());
        Self { atoms: UnitAtoms::new(dictionary.unfolded_positions(&pool, config)), chosen: chosen.collect() }
    }

    /// The atoms of the dictionary without a shot, as [`Dictionary::without`] and [`Dictionary::atoms`] give them.
    pub(super) fn without(&self, shot: usize) -> Atoms {
        self.atoms.together(&self.chosen[shot])
    }
}
