//! Sparse coding alone, of features that fill a grid, beside the peak of the `gemm` crate.

use std::hint::black_box;

use gemm_common::Parallelism;
use ndarray::{Array2, Array4, Axis};
use sparsight_runtime::sparse_coding::{Coder, dictionary};
use sparsight_schemas::SparseCodingConfig;

use super::milliseconds;

/// Sides of the square matrices of which the fastest product of the `gemm` crate is its peak.
const SIDES: [usize; 4] = [256, 512, 1024, 2048];

/// Channels of the features, as the paper has them.
const CHANNELS: usize = 256;

/// Ten shots of a square grid of features, and as a query a grid like them.
pub struct Case {
    pub atoms: usize,
    /// Billions of operations of the products of one image.
    pub gflop: f64,
    coder: Coder,
    query: Array4<f32>,
}

/// 160, 640 and 2,560 atoms: ten shots of 4x4, 8x8 and 16x16 positions.
pub fn cases() -> Vec<Case> {
    [4, 8, 16].map(Case::new).into()
}

impl Case {
    fn new(side: usize) -> Self {
        let config = SparseCodingConfig::default();
        let support = features(10, side, 1);
        let atoms = dictionary(support.view(), config.receptive_field);
        let values = CHANNELS * config.receptive_field * config.receptive_field;
        Self {
            atoms: atoms.count(),
            gflop: gflop(side * side, atoms.count(), values, config.steps),
            coder: Coder::new(&atoms, &config),
            query: features(1, side, 2),
        }
    }

    pub fn milliseconds(&mut self) -> f64 {
        let image = self.query.index_axis(Axis(0), 0);
        let times = if self.atoms > 1000 { 3 } else { 30 };
        milliseconds(times, || {
            black_box(self.coder.energy_map(image));
        })
    }
}

/// Features in \[-1, 1\] with a mean of their own in every channel.
fn features(shots: usize, side: usize, seed: usize) -> Array4<f32> {
    let random = |i: usize| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f32 / (1 << 24) as f32 - 0.5;
    let mut next = seed << 32;
    let mut features = Array4::from_shape_simple_fn((shots, CHANNELS, side, side), || {
        next += 1;
        random(next)
    });
    for (channel, mut values) in features.axis_iter_mut(Axis(1)).enumerate() {
        values += random(channel);
    }
    features
}

/// Billions of operations of the products that no form of the iterations can do without: the correlations once, D'D for
/// every step but the first, and once D'D or D, whichever is less, for the energy.
pub fn gflop(positions: usize, atoms: usize, values: usize, steps: usize) -> f64 {
    let of_energy = atoms.min(values);
    2e-9 * (positions * atoms * (values + (steps - 1) * atoms + of_energy)) as f64
}

/// Billions of operations a second of the `gemm` crate on one thread, at its best size.
pub fn gemm_gflops() -> f64 {
    SIDES.into_iter().map(gemm_gflops_of).fold(0.0, f64::max)
}

fn gemm_gflops_of(side: usize) -> f64 {
    let a = Array2::from_shape_fn((side, side), |(row, column)| ((row * 31 + column * 17) % 23) as f32);
    let mut out = a.clone();
    let columns = side as isize; // from one column to the next; rows are one apart
    let time = milliseconds(5, || {
        // SAFETY: all three are square matrices of that side by columns; `out` is none of the others.
        unsafe {
            gemm_f32::gemm::f32::get_gemm_fn()(
                side,
                side,
                side,
                out.as_mut_ptr(),
                columns,
                1,
                false,
                a.as_ptr(),
                columns,
                1,
                a.as_ptr(),
                columns,
                1,
                0.0,
                1.0,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
        black_box(&mut out);
    });
    2e-6 * side.pow(3) as f64 / time
}
