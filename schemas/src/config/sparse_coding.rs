//! The layer of sparse coding, as a config and a manifest have it. What makes it valid is `config`'s.

use serde::{Deserialize, Serialize};

/// The sparse coding layer: dictionary, schedule and shrinkage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct SparseCodingConfig {
    /// Side l of the neighbourhood that one atom covers, in feature positions; odd.
    pub receptive_field: usize,
    /// Iterations N of Eq. (6).
    pub steps: usize,
    /// First lambda of the schedule.
    pub lambda_max: f64,
    /// Last lambda of the schedule; with the energy `lasso` also what a code's size costs.
    pub lambda_star: f64,
    /// The shrinkage function.
    pub shrinkage: Shrinkage,
    /// Steepness of the sigmoid shrinkage; the other kinds ignore it.
    pub tau: f64,
    /// Atoms of a dictionary, at most: a random selection of the support's positions. 0 keeps them all.
    pub max_atoms: usize,
    /// Which positions a selection favours. Training always draws uniformly.
    #[cfg_attr(feature = "json-schema", schemars(extend("default" = "uniform")))]
    #[serde(skip_serializing_if = "AtomSampling::is_uniform")]
    // bundles that don't need it stay as they were
    pub atom_sampling: AtomSampling,
    /// What the energy of a position is made of. The loss and the sampler take Eq. (8)'s whatever is set; validation goes by what is set.
    #[cfg_attr(feature = "json-schema", schemars(extend("default" = "reconstruction")))]
    #[serde(skip_serializing_if = "EnergyKind::is_reconstruction")]
    // bundles that don't need it stay as they were
    pub energy: EnergyKind,
}

/// What the energy of a position is made of, as a mean over its m values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum EnergyKind {
    /// |z - D a|^2, Eq. (8).
    #[default]
    Reconstruction,
    /// |z - D a|^2 + 2 lambda_star |a|_1: twice what Eq. (5) asks to be minimised, so that a place costs the more, the more of
    /// the atoms it takes to explain it. Beyond the paper.
    Lasso,
}

impl EnergyKind {
    /// Whether it is Eq. (8)'s.
    pub fn is_reconstruction(&self) -> bool {
        *self == Self::Reconstruction
    }
}

/// How codes are pulled towards zero in each iteration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Shrinkage {
    /// u * sigmoid(tau * (|u| - lambda)), Eq. (9).
    #[default]
    Sigmoid,
    /// sign(u) * max(|u| - lambda, 0), Eq. (7).
    Soft,
    /// u: no shrinkage, an ablation.
    None,
}

/// Which positions of a support become atoms, where not all of them may. Beyond the paper, which keeps all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AtomSampling {
    /// Every position is as likely as any other.
    #[default]
    Uniform,
    /// A position is the likelier, the fewer others of its image have features of its direction: the weight is the inverse
    /// square of their density. So an even background does not take nearly all atoms.
    InverseDensity,
}

impl AtomSampling {
    /// Whether every position is as likely as any other.
    pub fn is_uniform(&self) -> bool {
        *self == Self::Uniform
    }
}

impl Default for SparseCodingConfig {
    fn default() -> Self {
        Self {
            receptive_field: 3,
            steps: 8,
            lambda_max: 0.3,
            lambda_star: 0.05,
            shrinkage: Shrinkage::default(),
            tau: 20.0,
            max_atoms: 0,
            atom_sampling: AtomSampling::default(),
            energy: EnergyKind::default(),
        }
    }
}
