//! Shots in several poses: what they are the same as, and that calibration knows none of a shot's. Needs ONNX Runtime:
//! `cargo xtask setup`, or ORT_DYLIB_PATH.

#![allow(clippy::unwrap_used)] // a test may

use std::path::Path;

use ndarray::{Array3, ArrayView3, Axis};
use sparsight_runtime::{
    backbone::{Options, Provider},
    detector::{Adaptation, Detector, DetectorError, SupportImage},
    dictionary::{AtomSelection, Dictionary, DictionaryFault, Shot},
    poses::in_poses,
    replace::sha256_hex,
    sparse_coding::Coder,
};
use sparsight_schemas::{AtomSampling, Poses};

const KINDS: [Poses; 3] = [Poses::Flips, Poses::Rotations, Poses::All];

fn open() -> Detector {
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/bundles/tiny");
    let options = Options { provider: Provider::Cpu, threads: 1, ..Options::default() };
    Detector::open_with(bundle, &options).unwrap()
}

/// Stripes with a wedge, which looks otherwise in every pose.
fn image(detector: &Detector, seed: usize) -> Array3<f32> {
    let input = detector.bundle().manifest.input;
    Array3::from_shape_fn((3, input.height, input.width), |(c, y, x)| {
        let stripes = (0.3 * (x + seed) as f32 + 0.1 * (y * (c + 1)) as f32).sin();
        0.5 + 0.3 * stripes + if y < x / 2 { 0.2 } else { 0.0 }
    })
}

fn shot(name: String, input: ArrayView3<f32>) -> SupportImage {
    let sha256 = sha256_hex(name.as_bytes());
    SupportImage { shot: Shot { name, sha256 }, input: input.as_standard_layout().into_owned() }
}

fn support(detector: &Detector, shots: usize) -> Vec<SupportImage> {
    (0..shots).map(|i| shot(i.to_string(), image(detector, 7 * i).view())).collect()
}

fn adaptation(poses: Poses, max_atoms: usize) -> Adaptation {
    let selection = Some(AtomSelection { max_atoms, seed: 5, sampling: AtomSampling::InverseDensity });
    Adaptation { poses, selection, ..Adaptation::default() }
}

#[test]
fn a_shot_in_all_poses_explains_what_as_many_shots_would() {
    let mut detector = open();
    let shots = support(&detector, 2);
    let query = image(&detector, 3);
    for poses in KINDS {
        let posed = detector.dictionary(&shots, &adaptation(poses, 10_000)).unwrap();
        let each = shots.iter().flat_map(|image| {
            in_poses(image.input.view(), poses)
                .enumerate()
                .map(|(pose, posed)| shot(format!("{} {pose}", image.shot.name), posed))
        });
        let each: Vec<_> = each.collect();
        let separate = detector.dictionary(&each, &adaptation(Poses::AsTaken, 10_000)).unwrap();
        assert_eq!(posed.atom_count(), separate.atom_count());
        let map = |detector: &mut Detector, dictionary: &Dictionary| {
            detector.with_dictionary(dictionary).unwrap().score_input(query.view()).unwrap().energy_map
        };
        assert_eq!(map(&mut detector, &posed), map(&mut detector, &separate));
    }
}

#[test]
fn calibration_scores_each_shot_as_taken_by_all_poses_of_the_others() {
    let mut detector = open();
    let shots = support(&detector, 4);
    for max_atoms in [10_000, 20] {
        let posed = detector.dictionary(&shots, &adaptation(Poses::All, max_atoms)).unwrap();
        let config = detector.bundle().manifest.sparse_coding;
        let maps = posed.shot_maps.clone().unwrap();
        for (left_out, map) in maps.outer_iter().enumerate() {
            let others: Vec<_> = shots
                .iter()
                .enumerate()
                .filter(|(i, _)| *i != left_out)
                .map(|(_, shot)| shot.clone())
                .collect();
            let others = detector.dictionary(&others, &adaptation(Poses::All, max_atoms)).unwrap();
            let taken = detector.support_features(&shots[left_out..=left_out], Poses::AsTaken).unwrap();
            let mut coder = Coder::new(&others.atoms(&config), &config);
            let expected = coder.energy_map(taken.index_axis(Axis(0), 0));
            let largest = expected.iter().fold(0f32, |largest, energy| largest.max(*energy));
            assert!((&map - &expected).iter().all(|difference| difference.abs() <= 1e-5 * largest));
            assert_eq!(posed.without(left_out).support_features, others.support_features);
        }
    }
}

#[test]
fn images_that_are_not_square_are_not_turned() {
    let mut detector = open();
    let mut wide = support(&detector, 1);
    wide[0].input = Array3::zeros((3, 16, 20));
    for poses in [Poses::Rotations, Poses::All] {
        let error = detector.support_features(&wide, poses).unwrap_err().to_string();
        assert!(error.contains("16 x 20") && error.contains("--augment-support=flips"), "{error}");
    }
    let error = detector.support_features(&wide, Poses::Flips).unwrap_err();
    assert!(matches!(error, DetectorError::SupportShape { .. }), "{error}");
}

#[test]
fn a_shot_comes_and_goes_with_all_its_poses() {
    let mut detector = open();
    let shots = support(&detector, 3);
    let before = detector.dictionary(&shots[..2], &adaptation(Poses::Rotations, 30)).unwrap();
    let features = detector.support_features(&shots[2..], before.poses).unwrap();
    let mut changed = before.clone();
    changed.add(vec![shots[2].shot.clone()], features.clone()).unwrap();
    changed.calibrate(detector.bundle()).unwrap();
    let whole = detector.dictionary(&shots, &adaptation(Poses::Rotations, 30)).unwrap();
    assert_eq!(changed.support_features, whole.support_features);
    assert_eq!(Dictionary::from_bytes(&changed.to_bytes().unwrap()).unwrap(), changed);
    changed.remove("2").unwrap();
    changed.calibrate(detector.bundle()).unwrap();
    assert_eq!(changed.to_bytes().unwrap(), before.to_bytes().unwrap());

    let in_one_pose = features.slice_axis(Axis(0), (..1).into()).to_owned();
    let error = changed.add(vec![shots[2].shot.clone()], in_one_pose).unwrap_err();
    assert!(matches!(error, DictionaryFault::ShotCount { shots: 1, poses: 4, images: 1 }), "{error}");
    let other = detector.dictionary(&shots, &adaptation(Poses::Flips, 30)).unwrap();
    assert!(matches!(changed.merge(&other, "other"), Err(DictionaryFault::MergedPoses)));
    let two = detector.dictionary(&shots[1..], &adaptation(Poses::Rotations, 30)).unwrap();
    assert_eq!(changed.merge(&two, "two").unwrap(), 1);
    changed.calibrate(detector.bundle()).unwrap();
    assert_eq!(changed.support_features, whole.support_features);
}
