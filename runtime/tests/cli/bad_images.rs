//! Images that can't be used, or only just.

use std::fs;

use image::{DynamicImage, GrayImage, ImageBuffer, Luma, Rgb, RgbImage};
use sparsight_schemas::ScoreRecord;

use crate::sandbox::{Sandbox, bundle, failure, names, one_line, sparsight, texture};

#[test]
fn no_images_at_all_is_wrong_usage() {
    let sandbox = Sandbox::new();
    let assert = sandbox.score().assert().code(2);
    names(&String::from_utf8_lossy(&assert.get_output().stderr), &["<IMAGE|DIR>"]);
    sparsight("adapt").arg(bundle()).arg("-o").arg(sandbox.path("new")).assert().code(2);
    assert!(!sandbox.path("new").exists());
}

#[test]
fn a_folder_without_images_is_named() {
    let sandbox = Sandbox::new();
    sandbox.write("empty/notes.txt", b"no image");
    let line = failure(sandbox.score().arg(sandbox.path("empty")), 1);
    names(&line, &["empty: no images in this folder"]);
    let mut adapt = sparsight("adapt");
    let line = failure(adapt.arg(bundle()).arg(sandbox.path("empty")).arg("-o").arg(sandbox.path("new")), 1);
    names(&line, &["empty: no images in this folder"]);
    assert!(!sandbox.path("new").exists());
}

/// A folder with two good images, a cut-off one, a spoilt one, and one that is none.
fn good_and_bad(sandbox: &Sandbox) {
    for name in ["mixed/a.png", "mixed/e.png"] {
        sandbox.image(name, texture(30, 30, 1));
    }
    let bytes = fs::read(sandbox.path("mixed/a.png")).unwrap();
    sandbox.write("mixed/b-truncated.png", &bytes[..bytes.len() / 2]);
    let mut corrupt = bytes.clone();
    corrupt[bytes.len() / 2] ^= 0xFF;
    sandbox.write("mixed/c-corrupt.png", &corrupt);
    sandbox.write("mixed/d-text.png", b"this is text");
}

#[test]
fn a_bad_image_among_good_ones_is_reported_and_does_not_stop_the_rest() {
    let sandbox = Sandbox::new();
    good_and_bad(&sandbox);
    let assert = sandbox.score().arg(sandbox.path("mixed")).args(["--format", "json"]).assert().code(1);
    let records: Vec<ScoreRecord> = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    let failed: Vec<bool> = records.iter().map(|record| record.error.is_some()).collect();
    assert_eq!(failed, [false, true, true, true, false]);
    for record in &records {
        assert_eq!(record.anomaly_score.is_some(), record.error.is_none(), "{record:?}");
        assert_eq!(record.energy.is_some(), record.error.is_none(), "{record:?}");
        if let Some(error) = &record.error {
            assert!(error.starts_with(&record.image), "{error}");
        }
    }
    assert_eq!(records[0].anomaly_score, records[4].anomaly_score);
    names(&one_line(&assert.get_output().stderr), &["3 of 5 images", "b-truncated.png"]);
}

#[test]
fn one_bad_image_is_named_and_the_file_of_records_is_complete() {
    let sandbox = Sandbox::new();
    good_and_bad(&sandbox);
    let output = sandbox.path("scores.csv");
    let images = ["mixed/a.png", "mixed/b-truncated.png", "mixed/missing.png"].map(|name| sandbox.path(name));
    let line = failure(sandbox.score().args(&images[..2]).args(["--format", "csv", "-o"]).arg(&output), 1);
    names(&line, &["1 of 2 images", "b-truncated.png", "can't be decoded"]);
    assert_eq!(fs::read_to_string(&output).unwrap().lines().count(), 3);
    let line = failure(sandbox.score().args(&images[..1]).arg(&images[2]).arg("-o").arg(&output), 1);
    names(&line, &["missing.png: no such file"]);
}

#[test]
fn a_cut_off_jpeg_is_not_scored() {
    let sandbox = Sandbox::new();
    let bytes = fs::read(sandbox.image("whole.jpg", texture(64, 64, 3))).unwrap();
    let cut = sandbox.write("cut.jpg", &bytes[..bytes.len() * 2 / 3]);
    sandbox.score().arg(sandbox.path("whole.jpg")).assert().success();
    let assert = sandbox.score().arg(cut).assert().code(1);
    names(&one_line(&assert.get_output().stderr), &["cut.jpg", "the file ends early"]);
}

