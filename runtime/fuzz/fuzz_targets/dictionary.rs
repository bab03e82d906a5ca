//! `cargo +nightly fuzz run dictionary`, in `runtime`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    sparsight_fuzz::dictionary(bytes);
});
