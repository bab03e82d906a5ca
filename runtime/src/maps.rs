//! Maps at the size of the original image: interpolated between the places of their values, then smoothed. What the
//! values mean, and how they are drawn or stored, lives elsewhere.
//!
//! Interpolation and smoothing are linear and separable, so each axis is one banded matrix from positions to pixels
//! (Gaussian times interpolation), and no map of full size is ever smoothed.

#[cfg(test)]
mod tests;

use ndarray::{Array2, ArrayView2};
use sparsight_schemas::{FeatureGeometry, Manifest};

use crate::roi::Roi;

/// Standard deviations after which the Gaussian is cut off.
const REACH: f32 = 4.0;
/// Values of the Gaussian to either side of its middle, at most: of a wide one every second pixel will do, or every third.
const MOST_VALUES: usize = 512;

/// An energy map, \[h, w\] of the features, as \[`height`, `width`\] of the original image: bilinear between the
/// pixels that the positions are centred on, then smoothed by the manifest's `scoring.smoothing`, which is in pixels
/// of the input and grows with the image. Beyond the outer positions and the edges the nearest value goes on. No
/// value leaves the range of the map's.
pub fn energy_map_on_image(
    map: ArrayView2<f32>,
    manifest: &Manifest,
    height: usize,
    width: usize,
) -> Array2<f32> {
    on_image(map, &manifest.features, manifest, height, width)
}

/// As [`energy_map_on_image`] for a gradient map, \[H, W\] of the backbone's input.
pub fn gradient_map_on_image(
    map: ArrayView2<f32>,
    manifest: &Manifest,
    height: usize,
    width: usize,
) -> Array2<f32> {
    let pixels = FeatureGeometry {
        channels: 1,
        height: manifest.input.height,
        width: manifest.input.width,
        stride: 1, // its positions are the input's pixels
    };
    on_image(map, &pixels, manifest, height, width)
}

/// Limits a map on the image, \[`height`, `width`\], to a region of interest: 0 on the pixels whose nearest position does
/// not count. A map of energies is 0 at those positions, which interpolation and smoothing have mixed with the others;
/// inside, each value becomes the mean of those that count alone, as `of_energies` asks for.
pub fn limit_to_roi(mut map: Array2<f32>, roi: &Roi, manifest: &Manifest, of_energies: bool) -> Array2<f32> {
    let (height, width) = map.dim();
    let inside = roi.on_image(manifest, height, width);
    let share = of_energies.then(|| energy_map_on_image(roi.inside(), manifest, height, width));
    if let Some(share) = &share {
        // A pixel of a position that counts has a part of it, however little after smoothing.
        map.zip_mut_with(share, |value, share| *value /= share.max(f32::MIN_POSITIVE));
    }
    map.zip_mut_with(&inside, |value, inside| *value = if *inside == 1.0 { *value } else { 0.0 });
    map
}

/// The product of an energy map, \[h, w\] of the features, and a gradient map, \[H, W\] of the backbone's input: both at
/// the size of the original image and smoothed, then multiplied pixel by pixel.
pub fn product_map_on_image(
    energy_map: ArrayView2<f32>,
    gradient_map: ArrayView2<f32>,
    manifest: &Manifest,
    height: usize,
    width: usize,
) -> Array2<f32> {
    energy_map_on_image(energy_map, manifest, height, width)
        * gradient_map_on_image(gradient_map, manifest, height, width)
}

/// The value of a map above which its pixels are anomalous: its highest value times threshold / anomaly score. So the
/// image's verdict and its pixels agree (there are pixels above it exactly if the score is above the threshold), and
/// every kind of map has one without a calibration of its own. None without a threshold.
pub fn map_threshold(map: ArrayView2<f32>, anomaly_score: f32, threshold: Option<f32>) -> Option<f32> {
    let (highest, threshold) = (highest(map), threshold?);
    let share = f64::from(threshold) / f64::from(anomaly_score);
    let level = (f64::from(highest) * share) as f32;
    match anomaly_score > threshold {
        true => Some(level.min(highest.next_down())), // rounding takes the highest pixel from no anomaly
        false if level.is_finite() => Some(level.max(highest)),
        false => Some(highest),
    }
}

