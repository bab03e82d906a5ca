//! Changes of a dictionary's shots. Each discards the calibration, which is of the shots as they were;
//! [`Dictionary::calibrate`] makes another.

use ndarray::{Array4, Axis, concatenate};

use super::{Dictionary, DictionaryFault, Shot};

impl Dictionary {
    /// Adds shots with their features \[k p, d, h, w\], in the dictionary's p poses, behind the others.
    ///
    /// # Errors
    /// Features of another shape or number; that they are new shots is checked by [`Dictionary::calibrate`].
    pub fn add(&mut self, shots: Vec<Shot>, features: Array4<f32>) -> Result<(), DictionaryFault> {
        let (added, d, h, w) = features.dim();
        let (_, channels, height, width) = self.support_features.dim();
        if [d, h, w] != [channels, height, width] {
            return Err(DictionaryFault::Shape { found: [d, h, w], expected: [channels, height, width] });
        }
        let poses = self.poses.count();
        if added != shots.len() * poses {
            return Err(DictionaryFault::ShotCount { shots: shots.len(), poses, images: added });
        }
        self.support_features = concatenate![Axis(0), self.support_features, features];
        self.shots.extend(shots);
        (self.shot_maps, self.calibration) = (None, None);
        Ok(())
    }

    /// Removes the shot of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn remove(&mut self, name: &str) -> Result<(), DictionaryFault> {
        let place = self.shots.iter().position(|shot| shot.name == name);
        let place = place.ok_or_else(|| DictionaryFault::NoSuchShot(name.into()))?;
        self.remove_at(place);
        (self.shot_maps, self.calibration) = (None, None);
        Ok(())
    }

    /// Removes a shot with its features, and nothing else.
    pub(super) fn remove_at(&mut self, place: usize) {
        let poses = self.poses.count();
        self.shots.remove(place);
        (0..poses).for_each(|_| self.support_features.remove_index(Axis(0), place * poses));
    }

    /// Adds those shots of `other` whose content is new and gives their number. One whose name is taken is called
    /// `label`/name.
    ///
    /// # Errors
    /// A dictionary of another bundle, region of interest or other poses, or one that selects atoms otherwise.
    pub fn merge(&mut self, other: &Self, label: &str) -> Result<usize, DictionaryFault> {
        if self.bundle_sha256 != other.bundle_sha256 {
            return Err(DictionaryFault::MergedBundle);
        }
        if self.roi != other.roi {
            return Err(DictionaryFault::MergedRoi);
        }
        if self.poses != other.poses {
            return Err(DictionaryFault::MergedPoses);
        }
        if self.selection != other.selection {
            return Err(DictionaryFault::MergedSelection);
        }
        let is_new = |shot: &Shot| self.shots.iter().all(|known| known.sha256 != shot.sha256);
        let places: Vec<usize> =
            (0..other.shots.len()).filter(|&place| is_new(&other.shots[place])).collect();
        let shots = places.iter().map(|&place| {
            let Shot { mut name, sha256 } = other.shots[place].clone();
            while self.shots.iter().any(|known| known.name == name) {
                name = format!("{label}/{name}");
            }
            Shot { name, sha256 }
        });
        let poses = self.poses.count();
        let images: Vec<usize> = places.iter().flat_map(|place| place * poses..(place + 1) * poses).collect();
        let (shots, features) = (shots.collect(), other.support_features.select(Axis(0), &images));
        self.add(shots, features)?;
        Ok(places.len())
    }
}
