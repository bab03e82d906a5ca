//! `adapt --roi`: what a region of interest limits, and the masks that make none.

use std::{
    fs,
    path::{Path, PathBuf},
};

use image::{Rgb, RgbImage};
use serde_json::Value;
use sparsight_runtime::dictionary::Dictionary;

use crate::sandbox::{Sandbox, bundle, failure, names, sparsight, texture};

/// A mask of the shape of the good images, white where `inside`.
fn mask(sandbox: &Sandbox, name: &str, inside: impl Fn(u32, u32) -> bool) -> PathBuf {
    sandbox.image(name, RgbImage::from_fn(80, 60, |x, y| Rgb([if inside(x, y) { 255 } else { 0 }; 3])))
}

fn adapt(sandbox: &Sandbox, mask: &Path, output: &Path) -> assert_cmd::Command {
    let mut adapt = sparsight("adapt");
    adapt.arg(bundle()).arg(sandbox.good_images()).arg("--roi").arg(mask).arg("-o").arg(output);
    adapt
}

/// The values of a `.npy` file of float32.
fn values(path: &Path) -> Vec<f32> {
    let bytes = fs::read(path).unwrap();
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[start..].chunks_exact(4).map(|value| f32::from_le_bytes(value.try_into().unwrap())).collect()
}

#[test]
fn half_of_the_image_makes_half_of_the_atoms_and_maps_that_end_there() {
    let sandbox = Sandbox::new();
    let whole = Dictionary::read(&sandbox.dictionary()).unwrap();
    let (half, output) = (mask(&sandbox, "mask.png", |x, _| x < 35), sandbox.path("half.dictionary"));
    let assert = adapt(&sandbox, &half, &output).assert().success().stdout("");
    names(&String::from_utf8_lossy(&assert.get_output().stderr), &["8 of 16 positions count", "threshold"]);
    let dictionary = Dictionary::read(&output).unwrap();
    assert_eq!(dictionary.atom_count() * 2, whole.atom_count());
    assert_ne!(dictionary.threshold(), whole.threshold());

    let assert = sparsight("info").arg(&output).arg("--json").assert().success();
    let info: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    assert_eq!(info["roi"], serde_json::json!(["##..", "##..", "##..", "##.."]));
    let assert = sparsight("info").arg(&output).assert().success();
    names(&String::from_utf8_lossy(&assert.get_output().stdout), &["8 of 16 positions count", "##.."]);

    // Positions are on pixels 0, 8, .. of the input's 32: the cell of the second ends at 12; pixel 15 of 40 is at 11.9.
    let image = sandbox.image("new.png", texture(40, 30, 50));
    for map in ["energy", "gradient"] {
        let folder = sandbox.path(map);
        let mut score = sparsight("score");
        score.arg(bundle()).arg(&output).arg(&image).args(["--map", map, "--save-maps"]).arg(&folder);
        score.assert().success();
        let values = values(&folder.join("new.npy"));
        let inside = |i: usize| i % 40 <= 15;
        assert!((0..values.len()).all(|i| inside(i) || values[i] == 0.0), "{map}");
        let lit = (0..values.len()).filter(|&i| inside(i) && values[i] > 0.0).count();
        assert!(lit > 30 * 16 / 2, "{map}: {lit} pixels inside have a value");
    }
}

#[test]
fn a_region_survives_changes_of_the_shots() {
    let sandbox = Sandbox::new();
    let (half, output) = (mask(&sandbox, "mask.png", |_, y| y >= 30), sandbox.path("half.dictionary"));
    adapt(&sandbox, &half, &output).assert().success();
    let before = fs::read(&output).unwrap();
    let image = sandbox.image("more.png", texture(40, 30, 77));
    let mut add = sparsight("dictionary");
    add.args(["add", "--provider", "cpu"]).arg(bundle()).arg(&output).arg(image).assert().success();
    let added = Dictionary::read(&output).unwrap();
    assert_eq!((added.shots.len(), added.atom_count()), (6, 6 * added.positions()));
    let mut remove = sparsight("dictionary");
    remove.arg("remove").arg(bundle()).arg(&output).arg("more.png").assert().success();
    assert_eq!(fs::read(&output).unwrap(), before);
}

#[test]
fn a_white_mask_is_as_none() {
    let sandbox = Sandbox::new();
    let output = sandbox.path("white.dictionary");
    adapt(&sandbox, &mask(&sandbox, "mask.png", |_, _| true), &output).assert().success();
    let [whole, white] = [sandbox.dictionary(), output].map(|path| Dictionary::read(&path).unwrap());
    assert_eq!(white.calibration, whole.calibration);
    assert_eq!(white.atom_count(), whole.atom_count());
}

#[test]
fn masks_that_are_black_broken_or_of_another_shape_are_refused() {
    let sandbox = Sandbox::new();
    let output = sandbox.path("new.dictionary");
    let black = mask(&sandbox, "black.png", |_, _| false);
    names(
        &failure(&mut adapt(&sandbox, &black, &output), 1),
        &["black.png", "no feature position is inside"],
    );
    let square = sandbox.image("square.png", RgbImage::from_pixel(50, 50, Rgb([255; 3])));
    let line = failure(&mut adapt(&sandbox, &square, &output), 1);
    names(&line, &["square.png", "another aspect ratio", "40 x 30", "draw it on one of them"]);
    let broken = sandbox.write("broken.png", b"no image");
    names(&failure(&mut adapt(&sandbox, &broken, &output), 1), &["broken.png", "is not a PNG"]);
    assert!(!output.exists());
}
