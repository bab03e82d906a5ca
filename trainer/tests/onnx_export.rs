//! The exported graphs against Burn and against the golden cases, through ONNX Runtime as it ships.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod golden;

use std::{path::Path, process::Command};

use burn_flex::Flex;
use golden::{Golden, cases, relative_difference};
use ndarray::Array4;
use proptest::prelude::*;
use sparsight_runtime::{
    backbone::{Backbone, Options},
    bundle::Bundle,
};
use sparsight_schemas::{BackboneConfig, Config, InputConfig, ResizeFilter, Valid};
use sparsight_trainer::{
    arrays::{to_array, to_tensor},
    backbone,
    export::{ExportError, Origin, export_bundle, probe},
    operations::burn::BurnOperations,
    weights::{NamedParameters, Weights, random_parameters},
};

fn export(parameters: &NamedParameters, config: Config, folder: &Path) -> Backbone {
    export_bundle(parameters, &Valid::new(config).unwrap(), Origin::default(), folder, |_| Ok(())).unwrap();
    let options = Options { threads: 1, ..Options::default() };
    Backbone::open(&Bundle::open(folder).unwrap(), &options).expect("run `cargo xtask setup` first")
}

fn difference(actual: &Array4<f32>, expected: &Array4<f32>) -> f64 {
    assert_eq!(actual.dim(), expected.dim());
    let f64s = |array: &Array4<f32>| array.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
    relative_difference(&f64s(actual), &f64s(expected))
}

#[test]
fn golden_features_and_image_gradients_come_out_of_onnx_runtime() {
    for path in cases() {
        let case = Golden::read(&path);
        let config = Config {
            input: case.input,
            backbone: case.backbone.clone(),
            sparse_coding: case.sparse_coding,
            ..Config::default()
        };
        let folder = tempfile::tempdir().unwrap();
        let mut backbone = export(&case.parameters(), config, folder.path());
        let array = |name: &str| -> Array4<f32> {
            to_array(case.tensor::<Flex, 4>(name, &Default::default())).unwrap()
        };
        for (images, features) in [("support", "support_features"), ("negatives", "query_features")] {
            let actual = backbone.features(array(images).view()).unwrap();
            let worst = difference(&actual, &array(features));
            assert!(worst < 1e-4, "{path:?} {features}: {worst:e}");
        }
        let (images, gradient) = (array("negatives"), array("features_gradient"));
        let actual = backbone.image_gradient(images.view(), gradient.view()).unwrap();
        let worst = difference(&actual, &array("image_gradient"));
        assert!(worst < 1e-4, "{path:?} image_gradient: {worst:e}");
    }
}

#[derive(Clone, Debug)]
struct Shape {
    input: InputConfig,
    backbone: BackboneConfig,
    batch: usize,
    seed: u64,
}

fn shapes() -> impl Strategy<Value = Shape> {
    let stages = prop::collection::vec(((1usize..=3).prop_map(|w| 8 * w), 1usize..=2), 1..=4);
    (stages, 0usize..=2, 1usize..=3, 16usize..=70, 16usize..=70, 1usize..=3, any::<u64>()).prop_map(
        |(stages, cells, d, height, width, batch, seed)| {
            let (widths, strides) = stages.into_iter().unzip();
            let (image_shortcut, image_shortcut_cells) = (cells > 0, cells.max(1));
            let image_shortcut_contrast = image_shortcut && seed % 2 == 0;
            let feature_channels = 8 * d;
            Shape {
                input: InputConfig { height, width, resize: ResizeFilter::default() },
                backbone: BackboneConfig {
                    widths,
                    strides,
                    feature_channels,
                    image_shortcut,
                    image_shortcut_cells,
                    image_shortcut_contrast,
                },
                batch,
                seed,
            }
        },
    )
}

/// Numbers in \[0, 1\] that follow from the seed; any would do.
fn numbers(shape: [usize; 4], seed: u64) -> Array4<f32> {
    let mut state = seed | 1;
    Array4::from_shape_simple_fn(shape, || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1 << 24) as f32
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn burn_and_onnx_runtime_agree_on_random_weights_sizes_and_batches(shape in shapes()) {
        let Shape { input, backbone: config, batch, seed } = shape;
        // One position a channel has no variance, and a group norm of nothing amplifies rounding.
        let geometry = sparsight_schemas::FeatureGeometry::new(&input, &config);
        prop_assume!(geometry.positions() >= 4);
        let parameters = random_parameters(&config, seed);
        let folder = tempfile::tempdir().unwrap();
        let whole = Config { input, backbone: config.clone(), ..Config::default() };
        let mut exported = export(&parameters, whole, folder.path());

        let device = Default::default();
        let images = numbers([batch, 3, input.height, input.width], seed);
        let gradient = numbers([batch, geometry.channels, geometry.height, geometry.width], !seed) - 0.5;
        let ops: BurnOperations<Flex> = Weights::from_parameters(&parameters, &device).operations();
        let layers = backbone::Backbone::new(&input, &config);
        let tape = layers.forward(&ops, &to_tensor(&images, &device));
        let vjp = layers.vjp(&ops, &tape, &to_tensor(&gradient, &device));

        let features = exported.features(images.view()).unwrap();
        let worst = difference(&features, &to_array(tape.features).unwrap());
        prop_assert!(worst <= 1e-4, "features: {worst:e}");
        let image_gradient = exported.image_gradient(images.view(), gradient.view()).unwrap();
        let worst = difference(&image_gradient, &to_array(vjp).unwrap());
        prop_assert!(worst <= 1e-4, "image gradient: {worst:e}");
    }
}