/// The highest value of a map, 0 if there is none above it.
pub fn highest(map: ArrayView2<f32>) -> f32 {
    map.iter().copied().fold(0.0, f32::max)
}

fn on_image(
    map: ArrayView2<f32>,
    geometry: &FeatureGeometry,
    manifest: &Manifest,
    height: usize,
    width: usize,
) -> Array2<f32> {
    let axis = |positions, pixels, input| {
        let position = |pixel| geometry.position_of(pixel, pixels, input);
        let deviation = manifest.scoring.smoothing * pixels as f32 / input as f32;
        Axis::new(positions, (0..pixels).map(position).collect(), deviation)
    };
    let down = axis(map.nrows(), height, manifest.input.height);
    let across = axis(map.ncols(), width, manifest.input.width);
    let (lowest, highest) = map
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &value| (low.min(value), high.max(value)));

    let wide = Array2::from_shape_fn((map.nrows(), width), |(y, x)| {
        let (first, weights) = &across.bands[x];
        weights.iter().enumerate().map(|(i, weight)| weight * map[(y, first + i)]).sum::<f32>()
    });
    let mut output = Array2::zeros((height, width));
    for (mut row, (first, weights)) in output.outer_iter_mut().zip(&down.bands) {
        for (i, &weight) in weights.iter().enumerate() {
            row.scaled_add(weight, &wide.row(first + i));
        }
        // The weights sum to one but for rounding.
        row.mapv_inplace(|value: f32| value.max(lowest).min(highest));
    }
    output
}

/// One axis of a map: for each pixel the first position that it depends on, and the weights from there.
struct Axis {
    bands: Vec<(usize, Vec<f32>)>,
}

impl Axis {
    /// `places` are the pixels' places among the positions, `deviation` is the Gaussian's in pixels.
    fn new(positions: usize, places: Vec<f32>, deviation: f32) -> Self {
        let places: Vec<f32> =
            places.into_iter().map(|place| place.clamp(0.0, (positions - 1) as f32)).collect();
        let (step, gaussian) = gaussian(deviation);
        let reach = gaussian.len() / 2 * step;
        let last = places.len() - 1;
        let band = |pixel: usize| {
            let first = places[pixel.saturating_sub(reach)] as usize;
            let end = (places[(pixel + reach).min(last)] as usize + 2).min(positions);
            let mut weights = vec![0.0; end - first];
            for (i, share) in gaussian.iter().enumerate() {
                let place = places[(pixel + i * step).saturating_sub(reach).min(last)];
                let below = place as usize;
                let above = (below + 1).min(positions - 1);
                let fraction = f64::from(place.fract());
                weights[below - first] += share * (1.0 - fraction);
                weights[above - first] += share * fraction;
            }
            (first, weights.into_iter().map(|weight| weight as f32).collect())
        };
        Self { bands: (0..places.len()).map(band).collect() }
    }
}

/// A Gaussian around its middle, which sums to one: the pixels from one value to the next, and the values.
fn gaussian(deviation: f32) -> (usize, Vec<f64>) {
    let reach = (REACH * deviation).ceil() as usize;
    let step = reach.div_ceil(MOST_VALUES).max(1);
    let to_a_side = reach.div_ceil(step) as i64;
    let variance = (f64::from(deviation) / step as f64).powi(2).max(f64::MIN_POSITIVE);
    let values: Vec<f64> =
        (-to_a_side..=to_a_side).map(|x| (-0.5 * (x * x) as f64 / variance).exp()).collect();
    let sum: f64 = values.iter().sum();
    (step, values.into_iter().map(|value| value / sum).collect())
}
