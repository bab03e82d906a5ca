//! `cargo +nightly fuzz run manifest`, in `runtime`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    sparsight_fuzz::manifest(bytes);
});
