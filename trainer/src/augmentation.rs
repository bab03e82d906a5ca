//! How the images of an episode are varied, so that fewer categories teach more. What is drawn here is drawn for one
//! episode; where episodes come from is `episodes`' business.

use ndarray::{Array3, Array4, ArrayViewMut3, Axis, Slice};
use rand::{RngExt, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use sparsight_schemas::AugmentationConfig;

/// What all images of an episode have in common: another orientation and other colours are another category.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    mirror_x: bool,
    mirror_y: bool,
    quarter_turns: usize,
    channels: [usize; 3],
    grey: bool,
}

impl View {
    /// Draws what `config` allows; images that are not `square` are turned by 0 or 180 degrees only.
    pub fn draw(config: &AugmentationConfig, square: bool, rng: &mut ChaCha8Rng) -> Self {
        let mut channels = [0, 1, 2];
        if config.channel_permutation {
            channels.shuffle(rng);
        }
        let turns = if square { 1 } else { 2 };
        Self {
            mirror_x: config.flips && rng.random(),
            mirror_y: config.flips && rng.random(),
            quarter_turns: if config.rotation { turns * rng.random_range(0..4 / turns) } else { 0 },
            channels,
            grey: config.greyscale > 0.0 && rng.random::<f32>() < config.greyscale,
        }
    }

    /// Images \[n,3,H,W\] seen so.
    pub fn of_images(self, images: Array4<f32>) -> Array4<f32> {
        let mut images =
            if self.channels == [0, 1, 2] { images } else { images.select(Axis(1), &self.channels) };
        if self.grey {
            for mut pixel in images.lanes_mut(Axis(1)) {
                let mean = pixel.sum() / 3.0;
                pixel.fill(mean);
            }
        }
        self.orient(images)
    }

    /// Masks \[n,H,W\] seen so.
    pub fn of_masks(self, masks: Array3<f32>) -> Array3<f32> {
        self.orient(masks.insert_axis(Axis(1))).remove_axis(Axis(1))
    }

    fn orient(self, mut images: Array4<f32>) -> Array4<f32> {
        let (vertical, horizontal) = (Axis(2), Axis(3));
        let mut flip = |axis, flipped: bool| {
            if flipped {
                images.slice_axis_inplace(axis, Slice::new(0, None, -1));
            }
        };
        flip(horizontal, self.mirror_x);
        flip(vertical, self.mirror_y);
        for _ in 0..self.quarter_turns {
            images.swap_axes(2, 3);
            images.slice_axis_inplace(vertical, Slice::new(0, None, -1));
        }
        images.as_standard_layout().into_owned()
    }
}

/// Varies brightness and contrast of an image \[3,H,W\] in place, as a camera might; what leaves \[0,1\] is clipped.
pub fn expose(mut image: ArrayViewMut3<f32>, config: &AugmentationConfig, rng: &mut ChaCha8Rng) {
    let mut within = |most: f32| if most > 0.0 { rng.random_range(-most..=most) } else { 0.0 };
    let (shift, factor) = (within(config.brightness), 1.0 + within(config.contrast));
    if shift == 0.0 && factor == 1.0 {
        return;
    }
    let mean = image.mean().unwrap_or_default();
    image.mapv_inplace(|value| (mean + factor * (value - mean) + shift).clamp(0.0, 1.0));
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn rng(seed: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(seed)
    }

    fn images(height: usize, width: usize) -> Array4<f32> {
        Array4::from_shape_fn((2, 3, height, width), |(n, c, y, x)| (n * 1000 + c * 100 + y * 10 + x) as f32)
    }

    const ALL: AugmentationConfig = AugmentationConfig {
        flips: true,
        rotation: true,
        channel_permutation: true,
        greyscale: 0.0,
        brightness: 0.3,
        contrast: 0.5,
    };

    #[test]
    fn nothing_is_varied_unless_it_is_asked_for() {
        let off = AugmentationConfig::default();
        let view = View::draw(&off, true, &mut rng(0));
        assert_eq!(view.of_images(images(4, 4)), images(4, 4));
        let mut image = images(4, 4).index_axis_move(Axis(0), 0) / 1000.0;
        let before = image.clone();
        expose(image.view_mut(), &off, &mut rng(0));
        assert_eq!(image, before);
    }

    #[test]
    fn every_orientation_of_a_square_comes_up_and_moves_masks_along() {
        let mut seen = std::collections::HashSet::new();
        for seed in 0..400 {
            let view = View::draw(&ALL, true, &mut rng(seed));
            let oriented = view.of_images(images(4, 4));
            let corner = |y: usize, x: usize| oriented[[0, 0, y, x]] as usize % 100;
            seen.insert((corner(0, 0), corner(0, 3)));
            let masks = images(4, 4).index_axis_move(Axis(1), 0);
            let place = |array: &[f32]| array.iter().map(|v| *v as usize % 100).collect::<Vec<_>>();
            let masks = view.of_masks(masks);
            let one = oriented.index_axis(Axis(1), 0).to_owned();
            assert_eq!(place(masks.as_slice().unwrap()), place(one.as_slice().unwrap()));
        }
        assert_eq!(seen.len(), 8, "the symmetries of the square");
    }

    #[test]
    fn images_that_are_not_square_keep_their_shape() {
        for seed in 0..50 {
            let view = View::draw(&ALL, false, &mut rng(seed));
            assert_eq!(view.of_images(images(4, 6)).dim(), (2, 3, 4, 6));
        }
    }

    #[test]
    fn a_share_of_the_episodes_is_grey() {
        let config = AugmentationConfig { greyscale: 0.25, ..AugmentationConfig::default() };
        let colourful = images(4, 4);
        let grey = colourful.mean_axis(Axis(1)).unwrap().insert_axis(Axis(1));
        let mut count = 0;
        for seed in 0..400 {
            let seen = View::draw(&config, true, &mut rng(seed)).of_images(colourful.clone());
            if seen == colourful {
                continue;
            }
            assert!(seen.iter().zip(grey.broadcast(seen.dim()).unwrap()).all(|(a, b)| (a - b).abs() < 1e-3));
            count += 1;
        }
        assert!((70..130).contains(&count), "{count} of 400"); // 100 +- 3.5 standard deviations
    }

    #[test]
    fn a_quarter_turn_is_counterclockwise() {
        let view =
            View { mirror_x: false, mirror_y: false, quarter_turns: 1, channels: [0, 1, 2], grey: false };
        let turned = view.of_images(images(4, 4));
        // The right edge becomes the top edge.
        let top: Vec<f32> = (0..4).map(|x| turned[[0, 0, 0, x]]).collect();
        assert_eq!(top, [3.0, 13.0, 23.0, 33.0]);
    }

    #[test]
    fn exposure_shifts_the_mean_and_stretches_about_it() {
        let image = Array3::from_shape_fn((3, 8, 8), |(_, y, x)| 0.45 + 0.1 * ((y + x) % 2) as f32);
        for seed in 0..50 {
            let mut exposed = image.clone();
            expose(
                exposed.view_mut(),
                &AugmentationConfig { brightness: 0.1, contrast: 0.5, ..ALL },
                &mut rng(seed),
            );
            let mean = exposed.mean().unwrap();
            assert!((mean - 0.5).abs() <= 0.1 + 1e-5);
            let spread = exposed[[0, 0, 1]] - exposed[[0, 0, 0]];
            assert!((0.05 - 1e-5..=0.15 + 1e-5).contains(&spread), "{spread}");
        }
    }
}
