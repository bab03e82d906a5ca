//! The loss of an episode, Eq. (12).

use burn::tensor::{Tensor, backend::Backend};
use sparsight_schemas::{LangevinConfig, ObjectiveConfig};

use crate::{energy::EnergyModel, langevin::langevin};

/// An episode's tensors: support \[K,3,H,W\], queries and their negatives \[M,3,H,W\], one normal draw \[M,3,H,W\] for
/// each step of the sampler.
pub struct EpisodeTensors<B: Backend> {
    /// Good images that make the dictionary.
    pub support: Tensor<B, 4>,
    /// Good images that the sampler should come back to.
    pub positives: Tensor<B, 4>,
    /// The same images, spoilt: where the sampler starts.
    pub negatives: Tensor<B, 4>,
    /// The sampler's noise.
    pub noise: Vec<Tensor<B, 4>>,
}

/// The loss and its terms, each \[1\].
pub struct Loss<B: Backend> {
    /// eta_rec * reconstruction + eta_cd * contrastive_divergence.
    pub total: Tensor<B, 1>,
    /// mean((LD(x~) - x)^2), the sampler differentiated through all its steps.
    pub reconstruction: Tensor<B, 1>,
    /// mean(E(x) - E(LD(x~))), the sample held constant.
    pub contrastive_divergence: Tensor<B, 1>,
    /// Where the sampler ended, \[M,3,H,W\].
    pub sampled: Tensor<B, 4>,
}

/// The loss of one episode, Eq. (12).
pub fn episode_loss<B: Backend>(
    model: &EnergyModel<B>,
    episode: EpisodeTensors<B>,
    config: &LangevinConfig,
    objective: &ObjectiveConfig,
) -> Loss<B> {
    let EpisodeTensors { support, positives, negatives, noise } = episode;
    let atoms = model.adapt(support);
    let sampled = langevin(model, &atoms, negatives, noise, config);
    let reconstruction = (sampled.clone() - positives.clone()).powi_scalar(2).mean();
    let low = model.energy(positives, &atoms);
    let high = model.energy(sampled.clone().detach(), &atoms);
    let contrastive_divergence = (low - high).mean();
    let total = reconstruction.clone().mul_scalar(objective.eta_rec)
        + contrastive_divergence.clone().mul_scalar(objective.eta_cd);
    Loss { total, reconstruction, contrastive_divergence, sampled: sampled.detach() }
}
