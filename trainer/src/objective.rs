//! The loss of an episode: the paper's terms, Eq. (12), and beside them cross entropies that use the known masks of the
//! negatives and no sampler. Which of them count is the config's to say.

mod classification;

pub use classification::position_labels;

use burn::tensor::{Tensor, backend::Backend};
use sparsight_runtime::dictionary::AtomSelection;
use sparsight_schemas::{Config, FeatureGeometry, LangevinConfig, ObjectiveConfig, SparseCodingConfig};

use crate::{
    arrays::to_tensor,
    energy::EnergyModel,
    episodes::Episode,
    langevin::{langevin, langevin_parameters, step_size},
    weights::{NamedParameters, Weights},
};

/// Squared errors are divided by no less: of negatives that hardly differ from their originals.
pub const LEAST_DAMAGE: f64 = 1e-8;

/// The parameters that are learned with the backbone and end with the training, at their first values.
pub fn objective_parameters(config: &Config) -> NamedParameters {
    [classification::parameters(&config.objective), langevin_parameters(config)].concat()
}

/// An episode's tensors: support \[K,3,H,W\], queries and their negatives \[M,3,H,W\], one normal draw \[M,3,H,W\] for
/// each step of the sampler.
pub struct EpisodeTensors<B: Backend> {
    /// Good images that make the dictionary.
    pub support: Tensor<B, 4>,
    /// Which rows of the unfolded support become atoms; none for all.
    pub atoms: Option<Vec<usize>>,
    /// Good images that the sampler should come back to.
    pub positives: Tensor<B, 4>,
    /// The same images, spoilt: where the sampler starts.
    pub negatives: Tensor<B, 4>,
    /// Where the negatives are spoilt, \[M,h,w\] at the feature positions: 1, 0, or -1 for what is neither.
    pub labels: Tensor<B, 3>,
    /// The sampler's noise.
    pub noise: Vec<Tensor<B, 4>>,
}

/// The loss and its terms, each \[1\]; a term that does not count is none.
pub struct Loss<B: Backend> {
    /// The sum of the terms, each by its weight; of the reconstruction the share, where it is relative.
    pub total: Tensor<B, 1>,
    /// mean((LD(x~) - x)^2), the sampler differentiated through all its steps.
    pub reconstruction: Option<Tensor<B, 1>>,
    /// mean(E(x) - E(LD(x~))), the sample held constant.
    pub contrastive_divergence: Option<Tensor<B, 1>>,
    /// Cross entropy of the positions' log energies with the masks.
    pub dense: Option<Tensor<B, 1>>,
    /// Cross entropy of the images' log scores with whether they are negatives.
    pub image: Option<Tensor<B, 1>>,
    /// Where the sampler ended, \[M,3,H,W\].
    pub sampled: Option<Tensor<B, 4>>,
}

impl<B: Backend> EpisodeTensors<B> {
    /// The episode on a device.
    pub fn new(
        episode: &Episode,
        geometry: &FeatureGeometry,
        sparse_coding: &SparseCodingConfig,
        device: &B::Device,
    ) -> Self {
        let shots: Vec<String> = (0..episode.support.dim().0).map(|shot| shot.to_string()).collect();
        Self {
            support: to_tensor(&episode.support, device),
            atoms: AtomSelection::new(sparse_coding, episode.atoms_seed)
                .map(|selection| selection.of(shots.iter().map(String::as_str), geometry.positions())),
            positives: to_tensor(&episode.positives, device),
            negatives: to_tensor(&episode.negatives, device),
            labels: to_tensor(&position_labels(episode.masks.view(), geometry), device),
            noise: episode.noise.iter().map(|draw| to_tensor(draw, device)).collect(),
        }
    }
}

/// The loss of one episode: eta_rec * reconstruction + eta_cd * contrastive divergence (Eq. 12) + eta_dense * dense +
/// eta_image * image. With `objective.relative` the first counts as a share of mean((x~ - x)^2).
pub fn episode_loss<B: Backend>(
    model: &EnergyModel<B>,
    weights: &Weights<B>,
    episode: EpisodeTensors<B>,
    config: &LangevinConfig,
    objective: &ObjectiveConfig,
) -> Loss<B> {
    let EpisodeTensors { support, atoms, positives, negatives, labels, noise } = episode;
    let atoms = model.adapt(support, atoms);
    let mut loss = Loss {
        total: Tensor::zeros([1], &positives.device()),
        reconstruction: None,
        contrastive_divergence: None,
        dense: None,
        image: None,
        sampled: None,
    };
    let good_map = model.energy_map(model.features(positives.clone()), &atoms); // [M,h,w]
    if objective.classifies() {
        let spoilt_map = model.energy_map(model.features(negatives.clone()), &atoms);
        if objective.eta_dense > 0.0 {
            let term = classification::dense(good_map.clone(), spoilt_map.clone(), labels, weights);
            loss.total = loss.total + term.clone().mul_scalar(objective.eta_dense);
            loss.dense = Some(term);
        }
        if objective.eta_image > 0.0 {
            let term = classification::image(good_map.clone(), spoilt_map, weights);
            loss.total = loss.total + term.clone().mul_scalar(objective.eta_image);
            loss.image = Some(term);
        }
    }
    if objective.samples() {
        let low = crate::sparse_coding::energy(good_map);
        let step_size = step_size(low.clone(), weights, config);
        let damage = (negatives.clone() - positives.clone()).powi_scalar(2).mean();
        let sampled = langevin(model, &atoms, negatives, noise, step_size, config.noise_std);
        let reconstruction = (sampled.clone() - positives).powi_scalar(2).mean();
        let high = model.energy(sampled.clone().detach(), &atoms);
        let contrastive_divergence = (low - high).mean();
        let counted = match objective.relative {
            true => reconstruction.clone() / damage.clamp_min(LEAST_DAMAGE),
            false => reconstruction.clone(),
        };
        loss.total = loss.total
            + counted.mul_scalar(objective.eta_rec)
            + contrastive_divergence.clone().mul_scalar(objective.eta_cd);
        loss.reconstruction = Some(reconstruction);
        loss.contrastive_divergence = Some(contrastive_divergence);
        loss.sampled = Some(sampled.detach());
    }
    loss
}
