//! What reaches the features past all norms, and past the tanh, which would saturate: how bright the image is around each
//! position, and how much it varies there, both relative to the whole image. What mixes them is learned. The layers with norms
//! are the backbone's, not here.

use sparsight_schemas::{BackboneConfig, CONTRAST_SHORTCUT, IMAGE_SHORTCUT};

use crate::operations::{Operations, Window};

/// Added to the variance of a cell, in units of the normalised image's range [-1, 1]: the square of 2.5 grey levels of 255.
const LEAST_VARIANCE: f64 = 4e-4;
/// The contrast is this times the log of the variance, and so lies within [-0.4, 0].
const CONTRAST_SCALE: f64 = 0.05;
/// From here on, in the same units, a cell's distance from the centre makes it count for less.
const CENTRE_SCALE: f64 = 0.1;
/// How often cells are weighed by their distance from the centre and averaged again.
const CENTRE_STEPS: usize = 2;

/// Layers of the image shortcut.
#[derive(Clone, Debug)]
pub struct ImageShortcut {
    /// From pixels to cells.
    window: Window,
    onto: [usize; 2],
    cells: [usize; 2],
    /// side^2 / pixels of the image in a window, for each cell: the windows at the borders reach beyond it.
    coverage: Vec<f64>,
    /// From cells to positions.
    mix: Window,
    contrast: bool,
}

/// What the VJP needs of a forward pass.
pub struct ShortcutTape<T> {
    colour: Centred<T>,
    contrast: Option<Contrast<T>>,
}

/// Values of cells and their centre. Cells are h x w, whatever the positions are.
struct Centred<T> {
    values: T,              // [N,3,h,w]
    steps: Vec<Weighed<T>>, // to the centre
}

/// One step towards the centre.
struct Weighed<T> {
    distances: T,    // [N,3,h,w], in units of CENTRE_SCALE
    weights: T,      // [N,3,h,w], 1 / (1 + distances^2)
    inverse_mean: T, // [N,3,1,1], of the weights
    centre: T,       // [N,3,1,1], that it leads to
}

struct Contrast<T> {
    image: T,            // [N,3,H,W]
    means: T,            // [N,3,h,w]
    inverse_variance: T, // [N,3,h,w]
    centred: Centred<T>,
}

impl ImageShortcut {
    /// Cells in equal steps, one of them centred on each position, one pixel wider than what lies between them.
    pub fn new(image: [usize; 2], config: &BackboneConfig) -> Self {
        let step = config.stride() / config.image_shortcut_cells;
        let window = Window::centred(step + 1, step);
        let cells = window.apply(image);
        let covered = |cell: usize, pixels: usize| {
            let centre = cell * step;
            (centre + step / 2 + 1).min(pixels) - centre.saturating_sub(step / 2)
        };
        let area = (window.side * window.side) as f64;
        let coverage = (0..cells[0])
            .flat_map(|y| (0..cells[1]).map(move |x| (y, x)))
            .map(|(y, x)| area / (covered(y, image[0]) * covered(x, image[1])) as f64)
            .collect();
        let mix = Window::centred(config.image_shortcut_side(), config.image_shortcut_cells);
        Self { window, onto: image, cells, coverage, mix, contrast: config.image_shortcut_contrast }
    }

    /// W (m - centre(m)) + V (c - centre(c)), m being the cells' mean colours and c = 0.05 ln(variance + 4e-4) their
    /// contrasts: \[N,3,H,W\] to \[N,d,h,w\]. Without the image's own level, which changes with its exposure.
    pub fn forward<O: Operations>(&self, ops: &O, image: &O::Tensor) -> (O::Tensor, ShortcutTape<O::Tensor>) {
        let means = self.means(ops, image);
        let (relative, colour) = centred(ops, &means);
        let added = ops.convolution(&relative, &ops.parameter(IMAGE_SHORTCUT), self.mix);
        if !self.contrast {
            return (added, ShortcutTape { colour, contrast: None });
        }
        let squares = self.means(ops, &ops.mul(image, image));
        let variance = ops.affine(&ops.sub(&squares, &ops.mul(&means, &means)), 1.0, LEAST_VARIANCE);
        let (relative, centred) = centred(ops, &ops.affine(&ops.log(&variance), CONTRAST_SCALE, 0.0));
        let mixed = ops.convolution(&relative, &ops.parameter(CONTRAST_SHORTCUT), self.mix);
        let inverse_variance = ops.reciprocal(&variance);
        let contrast = Contrast { image: image.clone(), means, inverse_variance, centred };
        (ops.add(&added, &mixed), ShortcutTape { colour, contrast: Some(contrast) })
    }

