//! What a dictionary must keep to, whether it was read or made: rules of its own, and those of its bundle. What breaking them
//! is called is `fault`'s.

use std::collections::HashMap;

use super::{Dictionary, DictionaryFault, MOST_ATOMS, SHOT_MAPS, SUPPORT_FEATURES};
use crate::{bundle::Bundle, calibration::check_rate, tensors::TensorError};

impl Dictionary {
    /// Whether the dictionary was made with this bundle.
    ///
    /// # Errors
    /// It was made with another one.
    pub fn check_bundle(&self, bundle: &Bundle) -> Result<(), DictionaryFault> {
        if self.bundle_sha256 != bundle.sha256 {
            return Err(DictionaryFault::OtherBundle(bundle.path.clone()));
        }
        let (_, d, h, w) = self.support_features.dim();
        let features = bundle.manifest.features;
        let (found, expected) = ([d, h, w], [features.channels, features.height, features.width]);
        if found == expected { Ok(()) } else { Err(DictionaryFault::Shape { found, expected }) }
    }

    /// Whether the dictionary can be scored with: it was made with this bundle, and has what scores are relative to.
    ///
    /// # Errors
    /// It was made with another bundle, or its shots have changed since it was calibrated.
    pub fn check_scorable(&self, bundle: &Bundle) -> Result<(), DictionaryFault> {
        self.check_bundle(bundle)?;
        // A single shot has no others that it could be explained by.
        let relative = bundle.manifest.scoring.reference && self.shots.len() > 1;
        if relative && self.shot_maps.is_none() { Err(DictionaryFault::NoShotMaps) } else { Ok(()) }
    }

    /// The rules that need no bundle.
    pub(super) fn check(&self) -> Result<(), DictionaryFault> {
        let (shots, poses, images) = (self.shots.len(), self.poses.count(), self.support_features.dim().0);
        if shots.checked_mul(poses) != Some(images) {
            return Err(DictionaryFault::ShotCount { shots, poses, images });
        }
        if self.support_features.is_empty() {
            return Err(DictionaryFault::NoShots);
        }
        if self.support_features.iter().any(|value| !value.is_finite()) {
            return Err(TensorError::NotFinite(SUPPORT_FEATURES.into()).into());
        }
        let (mut names, mut contents) = (HashMap::new(), HashMap::new());
        for shot in &self.shots {
            let same = [names.insert(&shot.name, shot), contents.insert(&shot.sha256, shot)];
            if let Some(other) = same.into_iter().flatten().next() {
                return Err(DictionaryFault::Duplicate(other.name.clone(), shot.name.clone()));
            }
        }
        if self.selection.is_some_and(|selection| selection.max_atoms == 0) {
            return Err(DictionaryFault::Selection);
        }
        if let Some(roi) = &self.roi {
            if !self.poses.are_as_taken() {
                return Err(DictionaryFault::RoiInPoses);
            }
            let (found, (_, _, h, w)) = (roi.inside().dim().into(), self.support_features.dim());
            if found != [h, w] {
                return Err(DictionaryFault::RoiShape { found, expected: [h, w] });
            }
        }
        if self.atom_count() > MOST_ATOMS {
            return Err(DictionaryFault::TooManyAtoms(self.atom_count()));
        }
        if let Some(maps) = &self.shot_maps {
            let (found, (_, _, h, w)) = (maps.dim().into(), self.support_features.dim());
            if found != [shots, h, w] {
                return Err(DictionaryFault::ShotMaps { found, expected: [shots, h, w] });
            }
            // Their sum too, or a mean of them may be infinite and every score relative to it 0.
            let sum: f64 = maps.iter().map(|energy| f64::from(*energy)).sum();
            if !(sum < f64::from(f32::MAX / 2.0) && maps.iter().all(|energy| *energy >= 0.0)) {
                return Err(TensorError::NotFinite(SHOT_MAPS.into()).into());
            }
        }
        check_rate(self.false_alarm_rate)?;
        if let Some(calibration) = &self.calibration {
            calibration.check()?;
            let (kept, asked) = (calibration.false_alarm_rate, self.false_alarm_rate);
            if kept != asked {
                return Err(DictionaryFault::OtherRate { kept, asked });
            }
            if let Some(scores) =
                calibration.shot_scores().map(<[f32]>::len).filter(|scores| *scores != shots)
            {
                return Err(DictionaryFault::CalibrationCount { scores, shots });
            }
        }
        Ok(())
    }
}
