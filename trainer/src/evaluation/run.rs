//! One run: a support, what it makes of every test image by every method, and the thresholds that it calibrates. No
//! label is looked at here.

use ndarray::{Array2, ArrayView3};
use sparsight_runtime::{
    calibration::{Calibration, Method as CalibrationMethod},
    detector::{Adaptation, Detector, DetectorError, Scorer, SupportImage, anomaly_score},
    dictionary::{AtomSelection, Dictionary},
    maps::{energy_map_on_image, gradient_map_on_image, product_map_on_image},
};
use sparsight_schemas::Manifest;

use super::{
    Baseline, Map, Plan,
    baselines::{NearestFeature, difference_map},
    category::TestSet,
    support::GoodImage,
};

/// What makes a map: one of the bundle's, or a baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Map(Map),
    Baseline(Baseline),
}

impl Method {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Map(map) => map.name(),
            Self::Baseline(baseline) => baseline.name(),
        }
    }
}

/// The bundle, and the one of random weights if it is asked for.
pub struct Detectors<'a> {
    pub detector: &'a mut Detector,
    pub random: Option<&'a mut Detector>,
}

/// What one support makes of all test images by one method.
pub struct MethodRun {
    /// The method.
    pub method: Method,
    /// By test image.
    pub scored: Vec<Scored>,
    /// The value of a pixel above which it is anomalous; none for a single shot.
    pub threshold: Option<f32>,
}

/// What one method says of one image.
#[derive(Clone, Debug)]
pub struct Scored {
    /// The mean of the map's highest values.
    pub score: f32,
    /// The map.
    pub map: RawMap,
}

/// A map before it is drawn at the image's size, which takes far more memory.
#[derive(Clone, Debug)]
pub enum RawMap {
    /// Of the features' positions, \[h, w\].
    Positions(Array2<f32>),
    /// Of the input's pixels, \[H, W\].
    Pixels(Array2<f32>),
    /// The product of an energy map \[h, w\] and a gradient map \[H, W\], taken at the image's size.
    Product(Array2<f32>, Array2<f32>),
}

impl RawMap {
    /// The map at the size of an image, smoothed as it ships.
    pub fn on_image(&self, manifest: &Manifest, height: usize, width: usize) -> Array2<f32> {
        match self {
            Self::Positions(map) => energy_map_on_image(map.view(), manifest, height, width),
            Self::Pixels(map) => gradient_map_on_image(map.view(), manifest, height, width),
            Self::Product(energy, gradient) => {
                product_map_on_image(energy.view(), gradient.view(), manifest, height, width)
            }
        }
    }
}

/// Adapts to `support`, calibrates and scores all test images by every method of the plan, in its order. The atoms are drawn by
/// `seed`.
pub fn take_run(
    detectors: &mut Detectors,
    support: &[GoodImage],
    seed: u64,
    test: &TestSet,
    plan: &Plan,
    scored: &impl Fn(),
) -> Result<Vec<MethodRun>, DetectorError> {
    let (rate, poses) = (plan.protocol.false_alarm_rate, plan.protocol.poses);
    let selection = AtomSelection::new(&detectors.detector.bundle().manifest.sparse_coding, seed);
    let adaptation = Adaptation { false_alarm_rate: rate, poses, selection, ..Adaptation::default() };
    let images: Vec<SupportImage> = support.iter().map(|good| good.support.clone()).collect();
    let inputs: Vec<ArrayView3<f32>> = images.iter().map(|image| image.input.view()).collect();
    let dictionary = detectors.detector.dictionary(&images, &adaptation)?;
    let random = match &mut detectors.random {
        Some(random) => Some(random.dictionary(&images, &adaptation)?),
        None => None,
    };

    let mut left_out: Vec<Vec<Scored>> = Vec::new();
    if support.len() > 1 && (test.has_masks || plan.pictures) {
        for (shot, good) in support.iter().enumerate() {
            let mut others = inputs.clone();
            let image = others.remove(shot);
            let dictionaries =
                (&dictionary.without(shot), random.as_ref().map(|random| random.without(shot)));
            let mut adapted =
                Adapted::new(detectors, dictionaries.0, dictionaries.1.as_ref(), &others, plan)?;
            left_out.push(adapted.score(image, good.height, good.width)?);
        }
    }

    let mut adapted = Adapted::new(detectors, &dictionary, random.as_ref(), &inputs, plan)?;
    let mut of_test: Vec<Vec<Scored>> = Vec::new();
    for image in &test.images {
        of_test.push(adapted.score(image.input.view(), image.height, image.width)?);
        scored();
    }
    let runs = adapted.methods().enumerate().map(|(i, method)| {
        let highest = left_out.iter().zip(support).map(|(scored, good)| {
            let map = scored[i].map.on_image(adapted.manifest(), good.height, good.width);
            map.iter().copied().fold(0.0, f32::max)
        });
        let threshold = pixel_threshold(highest.collect(), rate);
        MethodRun { method, scored: of_test.iter().map(|scored| scored[i].clone()).collect(), threshold }
    });
    Ok(runs.collect())
}

