//! Negatives, appendix A.4: queries spoilt by a few patches, the starting points of the sampler. Each patch is uniform
//! noise, one colour, a piece of the same image, or a Gaussian blur; beyond the paper, its outline may be a blob and it
//! may let the image shine through. Nothing is learned or loaded here.

use ndarray::{Array1, Array2, Array3, ArrayView3, ArrayViewMut3, Axis, s};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use sparsight_schemas::{NegativeKinds, NegativesConfig, PatchShape};

/// Standard deviation of the blur, as a share of the image's shorter side.
const BLUR: [f32; 2] = [0.01, 0.04];
/// Pixels that changed by less than this stay as they were: a mask marks what can be seen in eight bits.
const VISIBLE: f32 = 1.0 / 255.0;

/// A spoilt image.
#[derive(Clone, Debug, PartialEq)]
pub struct Negative {
    /// \[3,H,W\] in \[0,1\].
    pub image: Array3<f32>,
    /// \[H,W\]: 1 where a channel differs from the original, else 0.
    pub mask: Array2<f32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Noise,
    Constant,
    CopyPaste,
    Blur,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Patch {
    top: usize,
    left: usize,
    height: usize,
    width: usize,
}

/// Spoils `image` (\[3,H,W\] in \[0,1\]) by as many patches as `config.patches` allows; patches may overlap. All
/// randomness comes from `rng`.
pub fn spoil(image: ArrayView3<f32>, config: &NegativesConfig, rng: &mut ChaCha8Rng) -> Negative {
    let (_, height, width) = image.dim();
    let [fewest, most] = config.patches;
    let mut spoilt = image.to_owned();
    for _ in 0..rng.random_range(fewest..=most) {
        let patch = draw_patch(height, width, config, rng);
        let kind = draw_kind(&config.kinds, rng);
        let under = spoilt.slice(s![.., patch.rows(), patch.columns()]).to_owned();
        apply(kind, patch, image, &mut spoilt, rng);
        let cover = cover(patch, config, rng);
        // Where it covers all, the patch stays exactly as it is.
        mix_under(patch.of_mut(&mut spoilt), &under, &cover);
    }
    let mut mask = Array2::zeros((height, width));
    for ((y, x), marked) in mask.indexed_iter_mut() {
        let change = |c: usize| (spoilt[[c, y, x]] - image[[c, y, x]]).abs();
        if (0..3).any(|c| change(c) >= VISIBLE) {
            *marked = 1.0;
        } else {
            (0..3).for_each(|c| spoilt[[c, y, x]] = image[[c, y, x]]);
        }
    }
    Negative { image: spoilt, mask }
}

/// How much of each pixel of a patch, \[height, width\], is the patch and not what was under it.
fn cover(patch: Patch, config: &NegativesConfig, rng: &mut ChaCha8Rng) -> Array2<f32> {
    let [faintest, firmest] = config.opacity;
    let opacity = if faintest < firmest { rng.random_range(faintest..=firmest) } else { firmest };
    let mut cover = match config.shape {
        PatchShape::Rectangle => Array2::ones((patch.height, patch.width)),
        PatchShape::Blob => blob(patch.height, patch.width, rng),
    };
    cover *= opacity;
    cover
}

/// An irregular outline inside the rectangle, of which it covers about a third: the radius is a sum of a few harmonics of the angle, and the edge is
/// soft.
fn blob(height: usize, width: usize, rng: &mut ChaCha8Rng) -> Array2<f32> {
    const EDGE: f32 = 0.15;
    let harmonics: Vec<(f32, f32, f32)> = (1..=5)
        .map(|k| {
            (k as f32, rng.random_range(0.0..0.3) / k as f32, rng.random_range(0.0..std::f32::consts::TAU))
        })
        .collect();
    Array2::from_shape_fn((height, width), |(y, x)| {
        let (v, u) =
            ((y as f32 + 0.5) / height as f32 * 2.0 - 1.0, (x as f32 + 0.5) / width as f32 * 2.0 - 1.0);
        let angle = v.atan2(u);
        let dents: f32 =
            harmonics.iter().map(|(k, depth, phase)| depth * (1.0 + (k * angle + phase).cos())).sum();
        ((1.0 - dents - v.hypot(u)) / EDGE).clamp(0.0, 1.0)
    })
}

/// Mixes what was under a patch, \[3, height, width\], into it by how much the patch covers.
fn mix_under(patch: ArrayViewMut3<f32>, under: &Array3<f32>, cover: &Array2<f32>) {
    let cover = cover.view().insert_axis(Axis(0));
    ndarray::Zip::from(patch).and(under).and_broadcast(&cover).for_each(|value, under, cover| {
        if *cover < 1.0 {
            *value = under + cover * (*value - under);
        }
    });
}

fn draw_patch(height: usize, width: usize, config: &NegativesConfig, rng: &mut ChaCha8Rng) -> Patch {
    let [smallest, largest] = config.area;
    let [flattest, tallest] = config.aspect_ratio;
    let area = rng.random_range(smallest..=largest) * (height * width) as f32;
    let (patch_height, patch_width) = sides(area, rng.random_range(flattest..=tallest), height, width);
    Patch {
        top: rng.random_range(0..=height - patch_height),
        left: rng.random_range(0..=width - patch_width),
        height: patch_height,
        width: patch_width,
    }
}

/// Height and width in whole pixels whose product is as near to `area` as they allow. A patch that is too long for
/// the image, or thinner than a pixel, gives up its aspect ratio rather than its area.
fn sides(area: f32, aspect_ratio: f32, height: usize, width: usize) -> (usize, usize) {
    let fit = |side: f32, most: usize| (side.round() as usize).clamp(1, most);
    if aspect_ratio >= 1.0 {
        // The short side first: rounding it is what moves the area, and the long side makes up for it.
        let across = fit((area / aspect_ratio).sqrt(), width).max((area / height as f32).ceil() as usize);
        (fit(area / across as f32, height), across.min(width))
    } else {
        let down = fit((area * aspect_ratio).sqrt(), height).max((area / width as f32).ceil() as usize);
        (down.min(height), fit(area / down as f32, width))
    }
}

fn draw_kind(kinds: &NegativeKinds, rng: &mut ChaCha8Rng) -> Kind {
    let mut remaining = rng.random_range(0.0..kinds.weights().iter().sum::<f32>());
    let all = [Kind::Noise, Kind::Constant, Kind::CopyPaste, Kind::Blur];
    let weighted = || all.into_iter().zip(kinds.weights()).filter(|(_, weight)| *weight > 0.0);
    for (kind, weight) in weighted() {
        if remaining < weight {
            return kind;
        }
        remaining -= weight;
    }
    // Rounding can leave a sliver above the last weight.
    weighted().next_back().map_or(Kind::Noise, |(kind, _)| kind)
}

fn apply(
    kind: Kind,
    patch: Patch,
    original: ArrayView3<f32>,
    spoilt: &mut Array3<f32>,
    rng: &mut ChaCha8Rng,
) {
    let (_, height, width) = original.dim();
    match kind {
        Kind::Noise => patch.of_mut(spoilt).mapv_inplace(|_| rng.random()),
        Kind::Constant => {
            let colour = Array1::from_shape_fn(3, |_| rng.random::<f32>());
            patch.of_mut(spoilt).assign(&colour.insert_axis(Axis(1)).insert_axis(Axis(2)));
        }
        Kind::CopyPaste => {
            let source = Patch {
                top: rng.random_range(0..=height - patch.height),
                left: rng.random_range(0..=width - patch.width),
                ..patch
            };
            patch.of_mut(spoilt).assign(&original.slice(s![.., source.rows(), source.columns()]));
        }
        Kind::Blur => {
            let sigma = rng.random_range(BLUR[0]..=BLUR[1]) * height.min(width) as f32;
            let blurred = blur(spoilt.view(), patch, sigma);
            patch.of_mut(spoilt).assign(&blurred);
        }
    }
}

impl Patch {
    fn rows(self) -> std::ops::Range<usize> {
        self.top..self.top + self.height
    }

