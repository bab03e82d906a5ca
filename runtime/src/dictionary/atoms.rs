//! From a dictionary's shots to its atoms: which positions become atoms, and their neighbourhoods. What a draw favours is
//! `density`'s and `selection`'s.

use ndarray::{Array2, ArrayView4, Axis};
use sparsight_schemas::SparseCodingConfig;

use super::{Dictionary, density::densities};
use crate::sparse_coding::{Atoms, unfold};

impl Dictionary {
    /// The atoms that queries are explained with.
    pub fn atoms(&self, config: &SparseCodingConfig) -> Atoms {
        Atoms::from_unfolded(self.unfolded(config))
    }

    /// The unfolded support features that the atoms are made of, as they are, \[A, m\].
    pub fn unfolded(&self, config: &SparseCodingConfig) -> Array2<f32> {
        let mut chosen = self.positions_by_lot();
        chosen.truncate(self.atom_count());
        chosen.sort_unstable();
        self.unfolded_positions(&chosen, config)
    }

    /// All positions that count, of all shots, in the order in which they become atoms.
    pub(super) fn positions_by_lot(&self) -> Vec<usize> {
        let all = self.shots.len() * self.positions_of_shot();
        match self.selection {
            Some(selection) if selection.max_atoms < all => {
                let shots = self.shots.iter().map(|shot| shot.sha256.as_str());
                let densities = (!selection.sampling.is_uniform()).then(|| self.densities());
                selection.order(shots, self.positions_of_shot(), densities.as_deref())
            }
            _ => (0..all).collect(),
        }
    }

    /// The density of each position that counts, among those of its image.
    fn densities(&self) -> Vec<f64> {
        let width = self.support_features.dim().3;
        let of_image = |features: ArrayView4<f32>| {
            let mut rows = unfold(features, 1);
            if let Some(roi) = &self.roi {
                rows = roi.rows(&rows);
            }
            densities(rows, width)
        };
        self.support_features.axis_chunks_iter(Axis(0), 1).flat_map(of_image).collect()
    }

    /// The unfolded support features of `positions`, which ascend. No more than one image is unfolded at a time: of many,
    /// few positions may be chosen.
    pub(super) fn unfolded_positions(
        &self,
        mut positions: &[usize],
        config: &SparseCodingConfig,
    ) -> Array2<f32> {
        let (d, l) = (self.support_features.dim().1, config.receptive_field);
        let of_image = self.positions();
        let mut rows = Array2::zeros((positions.len(), d * l * l));
        let mut slots = rows.outer_iter_mut();
        for (image, features) in self.support_features.axis_chunks_iter(Axis(0), 1).enumerate() {
            let (here, later) =
                positions.split_at(positions.partition_point(|at| *at < (image + 1) * of_image));
            positions = later;
            if here.is_empty() {
                continue;
            }
            let mut unfolded = unfold(features, l);
            if let Some(roi) = &self.roi {
                unfolded = roi.rows(&unfolded);
            }
            for (position, mut slot) in here.iter().zip(&mut slots) {
                slot.assign(&unfolded.row(position - image * of_image));
            }
        }
        rows
    }
}
