//! The config as it is written in YAML: the model, with its defaults and what makes it valid. The layer of sparse coding is
//! `config::sparse_coding`'s; on what a model is trained is `config::episodes`'s, how `config::training`'s.

mod episodes;
mod sparse_coding;
mod training;

pub use episodes::{
    AugmentationConfig, DataConfig, EpisodeConfig, NegativeKinds, NegativesConfig, PatchShape,
};
pub use sparse_coding::{AtomSampling, EnergyKind, Shrinkage, SparseCodingConfig};
pub use training::{LangevinConfig, LearningRateSchedule, ObjectiveConfig, OptimizerConfig, TrainingConfig};

use serde::{Deserialize, Serialize};

use crate::{NORM_GROUPS, Validate, Violation};

/// Everything that decides what a training run produces, apart from the images themselves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name of the bundle that this config makes.
    pub name: String,
    /// Seed of the weights, the episodes, the negatives and the sampler's noise.
    pub seed: u64,
    /// Size of the images that the backbone sees.
    pub input: InputConfig,
    /// Shape of the backbone.
    pub backbone: BackboneConfig,
    /// The sparse coding layer.
    pub sparse_coding: SparseCodingConfig,
    /// How an energy map becomes the score of an image.
    pub scoring: ScoringConfig,
    /// Where training images come from.
    pub data: DataConfig,
    /// How many tasks, shots and queries make a training step.
    pub episodes: EpisodeConfig,
    /// How queries are spoilt into the sampler's starting points.
    pub negatives: NegativesConfig,
    /// The sampler.
    pub langevin: LangevinConfig,
    /// Weights of the terms of the loss.
    pub objective: ObjectiveConfig,
    /// Adam.
    pub optimizer: OptimizerConfig,
    /// Length of the run and what it writes.
    pub training: TrainingConfig,
}

/// Size of the images that the backbone sees, and how they get there.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct InputConfig {
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Interpolation from the original image, always antialiased.
    pub resize: ResizeFilter,
}

/// Interpolation kernels; all are widened when shrinking, so that none of them aliases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ResizeFilter {
    /// Triangle kernel.
    #[default]
    Bilinear,
    /// Catmull-Rom cubic kernel.
    Bicubic,
    /// Lanczos kernel with three lobes.
    Lanczos,
}

/// Shape of the `resnet10` backbone; one entry of `widths` and of `strides` for each stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct BackboneConfig {
    /// Output channels of each stage (1 to 4 stages); the stem has as many as the first.
    pub widths: Vec<usize>,
    /// Stride of each stage, 1 or 2.
    pub strides: Vec<usize>,
    /// Channels d of the features.
    pub feature_channels: usize,
    /// Add to the features a linear map of the mean colours around each position, relative to a centre of the whole image's that a
    /// defect hardly moves: the group norms discard how bright a place is, which some defects are told by. Beyond the
    /// paper.
    pub image_shortcut: bool,
    /// How finely the image shortcut sees: 1 takes one mean colour a position; 2 those of 3 x 3 cells around it, two from one
    /// position to the next; 4 those of 5 x 5. Cells must be an even number of pixels apart.
    pub image_shortcut_cells: usize,
    /// Let the image shortcut see contrasts too: of each cell and channel the log of the pixels' variance, relative to such a centre.
    /// Some defects are rougher or smoother than what is around them, and no brighter. Beyond the paper.
    #[cfg_attr(feature = "json-schema", schemars(extend("default" = false)))]
    #[serde(skip_serializing_if = "std::ops::Not::not")] // bundles that don't need it stay as they were
    pub image_shortcut_contrast: bool,
}

/// How an energy map becomes the score of an image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ScoringConfig {
    /// The anomaly score is the mean of this share of the positions, those of highest energy, at least one:
    /// 1.0 is the mean of the map, a tiny share its maximum.
    pub top_fraction: f32,
    /// Standard deviation of the Gaussian that smooths maps at the size of the original image, in pixels of the
    /// backbone's input; 0 leaves them as they are.
    pub smoothing: f32,
    /// Divide the energy of each position by what the shots themselves have there, each explained by the others: places
    /// that vary among good images count for less. Beyond the paper.
    pub reference: bool,
    /// What the shots have at a position counts at least as this share of its mean over all positions, 0 to 1000; above 0 only
    /// with `reference`. Where good images have little energy a little more of it is no alarm then. At 0 each position keeps its
    /// own; the higher, the more alike they are.
    #[cfg_attr(feature = "json-schema", schemars(extend("default" = 0.0)))]
    #[serde(skip_serializing_if = "is_zero")] // bundles that don't need it stay as they were
    pub reference_floor: f32,
}

