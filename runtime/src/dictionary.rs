//! The dictionary file: what a bundle learned of one category, as the features of its shots. The atoms are derived
//! from it each time, so that shots can be added and removed exactly.

mod atoms;
mod changes;
mod checksum;
mod density;
mod fault;
mod left_out;
mod rules;
mod selection;

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

pub use fault::{DictionaryError, DictionaryFault};
use left_out::Pool;
use ndarray::{Array3, Array4, Axis, s};
use safetensors::SafeTensors;
pub use selection::AtomSelection;
use serde::{Deserialize, Serialize};
use sparsight_schemas::{AtomSampling, Poses, ScoringConfig};

use crate::{
    bundle::Bundle,
    calibration::{Calibration, DEFAULT_FALSE_ALARM_RATE, leave_one_shot_out},
    reference::Reference,
    replace::replace_file,
    roi::Roi,
    sparse_coding::is_energy,
    tensors::{self, TensorError},
};

/// The version that this code writes and reads.
pub const DICTIONARY_VERSION: u32 = 1;

/// More atoms than this need a Gram matrix of over 1 GiB.
pub const MOST_ATOMS: usize = 1 << 14;

const LARGEST_FILE: u64 = 1 << 31;
const SUPPORT_FEATURES: &str = "support_features";
const SHOT_MAPS: &str = "shot_maps";
const ROI: &str = "roi";

/// A support, seen through the backbone of one bundle.
#[derive(Clone, Debug, PartialEq)]
pub struct Dictionary {
    /// sha256 of the manifest of the bundle whose backbone made the features.
    pub bundle_sha256: String,
    /// The support images, in the order of the features.
    pub shots: Vec<Shot>,
    /// The poses of each.
    pub poses: Poses,
    /// Their features \[k p, d, h, w\], p being the number of poses: those of a shot one after the other.
    pub support_features: Array4<f32>,
    /// The positions that count; none for all.
    pub roi: Option<Roi>,
    /// Which of the features there become atoms; none for all.
    pub selection: Option<AtomSelection>,
    /// The energy map of each shot, explained by the others, \[k, h, w\]; none for a single shot.
    pub shot_maps: Option<Array3<f32>>,
    /// The false alarm rate that was asked for, which a change of the shots keeps; that of the calibration, if there is one.
    pub false_alarm_rate: f64,
    /// Scores of good images and the threshold; none for a single shot, unless others were held out.
    pub calibration: Option<Calibration>,
}

/// A support image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shot {
    /// Its name, unique in the dictionary.
    pub name: String,
    /// sha256 of its file.
    pub sha256: String,
}

/// The metadata of the file, as JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    bundle_sha256: String,
    shots: Vec<Shot>,
    #[serde(default, skip_serializing_if = "Poses::are_as_taken")]
    poses: Poses,
    /// Whether the file holds a roi: so that no reader who does not know of it scores without.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    roi: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_atoms: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(default, skip_serializing_if = "AtomSampling::is_uniform")]
    atom_sampling: AtomSampling,
    /// Only where no calibration says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    false_alarm_rate: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    calibration: Option<Calibration>,
    /// See [`checksum`]; older files have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
}

/// The part of the metadata that every version has.
#[derive(Deserialize)]
struct AnyVersion {
    version: u32,
}

