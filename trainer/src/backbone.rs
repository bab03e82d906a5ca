//! The backbone `resnet10` and its vector-Jacobian product (VJP), written once over [`Operations`].
//!
//! Architecture invariant: neither Burn nor ONNX is named here. The VJP is an expression of the same operations as
//! the forward pass, so that one automatic differentiation of it gives the second-order gradients of Langevin
//! sampling, and one trace of it gives `backbone_vjp.onnx`.

mod image_shortcut;

use sparsight_schemas::{BackboneConfig, InputConfig, NORM_EPSILON, NORM_GROUPS};

use crate::operations::{Operations, Window};
use image_shortcut::{ImageShortcut, ShortcutTape};

const POOL: Window = Window { side: 3, stride: 2, padding: 1 };

/// The layers of a backbone for one size of images.
#[derive(Clone, Debug)]
pub struct Backbone {
    stem: Layer,
    stages: Vec<Stage>,
    head: Layer,
    shortcut: Option<ImageShortcut>,
    input: [usize; 2],
}

/// conv1 and conv2 in a row, the shortcut around them.
#[derive(Clone, Debug)]
struct Stage {
    first: Layer,
    second: Layer,
    shortcut: Layer,
}

/// A convolution and the group normalisation of its output.
#[derive(Clone, Debug)]
struct Layer {
    weight: String,
    norm: String,
    window: Window,
    channels: usize,
    from: [usize; 2],
    to: [usize; 2],
}

/// What the VJP needs of a forward pass.
pub struct Tape<T> {
    stem: Normed<T>,
    stages: Vec<StageTape<T>>,
    head: Normed<T>,
    tanh: T,
    shortcut: Option<ShortcutTape<T>>,
    /// The features, \[N,d,h,w\].
    pub features: T,
}

struct StageTape<T> {
    first: Normed<T>,
    second: Normed<T>,
    shortcut: Normed<T>,
}

/// What the VJP needs of a layer: its output, and in groups the standardised one and the inverse deviation.
struct Normed<T> {
    output: T,            // [N,C,H,W]
    standardized: T,      // [N,G,C/G,H*W]
    inverse_deviation: T, // [N,G,1,1]
}

impl Backbone {
    /// The layers for images of that size.
    pub fn new(input: &InputConfig, config: &BackboneConfig) -> Self {
        let layer = |conv: String, norm: String, window: Window, channels: usize, from: [usize; 2]| Layer {
            weight: format!("{conv}.weight"),
            norm,
            window,
            channels,
            from,
            to: window.apply(from),
        };
        let image = [input.height, input.width];
        let stem =
            layer("stem.conv".into(), "stem.norm".into(), Window::centred(7, 2), config.widths[0], image);
        let mut size = POOL.apply(stem.to);
        let mut stages = Vec::new();
        for (i, (&width, &stride)) in config.widths.iter().zip(&config.strides).enumerate() {
            let name = |part: &str| format!("stage{}.{part}", i + 1);
            let first = layer(name("conv1"), name("norm1"), Window::centred(3, stride), width, size);
            let second = layer(name("conv2"), name("norm2"), Window::centred(3, 1), width, first.to);
            let shortcut =
                layer(name("shortcut.conv"), name("shortcut.norm"), Window::centred(1, stride), width, size);
            size = second.to;
            stages.push(Stage { first, second, shortcut });
        }
        let head = layer(
            "head.conv".into(),
            "head.norm".into(),
            Window::centred(1, 1),
            config.feature_channels,
            size,
        );
        let shortcut = config.image_shortcut.then(|| ImageShortcut::new(image, config));
        Self { stem, stages, head, shortcut, input: image }
    }

    /// Height and width of the images.
    pub fn input(&self) -> [usize; 2] {
        self.input
    }

