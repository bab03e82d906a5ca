//! What the linker leaves out of the program that ships. How it is compiled is said in the workspace's `Cargo.toml`.

use std::{env, fs, path::PathBuf};

/// Tables for unwinding: a panic aborts, so nothing reads them, and they are a tenth of the program.
const SCRIPT: &str = "\
SECTIONS { /DISCARD/ : { *(.eh_frame) *(.eh_frame_hdr) *(.gcc_except_table*) } }
INSERT AFTER .text;
";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name| env::var(name).unwrap_or_default();
    // Elsewhere it is another linker; what is not released may unwind.
    if variable("CARGO_CFG_TARGET_OS") != "linux" || variable("PROFILE") != "release" {
        return;
    }
    let script = PathBuf::from(variable("OUT_DIR")).join("discard.ld");
    if let Err(error) = fs::write(&script, SCRIPT) {
        println!("cargo::warning=the program is linked with its unwind tables: {error}");
        return;
    }
    println!("cargo::rustc-link-arg-bin=sparsight=-Wl,--no-eh-frame-hdr,-T,{}", script.display());
    // Rust's own linker, which this target has unless somebody chose another, merges functions of the same machine code.
    let chosen = !variable("RUSTC_LINKER").is_empty() || variable("CARGO_ENCODED_RUSTFLAGS").contains("link");
    let is_rust_lld = variable("TARGET") == "x86_64-unknown-linux-gnu" && !chosen;
    if is_rust_lld {
        println!("cargo::rustc-link-arg-bin=sparsight=-Wl,--icf=all");
    }
}