impl Dictionary {
    /// Reads a dictionary and checks it, but not whether it belongs to a bundle.
    ///
    /// # Errors
    /// The file and what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, DictionaryError> {
        Self::read_file(path).map_err(|fault| DictionaryError { path: path.to_path_buf(), fault })
    }

    /// Reads a dictionary and checks that it belongs to `bundle`.
    ///
    /// # Errors
    /// The file and what is wrong with it.
    pub fn read_for(path: &Path, bundle: &Bundle) -> Result<Self, DictionaryError> {
        let at = |fault| DictionaryError { path: path.to_path_buf(), fault };
        let dictionary = Self::read(path)?;
        dictionary.check_bundle(bundle).map_err(at)?;
        Ok(dictionary)
    }

    /// Reads a dictionary of `bundle` to score with.
    ///
    /// # Errors
    /// The file and what is wrong with it; also that its shots have changed since it was calibrated.
    pub fn read_to_score(path: &Path, bundle: &Bundle) -> Result<Self, DictionaryError> {
        let dictionary = Self::read_for(path, bundle)?;
        let at = |fault| DictionaryError { path: path.to_path_buf(), fault };
        dictionary.check_scorable(bundle).map_err(at)?;
        Ok(dictionary)
    }

    /// Replaces the file at `path`.
    ///
    /// # Errors
    /// A dictionary that could not be read back, or the system's refusal; an old file is untouched.
    pub fn write(&self, path: &Path) -> Result<(), DictionaryError> {
        let write = || Ok(replace_file(path, &self.to_bytes()?)?);
        write().map_err(|fault| DictionaryError { path: path.to_path_buf(), fault })
    }

    /// The file's bytes: the same for the same dictionary.
    ///
    /// # Errors
    /// A dictionary that could not be read back.
    pub fn to_bytes(&self) -> Result<Vec<u8>, DictionaryFault> {
        self.check()?;
        let header = Header {
            version: DICTIONARY_VERSION,
            bundle_sha256: self.bundle_sha256.clone(),
            shots: self.shots.clone(),
            poses: self.poses,
            roi: self.roi.is_some(),
            max_atoms: self.selection.map(|selection| selection.max_atoms),
            seed: self.selection.map(|selection| selection.seed),
            atom_sampling: self.selection.map_or_else(AtomSampling::default, |selection| selection.sampling),
            false_alarm_rate: self.calibration.is_none().then_some(self.false_alarm_rate),
            calibration: self.calibration.clone(),
            checksum: Some(checksum::BLANK.into()),
        };
        let header = serde_json::to_string(&header).map_err(DictionaryFault::Metadata)?;
        let mut arrays = vec![(SUPPORT_FEATURES, self.support_features.clone().into_dyn())];
        arrays.extend(self.shot_maps.clone().map(|maps| (SHOT_MAPS, maps.into_dyn())));
        arrays.extend(self.roi.as_ref().map(|roi| (ROI, roi.inside().to_owned().into_dyn())));
        let mut bytes = tensors::to_bytes(&arrays, Some(header))?;
        checksum::enter(&mut bytes);
        Ok(bytes)
    }

    /// The dictionary in a file's bytes.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DictionaryFault> {
        let text = tensors::metadata(bytes)?.ok_or(DictionaryFault::NotADictionary)?;
        let AnyVersion { version } = serde_json::from_str(&text).map_err(DictionaryFault::Metadata)?;
        if version != DICTIONARY_VERSION {
            return Err(DictionaryFault::Version(version));
        }
        let header: Header = serde_json::from_str(&text).map_err(DictionaryFault::Metadata)?;
        let selection = match (header.max_atoms, header.seed) {
            (None, None) if header.atom_sampling.is_uniform() => None,
            (Some(max_atoms), Some(seed)) => {
                Some(AtomSelection { max_atoms, seed, sampling: header.atom_sampling })
            }
            _ => return Err(DictionaryFault::Selection),
        };
        let tensors = SafeTensors::deserialize(bytes).map_err(TensorError::from)?;
        let dictionary = Self {
            bundle_sha256: header.bundle_sha256,
            shots: header.shots,
            poses: header.poses,
            support_features: tensors::array(&tensors, SUPPORT_FEATURES)?,
            shot_maps: match tensors.tensor(SHOT_MAPS) {
                Ok(_) => Some(tensors::array(&tensors, SHOT_MAPS)?),
                Err(_) => None,
            },
            roi: match header.roi {
                true => Some(Roi::from_inside(tensors::array(&tensors, ROI)?)?),
                false => None,
            },
            selection,
            false_alarm_rate: header
                .false_alarm_rate
                .or(header.calibration.as_ref().map(|calibration| calibration.false_alarm_rate))
                .unwrap_or(DEFAULT_FALSE_ALARM_RATE),
            calibration: header.calibration,
        };
        dictionary.check()?;
        // Last, because what is wrong with a part tells more than that the whole is altered.
        match header.checksum.is_none_or(|written| checksum::holds(bytes, &written)) {
            true => Ok(dictionary),
            false => Err(DictionaryFault::Altered),
        }
    }

    /// Scores the shots anew, for a dictionary whose shots or whose rate have changed; scores of images held out go.
    ///
    /// # Errors
    /// A dictionary that breaks a rule or belongs to another bundle, a rate outside of (0, 1), or a shot whose energies
    /// are not finite.
    pub fn calibrate(&mut self, bundle: &Bundle) -> Result<(), DictionaryFault> {
        (self.shot_maps, self.calibration) = (None, None);
        self.check()?;
        self.check_bundle(bundle)?;
        if self.shots.len() > 1 {
            let config = &bundle.manifest.sparse_coding;
            let pool = Pool::new(self, config);
            let others = |shot| pool.without(shot);
            let as_taken = self.support_features.slice(s![..;self.poses.count(), .., .., ..]);
            let mut maps = leave_one_shot_out(as_taken, others, config);
            if let Some(roi) = &self.roi {
                maps.outer_iter_mut().for_each(|map| roi.limit(map));
            }
            self.shot_maps = Some(maps);
        }
        let none = Array3::zeros((0, 0, 0));
        let maps = self.shot_maps.as_ref().unwrap_or(&none);
        let scoring = &bundle.manifest.scoring;
        self.calibration = Calibration::new(maps.view(), self.roi.as_ref(), scoring, self.false_alarm_rate)?;
        let scores = self.calibration.iter().flat_map(|calibration| &calibration.scores);
        if let Some((shot, _)) = self.shots.iter().zip(scores).find(|(_, score)| !is_energy(**score)) {
            return Err(DictionaryFault::NotFinite(shot.name.clone()));
        }
        self.check()
    }

    /// Takes the threshold from `scores` of good images that are no shots.
    ///
    /// # Errors
    /// No score, one that is NaN, infinite or negative, or a rate outside of (0, 1).
    pub fn calibrate_by_held_out(&mut self, scores: Vec<f32>) -> Result<(), DictionaryFault> {
        self.calibration = Some(Calibration::held_out(scores, self.false_alarm_rate)?);
        Ok(())
    }

    /// What energies are compared with, if the bundle's scoring asks for it; none for a single shot.
    pub fn reference(&self, scoring: &ScoringConfig) -> Option<Reference> {
        let maps = self.shot_maps.as_ref().filter(|_| scoring.reference)?;
        Reference::new(maps.view(), self.roi.as_ref(), scoring.reference_floor)
    }

    /// The dictionary of all other shots, not calibrated: what it makes of the shot that is left out shows how good
    /// images score that adaptation has not seen. Its reference is that of the other shots' maps, which the shot that is left out helped to
    /// explain.
    ///
    /// # Panics
    /// If there is no such shot.
    pub fn without(&self, shot: usize) -> Self {
        assert!(shot < self.shots.len(), "shot {shot} of {}", self.shots.len());
        let mut others = Self { calibration: None, ..self.clone() };
        others.remove_at(shot);
        if let Some(maps) = &mut others.shot_maps {
            maps.remove_index(Axis(0), shot);
        }
        others
    }

    /// The anomaly score above which an image is anomalous; none without a calibration.
    pub fn threshold(&self) -> Option<f32> {
        self.calibration.as_ref().map(Calibration::threshold)
    }

    /// Positions of an image that count.
    pub fn positions(&self) -> usize {
        let (_, _, h, w) = self.support_features.dim();
        self.roi.as_ref().map_or(h * w, Roi::count)
    }

    /// Positions of a shot that count, of all its poses.
    fn positions_of_shot(&self) -> usize {
        self.poses.count() * self.positions()
    }

    /// Number of atoms.
    pub fn atom_count(&self) -> usize {
        let all = self.shots.len() * self.positions_of_shot();
        self.selection.map_or(all, |selection| all.min(selection.max_atoms))
    }

    fn read_file(path: &Path) -> Result<Self, DictionaryFault> {
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => DictionaryFault::Missing,
            io::ErrorKind::IsADirectory => DictionaryFault::Folder,
            _ => DictionaryFault::Unreadable(error),
        };
        let size = fs::metadata(path).map_err(unreadable)?.len();
        if size > LARGEST_FILE {
            return Err(DictionaryFault::TooLarge(size));
        }
        // What says that it is empty may be endless.
        let mut bytes = Vec::with_capacity(size as usize);
        let file = File::open(path).map_err(unreadable)?;
        file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        match bytes.len() as u64 {
            size if size > LARGEST_FILE => Err(DictionaryFault::TooLarge(size)),
            _ => Self::from_bytes(&bytes),
        }
    }
}