    fn columns(self) -> std::ops::Range<usize> {
        self.left..self.left + self.width
    }

    fn of_mut(self, image: &mut Array3<f32>) -> ArrayViewMut3<'_, f32> {
        image.slice_mut(s![.., self.rows(), self.columns()])
    }
}

/// The patch of `image` after a Gaussian blur that sees the image around it; beyond the image, its edge is repeated.
fn blur(image: ArrayView3<f32>, patch: Patch, sigma: f32) -> Array3<f32> {
    let (_, height, width) = image.dim();
    let radius = (3.0 * sigma).ceil().max(1.0) as isize;
    let mut kernel: Vec<f32> =
        (-radius..=radius).map(|i| (-0.5 * (i as f32 / sigma).powi(2)).exp()).collect();
    let total: f32 = kernel.iter().sum();
    kernel.iter_mut().for_each(|weight| *weight /= total);

    let near = |centre: usize, i: usize, most: usize| {
        (centre as isize + i as isize - radius).clamp(0, most as isize - 1) as usize
    };
    let weighted = |value: &dyn Fn(usize) -> f32| {
        let sum: f32 = kernel.iter().enumerate().map(|(i, weight)| weight * value(i)).sum();
        sum.clamp(0.0, 1.0)
    };
    let across = Array3::from_shape_fn((3, height, patch.width), |(c, y, x)| {
        weighted(&|i| image[[c, y, near(patch.left + x, i, width)]])
    });
    Array3::from_shape_fn((3, patch.height, patch.width), |(c, y, x)| {
        weighted(&|i| across[[c, near(patch.top + y, i, height), x]])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;

    fn rng(seed: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(seed)
    }

    fn photo(height: usize, width: usize) -> Array3<f32> {
        let mut rng = rng(99);
        Array3::from_shape_fn((3, height, width), |_| rng.random())
    }

    fn only(kind: Kind) -> NegativeKinds {
        let weight = |other| f32::from(u8::from(kind == other));
        NegativeKinds {
            noise: weight(Kind::Noise),
            constant: weight(Kind::Constant),
            copy_paste: weight(Kind::CopyPaste),
            blur: weight(Kind::Blur),
        }
    }

    proptest! {
        #[test]
        fn the_mask_marks_exactly_what_changed(
            seed: u64, height in 8usize..64, width in 8usize..64, fewest in 1usize..4, more in 0usize..3,
        ) {
            let image = photo(height, width);
            let config = NegativesConfig { patches: [fewest, fewest + more], ..NegativesConfig::default() };
            let negative = spoil(image.view(), &config, &mut rng(seed));
            prop_assert_eq!(&negative, &spoil(image.view(), &config, &mut rng(seed)));
            prop_assert!(negative.image.iter().all(|v| (0.0..=1.0).contains(v)));
            for ((y, x), mask) in negative.mask.indexed_iter() {
                let changed = (0..3).any(|c| negative.image[[c, y, x]] != image[[c, y, x]]);
                prop_assert_eq!(*mask, if changed { 1.0 } else { 0.0 });
            }
            let faint = NegativesConfig {
                shape: PatchShape::Blob,
                opacity: [0.2, 0.8],
                ..NegativesConfig::default()
            };
            let blob = spoil(image.view(), &faint, &mut rng(seed));
            for ((y, x), mask) in blob.mask.indexed_iter() {
                let changed = (0..3).any(|c| blob.image[[c, y, x]] != image[[c, y, x]]);
                prop_assert_eq!(*mask, if changed { 1.0 } else { 0.0 });
            }
            let noise = NegativesConfig { kinds: only(Kind::Noise), ..config };
            prop_assert!(spoil(image.view(), &noise, &mut rng(seed)).mask.sum() > 0.0);
            prop_assert!(negative.mask.sum() <= ((fewest + more) * height * width) as f32 * 0.05 + 9.0);
        }

        #[test]
        fn a_patch_has_the_drawn_area_within_half_a_line_of_its_short_side(
            height in 8usize..256, width in 8usize..256, share in 0.0025f32..0.5, ratio in 0.01f32..100.0,
        ) {
            let area = share * (height * width) as f32;
            let (down, across) = sides(area, ratio, height, width);
            prop_assert!((1..=height).contains(&down) && (1..=width).contains(&across));
            let error = ((down * across) as f32 - area).abs();
            let line = if ratio >= 1.0 { across } else { down };
            prop_assert!(error <= 0.5 * line as f32 + 0.5, "{down} x {across} for {area}");
        }

        #[test]
        fn a_patch_keeps_its_aspect_ratio_where_pixels_allow(ratio in 0.2f32..5.0) {
            let (down, across) = sides(1000.0, ratio, 128, 128);
            let kept = down as f32 / across as f32;
            prop_assert!((kept / ratio).ln().abs() < 0.1, "{kept} for {ratio}");
        }
    }

    #[test]
    fn an_area_of_the_whole_image_fits() {
        assert_eq!(sides(64.0 * 48.0, 77.0, 64, 48), (64, 48));
        assert_eq!(sides(64.0 * 48.0, 0.02, 64, 48), (64, 48));
    }

    #[test]
    fn kinds_are_drawn_as_often_as_they_weigh() {
        let kinds = NegativeKinds { noise: 1.0, constant: 0.0, copy_paste: 2.0, blur: 5.0 };
        let mut rng = rng(5);
        let mut counts = [0.0; 4];
        for _ in 0..8000 {
            counts[draw_kind(&kinds, &mut rng) as usize] += 1.0;
        }
        for (count, weight) in counts.into_iter().zip(kinds.weights()) {
            let expected = 1000.0 * weight;
            assert!((count - expected).abs() <= 5.0 * expected.sqrt(), "{counts:?}");
        }
    }

    #[test]
    fn each_kind_does_what_its_name_says() {
        let image = photo(32, 40);
        let patch = Patch { top: 3, left: 30, height: 7, width: 10 };
        let spread = |view: ArrayView3<f32>| view.std(0.0);
        let of = |kind| {
            let mut spoilt = image.clone();
            apply(kind, patch, image.view(), &mut spoilt, &mut rng(1));
            spoilt.slice(s![.., patch.rows(), patch.columns()]).to_owned()
        };
        for channel in of(Kind::Constant).outer_iter() {
            assert!(channel.iter().all(|v| *v == channel[[0, 0]]));
        }
        let windows = (0..=25).flat_map(|top| (0..=30).map(move |left| (top, left)));
        let copied = of(Kind::CopyPaste);
        assert!(windows.into_iter().any(|(y, x)| copied == image.slice(s![.., y..y + 7, x..x + 10])));
        let original = spread(image.slice(s![.., patch.rows(), patch.columns()]));
        assert!(spread(of(Kind::Blur).view()) < 0.7 * original);
        assert!((spread(of(Kind::Noise).view()) - (1.0f32 / 12.0).sqrt()).abs() < 0.05);
    }

    #[test]
    fn an_opacity_mixes_the_patch_with_what_is_under_it() {
        let grey = Array3::from_elem((3, 32, 32), 0.5);
        let of = |opacity: f32| {
            let config = NegativesConfig {
                kinds: only(Kind::Constant),
                patches: [1, 1],
                opacity: [opacity; 2],
                ..NegativesConfig::default()
            };
            spoil(grey.view(), &config, &mut rng(3)).image
        };
        let (whole, half) = (of(1.0) - &grey, of(0.5) - &grey);
        assert!(whole.iter().any(|v| v.abs() > 0.1));
        assert!(whole.iter().zip(&half).all(|(whole, half)| (0.5 * whole - half).abs() < VISIBLE));
    }

    #[test]
    fn a_blob_lies_inside_its_rectangle_and_covers_its_middle() {
        for seed in 0..200 {
            let cover = blob(20, 30, &mut rng(seed));
            assert!([(0, 0), (0, 29), (19, 0), (19, 29)].iter().all(|corner| cover[*corner] == 0.0));
            assert!(cover.iter().all(|share| (0.0..=1.0).contains(share)));
            assert!(cover.sum() > 20.0, "seed {seed}");
        }
    }

    #[test]
    fn a_blur_keeps_a_flat_image() {
        let flat = Array3::from_elem((3, 16, 16), 0.25);
        let config = NegativesConfig { kinds: only(Kind::Blur), ..NegativesConfig::default() };
        let negative = spoil(flat.view(), &config, &mut rng(0));
        assert!(negative.image.iter().all(|v| (v - 0.25).abs() < 1e-6));
    }
}
