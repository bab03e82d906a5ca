//! `cargo +nightly fuzz run config`, in `runtime`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    sparsight_fuzz::config(bytes);
});
