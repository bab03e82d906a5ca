//! The poses in which each support image is taken into a dictionary. Which pixel goes where is the runtime's to know.

use serde::{Deserialize, Serialize};

/// The poses in which each shot becomes atoms, for parts that come in any pose. The first is the shot as it was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Poses {
    /// As it was taken.
    #[default]
    AsTaken,
    /// Mirrored, upside down, and both.
    Flips,
    /// By all right angles.
    Rotations,
    /// By all right angles, and each mirrored.
    All,
}

impl Poses {
    /// The poses that a command line calls by this name: `flips`, `rotations` or `all`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "flips" => Some(Self::Flips),
            "rotations" => Some(Self::Rotations),
            "all" => Some(Self::All),
            _ => None,
        }
    }

    /// Poses of each shot.
    pub fn count(self) -> usize {
        match self {
            Self::AsTaken => 1,
            Self::Flips | Self::Rotations => 4,
            Self::All => 8,
        }
    }

    /// Whether some pose exchanges height and width, which takes square images.
    pub fn turn(self) -> bool {
        matches!(self, Self::Rotations | Self::All)
    }

    /// Whether each shot is only as it was taken.
    pub fn are_as_taken(&self) -> bool {
        *self == Self::AsTaken
    }
}