    /// Gradient in the image of the product of what is added with `g`.
    pub fn vjp<O: Operations>(&self, ops: &O, tape: &ShortcutTape<O::Tensor>, g: &O::Tensor) -> O::Tensor {
        let of_relative =
            |name: &str| ops.transposed_convolution(g, &ops.parameter(name), self.mix, self.cells);
        let of_means = centred_vjp(ops, &tape.colour, &of_relative(IMAGE_SHORTCUT), self.cells);
        let Some(contrast) = &tape.contrast else { return self.means_transposed(ops, &of_means) };
        let of_contrast = centred_vjp(ops, &contrast.centred, &of_relative(CONTRAST_SHORTCUT), self.cells);
        let of_variance = ops.affine(&ops.mul(&of_contrast, &contrast.inverse_variance), CONTRAST_SCALE, 0.0);
        let through_means = ops.affine(&ops.mul(&of_variance, &contrast.means), 2.0, 0.0);
        let of_means = ops.sub(&of_means, &through_means);
        let of_squares = self.means_transposed(ops, &of_variance);
        let through_squares = ops.affine(&ops.mul(&of_squares, &contrast.image), 2.0, 0.0);
        ops.add(&self.means_transposed(ops, &of_means), &through_squares)
    }

    /// Mean of the pixels in each cell.
    fn means<O: Operations>(&self, ops: &O, x: &O::Tensor) -> O::Tensor {
        ops.mul(&ops.average_pool(x, self.window), &ops.plane(&self.coverage, self.cells))
    }

    /// The transpose of `means`, which is linear.
    fn means_transposed<O: Operations>(&self, ops: &O, g: &O::Tensor) -> O::Tensor {
        let g = ops.mul(g, &ops.plane(&self.coverage, self.cells));
        ops.transposed_average_pool(&g, self.window, self.onto)
    }
}

/// x - centre(x), for each channel: a defect hardly moves the centre, as it does a mean. From the mean on, each step weighs
/// the cells by 1 / (1 + r^2), r being the distance from the centre before it in units of [`CENTRE_SCALE`], and takes their
/// weighted mean.
fn centred<O: Operations>(ops: &O, x: &O::Tensor) -> (O::Tensor, Centred<O::Tensor>) {
    let mut centre = ops.mean(x);
    let mut steps = Vec::new();
    for _ in 0..CENTRE_STEPS {
        let distances = ops.affine(&ops.sub(x, &centre), 1.0 / CENTRE_SCALE, 0.0);
        let weights = ops.reciprocal(&ops.affine(&ops.mul(&distances, &distances), 1.0, 1.0));
        let inverse_mean = ops.reciprocal(&ops.mean(&weights));
        centre = ops.mul(&ops.mean(&ops.mul(&weights, x)), &inverse_mean);
        steps.push(Weighed { distances, weights, inverse_mean, centre: centre.clone() });
    }
    (ops.sub(x, &centre), Centred { values: x.clone(), steps })
}

/// The VJP of `centred`. A step's centre is c = mean(w x) / mean(w); with k = -2 r w^2 (x - c) / s its gradient in x is
/// (w + k) / (n mean(w)), and in the centre before it -mean(k) / mean(w), n being the number of cells and s the scale.
fn centred_vjp<O: Operations>(
    ops: &O,
    tape: &Centred<O::Tensor>,
    g: &O::Tensor,
    [height, width]: [usize; 2],
) -> O::Tensor {
    let each = 1.0 / (height * width) as f64;
    let mut of_centre = ops.affine(&ops.mean(g), -1.0 / each, 0.0); // [N,3,1,1]
    let mut of_values = g.clone();
    for step in tape.steps.iter().rev() {
        let Weighed { distances, weights, inverse_mean, centre } = step;
        let bend = ops.mul(&ops.mul(distances, &ops.sub(&tape.values, centre)), &ops.mul(weights, weights));
        let k = ops.affine(&bend, -2.0 / CENTRE_SCALE, 0.0);
        let of_mean = ops.mul(&of_centre, inverse_mean);
        let through = ops.mul(&ops.add(weights, &k), &of_mean);
        of_values = ops.add(&of_values, &ops.affine(&through, each, 0.0));
        of_centre = ops.affine(&ops.mul(&ops.mean(&k), &of_mean), -1.0, 0.0);
    }
    ops.add(&of_values, &ops.affine(&of_centre, each, 0.0))
}
