//! Figures of a bundle on categories: adapt to random supports, score the test images, compare with labels and masks.
//! Every score comes from the runtime's detector, so that the published number is the number that ships.

mod category;
mod table;

pub use table::table;

use std::path::PathBuf;

use ndarray::Array3;
use rand::{SeedableRng, seq::index};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};
use sparsight_runtime::{
    detector::{Adaptation, Detector, DetectorError, Scorer, SupportImage, anomaly_score},
    dictionary::Shot,
    images::{ImageError, decode_image, read_image_file, to_input},
    maps::{energy_map_on_image, gradient_map_on_image},
    replace::sha256_hex,
};
use sparsight_schemas::{CategoryFigures, EvaluationReport, InputConfig, MapFigures, Protocol, Spread};

use crate::{categories::Category, metrics::auroc};
use category::TestSet;

/// A map to take figures of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Map {
    /// The energy map.
    Energy,
    /// The gradient map, which takes about three times as long.
    Gradient,
}

impl Map {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Energy => "energy",
            Self::Gradient => "gradient",
        }
    }
}

/// Why a bundle can't be evaluated.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say it
pub enum EvaluationError {
    #[error("{category}: {images} different good training images, too few for {shots} shots; lower --shots")]
    TooFewImages { category: String, images: usize, shots: usize },
    #[error(
        "{}: no mask, but {} is defective; add the mask, or remove ground_truth to go without pixel figures",
        mask.display(), image.display()
    )]
    NoMask { mask: PathBuf, image: PathBuf },
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("{category}: {source}")]
    Detector { category: String, source: Box<DetectorError> },
}

/// Takes the figures of a bundle on each category: for every run, adapts to `shots` random good training images and
/// scores all test images. The supports of a category depend on the seed and its name, not on the other categories.
///
/// An image's score by a map is the mean of the map's highest values, as many as the bundle's `top_fraction` says;
/// pixels are compared at the size of the image, after the smoothing that ships. `scored` is called after each image of
/// each run; [`scores_to_take`] says how often.
///
/// # Errors
/// A category with fewer different good training images than shots, an image or a mask that can't be used, a defective
/// image without a mask in a category that has masks, or the detector's failure.
pub fn evaluate(
    detector: &mut Detector,
    categories: &[Category],
    protocol: Protocol,
    maps: &[Map],
    scored: impl Fn(),
) -> Result<EvaluationReport, EvaluationError> {
    let bundle = detector.bundle();
    let (name, bundle_sha256) = (bundle.manifest.name.clone(), bundle.sha256.clone());
    let mut figures = Vec::new();
    for category in categories {
        figures.push(evaluate_category(detector, category, protocol, maps, &scored)?);
    }
    Ok(EvaluationReport { bundle: name, bundle_sha256, protocol, categories: figures })
}

/// How many scores [`evaluate`] takes of these categories.
pub fn scores_to_take(categories: &[Category], protocol: Protocol) -> usize {
    categories
        .iter()
        .filter(|category| TestSet::has_figures(category))
        .map(|c| c.test.len() * protocol.runs)
        .sum()
}

