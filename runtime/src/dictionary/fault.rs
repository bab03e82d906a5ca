//! What can be wrong with a dictionary, in the words that the user reads: the file, the fault, the remedy.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use super::{DICTIONARY_VERSION, MOST_ATOMS};
use crate::{calibration::CalibrationError, replace::ReplaceError, roi::RoiError, tensors::TensorError};

/// Why a dictionary can't be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{}", said(path, fault))]
pub struct DictionaryError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: DictionaryFault,
}

/// The message, with the file once.
fn said(path: &Path, fault: &DictionaryFault) -> String {
    match fault {
        DictionaryFault::Replace(error) => error.to_string(),
        fault => format!("{}: {fault}", path.display()),
    }
}

/// What is wrong with a dictionary.
#[derive(thiserror::Error)]
#[allow(missing_docs)] // the messages say it
pub enum DictionaryFault {
    #[error("no such file; make a dictionary with sparsight adapt")]
    Missing,
    #[error("is a folder; give a file that sparsight adapt wrote")]
    Folder,
    #[error("can't be read ({0}); check its permissions, or take another copy")]
    Unreadable(io::Error),
    #[error("{0} bytes are too many for a dictionary; adapt again")]
    TooLarge(u64),
    #[error("is damaged or not a dictionary: {0}; adapt again")]
    Tensor(#[from] TensorError),
    #[error("is not a dictionary: it has no metadata of sparsight; give a file that sparsight adapt wrote")]
    NotADictionary,
    #[error("is damaged: metadata {0}; adapt again")]
    Metadata(serde_json::Error),
    #[error("is not what was written; take a copy that is whole, or adapt again")]
    Altered,
    #[error(
        "has version {0}, this program reads version {DICTIONARY_VERSION}; adapt again with this program"
    )]
    Version(u32),
    #[error("holds no shots; adapt again with at least one image")]
    NoShots,
    #[error("lists {shots} shots in {poses} poses but holds the features of {images} images; adapt again")]
    ShotCount { shots: usize, poses: usize, images: usize },
    #[error("shots {0:?} and {1:?} have the same name or the same content; give each image once")]
    Duplicate(String, String),
    #[error("holds no shot named {0}; see sparsight dictionary list")]
    NoSuchShot(String),
    #[error("was adapted with another bundle than the first; adapt again with that one")]
    MergedBundle,
    #[error("keeps atoms by another --max-atoms or --seed than the first; adapt again with the same")]
    MergedSelection,
    #[error("has another --roi than the first; adapt again with the same")]
    MergedRoi,
    #[error("has another --augment-support than the first; adapt again with the same")]
    MergedPoses,
    #[error(
        "a region of interest is of images as they were taken; adapt without --roi or without --augment-support"
    )]
    RoiInPoses,
    #[error(
        "images of {0} x {1} pixels can't be turned by a right angle; adapt with --augment-support=flips"
    )]
    NotSquare(usize, usize),
    #[error("{0}; adapt again")]
    Roi(#[from] RoiError),
    #[error("has a roi of shape {found:?}, its features say {expected:?}; adapt again")]
    RoiShape { found: [usize; 2], expected: [usize; 2] },
    #[error(
        "max_atoms and seed must come together, atom_sampling only with them, and max_atoms be at least 1; adapt again"
    )]
    Selection,
    #[error("{0} atoms are too many (at most {MOST_ATOMS}); use fewer images or --max-atoms")]
    TooManyAtoms(usize),
    #[error("the energies of shot {0:?} are not finite; export a healthy checkpoint and adapt again")]
    NotFinite(String),
    #[error("{0}; adapt again")]
    Calibration(#[from] CalibrationError),
    #[error("holds energy maps of shape {found:?}, its features say {expected:?}; adapt again")]
    ShotMaps { found: [usize; 3], expected: [usize; 3] },
    #[error(
        "holds no energy maps of its shots, which this bundle's scores are relative to; calibrate or adapt again"
    )]
    NoShotMaps,
    #[error("is calibrated with {scores} scores for {shots} shots; adapt again")]
    CalibrationCount { scores: usize, shots: usize },
    #[error("is calibrated for a false alarm rate of {kept}, but {asked} was asked for; adapt again")]
    OtherRate { kept: f64, asked: f64 },
    #[error("was adapted with another bundle; adapt again with this one, {}", .0.display())]
    OtherBundle(PathBuf),
    #[error("holds features of shape {found:?} for each shot, the bundle makes {expected:?}; adapt again")]
    Shape { found: [usize; 3], expected: [usize; 3] },
    #[error(transparent)]
    Replace(#[from] ReplaceError),
}

/// The message: derived, it would be 7 KB of the program.
impl fmt::Debug for DictionaryFault {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}
