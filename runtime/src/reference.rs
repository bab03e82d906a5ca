//! What energy is normal at each position of an image: what the shots themselves have there, each explained by the
//! others. Scores are taken of energies relative to it. How the shots' maps come about is `calibration`'s.

use ndarray::{Array2, ArrayView2, ArrayView3, Axis};

use crate::roi::Roi;

/// Share of the mean over all positions that is added to each position's own mean, so that places where a few shots
/// happen to agree do not raise false alarms.
const ADDED: f32 = 0.3;

/// Keeps quotients finite where all shots are explained perfectly.
const SMALLEST: f32 = 1e-9;

/// The reference of a support, \[h, w\].
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    map: Array2<f32>,
}

impl Reference {
    /// r = max(mean_k(L_k), floor mean(L)) + 0.3 mean(L), from the energy map L_k of each shot, explained by the others,
    /// \[k, h, w\], and the scoring's `reference_floor`; mean(L) is over the positions that count. None without a map.
    pub fn new(shot_maps: ArrayView3<f32>, roi: Option<&Roi>, floor: f32) -> Option<Self> {
        let share = roi.map_or(1.0, Roi::share); // elsewhere the maps are 0
        let mean = shot_maps.mean()? / share;
        let (floor, added) = (floor * mean, ADDED * mean);
        let map = shot_maps.mean_axis(Axis(0))?;
        Some(Self { map: map.mapv(|energy| (energy.max(floor) + added).max(SMALLEST)) })
    }

    /// e / r: the energies of a map \[h, w\] as multiples of what is normal where they are.
    ///
    /// # Panics
    /// If the map has another shape.
    pub fn relative(&self, energy_map: ArrayView2<f32>) -> Array2<f32> {
        &energy_map / &self.map
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, array};

    use super::*;

    #[test]
    fn energies_are_multiples_of_the_shots_own() {
        let shots = array![[[1.0, 3.0]], [[3.0, 5.0]]]; // means by position 2 and 4, of all 3
        let relative =
            |floor| Reference::new(shots.view(), None, floor).unwrap().relative(array![[2.9, 9.8]].view());
        let is = |relative: Array2<f32>, expected: Array2<f32>| {
            let near = (&relative - &expected).iter().all(|difference| difference.abs() < 1e-6);
            assert!(near, "{relative}, not {expected}");
        };
        is(relative(0.0), array![[1.0, 2.0]]); // of 2 + 0.9 and 4 + 0.9
        is(relative(0.5), array![[1.0, 2.0]]); // both have more than 1.5
        is(relative(1.0), array![[2.9 / 3.9, 2.0]]); // the first counts as 3
        is(relative(2.0), array![[2.9 / 6.9, 9.8 / 6.9]]); // both as 6
    }

    #[test]
    fn positions_that_do_not_count_leave_the_reference_of_the_others_alone() {
        let roi = Roi::from_inside(array![[1.0, 0.0], [1.0, 0.0]]).unwrap();
        let within = Reference::new(array![[[1.0, 0.0], [3.0, 0.0]]].view(), Some(&roi), 0.7).unwrap();
        let alone = Reference::new(array![[[1.0], [3.0]]].view(), None, 0.7).unwrap();
        let relative = within.relative(array![[5.0, 0.0], [7.0, 0.0]].view());
        let expected = alone.relative(array![[5.0], [7.0]].view());
        assert_eq!(relative.column(0), expected.column(0));
        assert_eq!(relative.column(1).sum(), 0.0);
    }

    #[test]
    fn shots_that_are_explained_perfectly_leave_quotients_finite() {
        let reference = Reference::new(Array3::zeros((3, 2, 2)).view(), None, 1.0).unwrap();
        assert!(reference.relative(array![[0.0, 1.0], [0.5, 0.25]].view()).iter().all(|e| e.is_finite()));
    }

    #[test]
    fn no_shots_make_no_reference() {
        assert_eq!(Reference::new(Array3::zeros((0, 2, 2)).view(), None, 0.0), None);
    }
}