fn evaluate_category(
    detector: &mut Detector,
    category: &Category,
    protocol: Protocol,
    maps: &[Map],
    scored: &impl Fn(),
) -> Result<CategoryFigures, EvaluationError> {
    let failed = |source: DetectorError| EvaluationError::Detector {
        category: category.name.clone(),
        source: Box::new(source),
    };
    let mut runs: Vec<Vec<Figures>> = Vec::new();
    if TestSet::has_figures(category) {
        let input = detector.bundle().manifest.input;
        let goods = different_goods(category, &input)?;
        if goods.len() < protocol.shots {
            let (category, images) = (category.name.clone(), goods.len());
            return Err(EvaluationError::TooFewImages { category, images, shots: protocol.shots });
        }
        let test = TestSet::load(category, &input)?;
        for run in 0..protocol.runs {
            let mut rng = support_rng(protocol.seed, &category.name, run);
            let drawn = index::sample(&mut rng, goods.len(), protocol.shots);
            let support: Vec<SupportImage> = drawn.iter().map(|i| goods[i].clone()).collect();
            let dictionary = detector.adapt(&support, &Adaptation::default()).map_err(failed)?;
            let mut scorer = detector.with_dictionary(&dictionary).map_err(failed)?;
            runs.push(take_run(&mut scorer, &test, maps, scored).map_err(failed)?);
        }
    }
    let over_runs = |map: usize| MapFigures {
        image_auroc: spread(runs.iter().map(|run| run[map].image_auroc)),
        pixel_auroc: spread(runs.iter().map(|run| run[map].pixel_auroc)),
    };
    Ok(CategoryFigures {
        category: category.name.clone(),
        images: category.test.len(),
        maps: maps.iter().enumerate().map(|(i, map)| (map.name().to_string(), over_runs(i))).collect(),
    })
}

/// The figures of one run by one map.
#[derive(Clone, Copy, Debug)]
struct Figures {
    image_auroc: Option<f64>,
    pixel_auroc: Option<f64>,
}

/// Scores all test images with one dictionary; figures in the order of `maps`.
fn take_run(
    scorer: &mut Scorer,
    test: &TestSet,
    maps: &[Map],
    scored: &impl Fn(),
) -> Result<Vec<Figures>, DetectorError> {
    let manifest = scorer.detector().bundle().manifest.clone();
    let mut image_scores = vec![Vec::new(); maps.len()];
    let mut pixel_scores = vec![Vec::new(); maps.len()];
    for image in &test.images {
        for (i, map) in maps.iter().enumerate() {
            let (score, on_image) = match map {
                Map::Energy => {
                    let score = scorer.score(image.input.view())?;
                    let map = score.energy_map.view();
                    (score.anomaly_score, energy_map_on_image(map, &manifest, image.height, image.width))
                }
                Map::Gradient => {
                    let map = scorer.gradient_map(image.input.view())?;
                    let score = anomaly_score(map.view(), manifest.scoring.top_fraction);
                    (score, gradient_map_on_image(map.view(), &manifest, image.height, image.width))
                }
            };
            image_scores[i].push(score);
            if test.has_masks {
                pixel_scores[i].extend(on_image);
            }
        }
        scored();
    }
    let figures = |(images, pixels): (&Vec<f32>, &Vec<f32>)| Figures {
        image_auroc: auroc(images, &test.image_labels),
        pixel_auroc: auroc(pixels, &test.pixel_labels),
    };
    Ok(image_scores.iter().zip(&pixel_scores).map(figures).collect())
}

/// The good training images, each content once, because a dictionary takes an image only once.
fn different_goods(category: &Category, input: &InputConfig) -> Result<Vec<SupportImage>, ImageError> {
    let mut goods: Vec<SupportImage> = Vec::new();
    for path in &category.train_good {
        let bytes = read_image_file(path)?;
        let sha256 = sha256_hex(&bytes);
        if goods.iter().any(|good| good.shot.sha256 == sha256) {
            continue;
        }
        let pixels: Array3<f32> = to_input(&decode_image(&bytes, path)?, input);
        goods.push(SupportImage { shot: Shot { name: path.display().to_string(), sha256 }, input: pixels });
    }
    Ok(goods)
}

fn support_rng(seed: u64, category: &str, run: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::from_seed(Sha256::digest(format!("support/{seed}/{category}")).into());
    rng.set_stream(run as u64);
    rng
}

/// Mean and standard deviation; none without values, or where a run has none.
fn spread(values: impl Iterator<Item = Option<f64>>) -> Option<Spread> {
    let values: Vec<f64> = values.collect::<Option<_>>()?;
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count;
    (!values.is_empty()).then(|| Spread { mean, std: variance.sqrt() })
}
