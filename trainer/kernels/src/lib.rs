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

/// A square window: of a convolution or a pooling, or a neighbourhood.
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
    /// Windows along a side of so many pixels.
    fn count(&self, pixels: usize) -> usize {
        (pixels + 2 * self.padding - self.side) / self.stride + 1
    }
}

#[cfg(test)]
mod tests;
