//! Files that are not a usable ONNX Runtime: each is an error, never a panic or a crash. In a process of its own,
//! because a process loads the library once.

#![allow(clippy::unwrap_used)] // a test may

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use sparsight_runtime::onnxruntime::load;

/// A shared library of this source, built by the compiler that built this test.
fn library(folder: &Path, name: &str, source: &str) -> PathBuf {
    let (code, file) = (folder.join(format!("{name}.rs")), folder.join(format!("{name}.so")));
    fs::write(&code, source).unwrap();
    let compiler = env::var_os("RUSTC").unwrap_or("rustc".into());
    let mut command = Command::new(compiler);
    command
        .args(["--edition", "2024", "--crate-type", "cdylib", "-C", "panic=abort", "-o"])
        .args([&file, &code]);
    assert!(command.status().unwrap().success());
    file
}

fn error_of(path: &Path) -> String {
    let error = load(Some(path)).unwrap_err().to_string();
    assert!(!error.contains('\n'), "one line: {error}");
    assert!(error.contains(&*path.to_string_lossy()) && error.contains("ORT_DYLIB_PATH"), "{error}");
    error
}

#[test]
fn a_text_file_another_library_and_an_old_one_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.so");
    fs::write(&text, "no library").unwrap();
    assert!(error_of(&text).contains("can't be used as the ONNX Runtime library"));

    let other = library(folder.path(), "other", "#[unsafe(no_mangle)] pub extern \"C\" fn other() {}");
    assert!(error_of(&other).contains("OrtGetApiBase"));

    let old = r#"
        #[repr(C)]
        pub struct Base(extern "C" fn(u32) -> *const u8, extern "C" fn() -> *const u8);
        extern "C" fn api(_: u32) -> *const u8 { std::ptr::null() }
        extern "C" fn version() -> *const u8 { c"1.9.0".as_ptr().cast() }
        static BASE: Base = Base(api, version);
        #[unsafe(no_mangle)] pub extern "C" fn OrtGetApiBase() -> *const Base { &BASE }
    "#;
    let error = error_of(&library(folder.path(), "old", old));
    assert!(error.contains("1.9.0") && error.contains("1.17"), "{error}");

    assert!(error_of(&folder.path().join("missing.so")).contains("no such ONNX Runtime library"));
}