fn is_zero(value: &f32) -> bool {
    *value == 0.0
}

impl Default for InputConfig {
    fn default() -> Self {
        Self { height: 128, width: 128, resize: ResizeFilter::default() }
    }
}

impl Default for BackboneConfig {
    fn default() -> Self {
        Self {
            widths: vec![32, 64, 128, 256],
            strides: vec![1, 2, 2, 2],
            feature_channels: 256,
            image_shortcut: false,
            image_shortcut_cells: 1,
            image_shortcut_contrast: false,
        }
    }
}

impl Default for ScoringConfig {
    fn default() -> Self {
        Self { top_fraction: 0.01, smoothing: 4.0, reference: false, reference_floor: 0.0 }
    }
}

/// Name of the image shortcut's parameter for mean colours, \[d,3,k,k\] with k its side.
pub const IMAGE_SHORTCUT: &str = "head.shortcut.conv.weight";

/// Name of the one for contrasts, of the same shape.
pub const CONTRAST_SHORTCUT: &str = "head.contrast.conv.weight";

/// Channels of a layer, at most: a convolution of this many weighs 600 MB.
const MOST_CHANNELS: usize = 4096;

fn is_width(channels: usize) -> bool {
    (1..=MOST_CHANNELS).contains(&channels) && channels.is_multiple_of(NORM_GROUPS)
}

/// Whether a neighbourhood of this side is centred on a position, and not too large for any features.
fn is_receptive_field(side: usize) -> bool {
    !side.is_multiple_of(2) && side <= 15
}

