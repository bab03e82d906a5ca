//! Figures of a bundle on categories: adapt to random supports, score the test images, compare with labels and masks.
//! Every score comes from the runtime's detector, so that the published number is the number that ships; only the
//! baselines are computed here.

mod baselines;
mod category;
mod csv;
mod figures;
mod page;
mod paper;
mod pictures;
mod random;
mod rows;
mod run;
mod support;
mod table;

pub use csv::csv;
pub use page::{PageError, page};
pub use pictures::{Case, CategoryPictures};
pub use table::table;

use std::path::PathBuf;

use sparsight_runtime::{
    backbone::Options,
    detector::{Detector, DetectorError},
    images::ImageError,
};
use sparsight_schemas::{CategoryFigures, EvaluationReport, MapFigures, Protocol, Violation};

use crate::{categories::Category, export::ExportError};
use category::TestSet;
use figures::{RunFigures, over_runs};
use random::random_weights;
use run::{Detectors, Method, MethodRun, take_run};
use support::GoodImages;

/// A map to take figures of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Map {
    /// The energy map.
    Energy,
    /// The gradient map, which takes about three times as long.
    Gradient,
    /// The energy map times the gradient map, pixel by pixel, both at the image's size and smoothed as they ship.
    Product,
}

impl Map {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Energy => "energy",
            Self::Gradient => "gradient",
            Self::Product => "product",
        }
    }
}

/// What the maps must beat, with the same supports and test images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// The distance of every position to the nearest of the support features that the atoms are made of.
    Knn,
    /// The distance of every pixel to the nearest support image's pixel at the same place.
    Difference,
    /// The energy map of a backbone of random weights: those of the bundle's seed.
    Random,
}

impl Baseline {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Knn => "knn",
            Self::Difference => "difference",
            Self::Random => "random",
        }
    }
}

/// What to take figures of, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Shots, runs, seed and the rate of the calibrated threshold.
    pub protocol: Protocol,
    /// The maps; the first is the one that pictures show.
    pub maps: Vec<Map>,
    /// The baselines.
    pub baselines: Vec<Baseline>,
    /// Whether to draw the worst and the best cases of each category.
    pub pictures: bool,
    /// How the backbone of random weights is run.
    pub options: Options,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The figures.
    pub report: EvaluationReport,
    /// The pictures of each category that has figures; empty if the plan asks for none.
    pub pictures: Vec<CategoryPictures>,
    /// Categories some of whose test images are among their good training images too, and how many: a support that holds them
    /// flatters every figure.
    pub copies: Vec<(String, usize)>,
    /// Categories with defective images whose masks mark no pixel, which flatters no figure but spoils all; and how many.
    pub unmarked: Vec<(String, usize)>,
}

struct CategoryEvaluation {
    figures: CategoryFigures,
    pictures: Option<CategoryPictures>,
    copies: usize,
    unmarked: usize,
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
    #[error("baseline random: no folder for a bundle ({0}); free some space, or leave the baseline out")]
    Folder(std::io::Error),
    #[error("baseline random: the bundle's config is not valid ({0}); leave the baseline out")]
    Config(Violation),
    #[error("baseline random: the bundle's config is of a backbone with other features; leave it out")]
    OtherFeatures,
    #[error("baseline random: {0}; leave the baseline out")]
    Export(Box<ExportError>),
    #[error("baseline random: {0}")]
    Random(Box<DetectorError>),
    #[error("{category}: test needs good and defective images, and no other category has both; add some")]
    NoFigures { category: String },
    #[error("no map to take figures of; name one")]
    NoMaps,
}

