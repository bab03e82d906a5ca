//! The image shortcut against what it is defined as: mean colours and contrasts of cells of the image, relative to their centre,
//! mixed and added to the features; its vector-Jacobian product against automatic differentiation of the forward pass.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

use burn::{backend::Autodiff, tensor::Tensor};
use burn_ndarray::NdArray;
use ndarray::{Array2, Array4, ArrayView2, s};
use sparsight_schemas::{BackboneConfig, CONTRAST_SHORTCUT, FeatureGeometry, IMAGE_SHORTCUT, InputConfig};
use sparsight_trainer::{
    arrays::to_tensor,
    backbone::Backbone,
    weights::{Weights, random_parameters},
};

type Plain = NdArray<f64>;
type Tracked = Autodiff<Plain>;

const INPUT: [usize; 2] = [37, 50];

/// A shortcut of so many cells; none for 0.
fn config(cells: usize, contrast: bool) -> (InputConfig, BackboneConfig) {
    let input = InputConfig { height: INPUT[0], width: INPUT[1], ..InputConfig::default() };
    let backbone = BackboneConfig {
        widths: vec![8, 16],
        strides: vec![1, 2],
        feature_channels: 8,
        image_shortcut: cells > 0,
        image_shortcut_cells: cells.max(1),
        image_shortcut_contrast: contrast,
    };
    (input, backbone)
}

/// Smooth, different in every channel and image, in \[0, 1\], and dark in more places than bright, so that a mean is no centre.
fn images() -> Array4<f32> {
    Array4::from_shape_fn((2, 3, INPUT[0], INPUT[1]), |(n, c, y, x)| {
        let wave = ((n * 7 + c * 3) as f32 + 0.31 * y as f32 - 0.17 * (x * (c + 1)) as f32).sin();
        (0.5 + 0.5 * wave).powi(3)
    })
}

