//! The bundle that ships: it computes what it computed where it was made, it is small, and it was made as the config
//! beside the trainer says. Needs ONNX Runtime: `cargo xtask setup`, or ORT_DYLIB_PATH.

#![allow(clippy::unwrap_used)] // a test may

use std::{fs, path::PathBuf};

use sparsight_runtime::{
    bundle::Bundle,
    detector::{Detector, Options, Provider},
    verify::verify,
};
use sparsight_schemas::{Config, Valid};

const LARGEST: u64 = 12_000_000; // bytes

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn bundle() -> PathBuf {
    root().join("fixtures/bundles/default")
}

#[test]
fn its_probe_holds_on_this_machine() {
    let options = Options { provider: Provider::Cpu, threads: 1, ..Options::default() };
    let mut detector = Detector::open_with(bundle(), &options).unwrap();
    for stage in verify(&mut detector).unwrap() {
        assert!(stage.holds(), "{stage:?}");
    }
}

#[test]
fn it_is_small() {
    let size: u64 = fs::read_dir(bundle()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(size <= LARGEST, "{size} bytes");
}

#[test]
fn it_was_trained_as_the_committed_config_says_and_tells_how_that_went() {
    let yaml = fs::read_to_string(root().join("trainer/configs/default.yaml")).unwrap();
    let config = Valid::<Config>::parse(&yaml).unwrap().into_raw();
    let manifest = Bundle::open(&bundle()).unwrap().manifest;
    let provenance = manifest.provenance.clone();
    assert_eq!(provenance.config, config);
    assert_eq!((manifest.scoring, manifest.sparse_coding), (config.scoring, config.sparse_coding));
    assert_eq!((provenance.steps, provenance.seed), (config.training.steps, config.seed));
    assert!(provenance.data_fingerprint.is_some());
    assert_eq!(provenance.initial_weights, None); // which may have seen what it was not trained on
    let training = provenance.training.unwrap();
    assert!(training.last_loss < training.first_loss && training.seconds > 0.0, "{training:?}");
}
