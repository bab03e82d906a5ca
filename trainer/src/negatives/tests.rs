//! What negatives change, and what their masks say of it: by hand-computed values and laws.

use super::*;
use proptest::prelude::*;
use rand::SeedableRng;

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn photo(height: usize, width: usize) -> Array3<f32> {
    let mut rng = rng(99);
    Array3::from_shape_fn((3, height, width), |_| rng.random())
}

fn only(kind: Kind) -> NegativeKinds {
    let weight = |other| f32::from(u8::from(kind == other));
    NegativeKinds {
        noise: weight(Kind::Noise),
        constant: weight(Kind::Constant),
        copy_paste: weight(Kind::CopyPaste),
        blur: weight(Kind::Blur),
    }
}

proptest! {
    #[test]
    fn the_mask_marks_exactly_what_changed(
        seed: u64, height in 8usize..64, width in 8usize..64, fewest in 1usize..4, more in 0usize..3,
    ) {
        let image = photo(height, width);
        let config = NegativesConfig { patches: [fewest, fewest + more], ..NegativesConfig::default() };
        let negative = spoil(image.view(), &config, &mut rng(seed));
        prop_assert_eq!(&negative, &spoil(image.view(), &config, &mut rng(seed)));
        prop_assert!(negative.image.iter().all(|v| (0.0..=1.0).contains(v)));
        for ((y, x), mask) in negative.mask.indexed_iter() {
            let changed = (0..3).any(|c| negative.image[[c, y, x]] != image[[c, y, x]]);
            prop_assert_eq!(*mask, if changed { 1.0 } else { 0.0 });
        }
        let faint = NegativesConfig {
            shape: PatchShape::Blob,
            opacity: [0.2, 0.8],
            ..NegativesConfig::default()
        };
        let blob = spoil(image.view(), &faint, &mut rng(seed));
        for ((y, x), mask) in blob.mask.indexed_iter() {
            let changed = (0..3).any(|c| blob.image[[c, y, x]] != image[[c, y, x]]);
            prop_assert_eq!(*mask, if changed { 1.0 } else { 0.0 });
        }
        let noise = NegativesConfig { kinds: only(Kind::Noise), ..config };
        prop_assert!(spoil(image.view(), &noise, &mut rng(seed)).mask.sum() > 0.0);
        prop_assert!(negative.mask.sum() <= ((fewest + more) * height * width) as f32 * 0.05 + 9.0);
    }

    #[test]
    fn a_patch_has_the_drawn_area_within_half_a_line_of_its_short_side(
        height in 8usize..256, width in 8usize..256, share in 0.0025f32..0.5, ratio in 0.01f32..100.0,
    ) {
        let area = share * (height * width) as f32;
        let (down, across) = sides(area, ratio, height, width);
        prop_assert!((1..=height).contains(&down) && (1..=width).contains(&across));
        let error = ((down * across) as f32 - area).abs();
        let line = if ratio >= 1.0 { across } else { down };
        prop_assert!(error <= 0.5 * line as f32 + 0.5, "{down} x {across} for {area}");
    }

    #[test]
    fn a_patch_keeps_its_aspect_ratio_where_pixels_allow(ratio in 0.2f32..5.0) {
        let (down, across) = sides(1000.0, ratio, 128, 128);
        let kept = down as f32 / across as f32;
        prop_assert!((kept / ratio).ln().abs() < 0.1, "{kept} for {ratio}");
    }
}

#[test]
fn an_area_of_the_whole_image_fits() {
    assert_eq!(sides(64.0 * 48.0, 77.0, 64, 48), (64, 48));
    assert_eq!(sides(64.0 * 48.0, 0.02, 64, 48), (64, 48));
}

#[test]
fn kinds_are_drawn_as_often_as_they_weigh() {
    let kinds = NegativeKinds { noise: 1.0, constant: 0.0, copy_paste: 2.0, blur: 5.0 };
    let mut rng = rng(5);
    let mut counts = [0.0; 4];
    for _ in 0..8000 {
        counts[draw_kind(&kinds, &mut rng) as usize] += 1.0;
    }
    for (count, weight) in counts.into_iter().zip(kinds.weights()) {
        let expected = 1000.0 * weight;
        assert!((count - expected).abs() <= 5.0 * expected.sqrt(), "{counts:?}");
    }
}

#[test]
fn each_kind_does_what_its_name_says() {
    let image = photo(32, 40);
    let patch = Patch { top: 3, left: 30, height: 7, width: 10 };
    let spread = |view: ArrayView3<f32>| view.std(0.0);
    let of = |kind| {
        let mut spoilt = image.clone();
        apply(kind, patch, image.view(), &mut spoilt, &mut rng(1));
        spoilt.slice(s![.., patch.rows(), patch.columns()]).to_owned()
    };
    for channel in of(Kind::Constant).outer_iter() {
        assert!(channel.iter().all(|v| *v == channel[[0, 0]]));
    }
    let windows = (0..=25).flat_map(|top| (0..=30).map(move |left| (top, left)));
    let copied = of(Kind::CopyPaste);
    assert!(windows.into_iter().any(|(y, x)| copied == image.slice(s![.., y..y + 7, x..x + 10])));
    let original = spread(image.slice(s![.., patch.rows(), patch.columns()]));
    assert!(spread(of(Kind::Blur).view()) < 0.7 * original);
    assert!((spread(of(Kind::Noise).view()) - (1.0f32 / 12.0).sqrt()).abs() < 0.05);
}

#[test]
fn an_opacity_mixes_the_patch_with_what_is_under_it() {
    let grey = Array3::from_elem((3, 32, 32), 0.5);
    let of = |opacity: f32| {
        let config = NegativesConfig {
            kinds: only(Kind::Constant),
            patches: [1, 1],
            opacity: [opacity; 2],
            ..NegativesConfig::default()
        };
        spoil(grey.view(), &config, &mut rng(3)).image
    };
    let (whole, half) = (of(1.0) - &grey, of(0.5) - &grey);
    assert!(whole.iter().any(|v| v.abs() > 0.1));
    assert!(whole.iter().zip(&half).all(|(whole, half)| (0.5 * whole - half).abs() < VISIBLE));
}

#[test]
fn a_blob_lies_inside_its_rectangle_and_covers_its_middle() {
    for seed in 0..200 {
        let cover = blob(20, 30, &mut rng(seed));
        assert!([(0, 0), (0, 29), (19, 0), (19, 29)].iter().all(|corner| cover[*corner] == 0.0));
        assert!(cover.iter().all(|share| (0.0..=1.0).contains(share)));
        assert!(cover.sum() > 20.0, "seed {seed}");
    }
}

#[test]
fn a_blur_keeps_a_flat_image() {
    let flat = Array3::from_elem((3, 16, 16), 0.25);
    let config = NegativesConfig { kinds: only(Kind::Blur), ..NegativesConfig::default() };
    let negative = spoil(flat.view(), &config, &mut rng(0));
    assert!(negative.image.iter().all(|v| (v - 0.25).abs() < 1e-6));
}
