//! Loops that a training step on the CPU spends its time in: convolutions, group norms, pools, ELUs. They work on slices of
//! f32, laid out as \[N,C,H,W\].
//!
//! Architecture invariant: no tensor library and no layer is named here. Which operation is computed by which loop, and
//! how loops are differentiated, is `sparsight-trainer`'s to say. No result depends on the number of threads.

pub mod convolution;
mod correlation;
pub mod elementwise;
pub mod norm;
mod parallel;
pub mod product;
mod tile;
pub mod windows;

/// The square window of a convolution or a pooling, or a neighbourhood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Side in pixels.
    pub side: usize,
    /// Pixels between neighbouring windows.
    pub stride: usize,
    /// Zeros added on each border.
    pub padding: usize,
}

impl Window {
    /// A window that is centred on every `stride`-th pixel.
    pub fn centred(side: usize, stride: usize) -> Self {
        Self { side, stride, padding: side / 2 }
    }

    /// Height and width after the window has passed over `from`.
    pub fn apply(&self, from: [usize; 2]) -> [usize; 2] {
        from.map(|side| (side + 2 * self.padding - self.side) / self.stride + 1)
    }

    /// Rows and columns of `onto` that no window reaches at the far borders, which a transposed convolution must be
    /// told of.
    pub fn unreached(&self, onto: [usize; 2]) -> [usize; 2] {
        let from = self.apply(onto);
        let covered = |side: usize| (side - 1) * self.stride + self.side - 2 * self.padding;
        [onto[0] - covered(from[0]), onto[1] - covered(from[1])]
    }
}

#[cfg(test)]
mod tests;
