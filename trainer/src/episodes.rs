//! Episodes: what a training step sees of the images. The images are loaded once; each step's draws follow from the
//! seed and the number of the step alone, so that a resumed run goes on exactly.

use ndarray::{Array3, Array4, Axis};
use rand::{RngExt, SeedableRng, seq::index};
use rand_chacha::ChaCha8Rng;
use sparsight_runtime::images::{ImageError, read_image, to_input};
use sparsight_schemas::{EpisodeConfig, InputConfig, NegativesConfig};

use crate::{categories::Category, negatives::spoil};

/// One task: adapt to the support, tell positives from negatives.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// Name of the category.
    pub category: String,
    /// Support images, \[K,3,H,W\] in \[0,1\].
    pub support: Array4<f32>,
    /// Query images, \[M,3,H,W\]; none of them is in the support.
    pub positives: Array4<f32>,
    /// The same query images, spoilt.
    pub negatives: Array4<f32>,
    /// Where each negative differs from its positive: \[M,H,W\], 1 or 0.
    pub masks: Array3<f32>,
}

/// Draws episodes from the good training images of all categories.
#[derive(Clone, Debug)]
pub struct EpisodeSampler {
    categories: Vec<LoadedCategory>,
    episodes: EpisodeConfig,
    negatives: NegativesConfig,
    seed: u64,
}

#[derive(Clone, Debug)]
struct LoadedCategory {
    name: String,
    /// \[3,H,W\] each. Bytes, because all images of all categories stay in memory.
    images: Vec<Array3<u8>>,
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
    /// Loads the good training images of `categories` at the size of `input`; H*W*3 bytes an image.
    ///
    /// # Errors
    /// An image that can't be read, a category with fewer than `shots + 1` images, or no category at all.
    pub fn load(
        categories: &[Category],
        input: &InputConfig,
        episodes: &EpisodeConfig,
        negatives: &NegativesConfig,
        seed: u64,
    ) -> Result<Self, EpisodeError> {
        if categories.is_empty() {
            return Err(EpisodeError::NoCategories);
        }
        let mut loaded = Vec::new();
        for category in categories {
            let images = category.train_good.len();
            if images <= episodes.shots {
                let category = category.name.clone();
                return Err(EpisodeError::TooFewImages { category, images, shots: episodes.shots });
            }
            let images = category
                .train_good
                .iter()
                .map(|path| Ok(to_bytes(&to_input(&read_image(path)?, input))))
                .collect::<Result<_, ImageError>>()?;
            loaded.push(LoadedCategory { name: category.name.clone(), images });
        }
        Ok(Self { categories: loaded, episodes: *episodes, negatives: negatives.clone(), seed })
    }

    /// The episodes of a step. Categories differ from each other while there are enough of them.
    ///
    /// A support is drawn without replacement, and the queries from the remaining images: without replacement if
    /// they suffice, with replacement otherwise (each query is then spoilt in another way).
    pub fn episodes(&self, step: u64) -> Vec<Episode> {
        let mut rng = self.rng(step, Stream::Episodes);
        let mut waiting = Vec::new();
        (0..self.episodes.tasks)
            .map(|_| {
                if waiting.is_empty() {
                    waiting = shuffled(self.categories.len(), &mut rng);
                }
                let drawn = waiting.pop().unwrap_or_default();
                self.episode(&self.categories[drawn], &mut rng)
            })
            .collect()
    }

    /// The random numbers of a step's Langevin noise.
    pub fn langevin_rng(&self, step: u64) -> ChaCha8Rng {
        self.rng(step, Stream::Langevin)
    }

    fn rng(&self, step: u64, stream: Stream) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        // Streams 0 and 1 are left to what is drawn once a run.
        rng.set_stream(2 * (step + 1) + stream as u64);
        rng
    }

    fn episode(&self, category: &LoadedCategory, rng: &mut ChaCha8Rng) -> Episode {
        let EpisodeConfig { shots, queries, .. } = self.episodes;
        let mut order = shuffled(category.images.len(), rng);
        let rest = order.split_off(shots);
        let queried: Vec<usize> = match rest.len() {
            enough if enough >= queries => rest[..queries].to_vec(),
            few => (0..queries).map(|_| rest[rng.random_range(0..few)]).collect(),
        };
        let positives = category.gather(&queried);
        let (_, _, height, width) = positives.dim();
        let mut negatives = Array4::zeros(positives.dim());
        let mut masks = Array3::zeros((queries, height, width));
        for (i, positive) in positives.outer_iter().enumerate() {
            let negative = spoil(positive, &self.negatives, rng);
            negatives.index_axis_mut(Axis(0), i).assign(&negative.image);
            masks.index_axis_mut(Axis(0), i).assign(&negative.mask);
        }
        Episode {
            category: category.name.clone(),
            support: category.gather(&order),
            positives,
            negatives,
            masks,
        }
    }
}

impl LoadedCategory {
    fn gather(&self, chosen: &[usize]) -> Array4<f32> {
        let (channels, height, width) = self.images[0].dim();
        let mut gathered = Array4::zeros((chosen.len(), channels, height, width));
        for (mut slot, &image) in gathered.outer_iter_mut().zip(chosen) {
            slot.zip_mut_with(&self.images[image], |value, byte| *value = f32::from(*byte) / 255.0);
        }
        gathered
    }
}

