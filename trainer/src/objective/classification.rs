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
/// are those of [`FeatureGeometry::cell_of`]: the stride x stride ones around its centre, and at the last positions all up to the
/// border.
pub fn position_labels(masks: ArrayView3<f32>, geometry: &FeatureGeometry) -> Array3<f32> {
    let (count, height, width) = masks.dim();
    let cell = |position: usize, pixels: usize, positions: usize| {
        let centre = position * geometry.stride;
        let end = if position + 1 < positions { centre + geometry.stride.div_ceil(2) } else { pixels };
        centre.saturating_sub(geometry.stride / 2)..end
    };
    Array3::from_shape_fn((count, geometry.height, geometry.width), |(i, y, x)| {
        let (rows, columns) = (cell(y, height, geometry.height), cell(x, width, geometry.width));
        let pixels = masks.slice(ndarray::s![i, rows, columns]);
        match pixels.sum() / pixels.len() as f32 {
            0.0 => 0.0,
            share if share >= SPOILT => 1.0,
            _ => -1.0,
        }
    })
}

/// Cross entropy \[1\] of s * (ln(e / r) - t), for every position of good and spoilt queries' energy maps \[M,h,w\], where
/// r is the geometric mean of the good ones' energies; spoilt and good positions weigh the same in total.
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

#[cfg(test)]
mod tests {
    use burn_flex::Flex;
    use sparsight_schemas::{BackboneConfig, InputConfig};

    use super::*;

    fn geometry(height: usize, width: usize, strides: &[usize]) -> FeatureGeometry {
        let backbone = BackboneConfig {
            widths: vec![8; strides.len()],
            strides: strides.to_vec(),
            ..BackboneConfig::default()
        };
        FeatureGeometry::new(&InputConfig { height, width, ..InputConfig::default() }, &backbone)
    }

    #[test]
    fn every_pixel_counts_for_the_position_in_whose_cell_it_lies() {
        for (height, width, strides) in [(16, 24, &[1][..]), (33, 47, &[1, 2]), (40, 17, &[2, 2])] {
            let geometry = geometry(height, width, strides);
            for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
                let mut mask = Array3::zeros((1, height, width));
                mask[[0, y, x]] = 1.0;
                let labels = position_labels(mask.view(), &geometry);
                let marked: Vec<_> =
                    labels.indexed_iter().filter(|(_, label)| **label != 0.0).map(|(at, _)| at).collect();
                let row = geometry.cell_of(y, height, height, geometry.height);
                let column = geometry.cell_of(x, width, width, geometry.width);
                assert_eq!(marked, [(0, row, column)], "{height} x {width}, pixel {y}, {x}");
            }
        }
    }

    #[test]
    fn a_fifth_of_its_pixels_makes_a_position_spoilt_and_fewer_make_it_neither() {
        let mut mask = Array3::zeros((1, 16, 16));
        mask.slice_mut(ndarray::s![0, 2..6, 2..3]).fill(1.0); // 4 of the 16 pixels of position 1, 1
        mask.slice_mut(ndarray::s![0, 2..5, 6..7]).fill(1.0); // 3 of the 16 of position 1, 2
        let labels = position_labels(mask.view(), &geometry(16, 16, &[1]));
        assert_eq!((labels[[0, 1, 1]], labels[[0, 1, 2]], labels.sum()), (1.0, -1.0, 0.0));
    }

    fn map(values: [f32; 2]) -> Tensor<Flex, 3> {
        Tensor::<Flex, 1>::from_data(values, &Default::default()).reshape([1, 1, 2])
    }

    fn weights(term: &str, [scale, shift]: [f32; 2]) -> Weights<Flex> {
        let named = |part: &str, value| (format!("objective.{term}.{part}"), vec![1], vec![value]);
        Weights::from_parameters(&vec![named("scale", scale), named("shift", shift)], &Default::default())
    }

    /// -ln(1 / (1 + exp(-logit)))
    fn cross_entropy(logit: f64) -> f64 {
        (1.0 + (-logit).exp()).ln()
    }

    #[test]
    fn the_dense_term_is_the_mean_of_what_spoilt_and_what_good_positions_cost() {
        // The good energies 1 and e^2 have the geometric mean e; a position that is neither costs nothing.
        let (e, weights) = (1f32.exp(), weights("dense", [2.0, 0.5]));
        let good = map([1.0, e * e]);
        let logit = |log_energy: f64| 2.0 * (log_energy - 1.0 - 0.5);
        let of_good = |others: &[f64]| {
            let costs: Vec<f64> =
                [0.0, 2.0].iter().chain(others).map(|log| cross_entropy(-logit(*log))).collect();
            costs.iter().sum::<f64>() / costs.len() as f64
        };
        for (labels, spoilt, others) in
            [([1.0, 0.0], 3.0, &[-1.0][..]), ([1.0, -1.0], 3.0, &[]), ([-1.0, 1.0], -1.0, &[])]
        {
            let term = dense(good.clone(), map([e.powi(3), 1.0 / e]), map(labels), &weights).into_scalar();
            let expected = 0.5 * (cross_entropy(logit(spoilt)) + of_good(others));
            assert!((f64::from(term) - expected).abs() < 1e-5, "{labels:?}: {term} {expected}");
        }
    }

    #[test]
    fn the_image_term_compares_smooth_maxima_with_those_of_good_images() {
        let (good, spoilt) = ([1.0f32, 4.0], [9.0f32, 1.0]);
        let term = image(map(good), map(spoilt), &weights("image", [1.5, 0.25])).into_scalar();
        // Relative to the geometric mean 2; a single good image is its own mean.
        let maximum = |energies: [f32; 2]| {
            let powers = energies.map(|energy| (6.0 * (f64::from(energy) / 2.0).ln()).exp());
            ((powers[0] + powers[1]) / 2.0).ln() / 6.0
        };
        let spoilt_logit = 1.5 * (maximum(spoilt) - maximum(good) - 0.25);
        let expected = 0.5 * (cross_entropy(spoilt_logit) + cross_entropy(1.5 * 0.25));
        assert!((f64::from(term) - expected).abs() < 1e-5, "{term} {expected}");
    }
}
