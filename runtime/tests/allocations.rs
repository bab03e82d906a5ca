//! Sparse coding allocates nothing once its buffers have their size. In a process of its own, because the counting
//! allocator serves all of it.

#![allow(clippy::unwrap_used)] // a test may

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use ndarray::{Array3, Array4};
use sparsight_runtime::sparse_coding::{Coder, dictionary};
use sparsight_schemas::SparseCodingConfig;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, which counts for each thread how often it is asked for memory.
struct Counting;

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of this thread during `work`.
fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn coding_allocates_nothing_after_the_first_image() {
    assert_eq!(allocations(|| drop(vec![1u8; 9])), 1, "the allocator counts");
    // Fewer atoms than values of a position and more; queries that are explained well and not at all.
    for (shots, channels) in [(1, 8), (3, 2)] {
        let features = |seed: f32| {
            Array3::from_shape_fn((channels, 9, 11), |(c, y, x)| (seed + (c * 99 + y * 11 + x) as f32).sin())
        };
        let support = Array4::from_shape_fn((shots, channels, 9, 11), |(shot, c, y, x)| {
            features(shot as f32)[(c, y, x)]
        });
        let config = SparseCodingConfig::default();
        let mut coder = Coder::new(&dictionary(support.view(), config.receptive_field), &config);
        let images = [features(0.5), features(0.0), features(7.0).mapv(|value| value * value)];
        coder.energy_map(images[0].view());
        let during = allocations(|| {
            for image in images.iter().cycle().take(9) {
                assert!(coder.energy_map(image.view()).iter().all(|energy| energy.is_finite()));
            }
        });
        assert_eq!(during, 0);
    }
}
