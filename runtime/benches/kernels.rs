//! The kernels of sparse coding, each alone, at ten shots of 4 x 4, 8 x 8 and 16 x 16 positions of the paper's 256
//! channels. What they are worth beside others is `goals`' to say.
//!
//!     cargo bench --package sparsight-runtime --bench kernels

use divan::{Bencher, black_box, counter::ItemsCount};
use ndarray::{Array4, Axis};
use sparsight_runtime::sparse_coding::{Coder, dictionary, unfold};
use sparsight_schemas::SparseCodingConfig;

const SIDES: [usize; 3] = [4, 8, 16];
const CHANNELS: usize = 256;
const SHOTS: usize = 10;

fn main() {
    divan::main();
}

/// Waves that differ by channel.
fn features(images: usize, side: usize) -> Array4<f32> {
    Array4::from_shape_fn((images, CHANNELS, side, side), |(n, c, y, x)| {
        ((n * 31 + c * 7) as f32 + 0.9 * y as f32 + 0.4 * x as f32).sin()
    })
}

fn coder(side: usize) -> Coder {
    let config = SparseCodingConfig::default();
    Coder::new(&dictionary(features(SHOTS, side).view(), config.receptive_field), &config)
}

#[divan::bench(args = SIDES)]
fn neighbourhoods(bencher: Bencher, side: usize) {
    let query = features(1, side);
    bencher.counter(ItemsCount::new(side * side)).bench_local(|| unfold(black_box(query.view()), 3));
}

#[divan::bench(args = SIDES, sample_count = 5)]
fn dictionary_of_ten_shots(bencher: Bencher, side: usize) {
    let support = features(SHOTS, side);
    bencher
        .counter(ItemsCount::new(SHOTS * side * side))
        .bench_local(|| dictionary(black_box(support.view()), 3));
}

#[divan::bench(args = SIDES, sample_count = 20)]
fn energy_map(bencher: Bencher, side: usize) {
    let (mut coder, query) = (coder(side), features(1, side));
    bencher
        .counter(ItemsCount::new(side * side))
        .bench_local(|| coder.energy_map(black_box(query.index_axis(Axis(0), 0))).sum());
}

#[divan::bench(args = SIDES, sample_count = 20)]
fn energy_map_and_gradient(bencher: Bencher, side: usize) {
    let (mut coder, query) = (coder(side), features(1, side));
    bencher
        .counter(ItemsCount::new(side * side))
        .bench_local(|| coder.energy_map_and_gradient(black_box(query.index_axis(Axis(0), 0)), None).1);
}
