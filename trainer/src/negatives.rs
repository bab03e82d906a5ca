//! Negatives, appendix A.4: queries spoilt by a few patches, the starting points of the sampler. Each patch is uniform
//! noise, one colour, a piece of the same image, or a Gaussian blur; beyond the paper, its outline may be a blob and it
//! may let the image shine through. Nothing is learned or loaded here.

#[cfg(test)]
mod tests;

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
