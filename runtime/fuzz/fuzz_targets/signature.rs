//! `cargo +nightly fuzz run signature`, in `runtime`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    sparsight_fuzz::signature(bytes);
});
