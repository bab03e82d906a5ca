//! The good training images of a category, and the random supports that are drawn from them.

use ndarray::Array3;
use rand::{SeedableRng, seq::index};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};
use sparsight_runtime::{
    detector::SupportImage,
    dictionary::Shot,
    images::{ImageError, decode_image, read_image_file, to_input},
    replace::sha256_hex,
};
use sparsight_schemas::{InputConfig, Protocol};

use super::EvaluationError;
use crate::categories::Category;

/// The good training images of a category, each content once, because a dictionary takes an image only once.
pub struct GoodImages {
    category: String,
    images: Vec<GoodImage>,
}

/// A good image to adapt with.
#[derive(Clone, Debug)]
pub struct GoodImage {
    /// What the detector needs of it.
    pub support: SupportImage,
    /// Height of the original image.
    pub height: usize,
    /// Width of the original image.
    pub width: usize,
}

impl GoodImages {
    /// Reads them all.
    pub fn read(category: &Category, input: &InputConfig) -> Result<Self, ImageError> {
        let mut images: Vec<GoodImage> = Vec::new();
        for path in &category.train_good {
            let bytes = read_image_file(path)?;
            let sha256 = sha256_hex(&bytes);
            if images.iter().any(|good: &GoodImage| good.support.shot.sha256 == sha256) {
                continue;
            }
            let image = decode_image(&bytes, path)?;
            let pixels: Array3<f32> = to_input(&image, input);
            let shot = Shot { name: path.display().to_string(), sha256 };
            images.push(GoodImage {
                support: SupportImage { shot, input: pixels },
                height: image.height() as usize,
                width: image.width() as usize,
            });
        }
        Ok(Self { category: category.name.clone(), images })
    }

    /// Whether so many images are enough.
    pub fn check(category: &Category, images: usize, shots: usize) -> Result<(), EvaluationError> {
        match images < shots {
            true => Err(EvaluationError::TooFewImages { category: category.name.clone(), images, shots }),
            false => Ok(()),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.images.len()
    }

    /// Whether one of them has this content.
    pub fn hold(&self, sha256: &str) -> bool {
        self.images.iter().any(|good| good.support.shot.sha256 == sha256)
    }

    /// The support of a run: different images, each equally likely.
    pub fn draw(&self, protocol: Protocol, run: usize) -> Vec<GoodImage> {
        let mut rng = support_rng(protocol.seed, &self.category, run);
        let drawn = index::sample(&mut rng, self.images.len(), protocol.shots);
        drawn.iter().map(|i| self.images[i].clone()).collect()
    }
}

fn support_rng(seed: u64, category: &str, run: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::from_seed(Sha256::digest(format!("support/{seed}/{category}")).into());
    rng.set_stream(run as u64);
    rng
}
