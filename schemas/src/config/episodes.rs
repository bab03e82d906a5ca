//! The part of the config that says what a model is trained on, with its defaults and what makes it valid: categories, the
//! episodes drawn from them, and how queries are spoilt. What is done with them is `training`'s to say.

use serde::{Deserialize, Serialize};

use super::at_least_one;
use crate::Violation;

/// Where training images come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// Folders of categories (layouts of MVTec-AD, VisA or BTAD, or plain folders of good images); relative ones start
    /// at the working directory.
    pub roots: Vec<String>,
    /// Names of the only categories to use; empty for all.
    pub include: Vec<String>,
    /// Names of categories to leave out.
    pub exclude: Vec<String>,
    /// Names of categories that validate the run and are not trained on.
    pub validation: Vec<String>,
}

/// How many tasks, shots and queries make a training step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct EpisodeConfig {
    /// Episodes whose gradients are averaged in a step.
    pub tasks: usize,
    /// Support images K of an episode.
    pub shots: usize,
    /// Query images M of an episode.
    pub queries: usize,
    /// How an episode's images are varied.
    pub augmentation: AugmentationConfig,
}

/// How an episode's images are varied. What says what is normal (flips, rotation, colours) is drawn once for an episode;
/// what a camera may change (brightness, contrast) is drawn for each image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct AugmentationConfig {
    /// Mirror left and right, and top and bottom, each for half of the episodes.
    pub flips: bool,
    /// Turn by 0, 90, 180 or 270 degrees; by 0 or 180 where images are not square.
    pub rotation: bool,
    /// Permute red, green and blue.
    pub channel_permutation: bool,
    /// Share of the episodes whose images are grey: the mean of red, green and blue in all three.
    pub greyscale: f32,
    /// Largest shift of brightness, in units of the image's range [0, 1].
    pub brightness: f32,
    /// Largest change of contrast, as a share: factors of 1 - contrast to 1 + contrast about the image's mean.
    pub contrast: f32,
}

/// How queries are spoilt into negatives, the sampler's starting points (appendix A.4).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct NegativesConfig {
    /// Fewest and most patches of an image.
    pub patches: [usize; 2],
    /// Smallest and largest area of a patch's rectangle, as a share of the image; a blob covers about a third of its own.
    pub area: [f32; 2],
    /// Smallest and largest ratio of a patch's height to its width.
    pub aspect_ratio: [f32; 2],
    /// How often each kind is drawn, relative to the others.
    pub kinds: NegativeKinds,
    /// Outline of the patches.
    pub shape: PatchShape,
    /// Least and most opaque patch: 1 replaces what is under it, as in the paper; less lets it shine through.
    pub opacity: [f32; 2],
    /// Share of the negatives that are the category's own labelled anomalies, where it has some with masks.
    pub anomalies: f32,
}

/// Outline of a patch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PatchShape {
    /// The whole rectangle, as in the paper.
    #[default]
    Rectangle,
    /// An irregular blob inside the rectangle, with a soft edge.
    Blob,
}

/// How often each kind of patch is drawn, relative to the others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct NegativeKinds {
    /// Uniform noise.
    pub noise: f32,
    /// One colour.
    pub constant: f32,
    /// A piece of the same image.
    pub copy_paste: f32,
    /// Gaussian blur.
    pub blur: f32,
}

impl Default for EpisodeConfig {
    fn default() -> Self {
        Self { tasks: 4, shots: 10, queries: 10, augmentation: AugmentationConfig::default() }
    }
}

impl Default for NegativesConfig {
    fn default() -> Self {
        Self {
            patches: [1, 3],
            area: [0.0025, 0.025],
            aspect_ratio: [0.01, 100.0],
            kinds: NegativeKinds::default(),
            shape: PatchShape::default(),
            opacity: [1.0, 1.0],
            anomalies: 0.0,
        }
    }
}

impl Default for NegativeKinds {
    fn default() -> Self {
        Self { noise: 1.0, constant: 1.0, copy_paste: 1.0, blur: 1.0 }
    }
}

impl DataConfig {
    /// What is wrong with the choice of categories, if anything.
    pub fn validate(&self) -> Result<(), Violation> {
        let barred = |name: &&String| self.exclude.contains(name);
        match self.validation.iter().find(barred) {
            Some(name) => Err(Violation::ValidationExcluded(name.clone())),
            None => Ok(()),
        }
    }
}

impl EpisodeConfig {
    /// What is wrong with the settings, if anything.
    pub fn validate(&self) -> Result<(), Violation> {
        let counts = [
            ("episodes.tasks", self.tasks),
            ("episodes.shots", self.shots),
            ("episodes.queries", self.queries),
        ];
        at_least_one(&counts)?;
        if let Some(&(field, count)) = counts.iter().find(|(_, count)| *count > 10_000) {
            return Err(Violation::EpisodeSize { field, count });
        }
        shares(&[
            ("episodes.augmentation.greyscale", self.augmentation.greyscale),
            ("episodes.augmentation.brightness", self.augmentation.brightness),
            ("episodes.augmentation.contrast", self.augmentation.contrast),
        ])
    }
}

impl NegativesConfig {
    /// What is wrong with the settings, if anything.
    pub fn validate(&self) -> Result<(), Violation> {
        let [fewest, most] = self.patches;
        if fewest == 0 || fewest > most || most > 10_000 {
            return Err(Violation::Patches(self.patches));
        }
        let [smallest, largest] = self.area;
        if !(smallest > 0.0 && smallest <= largest && largest <= 1.0) {
            return Err(Violation::PatchArea(self.area));
        }
        let [flattest, tallest] = self.aspect_ratio;
        if !(flattest > 0.0 && flattest <= tallest && tallest.is_finite()) {
            return Err(Violation::PatchAspectRatio(self.aspect_ratio));
        }
        let weights = self.kinds.weights();
        if !(weights.iter().all(|w| (0.0..=1e9).contains(w)) && weights.iter().sum::<f32>() > 0.0) {
            return Err(Violation::PatchKinds(weights));
        }
        let [faintest, firmest] = self.opacity;
        if !(faintest > 0.0 && faintest <= firmest && firmest <= 1.0) {
            return Err(Violation::PatchOpacity(self.opacity));
        }
        shares(&[("negatives.anomalies", self.anomalies)])
    }
}

impl NegativeKinds {
    /// The weights in the order noise, constant, copy-paste, blur.
    pub fn weights(&self) -> [f32; 4] {
        [self.noise, self.constant, self.copy_paste, self.blur]
    }
}

fn shares(shares: &[(&'static str, f32)]) -> Result<(), Violation> {
    match shares.iter().find(|(_, value)| !(0.0..=1.0).contains(value)) {
        Some(&(field, value)) => Err(Violation::Share { field, value }),
        None => Ok(()),
    }
}
