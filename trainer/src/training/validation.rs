//! Validation while a run lasts: how well energies tell spoilt or defective positions and images of categories that are
//! not trained on from good ones, and how much the sampler repairs there. It guides the run; published figures are
//! `evaluation`'s.

use std::collections::BTreeMap;

use burn::tensor::{ElementConversion, Tensor, backend::Backend};
use ndarray::{Array3, Axis, concatenate};
use serde::{Deserialize, Serialize};
use sparsight_runtime::detector::anomaly_score;
use sparsight_schemas::{AugmentationConfig, Config, FeatureGeometry, ObjectiveConfig};

use super::TrainingError;
use crate::{
    arrays::to_array,
    categories::Category,
    energy::EnergyModel,
    episodes::{Episode, EpisodeError, EpisodeSampler},
    langevin::{langevin, step_size},
    metrics::Ranking,
    objective::EpisodeTensors,
    weights::Weights,
};

/// Queries of each category, at least.
const QUERIES: usize = 8;

/// One line of `validation.jsonl`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Steps done.
    pub step: usize,
    /// AUROC of feature positions by energy, mean over the categories that have one; 0.5 if none has.
    pub position_auroc: f64,
    /// AUROC of images by anomaly score, mean over the categories.
    pub image_auroc: f64,
    /// Both, of each category; none for positions where none is spoilt.
    pub categories: BTreeMap<String, [Option<f64>; 2]>,
    /// mean((LD(x~) - x)^2) as a share of mean((x~ - x)^2), of spoilt queries of all categories: below 1 the sampler repairs
    /// more than it spoils. None if no term of the loss needs a sampler, or if no query could be spoilt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage_left: Option<f64>,
}

impl Validation {
    /// For a person who watches.
    pub fn line(&self) -> String {
        let left = self.damage_left.map(|share| format!(", {share:.4} of the damage left by the sampler"));
        format!(
            "step {}: validation AUROC {:.4} of positions, {:.4} of images{}",
            self.step,
            self.position_auroc,
            self.image_auroc,
            left.unwrap_or_default()
        )
    }
}

/// Episodes of each validation category, the same at every validation.
#[derive(Debug)]
pub struct Validator {
    /// Negatives are labelled anomalies where a category has some, otherwise spoilt queries.
    episodes: Vec<Episode>,
    /// Negatives are spoilt queries, which have an original to come back to; empty without a sampler.
    to_repair: Vec<Episode>,
}

impl Validator {
    /// Draws the episodes; none without categories.
    ///
    /// # Errors
    /// An image that can't be read, or a category with too few of them.
    pub fn new(categories: Vec<Category>, config: &Config) -> Result<Option<Self>, EpisodeError> {
        if categories.is_empty() {
            return Ok(None);
        }
        let mut config = config.clone();
        config.episodes.augmentation = AugmentationConfig::default();
        config.episodes.queries = config.episodes.queries.max(QUERIES);
        config.negatives.anomalies = 0.0;
        let to_repair = if config.objective.samples() {
            EpisodeSampler::new(categories.clone(), &config)?.one_of_each()?
        } else {
            Vec::new()
        };
        config.negatives.anomalies = 1.0;
        // No sampler, no noise.
        config.objective = ObjectiveConfig { eta_rec: 0.0, eta_cd: 0.0, ..config.objective };
        let episodes = EpisodeSampler::new(categories, &config)?.one_of_each()?;
        Ok(Some(Self { episodes, to_repair }))
    }

    /// Compares energies with what is known of each position and each image.
    ///
    /// # Errors
    /// None that a valid config allows.
    pub fn validate<B: Backend>(
        &self,
        step: usize,
        config: &Config,
        weights: &Weights<B>,
        device: &B::Device,
    ) -> Result<Validation, TrainingError> {
        let model = EnergyModel::new(&config.input, &config.backbone, &config.sparse_coding, weights);
        let geometry = FeatureGeometry::new(&config.input, &config.backbone);
        let mut categories = BTreeMap::new();
        for episode in &self.episodes {
            let tensors = EpisodeTensors::new(episode, &geometry, &config.sparse_coding, device);
            let atoms = model.adapt(tensors.support, tensors.atoms);
            let map = |images| to_array(model.energy_map(model.features(images), &atoms));
            let (Ok(good), Ok(spoilt), Ok(labels)) =
                (map(tensors.positives), map(tensors.negatives), to_array(tensors.labels))
            else {
                unreachable!("energy maps and labels have three axes");
            };
            let figures = [positions(&good, &spoilt, &labels), images(&good, &spoilt, config)];
            categories.insert(episode.category.clone(), figures);
        }
        let mean = |i: usize| {
            let known: Vec<f64> =
                categories.values().filter_map(|figures: &[Option<f64>; 2]| figures[i]).collect();
            if known.is_empty() { 0.5 } else { known.iter().sum::<f64>() / known.len() as f64 }
        };
        let damage_left = self.damage_left(config, weights, device);
        Ok(Validation { step, position_auroc: mean(0), image_auroc: mean(1), categories, damage_left })
    }

