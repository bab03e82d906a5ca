//! Loops over the threads of the current pool, and with the vectors of this processor. How work is split never depends on
//! the number of threads.

use std::mem::MaybeUninit;

use rayon::prelude::*;

/// Calls `work` for each chunk of `out` with its number.
pub fn for_each_chunk<T: Send>(out: &mut [T], length: usize, work: impl Fn(usize, &mut [T]) + Sync) {
    if rayon::current_num_threads() == 1 {
        out.chunks_mut(length).enumerate().for_each(|(i, chunk)| work(i, chunk));
    } else {
        out.par_chunks_mut(length).enumerate().for_each(|(i, chunk)| work(i, chunk));
    }
}

/// So many values: those that `values` gives for each chunk of them, by its number.
///
/// # Panics
/// If they are too few for a chunk.
pub fn collect<I: Iterator<Item = f32>>(
    count: usize,
    length: usize,
    values: impl Fn(usize) -> I + Sync,
) -> Vec<f32> {
    let mut out = Vec::with_capacity(count);
    for_each_chunk(&mut out.spare_capacity_mut()[..count], length, |chunk, places| {
        let written = write(places, values(chunk));
        assert_eq!(written, places.len(), "a value for every place of chunk {chunk}");
    });
    // SAFETY: every place of every chunk was written, as was asserted.
    unsafe { out.set_len(count) };
    out
}

/// What `work` gives for each of so many numbers, in their order.
pub fn map<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
    if rayon::current_num_threads() == 1 {
        (0..count).map(work).collect()
    } else {
        (0..count).into_par_iter().map(work).collect()
    }
}

/// Writes values to places while there are both, and says how many.
fn write(places: &mut [MaybeUninit<f32>], values: impl Iterator<Item = f32>) -> usize {
    #[inline(always)]
    fn write(places: &mut [MaybeUninit<f32>], values: impl Iterator<Item = f32>) -> usize {
        let mut written = 0;
        for (place, value) in places.iter_mut().zip(values) {
            place.write(value);
            written += 1;
        }
        written
    }
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma")]
        fn write_with_avx2(places: &mut [MaybeUninit<f32>], values: impl Iterator<Item = f32>) -> usize {
            write(places, values)
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the processor has both.
            return unsafe { write_with_avx2(places, values) };
        }
    }
    write(places, values)
}

/// The sum of `term` over pairs of values, by lanes, so that it fills vectors and rounds little.
pub fn sum(x: &[f32], y: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    #[inline(always)]
    fn sum(x: &[f32], y: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
        const LANES: usize = 32;
        let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
        let mut lanes = [0.0; LANES];
        for (x, y) in x.iter().zip(y) {
            for (lane, (x, y)) in lanes.iter_mut().zip(x.iter().zip(y)) {
                *lane += term(*x, *y);
            }
        }
        let rest: f32 = x_rest.iter().zip(y_rest).map(|(x, y)| term(*x, *y)).sum();
        lanes.iter().sum::<f32>() + rest
    }
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma")]
        fn sum_with_avx2(x: &[f32], y: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
            sum(x, y, term)
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the processor has both.
            return unsafe { sum_with_avx2(x, y, term) };
        }
    }
    sum(x, y, term)
}