fn at_least_one(counts: &[(&'static str, usize)]) -> Result<(), Violation> {
    match counts.iter().find(|(_, count)| *count == 0) {
        Some((field, _)) => Err(Violation::ZeroCount(field)),
        None => Ok(()),
    }
}

impl Config {
    /// The sparse coding that the weights are trained with: [`Config::sparse_coding`], but with Eq. (8)'s energy, and the receptive
    /// field of `training` if it has one of its own.
    pub fn trained_sparse_coding(&self) -> SparseCodingConfig {
        let coding = self.sparse_coding;
        SparseCodingConfig {
            receptive_field: self.training.receptive_field.unwrap_or(coding.receptive_field),
            energy: EnergyKind::Reconstruction,
            ..coding
        }
    }
}

impl BackboneConfig {
    /// Name and shape of every parameter (convolutions OIHW, norms \[C\]), in the order of the forward pass.
    pub fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        let mut parameters = Vec::new();
        let mut block = |name: &str, conv: &str, norm: &str, [output, input, side]: [usize; 3]| {
            parameters.push((format!("{name}{conv}.weight"), vec![output, input, side, side]));
            parameters.push((format!("{name}{norm}.weight"), vec![output]));
            parameters.push((format!("{name}{norm}.bias"), vec![output]));
        };
        let mut input = self.widths[0];
        block("stem.", "conv", "norm", [input, 3, 7]);
        for (i, &width) in self.widths.iter().enumerate() {
            let stage = format!("stage{}.", i + 1);
            block(&stage, "conv1", "norm1", [width, input, 3]);
            block(&stage, "conv2", "norm2", [width, width, 3]);
            block(&stage, "shortcut.conv", "shortcut.norm", [width, input, 1]);
            input = width;
        }
        block("head.", "conv", "norm", [self.feature_channels, input, 1]);
        if self.image_shortcut {
            let side = self.image_shortcut_side();
            let shape = vec![self.feature_channels, 3, side, side];
            parameters.push((IMAGE_SHORTCUT.into(), shape.clone()));
            if self.image_shortcut_contrast {
                parameters.push((CONTRAST_SHORTCUT.into(), shape));
            }
        }
        parameters
    }

    /// Pixels between neighbouring feature positions: the stem's four, times every stage's stride.
    pub fn stride(&self) -> usize {
        4 * self.strides.iter().product::<usize>()
    }

    /// Side of the square of cells that the image shortcut sees at a position: odd, so that one is in its middle.
    pub fn image_shortcut_side(&self) -> usize {
        self.image_shortcut_cells / 2 * 2 + 1
    }

    /// What is wrong with the shape, if anything.
    pub fn validate(&self) -> Result<(), Violation> {
        if !(1..=4).contains(&self.widths.len()) {
            return Err(Violation::StageCount(self.widths.len()));
        }
        if self.strides.len() != self.widths.len() {
            return Err(Violation::StridesPerStage {
                widths: self.widths.len(),
                strides: self.strides.len(),
            });
        }
        if let Some(&width) = self.widths.iter().find(|w| !is_width(**w)) {
            return Err(Violation::WidthNotInGroups(width));
        }
        if let Some(&stride) = self.strides.iter().find(|s| !(1..=2).contains(*s)) {
            return Err(Violation::Stride(stride));
        }
        if !is_width(self.feature_channels) {
            return Err(Violation::FeatureChannelsNotInGroups(self.feature_channels));
        }
        let (cells, stride) = (self.image_shortcut_cells, self.stride());
        if cells == 0 || cells > stride / 2 || !stride.is_multiple_of(2 * cells) {
            return Err(Violation::ImageShortcutCells { cells, stride });
        }
        if self.image_shortcut_contrast && !self.image_shortcut {
            return Err(Violation::ContrastWithoutShortcut);
        }
        Ok(())
    }
}

/// Settings are numbers of the YAML (f64) and are computed with in f32: nothing larger, so that none overflows there.
const LARGEST_SCALE: f64 = 1e9;

impl InputConfig {
    /// What is wrong with the size, if anything.
    pub fn validate(&self) -> Result<(), Violation> {
        for (field, side) in [("input.height", self.height), ("input.width", self.width)] {
            if !(16..=4096).contains(&side) {
                return Err(Violation::InputSize { field, side });
            }
        }
        Ok(())
    }
}

impl SparseCodingConfig {
    /// What is wrong with the settings, if anything.
    pub fn validate(&self) -> Result<(), Violation> {
        if !is_receptive_field(self.receptive_field) {
            return Err(Violation::ReceptiveField(self.receptive_field));
        }
        if !(1..=1000).contains(&self.steps) {
            return Err(Violation::SparseCodingSteps(self.steps));
        }
        if !(self.lambda_max > 0.0 && self.lambda_max <= LARGEST_SCALE) {
            return Err(Violation::LambdaMax(self.lambda_max));
        }
        if !(self.lambda_star > 0.0 && self.lambda_star <= self.lambda_max) {
            return Err(Violation::LambdaStar { lambda_star: self.lambda_star, lambda_max: self.lambda_max });
        }
        if !(self.tau > 0.0 && self.tau <= LARGEST_SCALE) {
            return Err(Violation::Tau(self.tau));
        }
        Ok(())
    }
}

impl ScoringConfig {
    /// What is wrong with the settings, if anything.
    pub fn validate(&self) -> Result<(), Violation> {
        if !(self.top_fraction > 0.0 && self.top_fraction <= 1.0) {
            return Err(Violation::TopFraction(self.top_fraction));
        }
        if !(0.0..=1000.0).contains(&self.smoothing) {
            return Err(Violation::Smoothing(self.smoothing));
        }
        if !(0.0..=1000.0).contains(&self.reference_floor) {
            return Err(Violation::ReferenceFloor(self.reference_floor));
        }
        if self.reference_floor > 0.0 && !self.reference {
            return Err(Violation::FloorOfNoReference(self.reference_floor));
        }
        Ok(())
    }
}

impl Validate for Config {
    fn validate(&self) -> Result<(), Violation> {
        self.input.validate()?;
        self.backbone.validate()?;
        self.sparse_coding.validate()?;
        self.scoring.validate()?;
        self.data.validate()?;
        self.episodes.validate()?;
        self.negatives.validate()?;
        self.langevin.validate()?;
        self.objective.validate()?;
        self.optimizer.validate()?;
        self.training.validate()?;
        // An anomaly that was photographed has no undamaged original that the sampler could come back to.
        if self.negatives.anomalies > 0.0 && self.objective.eta_rec > 0.0 {
            return Err(Violation::AnomaliesReconstructed(self.negatives.anomalies));
        }
        // The sample is held constant in the contrastive divergence.
        let LangevinConfig { learned, steps, step_size, .. } = self.langevin;
        if learned && (steps == 0 || step_size == 0.0 || self.objective.eta_rec == 0.0) {
            return Err(Violation::NothingToLearnFrom);
        }
        Ok(())
    }
}