    /// Squared distance from the originals that is left after sampling, as a share of that of the negatives.
    fn damage_left<B: Backend>(
        &self,
        config: &Config,
        weights: &Weights<B>,
        device: &B::Device,
    ) -> Option<f64> {
        let sparse_coding = config.trained_sparse_coding();
        let model = EnergyModel::new(&config.input, &config.backbone, &sparse_coding, weights);
        let geometry = FeatureGeometry::new(&config.input, &config.backbone);
        let (mut before, mut after) = (0.0, 0.0);
        for episode in &self.to_repair {
            let tensors = EpisodeTensors::new(episode, &geometry, &sparse_coding, device);
            let atoms = model.adapt(tensors.support, tensors.atoms);
            let good = model.energy(tensors.positives.clone(), &atoms);
            let step_size = step_size(good, weights, &config.langevin);
            let noise_std = config.langevin.noise_std;
            let sampled = langevin(
                &model,
                &[atoms],
                tensors.negatives.clone(),
                tensors.noise,
                vec![step_size],
                noise_std,
            );
            let distance = |images: Tensor<B, 4>| {
                (images - tensors.positives.clone()).powi_scalar(2).sum().into_scalar().elem::<f64>()
            };
            before += distance(tensors.negatives);
            after += distance(sampled);
        }
        (before > 0.0).then(|| after / before)
    }
}

fn positions(good: &Array3<f32>, spoilt: &Array3<f32>, labels: &Array3<f32>) -> Option<f64> {
    let of_good = good.iter().map(|energy| (*energy, false));
    let known = spoilt.iter().zip(labels).filter(|(_, label)| **label >= 0.0);
    let (scores, anomalous): (Vec<f32>, Vec<bool>) =
        of_good.chain(known.map(|(energy, label)| (*energy, *label == 1.0))).unzip();
    Ranking::of_images(&scores, &anomalous).auroc()
}

fn images(good: &Array3<f32>, spoilt: &Array3<f32>, config: &Config) -> Option<f64> {
    let maps = concatenate(Axis(0), &[good.view(), spoilt.view()]).ok()?;
    let scores: Vec<f32> =
        maps.outer_iter().map(|map| anomaly_score(map, config.scoring.top_fraction)).collect();
    let anomalous: Vec<bool> = (0..scores.len()).map(|i| i >= good.dim().0).collect();
    Ranking::of_images(&scores, &anomalous).auroc()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_positions_of_good_and_of_spoilt_queries_are_ranked_below_spoilt_ones() {
        let good = ndarray::array![[[1.0, 3.0]]];
        let spoilt = ndarray::array![[[4.0, 2.0, 9.0]]];
        let auroc = |[a, b, c]: [f32; 3]| positions(&good, &spoilt, &ndarray::array![[[a, b, c]]]);
        // 4 above 1 and 3 and 2; what is neither does not count.
        assert_eq!(auroc([1.0, 0.0, -1.0]), Some(1.0));
        // 2 above 1, below 3 and 4.
        assert_eq!(auroc([0.0, 1.0, -1.0]), Some(1.0 / 3.0));
        assert_eq!(auroc([0.0, 0.0, -1.0]), None);
    }

    #[test]
    fn images_are_ranked_by_their_score() {
        // The highest of four positions is the score: 4 and 2 of good ones, 3 and 5 of negatives.
        let good = ndarray::array![[[4.0, 0.0, 0.0, 0.0]], [[2.0, 2.0, 2.0, 2.0]]];
        let spoilt = ndarray::array![[[3.0, 3.0, 3.0, 3.0]], [[0.0, 5.0, 0.0, 0.0]]];
        assert_eq!(images(&good, &spoilt, &Config::default()), Some(0.75));
    }
}
