//! Cross entropies on energies whose truth is known, because the negatives were spoilt on purpose: of positions and of
//! images. What is compared is the log of an energy relative to that of the episode's good queries, so that neither the
//! scale of the features nor how regular a category is decides.

use burn::tensor::{Tensor, activation::log_sigmoid, backend::Backend};
use ndarray::{Array3, ArrayView3};
use sparsight_schemas::{FeatureGeometry, ObjectiveConfig};

use crate::weights::{NamedParameters, Weights};

/// Parameters that are learned with the backbone and end with the training: of each term, name and first value. A logit
/// is scale * (relative log energy - shift). A scale of 1 leaves the energies to grow apart; with 4 the loss is met by
/// small differences, and features transfer less well.
const DENSE_PARAMETERS: [(&str, f32); 2] = [("objective.dense.scale", 1.0), ("objective.dense.shift", 0.0)];
const IMAGE_PARAMETERS: [(&str, f32); 2] = [("objective.image.scale", 1.0), ("objective.image.shift", 0.0)];

/// The parameters of the terms that count, at their first values.
pub fn parameters(config: &ObjectiveConfig) -> NamedParameters {
    let terms = [(config.eta_dense, DENSE_PARAMETERS), (config.eta_image, IMAGE_PARAMETERS)];
    let counted = terms.into_iter().filter(|(eta, _)| *eta > 0.0).flat_map(|(_, parameters)| parameters);
    counted.map(|(name, value)| (name.to_owned(), vec![1], vec![value])).collect()
}

/// A position counts as spoilt if this share of the pixels nearest to it is, as good if none is; between them, as
/// neither.
const SPOILT: f32 = 0.2;
/// Keeps logarithms finite.
const SMALLEST_ENERGY: f64 = 1e-12;
/// Sharpness of the smooth maximum that stands for an image's score; the higher, the nearer to the maximum.
const SHARPNESS: f64 = 6.0;

/// Labels of feature positions \[M,h,w\] from masks of pixels \[M,H,W\]: 1 spoilt, 0 good, -1 neither. A position's pixels
/// are the stride x stride ones around its centre.
pub fn position_labels(masks: ArrayView3<f32>, geometry: &FeatureGeometry) -> Array3<f32> {
    let (count, height, width) = masks.dim();
    let around = |position: usize, pixels: usize| {
        let centre = position * geometry.stride;
        centre.saturating_sub(geometry.stride / 2)..(centre + geometry.stride.div_ceil(2)).min(pixels)
    };
    Array3::from_shape_fn((count, geometry.height, geometry.width), |(i, y, x)| {
        let pixels = masks.slice(ndarray::s![i, around(y, height), around(x, width)]);
        match pixels.sum() / pixels.len() as f32 {
            0.0 => 0.0,
            share if share >= SPOILT => 1.0,
            _ => -1.0,
        }
    })
}

/// Cross entropy \[1\] of s * (ln(e / r) - t), for every position of good and spoilt queries' energy maps \[M,h,w\], where
/// r is the mean energy of the good ones; spoilt and good positions weigh the same in total.
pub fn dense<B: Backend>(
    good: Tensor<B, 3>,
    spoilt: Tensor<B, 3>,
    labels: Tensor<B, 3>,
    weights: &Weights<B>,
) -> Tensor<B, 1> {
    let reference = log(good.clone()).mean();
    let logits = |map: Tensor<B, 3>| {
        let relative = log(map) - reference.clone().reshape([1, 1, 1]);
        logits(relative, "dense", weights)
    };
    let (good, spoilt) = (logits(good), logits(spoilt));
    let is_spoilt = labels.clone().equal_elem(1.0).float();
    let is_good = labels.equal_elem(0.0).float();
    let spoilt_loss =
        (log_sigmoid(spoilt.clone()) * is_spoilt.clone()).sum().neg() / is_spoilt.sum().clamp_min(1.0);
    let good_sum =
        (log_sigmoid(spoilt.neg()) * is_good.clone()).sum() + log_sigmoid(good.clone().neg()).sum();
    let good_count = is_good.sum().add_scalar(good.dims().iter().product::<usize>() as f64);
    (spoilt_loss - good_sum / good_count).mul_scalar(0.5)
}

/// Cross entropy \[1\] of s * (m - t) for every image, where m is the smooth maximum of its relative log energies,
/// ln(mean(exp(b ln(e / r)))) / b, less the mean over the good queries.
pub fn image<B: Backend>(good: Tensor<B, 3>, spoilt: Tensor<B, 3>, weights: &Weights<B>) -> Tensor<B, 1> {
    let reference = log(good.clone()).mean().reshape([1, 1, 1]);
    let score = |map: Tensor<B, 3>| {
        let [count, h, w] = map.dims();
        let relative = (log(map) - reference.clone()).clamp(-10.0, 10.0);
        let powers = relative.mul_scalar(SHARPNESS).exp().reshape([count, h * w]);
        powers.mean_dim(1).log().div_scalar(SHARPNESS).reshape([count, 1, 1])
    };
    let (good, spoilt) = (score(good), score(spoilt));
    let typical = good.clone().mean().reshape([1, 1, 1]);
    let logits = |score: Tensor<B, 3>| logits(score - typical.clone(), "image", weights);
    let good_loss = log_sigmoid(logits(good).neg()).mean();
    let spoilt_loss = log_sigmoid(logits(spoilt)).mean();
    (good_loss + spoilt_loss).mul_scalar(-0.5)
}

fn log<B: Backend>(map: Tensor<B, 3>) -> Tensor<B, 3> {
    map.add_scalar(SMALLEST_ENERGY).log()
}

fn logits<B: Backend>(relative: Tensor<B, 3>, term: &str, weights: &Weights<B>) -> Tensor<B, 3> {
    let parameter = |part: &str| weights.parameter(&format!("objective.{term}.{part}")).reshape([1, 1, 1]);
    (relative - parameter("shift")) * parameter("scale")
}
