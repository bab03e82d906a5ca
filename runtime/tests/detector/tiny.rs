//! The tiny bundle, whole or altered, its probe, and what errors must say.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ndarray::{Array3, Array4};
use sparsight_runtime::{
    backbone::{Options, Provider},
    bundle::Bundle,
    detector::{Detector, SupportImage},
    dictionary::Shot,
    replace::{sha256_hex, sha256_of_file},
    verify::Probe,
};
use sparsight_schemas::Manifest;
use tempfile::TempDir;

pub fn tiny() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/bundles/tiny")
}

pub fn options() -> Options {
    Options { provider: Provider::Cpu, threads: 1, ..Options::default() }
}

pub fn open(path: &Path) -> Detector {
    Detector::open_with(path, &options()).unwrap()
}

/// A copy of the tiny bundle whose manifest lists whatever `change` made of its files.
pub fn changed(change: impl FnOnce(&Path, &mut Manifest)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in tiny().read_dir().unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    let path = folder.path().join("manifest.yaml");
    let mut manifest: Manifest = serde_yaml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    change(folder.path(), &mut manifest);
    for (file, sha256) in &mut manifest.files {
        *sha256 = sha256_of_file(&folder.path().join(file)).unwrap();
    }
    fs::write(&path, serde_yaml::to_string(&manifest).unwrap()).unwrap();
    folder
}

/// Overwrites bytes in the middle of a file, which is weights.
pub fn overwrite_weights(file: &Path, bytes: &[u8]) {
    let mut content = fs::read(file).unwrap();
    let middle = content.len() / 2;
    content[middle..middle + bytes.len()].copy_from_slice(bytes);
    fs::write(file, content).unwrap();
}

pub fn probe() -> Probe {
    Probe::from_bytes(&Bundle::open(&tiny()).unwrap().read("probe.safetensors").unwrap()).unwrap()
}

pub fn support(images: &Array4<f32>) -> Vec<SupportImage> {
    let image = |(i, input): (usize, ndarray::ArrayView3<f32>)| {
        let name = format!("{i}.png");
        SupportImage { shot: Shot { sha256: sha256_hex(name.as_bytes()), name }, input: input.to_owned() }
    };
    images.outer_iter().enumerate().map(image).collect()
}

pub fn noise_like(image: &Array3<f32>) -> Array3<f32> {
    let mut state = 1u32;
    image.mapv(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    })
}

pub fn error_of<T>(result: Result<T, impl std::error::Error>) -> String {
    let error = result.err().expect("an error").to_string();
    assert!(!error.contains('\n'), "one line: {error}");
    error
}

#[track_caller]
pub fn assert_says(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in: {error}");
    }
}