#[test]
fn one_bad_support_image_fails_the_whole_adapt() {
    let sandbox = Sandbox::new();
    good_and_bad(&sandbox);
    let output = sandbox.write("dictionary", b"precious");
    let adapt = |name: &str| {
        let mut command = sparsight("adapt");
        command.arg(bundle()).arg(sandbox.path("mixed/a.png")).arg(sandbox.path(name)).arg("-o").arg(&output);
        command
    };
    let line = failure(&mut adapt("mixed/c-corrupt.png"), 1);
    names(&line, &["c-corrupt.png", "nothing was written"]);
    let assert = adapt("mixed").assert().code(1);
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    names(
        &stderr,
        &[
            "b-truncated.png",
            "c-corrupt.png",
            "d-text.png",
            "error: 3 of 6 images can't be used, the first: ",
        ],
    );
    assert_eq!(fs::read(&output).unwrap(), b"precious");
    assert_eq!(sandbox.entries().len(), 6);
}

#[test]
fn grey_16_bit_and_rgba_images_score_as_their_8_bit_rgb_version() {
    let sandbox = Sandbox::new();
    let grey = GrayImage::from_fn(33, 21, |x, y| Luma([(x * 7 + y * 3) as u8]));
    let expected =
        sandbox.anomaly_score(&sandbox.image("rgb.png", DynamicImage::ImageLuma8(grey.clone()).into_rgb8()));
    let deep: ImageBuffer<Luma<u16>, Vec<u16>> =
        ImageBuffer::from_fn(33, 21, |x, y| Luma([u16::from(grey[(x, y)][0]) * 257]));
    let mut transparent = DynamicImage::ImageLuma8(grey.clone()).into_rgba8();
    transparent.pixels_mut().enumerate().for_each(|(i, pixel)| pixel.0[3] = i as u8);
    let versions: [(&str, DynamicImage); 5] = [
        ("grey.png", grey.clone().into()),
        ("deep.png", deep.into()),
        ("transparent.png", transparent.into()),
        ("grey.bmp", grey.clone().into()),
        ("grey.tiff", grey.into()),
    ];
    for (name, image) in versions {
        assert_eq!(sandbox.anomaly_score(&sandbox.image(name, image)), expected, "{name}");
    }
}

#[test]
fn the_content_decides_the_format_and_not_the_extension() {
    let sandbox = Sandbox::new();
    let image = sandbox.image("image.png", texture(20, 20, 2));
    let renamed = sandbox.write("image.jpg", &fs::read(&image).unwrap());
    assert_eq!(sandbox.anomaly_score(&renamed), sandbox.anomaly_score(&image));
}

#[test]
fn the_smallest_image_is_scored_and_mapped() {
    let sandbox = Sandbox::new();
    let image = sandbox.image("one.png", RgbImage::from_pixel(1, 1, Rgb([1, 2, 3])));
    let maps = sandbox.path("maps");
    sandbox.score().arg(image).arg("--save-maps").arg(&maps).arg("--heatmaps").arg(&maps).assert().success();
    assert_eq!(image::open(maps.join("one.png")).unwrap().into_rgb8().height(), 1);
    assert_eq!(fs::read(maps.join("one.npy")).unwrap().len() % 64, 4);
}

#[test]
fn an_image_of_48_megapixels_scores_as_a_small_one_of_the_same_colour() {
    let sandbox = Sandbox::new();
    let small = sandbox.image("small.png", GrayImage::from_pixel(8, 6, Luma([99])));
    let large = sandbox.image("large.png", GrayImage::from_pixel(8000, 6000, Luma([99])));
    assert_eq!(sandbox.anomaly_score(&large), sandbox.anomaly_score(&small));
}

#[test]
fn a_file_that_claims_too_many_pixels_is_refused() {
    let sandbox = Sandbox::new();
    // The header of a bitmap of 60000 x 60000 pixels.
    let mut bomb = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    bomb.extend([60_000_u32.to_le_bytes(), 60_000_u32.to_le_bytes()].concat());
    bomb.extend([&[1, 0, 24, 0][..], &[0; 24]].concat());
    let bomb = sandbox.write("bomb.bmp", &bomb);
    let assert = sandbox.score().arg(bomb).assert().code(1);
    names(&one_line(&assert.get_output().stderr), &["bomb.bmp", "more than 100 megapixels"]);
}