#[test]
fn onnx_checker_finds_nothing_wrong_with_the_exported_graphs() {
    let Some(packages) = std::env::var_os("SPARSIGHT_PYTHONPATH") else {
        eprintln!("skipped: onnx.checker (SPARSIGHT_PYTHONPATH is not set; `cargo xtask test` sets it)");
        return;
    };
    let config = Config::default(); // Table A
    let folder = tempfile::tempdir().unwrap();
    let parameters = random_parameters(&config.backbone, 0);
    export_bundle(&parameters, &Valid::new(config).unwrap(), Origin::default(), folder.path(), |_| Ok(()))
        .unwrap();
    let script = "import sys, onnx\nfor path in sys.argv[1:]:\n    onnx.checker.check_model(onnx.load(path), full_check=True)";
    let python = std::env::var_os("SPARSIGHT_PYTHON").unwrap_or_else(|| "python3".into());
    let output = Command::new(python)
        .args(["-c", script])
        .args(["backbone.onnx", "backbone_vjp.onnx"].map(|name| folder.path().join(name)))
        .env("PYTHONPATH", packages)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_folder_that_is_no_bundle_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("thesis.txt"), "precious").unwrap();
    let config = Config {
        backbone: BackboneConfig {
            widths: vec![8],
            strides: vec![1],
            feature_channels: 8,
            image_shortcut: true,
            ..BackboneConfig::default()
        },
        ..Config::default()
    };
    let parameters = random_parameters(&config.backbone, 0);
    let config = Valid::new(config).unwrap();
    let error =
        export_bundle(&parameters, &config, Origin::default(), folder.path(), |_| Ok(())).unwrap_err();
    assert!(matches!(error, ExportError::HoldsOther(_)));
    // Others call files manifest.yaml, too, and keep more in a bundle's folder.
    std::fs::write(folder.path().join("manifest.yaml"), "kind: Pod").unwrap();
    let error = export_bundle(&parameters, &config, Origin::default(), folder.path(), |_| Ok(()))
        .unwrap_err()
        .to_string();
    assert!(error.contains("thesis.txt: is no part of a bundle, and would be lost"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    std::fs::remove_file(folder.path().join("thesis.txt")).unwrap();
    export_bundle(&parameters, &config, Origin::default(), folder.path(), |_| Ok(())).unwrap();

    // One that proves wrong does not take the place of one that is there.
    let before = std::fs::read(folder.path().join("manifest.yaml")).unwrap();
    let other = Origin { steps: 7, ..Origin::default() };
    let error = export_bundle(&parameters, &config, other, folder.path(), |fresh| {
        assert!(std::fs::read_to_string(fresh.join("manifest.yaml")).unwrap().contains("steps: 7"));
        Err(ExportError::NotProven("wrong".into()))
    });
    assert!(matches!(error, Err(ExportError::NotProven(_))));
    assert_eq!(std::fs::read(folder.path().join("manifest.yaml")).unwrap(), before);
}

#[test]
fn weights_that_are_not_finite_make_no_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        backbone: BackboneConfig {
            widths: vec![8],
            strides: vec![1],
            feature_channels: 8,
            image_shortcut: true,
            ..BackboneConfig::default()
        },
        ..Config::default()
    };
    let mut parameters = random_parameters(&config.backbone, 0);
    parameters[0].2[0] = f32::NAN;
    let path = folder.path().join("bundle");
    let error =
        export_bundle(&parameters, &Valid::new(config).unwrap(), Origin::default(), &path, |_| Ok(()))
            .unwrap_err();
    assert!(matches!(error, ExportError::NotFinite(_)));
    assert!(!path.exists());
}

#[test]
fn a_probe_has_as_many_atoms_as_its_bundle_keeps() {
    let backbone = BackboneConfig {
        widths: vec![8],
        strides: vec![2],
        feature_channels: 8,
        ..BackboneConfig::default()
    };
    let parameters = random_parameters(&backbone, 0);
    for (max_atoms, atoms) in [(0, 512), (100, 100), (9999, 512)] {
        let mut config = Config { backbone: backbone.clone(), ..Config::default() };
        config.sparse_coding.max_atoms = max_atoms;
        assert_eq!(probe(&parameters, &config).unwrap().codes.dim(), (256, atoms));
    }
}