/// The threshold of a map's pixels from the highest pixel of each shot, scored by all others: the conformal quantile,
/// as for anomaly scores. So another good image has a pixel above it with a probability of at most the rate, as far
/// as the number of shots allows.
fn pixel_threshold(highest: Vec<f32>, false_alarm_rate: f64) -> Option<f32> {
    let calibration =
        Calibration { method: CalibrationMethod::LeaveOneShotOut, scores: highest, false_alarm_rate };
    (calibration.scores.len() > 1).then(|| calibration.threshold())
}

/// A support, ready to score by every method.
struct Adapted<'a> {
    scorer: Scorer<'a>,
    inputs: &'a [ArrayView3<'a, f32>],
    methods: Vec<Prepared<'a>>,
}

/// A method with what it needs of the support.
enum Prepared<'a> {
    Map(Map),
    Knn(NearestFeature),
    Difference,
    Random(Box<Scorer<'a>>),
}

impl<'a> Adapted<'a> {
    /// `random` is the dictionary of random weights, `inputs` are the support images.
    fn new(
        detectors: &'a mut Detectors<'_>,
        dictionary: &Dictionary,
        random: Option<&Dictionary>,
        inputs: &'a [ArrayView3<'a, f32>],
        plan: &Plan,
    ) -> Result<Self, DetectorError> {
        let mut random = detectors.random.as_deref_mut().zip(random);
        let mut methods: Vec<Prepared> = plan.maps.iter().copied().map(Prepared::Map).collect();
        for baseline in &plan.baselines {
            match baseline {
                Baseline::Knn => {
                    let config = &detectors.detector.bundle().manifest.sparse_coding;
                    methods.push(Prepared::Knn(NearestFeature::new(dictionary, config)));
                }
                Baseline::Difference => methods.push(Prepared::Difference),
                Baseline::Random => {
                    if let Some((detector, dictionary)) = random.take() {
                        methods.push(Prepared::Random(Box::new(detector.with_dictionary(dictionary)?)));
                    }
                }
            }
        }
        Ok(Self { scorer: detectors.detector.with_dictionary(dictionary)?, inputs, methods })
    }

    fn manifest(&self) -> &Manifest {
        &self.scorer.detector().bundle().manifest
    }

    fn methods(&self) -> impl Iterator<Item = Method> {
        self.methods.iter().map(|prepared| match prepared {
            Prepared::Map(map) => Method::Map(*map),
            Prepared::Knn(_) => Method::Baseline(Baseline::Knn),
            Prepared::Difference => Method::Baseline(Baseline::Difference),
            Prepared::Random(_) => Method::Baseline(Baseline::Random),
        })
    }

    /// What each method says of an image \[3, H, W\] whose original has this height and width, in their order.
    fn score(
        &mut self,
        input: ArrayView3<f32>,
        height: usize,
        width: usize,
    ) -> Result<Vec<Scored>, DetectorError> {
        let wants = |map: Map| {
            self.methods
                .iter()
                .any(|method| matches!(method, Prepared::Map(m) if *m == map || *m == Map::Product))
        };
        let none = Array2::default((0, 0));
        let (energy, gradient) = match (wants(Map::Energy), wants(Map::Gradient)) {
            (_, true) => {
                let (score, gradient) = self.scorer.score_and_gradient_map(input)?;
                (score.scored_map, gradient)
            }
            (true, false) => (self.scorer.score_input(input)?.scored_map, none),
            (false, false) => (none.clone(), none),
        };
        let manifest = self.scorer.detector().bundle().manifest.clone();
        let mut all = Vec::with_capacity(self.methods.len());
        for method in &mut self.methods {
            let map = match method {
                Prepared::Map(Map::Energy) => RawMap::Positions(energy.clone()),
                Prepared::Map(Map::Gradient) => RawMap::Pixels(gradient.clone()),
                Prepared::Map(Map::Product) => RawMap::Product(energy.clone(), gradient.clone()),
                Prepared::Knn(nearest) => RawMap::Positions(nearest.map(self.scorer.features(input)?.view())),
                Prepared::Difference => RawMap::Pixels(difference_map(input, self.inputs)),
                Prepared::Random(scorer) => RawMap::Positions(scorer.score_input(input)?.scored_map),
            };
            let score = match &map {
                RawMap::Positions(values) | RawMap::Pixels(values) => {
                    anomaly_score(values.view(), manifest.scoring.top_fraction)
                }
                RawMap::Product(..) => {
                    let drawn = map.on_image(&manifest, height, width);
                    anomaly_score(drawn.view(), manifest.scoring.top_fraction)
                }
            };
            all.push(Scored { score, map });
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_of_pixels_keeps_the_rate_that_was_asked_for() {
        let nine: Vec<f32> = [9, 1, 8, 2, 7, 3, 6, 4, 5].map(|rank| rank as f32).to_vec();
        assert_eq!(pixel_threshold(nine.clone(), 0.1), Some(9.0));
        assert_eq!(pixel_threshold(nine, 0.3), Some(7.0));
        assert_eq!(pixel_threshold(vec![1.0], 0.1), None);
    }
}
