//! Episodes: what a training step sees of the images. Each step's draws follow from the seed and the number of the step
//! alone, so that a resumed run goes on exactly. Images are decoded once, before a long run or when they are first drawn, and
//! kept as bytes.

mod ahead;
mod decoded;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, Ordering};

pub use ahead::Ahead;

use ndarray::{Array3, Array4, Axis, stack};
use rand::{RngExt, SeedableRng, distr::Distribution, seq::index};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;
use sparsight_runtime::images::ImageError;
use sparsight_schemas::{Config, EpisodeConfig, InputConfig, LangevinConfig, NegativesConfig};

use crate::{
    augmentation::{View, expose},
    categories::Category,
    negatives::spoil,
};
use decoded::DecodedCategory;

/// One task: adapt to the support, tell positives from negatives.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// Name of the category.
    pub category: String,
    /// Support images, \[K,3,H,W\] in \[0,1\].
    pub support: Array4<f32>,
    /// Query images, \[M,3,H,W\]; none of them is in the support.
    pub positives: Array4<f32>,
    /// The same query images, spoilt, or anomalies of the category.
    pub negatives: Array4<f32>,
    /// What is wrong with each negative: \[M,H,W\], 1 where it is spoilt or marked as a defect, else 0.
    pub masks: Array3<f32>,
    /// A standard normal draw \[M,3,H,W\] for each step of the sampler.
    pub noise: Vec<Array4<f32>>,
    /// Seed of the selection of atoms.
    pub atoms_seed: u64,
}

/// Draws episodes from the good training images of all categories, and from their anomalies where the config asks.
#[derive(Debug)]
pub struct EpisodeSampler {
    categories: Vec<DecodedCategory>,
    input: InputConfig,
    episodes: EpisodeConfig,
    negatives: NegativesConfig,
    langevin: LangevinConfig,
    seed: u64,
}

/// Why episodes can't be drawn.
#[derive(Debug, thiserror::Error)]
pub enum EpisodeError {
    /// An image that can't be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A category too small for a support and a query outside it.
    #[error(
        "{category}: {images} good training images, too few for {shots} shots and a query; add images, lower \
         episodes.shots or exclude the category"
    )]
    TooFewImages {
        /// Name of the category.
        category: String,
        /// Its good training images.
        images: usize,
        /// The configured shots.
        shots: usize,
    },
    /// Nothing to draw from.
    #[error("no categories to draw episodes from")]
    NoCategories,
}

/// What a step's random numbers are for; each use has a stream of its own, so that one can't shift another.
#[derive(Clone, Copy, Debug)]
enum Stream {
    Episodes = 0,
    Langevin = 1,
}

impl EpisodeSampler {
    /// Prepares to draw from `categories`; no image is read yet. In the end H*W*3 bytes an image stay in memory.
    ///
    /// # Errors
    /// A category with fewer than `episodes.shots + 1` images, or no category at all.
    pub fn new(categories: Vec<Category>, config: &Config) -> Result<Self, EpisodeError> {
        if categories.is_empty() {
            return Err(EpisodeError::NoCategories);
        }
        let shots = config.episodes.shots;
        if let Some(small) = categories.iter().find(|category| category.train_good.len() <= shots) {
            let images = small.train_good.len();
            return Err(EpisodeError::TooFewImages { category: small.name.clone(), images, shots });
        }
        Ok(Self {
            categories: categories.into_iter().map(DecodedCategory::new).collect(),
            input: config.input,
            episodes: config.episodes,
            negatives: config.negatives.clone(),
            langevin: if config.objective.samples() {
                config.langevin
            } else {
                LangevinConfig { steps: 0, ..config.langevin }
            },
            seed: config.seed,
        })
    }

    /// Number of categories that it draws from.
    pub fn category_count(&self) -> usize {
        self.categories.len()
    }