/// Takes the figures of a bundle on each category: for every run, adapts to random good training images and scores
/// all test images. The supports of a category depend on the seed and its name, not on the other categories; atoms
/// are drawn by the seed plus the number of the run.
///
/// An image's score by a map is the mean of the map's highest values, as many as the bundle's `top_fraction` says;
/// pixels are compared at the size of the image, after the smoothing that ships. `scored` is called after each image of
/// each run; [`scores_to_take`] says how often.
///
/// # Errors
/// A category with fewer different good training images than shots, an image or a mask that can't be used, a defective
/// image without a mask in a category that has masks, categories none of which has figures, a plan without maps, or the detector's failure.
pub fn evaluate(
    detector: &mut Detector,
    categories: &[Category],
    plan: &Plan,
    scored: impl Fn(),
) -> Result<Evaluation, EvaluationError> {
    if plan.maps.is_empty() {
        return Err(EvaluationError::NoMaps);
    }
    if let Some(category) = categories.first().filter(|_| !categories.iter().any(TestSet::has_figures)) {
        return Err(EvaluationError::NoFigures { category: category.name.clone() });
    }
    // Before anything is scored, or the last category may undo an hour's work.
    for category in categories.iter().filter(|category| TestSet::has_figures(category)) {
        GoodImages::check(category, category.train_good.len(), plan.protocol.shots)?;
        TestSet::check_masks(category)?;
    }
    let bundle = detector.bundle().clone();
    for category in categories.iter().filter(|category| TestSet::has_figures(category)) {
        let goods = GoodImages::read(category, &bundle.manifest.input)?;
        GoodImages::check(category, goods.count(), plan.protocol.shots)?;
        TestSet::load(category, &bundle.manifest.input)?;
    }
    let mut random = match plan.baselines.contains(&Baseline::Random) {
        true => Some(random_weights(&bundle.manifest, &plan.options)?),
        false => None,
    };
    let mut detectors = Detectors { detector, random: random.as_mut() };
    let (mut figures, mut pictures) = (Vec::new(), Vec::new());
    let (mut copies, mut unmarked) = (Vec::new(), Vec::new());
    for category in categories {
        let of_category = evaluate_category(&mut detectors, category, plan, &scored)?;
        figures.push(of_category.figures);
        pictures.extend(of_category.pictures);
        if of_category.copies > 0 {
            copies.push((category.name.clone(), of_category.copies));
        }
        if of_category.unmarked > 0 {
            unmarked.push((category.name.clone(), of_category.unmarked));
        }
    }
    let report = EvaluationReport {
        bundle: bundle.manifest.name.clone(),
        bundle_sha256: bundle.sha256,
        protocol: plan.protocol,
        categories: figures,
    };
    Ok(Evaluation { report, pictures, copies, unmarked })
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
    detectors: &mut Detectors,
    category: &Category,
    plan: &Plan,
    scored: &impl Fn(),
) -> Result<CategoryEvaluation, EvaluationError> {
    let failed = |source: DetectorError| EvaluationError::Detector {
        category: category.name.clone(),
        source: Box::new(source),
    };
    let mut figures = CategoryFigures {
        category: category.name.clone(),
        images: category.test.len(),
        maps: plan.maps.iter().map(|map| (map.name().into(), MapFigures::default())).collect(),
        baselines: plan.baselines.iter().map(|b| (b.name().into(), MapFigures::default())).collect(),
        paper: paper::figures_of(&category.name),
    };
    if !TestSet::has_figures(category) {
        return Ok(CategoryEvaluation { figures, pictures: None, copies: 0, unmarked: 0 });
    }
    let manifest = detectors.detector.bundle().manifest.clone();
    let goods = GoodImages::read(category, &manifest.input)?;
    let test = TestSet::load(category, &manifest.input)?;
    let copies = test.images.iter().filter(|image| goods.hold(&image.sha256)).count();
    let (mut runs, mut pictures) = (Vec::new(), None);
    for run in 0..plan.protocol.runs {
        let support = goods.draw(plan.protocol, run);
        let atoms = plan.protocol.seed.wrapping_add(run as u64); // another draw of them in every run
        let of_methods = take_run(detectors, &support, atoms, &test, plan, scored).map_err(failed)?;
        if let (0, true, Some(shown)) = (run, plan.pictures, of_methods.first()) {
            pictures = Some(pictures::draw(category, &test, shown, &manifest)?);
        }
        let figures = |run: &MethodRun| (run.method, RunFigures::of(run, &test, &manifest));
        runs.extend(of_methods.iter().map(figures));
    }
    let over_runs_of = |method: Method| {
        let of_method = runs.iter().filter(|(other, _)| *other == method).map(|(_, figures)| *figures);
        over_runs(&of_method.collect::<Vec<_>>())
    };
    for map in &plan.maps {
        figures.maps.insert(map.name().into(), over_runs_of(Method::Map(*map)));
    }
    for baseline in &plan.baselines {
        figures.baselines.insert(baseline.name().into(), over_runs_of(Method::Baseline(*baseline)));
    }
    Ok(CategoryEvaluation { figures, pictures, copies, unmarked: test.unmarked() })
}
