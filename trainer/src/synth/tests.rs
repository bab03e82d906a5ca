//! What every family and every kind of defect must keep, by name of the law.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use image::RgbImage;
use sparsight_runtime::replace::sha256_hex;
use sparsight_schemas::DataConfig;

use super::*;
use crate::categories::read_categories;

static NEVER: AtomicBool = AtomicBool::new(false);

/// The share of the image that the mask of a defect marks, if the mask is exact.
fn check(category: &SynthCategory, defect: &Defect, piece: &str, good: &RgbImage) -> Result<f32, String> {
    let context = format!("{} {} {piece}", category.name, defect.name);
    let Anomaly { image, mask, clean } =
        category.anomaly(piece, defect).ok_or(format!("{context}: invisible"))?;
    if &clean != good {
        return Err(format!("{context}: its clean twin is another piece"));
    }
    let mut marked = 0;
    for (x, y, pixel) in image.enumerate_pixels() {
        let differs = pixel != clean.get_pixel(x, y);
        if differs != (mask.get_pixel(x, y).0 == [255]) || !matches!(mask.get_pixel(x, y).0[0], 0 | 255) {
            return Err(format!("{context}: mask and change differ at {x},{y}"));
        }
        marked += u32::from(differs);
    }
    Ok(marked as f32 / mask.len() as f32)
}

#[test]
fn every_defect_on_every_family_has_an_exact_mask_of_reasonable_size() {
    // Large images take their time: there, one kind in four on each family.
    for (size, seed, every) in [(64, 2, 1), (128, 1, 4)] {
        for number in 0..FAMILIES.len() {
            let category = SynthCategory::new(number, seed, size);
            let good = category.good("test/0");
            for defect in DEFECTS.iter().skip(number % every).step_by(every) {
                let share = check(&category, defect, "test/0", &good).unwrap();
                assert!(
                    (0.001..0.3).contains(&share),
                    "{} {}: {share} of the image",
                    category.name,
                    defect.name
                );
            }
        }
    }
}

#[test]
fn a_seed_makes_the_same_bytes_and_another_makes_others() {
    let image = |seed, piece| SynthCategory::new(3, seed, 48).good(piece);
    let distinct = [image(1, "train/0"), image(1, "train/1"), image(1, "test/0"), image(2, "train/0")];
    assert_eq!(distinct[0], image(1, "train/0"));
    assert_eq!(distinct.iter().map(|image| image.as_raw()).collect::<BTreeSet<_>>().len(), 4);
}

/// Pins the pixels themselves, so that another platform or a changed family or defect shows.
#[test]
fn pixels_are_the_same_on_every_platform() {
    // The categories of the first twenty families bear these names in any run, however many families are added.
    let category = |number: usize| SynthCategory {
        name: format!("{}_000", FAMILIES[number].name),
        family: FAMILIES[number],
        seed: 7,
        size: 32,
    };
    let mut bytes = Vec::new();
    for category in (0..20).map(category) {
        bytes.extend(category.good("train/0").into_raw());
        let anomaly = DEFECTS.iter().find_map(|defect| category.anomaly("test/0", defect)).unwrap();
        bytes.extend(anomaly.image.into_raw());
    }
    assert_eq!(sha256_hex(&bytes), "cf81b2ee41267f89e65b64cc11827fa26f97e0d85b348384c0c5f9be3c22b1a4");

    bytes.clear();
    for number in 20..FAMILIES.len() {
        let category = category(number);
        bytes.extend(category.good("train/0").into_raw());
        let kinds = DEFECTS.iter().cycle().skip(number).take(DEFECTS.len());
        let anomaly = kinds.filter_map(|defect| category.anomaly("test/0", defect)).next().unwrap();
        bytes.extend(anomaly.image.into_raw());
    }
    assert_eq!(sha256_hex(&bytes), "2beccb0b9ae997f340260edcae1ef4698b6664fa029178ba2227706795d2fd90");
}

