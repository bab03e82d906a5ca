//! The loss of an episode: the paper's terms, Eq. (12), and beside them cross entropies that use the known masks of the
//! negatives and no sampler. Which of them count is the config's to say.

mod classification;

pub use classification::position_labels;

use burn::tensor::{Tensor, backend::Backend};
use sparsight_runtime::dictionary::AtomSelection;
use sparsight_schemas::{Config, FeatureGeometry, LangevinConfig, ObjectiveConfig, SparseCodingConfig};

use crate::{
    arrays::to_tensor,
    batch::{join, part},
    energy::EnergyModel,
    episodes::Episode,
    langevin::{langevin, langevin_parameters, step_size},
    sparse_coding::{Atoms, energy},
    weights::{NamedParameters, Weights},
};

/// Squared errors are divided by no less, a patch of a thousandth of the image that differs by a tenth of the range: shares of
/// less damage would outweigh all other tasks of a step.
pub const LEAST_DAMAGE: f64 = 1e-5;

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
    /// The same images, spoilt: where the sampler starts. Without a sampler some may be anomalies of the category.
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
                .map(|selection| selection.uniform(shots.iter().map(String::as_str), geometry.positions())),
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
    episode_losses(model, weights, vec![episode], config, objective).remove(0)
}

/// The loss of each of several episodes, at least one, with as many shots and queries each. The backbone sees all their images
/// at once: on a GPU the same number of operations then does for all.
pub fn episode_losses<B: Backend>(
    model: &EnergyModel<B>,
    weights: &Weights<B>,
    episodes: Vec<EpisodeTensors<B>>,
    config: &LangevinConfig,
    objective: &ObjectiveConfig,
) -> Vec<Loss<B>> {
    let tasks = episodes.len();
    let all =
        |of: fn(&EpisodeTensors<B>) -> &Tensor<B, 4>| join(episodes.iter().map(|e| of(e).clone()).collect());
    let support_features = part(model.features(all(|e| &e.support)), tasks);
    let atoms: Vec<Atoms<B>> = support_features
        .into_iter()
        .zip(&episodes)
        .map(|(features, episode)| model.adapt_to_features(features, episode.atoms.clone()))
        .collect();
    let (positives, negatives) = (all(|e| &e.positives), all(|e| &e.negatives)); // [tasks*M,3,H,W]
    let maps = |images: Tensor<B, 4>| model.energy_maps(model.features(images), &atoms);
    let good_maps = maps(positives.clone()); // [M,h,w] each

    let mut losses: Vec<Loss<B>> = episodes.iter().map(|e| Loss::none(&e.positives.device())).collect();
    if objective.classifies() {
        let spoilt_maps = maps(negatives.clone());
        for (task, loss) in losses.iter_mut().enumerate() {
            let (good_map, spoilt_map) = (&good_maps[task], &spoilt_maps[task]);
            if objective.eta_dense > 0.0 {
                let labels = episodes[task].labels.clone();
                let term = classification::dense(good_map.clone(), spoilt_map.clone(), labels, weights);
                loss.add(&term, objective.eta_dense);
                loss.dense = Some(term);
            }
            if objective.eta_image > 0.0 {
                let term = classification::image(good_map.clone(), spoilt_map.clone(), weights);
                loss.add(&term, objective.eta_image);
                loss.image = Some(term);
            }
        }
    }
    if objective.samples() {
        let low: Vec<Tensor<B, 1>> = good_maps.into_iter().map(energy).collect();
        let step_sizes = low.iter().map(|low| step_size(low.clone(), weights, config)).collect();
        let noise = (0..episodes[0].noise.len())
            .map(|step| join(episodes.iter().map(|e| e.noise[step].clone()).collect()));
        let sampled = langevin(model, &atoms, negatives, noise.collect(), step_sizes, config.noise_std);
        let high = maps(sampled.clone().detach()).into_iter().map(energy);
        let terms = part(sampled, tasks).into_iter().zip(low.into_iter().zip(high));
        for ((loss, episode), (sampled, (low, high))) in losses.iter_mut().zip(&episodes).zip(terms) {
            let squares = |x: Tensor<B, 4>| (x - episode.positives.clone()).powi_scalar(2).mean();
            let damage = squares(episode.negatives.clone());
            let reconstruction = squares(sampled.clone());
            let contrastive_divergence = (low - high).mean();
            let counted = match objective.relative {
                true => reconstruction.clone() / damage.clamp_min(LEAST_DAMAGE),
                false => reconstruction.clone(),
            };
            loss.add(&counted, objective.eta_rec);
            loss.add(&contrastive_divergence, objective.eta_cd);
            loss.reconstruction = Some(reconstruction);
            loss.contrastive_divergence = Some(contrastive_divergence);
            loss.sampled = Some(sampled.detach());
        }
    }
    losses
}

impl<B: Backend> Loss<B> {
    fn none(device: &B::Device) -> Self {
        Self {
            total: Tensor::zeros([1], device),
            reconstruction: None,
            contrastive_divergence: None,
            dense: None,
            image: None,
            sampled: None,
        }
    }

    fn add(&mut self, term: &Tensor<B, 1>, weight: f64) {
        self.total = self.total.clone() + term.clone().mul_scalar(weight);
    }
}
