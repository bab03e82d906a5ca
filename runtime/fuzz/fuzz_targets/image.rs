//! `cargo +nightly fuzz run image`, in `runtime`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    sparsight_fuzz::image(bytes);
});