/// Inspection data are often grey, so a good share of the categories must be.
#[test]
fn a_third_of_the_categories_is_grey() {
    let colourless = |pixel: &image::Rgb<u8>| {
        let (least, most) = pixel.0.iter().fold((255, 0), |(least, most), c| (least.min(*c), most.max(*c)));
        most - least < 24
    };
    let grey = |number: &usize| {
        let image = SynthCategory::new(*number, 3, 32).good("train/0");
        image.pixels().filter(|pixel| colourless(pixel)).count() * 10 > image.pixels().len() * 9
    };
    let all = 3 * FAMILIES.len();
    let found = (0..all).filter(grey).count();
    assert!((all / 3..all / 2).contains(&found), "{found} of {all}");
}

#[test]
fn pieces_of_one_category_are_closer_than_pieces_of_two() {
    let mean = |image: &RgbImage| -> [f64; 3] {
        let count = (image.width() * image.height()) as f64;
        std::array::from_fn(|c| image.pixels().map(|pixel| f64::from(pixel[c])).sum::<f64>() / count)
    };
    let distance = |a: [f64; 3], b: [f64; 3]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>();
    let of = |number, piece: &str| mean(&SynthCategory::new(number, 11, 48).good(piece));
    let (mut within, mut between) = (0.0, 0.0);
    for number in 0..FAMILIES.len() {
        within += distance(of(number, "train/0"), of(number, "train/1"));
        between += distance(of(number, "train/0"), of(number + FAMILIES.len(), "train/0"));
    }
    assert!(within * 4.0 < between, "{within} within, {between} between");
}

#[test]
fn the_layout_is_complete_and_named_after_the_families() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new");
    let categories = FAMILIES.len() + 1;
    let options = Options { categories, seed: 5, size: 64, train: 2, test: 8 };
    let done = AtomicUsize::new(0);
    synthesise(&out, &options, &NEVER, || {
        done.fetch_add(1, Ordering::Relaxed);
    })
    .unwrap();
    assert_eq!(done.into_inner(), categories);

    let roots = vec![out.display().to_string()];
    let found = read_categories(&DataConfig { roots, ..DataConfig::default() }).unwrap();
    let names: BTreeSet<String> = found.iter().map(|category| category.name.clone()).collect();
    let expected = FAMILIES.iter().map(|family| format!("{}_000", family.name));
    assert_eq!(names, expected.chain([format!("{}_001", FAMILIES[0].name)]).collect());
    let mut all_kinds = BTreeSet::new();
    for category in &found {
        assert_eq!((category.train_good.len(), category.test.len()), (2, 8));
        let kinds: BTreeSet<&str> =
            category.test.iter().filter_map(|image| image.defect.as_deref()).collect();
        assert_eq!(kinds.len(), 4);
        all_kinds.extend(kinds);
        for image in &category.test {
            let mask = image.mask.as_ref().map(|path| image::open(path).unwrap());
            assert_eq!(mask.is_some(), image.defect.is_some());
            assert!(mask.is_none_or(|mask| mask.into_luma8().pixels().any(|pixel| pixel.0 == [255])));
        }
    }
    assert_eq!(all_kinds, DEFECTS.iter().map(|defect| defect.name).collect());
    assert!(synthesise(&out, &options, &NEVER, || ()).unwrap_err().to_string().contains("not empty"));
}

#[test]
fn a_category_does_not_depend_on_how_many_are_made() {
    let folder = tempfile::tempdir().unwrap();
    let image = |categories: usize| {
        let out = folder.path().join(categories.to_string());
        let options = Options { categories, seed: 5, size: 32, train: 1, test: 0 };
        synthesise(&out, &options, &NEVER, || ()).unwrap();
        std::fs::read(out.join("weave_000/train/good/000.png")).unwrap()
    };
    assert_eq!(image(1), image(3));
}

#[test]
fn what_is_interrupted_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let interrupted = AtomicBool::new(false);
    let options = Options { categories: 50, seed: 5, size: 64, train: 1, test: 0 };
    let end = synthesise(&folder.path().join("new"), &options, &interrupted, || {
        interrupted.store(true, Ordering::Relaxed);
    });
    assert!(matches!(end, Err(SynthError::Interrupted)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
