//! `cargo +nightly fuzz run bundle`, in `runtime`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    sparsight_fuzz::bundle(bytes);
});
