//! Loops over the threads of the current pool, and with the vectors of this processor. How work is split never depends on
//! the number of threads.

use rayon::prelude::*;

/// Calls `work` for each chunk of `out` with its number.
pub fn for_each_chunk(out: &mut [f32], length: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    if rayon::current_num_threads() == 1 {
        out.chunks_mut(length).enumerate().for_each(|(i, chunk)| work(i, chunk));
    } else {
        out.par_chunks_mut(length).enumerate().for_each(|(i, chunk)| work(i, chunk));
    }
}

/// What `work` gives for each of so many numbers, in their order.
pub fn map<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
    if rayon::current_num_threads() == 1 {
        (0..count).map(work).collect()
    } else {
        (0..count).into_par_iter().map(work).collect()
    }
}

/// Runs `work` compiled for the vectors of this processor.
#[inline(always)]
pub fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma")]
        unsafe fn with_avx2<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the processor has both.
            return unsafe { with_avx2(work) };
        }
    }
    work()
}