fn to_bytes(input: &Array3<f32>) -> Array3<u8> {
    input.mapv(|value| (value * 255.0).round() as u8)
}

fn shuffled(length: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    index::sample(rng, length, length).into_vec()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::categories::read_categories;
    use sparsight_schemas::DataConfig;

    const INPUT: InputConfig =
        InputConfig { height: 16, width: 24, resize: sparsight_schemas::ResizeFilter::Bilinear };

    /// Categories `a`, `b`, ... of as many images as given; every image is of one grey of its own.
    fn sampler(counts: &[usize], episodes: EpisodeConfig, seed: u64) -> Result<EpisodeSampler, EpisodeError> {
        let root = tempfile::tempdir().unwrap();
        let mut grey = 0;
        for (name, count) in ('a'..).zip(counts) {
            let folder = root.path().join(format!("{name}/train/good"));
            std::fs::create_dir_all(&folder).unwrap();
            for i in 0..*count {
                grey += 1;
                let image =
                    image::RgbImage::from_pixel(INPUT.width as u32, INPUT.height as u32, [grey; 3].into());
                image.save(folder.join(format!("{i:03}.png"))).unwrap();
            }
        }
        let roots = vec![root.path().display().to_string()];
        let categories = read_categories(&DataConfig { roots, ..DataConfig::default() }).unwrap();
        EpisodeSampler::load(&categories, &INPUT, &episodes, &NegativesConfig::default(), seed)
    }

    /// The greys of a batch, which say which images it is made of.
    fn greys(batch: &Array4<f32>) -> Vec<u8> {
        batch.outer_iter().map(|image| (image[[0, 0, 0]] * 255.0).round() as u8).collect()
    }

    #[test]
    fn an_episode_has_the_configured_shapes_and_values_of_its_images() {
        let episodes =
            sampler(&[8, 8], EpisodeConfig { tasks: 3, shots: 4, queries: 2 }, 0).unwrap().episodes(0);
        assert_eq!(episodes.len(), 3);
        for episode in episodes {
            assert_eq!(episode.support.dim(), (4, 3, 16, 24));
            assert_eq!(episode.positives.dim(), (2, 3, 16, 24));
            assert_eq!(episode.negatives.dim(), (2, 3, 16, 24));
            assert_eq!(episode.masks.dim(), (2, 16, 24));
            let first = greys(&episode.positives)[0];
            assert!(episode.positives.index_axis(Axis(0), 0).iter().all(|v| *v == f32::from(first) / 255.0));
            for ((i, y, x), mask) in episode.masks.indexed_iter() {
                let same = (0..3).all(|c| episode.positives[[i, c, y, x]] == episode.negatives[[i, c, y, x]]);
                assert_eq!(*mask == 0.0, same);
            }
        }
    }

    #[test]
    fn no_query_is_in_the_support_and_no_shot_is_drawn_twice() {
        let sampler = sampler(&[7, 30], EpisodeConfig { tasks: 2, shots: 5, queries: 6 }, 1).unwrap();
        for step in 0..50 {
            for episode in sampler.episodes(step) {
                let support: BTreeSet<u8> = greys(&episode.support).into_iter().collect();
                let queries: BTreeSet<u8> = greys(&episode.positives).into_iter().collect();
                assert_eq!(support.len(), 5);
                assert!(support.is_disjoint(&queries));
                // `a` has two images left for six queries, `b` has enough.
                assert_eq!(queries.len() == 6, episode.category == "b");
            }
        }
    }

    #[test]
    fn every_category_and_every_image_takes_its_turn() {
        let sampler = sampler(&[3, 3, 3, 3, 3], EpisodeConfig { tasks: 5, shots: 1, queries: 1 }, 2).unwrap();
        let mut queried = BTreeSet::new();
        for step in 0..100 {
            let episodes = sampler.episodes(step);
            let names: BTreeSet<&str> = episodes.iter().map(|episode| episode.category.as_str()).collect();
            assert_eq!(names.len(), 5);
            queried.extend(episodes.iter().flat_map(|episode| greys(&episode.positives)));
        }
        assert_eq!(queried.len(), 15);
    }

    #[test]
    fn a_step_depends_on_the_seed_and_its_number_alone() {
        let config = EpisodeConfig { tasks: 2, shots: 2, queries: 2 };
        let (first, again) = (sampler(&[6, 6], config, 3).unwrap(), sampler(&[6, 6], config, 3).unwrap());
        first.episodes(0);
        assert_eq!(first.episodes(7), again.episodes(7));
        assert_ne!(first.episodes(7), first.episodes(8));
        assert_ne!(first.episodes(7), sampler(&[6, 6], config, 4).unwrap().episodes(7));
        let noise = |step| first.langevin_rng(step).random::<u64>();
        assert_eq!(noise(7), again.langevin_rng(7).random::<u64>());
        assert_ne!(noise(7), noise(8));
        assert_ne!(noise(7), first.rng(7, Stream::Episodes).random::<u64>());
    }

    #[test]
    fn a_category_too_small_for_the_shots_is_named() {
        let error = sampler(&[9, 5], EpisodeConfig { tasks: 1, shots: 5, queries: 1 }, 0).unwrap_err();
        assert!(error.to_string().starts_with("b: 5 good training images, too few for 5 shots and a query"));
    }
}