fn values(tensor: Tensor<Plain, 4>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

/// What lies around a channel's centre, which is found as the documentation says: the mean, then two means by 1 / (1 + r^2), r in
/// units of 0.1.
fn less_their_centre(plane: ArrayView2<f64>) -> Array2<f64> {
    let mean = plane.mean().unwrap();
    let centre = (0..2).fold(mean, |centre, _| {
        let weight = |value: f64| 1.0 / (1.0 + ((value - centre) / 0.1).powi(2));
        plane.iter().map(|x| weight(*x) * x).sum::<f64>() / plane.iter().map(|x| weight(*x)).sum::<f64>()
    });
    plane.mapv(|value| value - centre)
}

#[test]
fn the_shortcut_adds_a_mix_of_the_mean_colours_around_each_position() {
    [1, 2, 4].into_iter().for_each(|cells| mixes_what_cells_have(cells, false));
}

#[test]
fn and_of_the_contrasts_there() {
    [1, 2].into_iter().for_each(|cells| mixes_what_cells_have(cells, true));
}

fn mixes_what_cells_have(cells: usize, contrast: bool) {
    let (input, with) = config(cells, contrast);
    let parameters = random_parameters(&with, 3);
    let mix_of = |parameter: &str| parameters.iter().find(|(name, _, _)| name == parameter);
    let (_, shape, mix) = mix_of(IMAGE_SHORTCUT).unwrap();
    assert_eq!(mix_of(CONTRAST_SHORTCUT).is_some(), contrast);
    let side = shape[2] as isize; // [d,3,side,side]
    assert_eq!((shape[2], shape[3]), if cells == 1 { (1, 1) } else { (cells + 1, cells + 1) });
    let weights: Weights<Plain> = Weights::from_parameters(&parameters, &Default::default());
    let image = to_tensor(&images(), &Default::default());
    let features = |config: &BackboneConfig| {
        values(Backbone::new(&input, config).forward(&weights.operations(), &image).features)
    };
    let (with_it, without) = (features(&with), features(&config(0, false).1));

    let FeatureGeometry { channels, height, width, stride } = FeatureGeometry::new(&input, &with);
    let step = stride / cells;
    let around = |cell: usize, pixels: usize| {
        let centre = cell * step;
        centre.saturating_sub(step / 2)..(centre + step / 2 + 1).min(pixels)
    };
    let count = INPUT.map(|pixels| pixels.div_ceil(step));
    let images = images().mapv(f64::from);
    let of_cells = |value: fn(&[f64]) -> f64| {
        let mut cells = Array4::from_shape_fn((2, 3, count[0], count[1]), |(n, c, y, x)| {
            let window = images.slice(s![n, c, around(y, INPUT[0]), around(x, INPUT[1])]);
            value(&window.iter().map(|pixel| 2.0 * pixel - 1.0).collect::<Vec<_>>())
        });
        let mut moved = 0.0f64;
        for mut image in cells.outer_iter_mut() {
            for mut plane in image.outer_iter_mut() {
                let relative = less_their_centre(plane.view());
                moved = moved.max(relative.mean().unwrap().abs());
                plane.assign(&relative);
            }
        }
        assert!(moved > 1e-3, "a centre that is the mean would do as well");
        cells
    };
    let mean = |pixels: &[f64]| pixels.iter().sum::<f64>() / pixels.len() as f64;
    let mut mixes = vec![(mix, of_cells(mean))];
    if let Some((_, _, mix)) = mix_of(CONTRAST_SHORTCUT) {
        let contrast = |pixels: &[f64]| {
            let mean = pixels.iter().sum::<f64>() / pixels.len() as f64;
            let variance = pixels.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / pixels.len() as f64;
            0.05 * (variance + 4e-4).ln()
        };
        mixes.push((mix, of_cells(contrast)));
    }
    // Beyond the image there is nothing but the image's level.
    let at = |cells: &Array4<f64>, n: usize, c: usize, y: isize, x: isize| {
        let place = (usize::try_from(y).ok(), usize::try_from(x).ok());
        let (Some(y), Some(x)) = place else { return 0.0 };
        cells.get((n, c, y, x)).copied().unwrap_or(0.0)
    };
    let mut compared = 0;
    for (i, (n, d, y, x)) in ndarray::indices((2, channels, height, width)).into_iter().enumerate() {
        let [top, left] = [y, x].map(|place| (place * cells) as isize - side / 2);
        let added_by = |(mix, cells): &(&Vec<f32>, Array4<f64>)| -> f64 {
            let square = ndarray::indices((3, side as usize, side as usize)).into_iter();
            let weights = &mix[d * 3 * (side * side) as usize..];
            square
                .zip(weights)
                .map(|((c, ky, kx), weight)| {
                    f64::from(*weight) * at(cells, n, c, top + ky as isize, left + kx as isize)
                })
                .sum()
        };
        let added: f64 = mixes.iter().map(added_by).sum();
        let expected = without[i] + added;
        assert!((with_it[i] - expected).abs() < 1e-9, "{:?}: {} {expected}", (n, d, y, x), with_it[i]);
        compared += usize::from(added.abs() > 0.1);
    }
    assert!(compared > 100, "the shortcut matters at {compared} places");
}

#[test]
fn its_vjp_is_the_gradient_of_the_forward_pass() {
    [(1, false), (4, false), (1, true), (2, true)].into_iter().for_each(|(cells, contrast)| {
        its_vjp_is_the_gradient(cells, contrast);
    });
}

fn its_vjp_is_the_gradient(cells: usize, contrast: bool) {
    let (input, config) = config(cells, contrast);
    let parameters = random_parameters(&config, 4);
    let layers = Backbone::new(&input, &config);
    let device = Default::default();
    let tracked: Weights<Tracked> = Weights::from_parameters(&parameters, &device);
    let image: Tensor<Tracked, 4> = to_tensor(&images(), &device);
    let image = image.require_grad();
    let features = layers.forward(&tracked.operations(), &image).features;
    let [n, d, h, w] = features.dims();
    let weight =
        Array4::from_shape_fn((n, d, h, w), |(n, d, y, x)| ((n + 2 * d + 3 * y + 5 * x) as f32).cos());
    let gradients = (features * to_tensor(&weight, &device)).sum().backward();
    let expected = values(image.grad(&gradients).unwrap());

    let plain: Weights<Plain> = Weights::from_parameters(&parameters, &device);
    let ops = plain.operations();
    let tape = layers.forward(&ops, &to_tensor(&images(), &device));
    let vjp = values(layers.vjp(&ops, &tape, &to_tensor(&weight, &device)));
    let largest = expected.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    for (ours, theirs) in vjp.iter().zip(&expected) {
        assert!((ours - theirs).abs() < 1e-9 * largest, "{ours} {theirs}");
    }
}