    /// Decodes every image on all cores, if so many `steps` draw more than there are, for then most will be needed: one that can't
    /// be read ends a run before its first step, and not hours later. Once `interrupted` is set it decodes no more.
    ///
    /// # Errors
    /// The first image that can't be read.
    pub fn decode_for(&self, steps: usize, interrupted: &AtomicBool) -> Result<(), EpisodeError> {
        let EpisodeConfig { tasks, shots, queries, .. } = self.episodes;
        let anomalies = self.negatives.anomalies > 0.0;
        let of = |category| DecodedCategory::decodings(category, anomalies).map(move |i| (category, i));
        let images: Vec<(&DecodedCategory, usize)> = self.categories.iter().flat_map(of).collect();
        if steps.saturating_mul(tasks * (shots + queries)) <= images.len() {
            return Ok(());
        }
        let decode = |(category, i): &(&DecodedCategory, usize)| match interrupted.load(Ordering::Relaxed) {
            true => None,
            false => category.decode(*i, &self.input).err(),
        };
        let failed = images.par_iter().find_map_first(decode);
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// The episodes of a step. Categories differ from each other while there are enough of them.
    ///
    /// A support is drawn without replacement, and the queries from the remaining images: without replacement if
    /// they suffice, with replacement otherwise (each query is then spoilt in another way).
    ///
    /// # Errors
    /// An image that can't be read.
    pub fn episodes(&self, step: u64) -> Result<Vec<Episode>, EpisodeError> {
        let mut rng = self.rng(step, Stream::Episodes);
        let mut noise = self.rng(step, Stream::Langevin);
        let mut waiting = Vec::new();
        (0..self.episodes.tasks)
            .map(|_| {
                if waiting.is_empty() {
                    waiting = shuffled(self.categories.len(), &mut rng);
                }
                let drawn = waiting.pop().unwrap_or_default();
                self.episode(&self.categories[drawn], &mut rng, &mut noise)
            })
            .collect()
    }

    /// An episode of each category in turn, for comparing weights: the same whatever `step`s were drawn.
    ///
    /// # Errors
    /// An image that can't be read.
    pub fn one_of_each(&self) -> Result<Vec<Episode>, EpisodeError> {
        let of = |(number, category)| {
            let mut rng = self.rng(number as u64, Stream::Episodes);
            self.episode(category, &mut rng, &mut self.rng(number as u64, Stream::Langevin))
        };
        self.categories.iter().enumerate().map(of).collect()
    }

    fn rng(&self, step: u64, stream: Stream) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        // Streams 0 and 1 are left to what is drawn once a run.
        rng.set_stream(2 * (step + 1) + stream as u64);
        rng
    }

    fn episode(
        &self,
        category: &DecodedCategory,
        rng: &mut ChaCha8Rng,
        noise: &mut ChaCha8Rng,
    ) -> Result<Episode, EpisodeError> {
        let EpisodeConfig { shots, queries, augmentation, .. } = self.episodes;
        let mut order = shuffled(category.good_images(), rng);
        let rest = order.split_off(shots);
        let queried: Vec<usize> = match rest.len() {
            enough if enough >= queries => rest[..queries].to_vec(),
            few => (0..queries).map(|_| rest[rng.random_range(0..few)]).collect(),
        };
        let mut gather = |chosen: &[usize]| {
            let images = chosen.iter().map(|i| {
                let mut image = category.good_image(*i, &self.input)?;
                expose(image.view_mut(), &augmentation, rng);
                Ok(image)
            });
            images.collect::<Result<Vec<_>, ImageError>>()
        };
        let (support, positives) = (gather(&order)?, gather(&queried)?);
        let (mut negatives, mut masks) = (Vec::new(), Vec::new());
        for positive in &positives {
            let count = category.anomalies();
            if count > 0 && rng.random::<f32>() < self.negatives.anomalies {
                let (mut image, mask) = category.anomaly(rng.random_range(0..count), &self.input)?;
                expose(image.view_mut(), &augmentation, rng);
                negatives.push(image);
                masks.push(mask);
            } else {
                let negative = spoil(positive.view(), &self.negatives, rng);
                negatives.push(negative.image);
                masks.push(negative.mask);
            }
        }
        let view = View::draw(&augmentation, self.input.height == self.input.width, rng);
        let positives = view.of_images(batch(&positives));
        let normal = |_| Array4::from_shape_simple_fn(positives.dim(), || StandardNormal.sample(noise));
        Ok(Episode {
            category: category.name().to_owned(),
            support: view.of_images(batch(&support)),
            negatives: view.of_images(batch(&negatives)),
            masks: view.of_masks(batch(&masks)),
            noise: (0..self.langevin.steps).map(normal).collect(),
            atoms_seed: rng.random(),
            positives,
        })
    }
}

/// Arrays of one shape, stacked along a new first axis.
fn batch<D: ndarray::Dimension>(arrays: &[ndarray::Array<f32, D>]) -> ndarray::Array<f32, D::Larger>
where
    D::Larger: ndarray::RemoveAxis,
{
    let views: Vec<_> = arrays.iter().map(|array| array.view()).collect();
    match stack(Axis(0), &views) {
        Ok(batch) => batch,
        Err(_) => unreachable!("an episode has at least one shot and one query, all of the input's size"),
    }
}

fn shuffled(length: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    index::sample(rng, length, length).into_vec()
}