    /// Features of images \[N,3,H,W\] in \[0,1\], and what the VJP needs. The normalisation (x - 0.5) / 0.5 is part
    /// of the graph, so that no consumer can preprocess differently.
    pub fn forward<O: Operations>(&self, ops: &O, image: &O::Tensor) -> Tape<O::Tensor> {
        let normalized = ops.affine(image, 2.0, -1.0);
        let stem = self.stem.forward(ops, &normalized); // [N,w1,H/2,W/2]
        let mut x = ops.average_pool(&ops.elu(&stem.output), POOL); // [N,w1,H/4,W/4]

        let mut stages = Vec::new();
        for stage in &self.stages {
            let first = stage.first.forward(ops, &x); // [N,wi,H/(4 s1..si),W/(4 s1..si)]
            let second = stage.second.forward(ops, &ops.elu(&first.output));
            let shortcut = stage.shortcut.forward(ops, &x);
            x = ops.add(&ops.elu(&second.output), &shortcut.output);
            stages.push(StageTape { first, second, shortcut });
        }

        let head = self.head.forward(ops, &x); // [N,d,h,w]
        let tanh = ops.tanh(&head.output);
        let (features, shortcut) = match &self.shortcut {
            Some(shortcut) => {
                let (added, tape) = shortcut.forward(ops, &normalized);
                (ops.add(&tanh, &added), Some(tape))
            }
            None => (tanh.clone(), None),
        };
        Tape { stem, stages, head, tanh, shortcut, features }
    }

    /// Gradient in the image \[N,3,H,W\] of the features' product with `features_gradient` \[N,d,h,w\].
    pub fn vjp<O: Operations>(
        &self,
        ops: &O,
        tape: &Tape<O::Tensor>,
        features_gradient: &O::Tensor,
    ) -> O::Tensor {
        let slope = ops.affine(&ops.mul(&tape.tanh, &tape.tanh), -1.0, 1.0); // tanh' = 1 - tanh^2
        let mut g = self.head.vjp(ops, &tape.head, &ops.mul(features_gradient, &slope));

        for (stage, tape) in self.stages.iter().zip(&tape.stages).rev() {
            let through = ops.elu_vjp(&tape.second.output, &g);
            let through = stage.second.vjp(ops, &tape.second, &through);
            let through = ops.elu_vjp(&tape.first.output, &through);
            let through = stage.first.vjp(ops, &tape.first, &through);
            g = ops.add(&through, &stage.shortcut.vjp(ops, &tape.shortcut, &g));
        }

        let g = ops.transposed_average_pool(&g, POOL, self.stem.to);
        let g = self.stem.vjp(ops, &tape.stem, &ops.elu_vjp(&tape.stem.output, &g));
        let g = match (&self.shortcut, &tape.shortcut) {
            (Some(shortcut), Some(tape)) => ops.add(&g, &shortcut.vjp(ops, tape, features_gradient)),
            _ => g,
        };
        ops.affine(&g, 2.0, 0.0)
    }
}

impl Layer {
    fn groups(&self) -> [usize; 3] {
        [NORM_GROUPS, self.channels / NORM_GROUPS, self.to[0] * self.to[1]]
    }

    /// GN(conv(x)).
    fn forward<O: Operations>(&self, ops: &O, x: &O::Tensor) -> Normed<O::Tensor> {
        let u = ops.convolution(x, &ops.parameter(&self.weight), self.window); // [N,C,H,W]
        let u = ops.reshape(&u, self.groups()); // [N,G,C/G,H*W]
        let (standardized, inverse_deviation) = ops.standardize(&u, NORM_EPSILON);
        let y = ops.reshape(&standardized, [self.channels, self.to[0], self.to[1]]);
        let scale = ops.parameter(&format!("{}.weight", self.norm));
        let shift = ops.parameter(&format!("{}.bias", self.norm));
        Normed { output: ops.scale_shift(&y, &scale, &shift), standardized, inverse_deviation }
    }

    /// Back through the norm, then through the convolution.
    fn vjp<O: Operations>(&self, ops: &O, normed: &Normed<O::Tensor>, g: &O::Tensor) -> O::Tensor {
        let scale = ops.parameter(&format!("{}.weight", self.norm));
        let v = ops.reshape(&ops.scale(g, &scale), self.groups());
        let u = ops.standardize_vjp(&normed.standardized, &normed.inverse_deviation, &v);
        let u = ops.reshape(&u, [self.channels, self.to[0], self.to[1]]);
        ops.transposed_convolution(&u, &ops.parameter(&self.weight), self.window, self.from)
    }
}
