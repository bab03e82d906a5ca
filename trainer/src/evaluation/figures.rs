//! The figures of one method over the test images of one run, and their mean and deviation over runs.

use sparsight_schemas::{Manifest, MapFigures, Spread};

use super::{category::TestSet, run::MethodRun};
use crate::metrics::Ranking;

/// The figures of one run; the names are those of [`MapFigures`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RunFigures {
    image_auroc: Option<f64>,
    image_ap: Option<f64>,
    image_f1_max: Option<f64>,
    pixel_auroc: Option<f64>,
    pixel_ap: Option<f64>,
    aupro_30: Option<f64>,
    aupro_05: Option<f64>,
    pixel_f1_max: Option<f64>,
    miou_calibrated: Option<f64>,
    miou_f1_max: Option<f64>,
}

impl RunFigures {
    /// Compares what a run made of the test images with their labels and masks.
    pub fn of(run: &MethodRun, test: &TestSet, manifest: &Manifest) -> Self {
        let mut figures = Self::default();
        let scores: Vec<f32> = run.scored.iter().map(|scored| scored.score).collect();
        let anomalous: Vec<bool> = test.images.iter().map(|image| image.defect.is_some()).collect();
        let images = Ranking::of_images(&scores, &anomalous);
        // With one label alone, average precision and F1 are 1 whatever the scores are.
        if let Some(auroc) = images.auroc() {
            figures.image_auroc = Some(auroc);
            figures.image_ap = images.average_precision();
            figures.image_f1_max = images.f1_max().map(|best| best.f1);
        }
        if test.has_masks {
            let maps = run.scored.iter().zip(&test.images).map(|(scored, image)| {
                (scored.map.on_image(manifest, image.height, image.width), image.mask.as_ref())
            });
            let pixels = Ranking::of_pixels(maps);
            let best = pixels.f1_max();
            figures.pixel_auroc = pixels.auroc();
            figures.pixel_ap = pixels.average_precision();
            figures.aupro_30 = pixels.aupro(0.3);
            figures.aupro_05 = pixels.aupro(0.05);
            figures.pixel_f1_max = best.map(|best| best.f1);
            figures.miou_calibrated = run.threshold.and_then(|threshold| pixels.iou_above(threshold));
            figures.miou_f1_max = best.map(|best| best.iou);
        }
        figures
    }
}

/// Mean and deviation of every figure.
pub fn over_runs(runs: &[RunFigures]) -> MapFigures {
    let over = |figure: fn(&RunFigures) -> Option<f64>| spread(runs.iter().map(figure));
    MapFigures {
        image_auroc: over(|run| run.image_auroc),
        image_ap: over(|run| run.image_ap),
        image_f1_max: over(|run| run.image_f1_max),
        pixel_auroc: over(|run| run.pixel_auroc),
        pixel_ap: over(|run| run.pixel_ap),
        aupro_30: over(|run| run.aupro_30),
        aupro_05: over(|run| run.aupro_05),
        pixel_f1_max: over(|run| run.pixel_f1_max),
        miou_calibrated: over(|run| run.miou_calibrated),
        miou_f1_max: over(|run| run.miou_f1_max),
    }
}

/// Mean and standard deviation; none without values, or where a run has none.
fn spread(values: impl Iterator<Item = Option<f64>>) -> Option<Spread> {
    let values: Vec<f64> = values.collect::<Option<_>>()?;
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count;
    (!values.is_empty()).then(|| Spread { mean, std: variance.sqrt() })
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Array3};
    use sparsight_schemas::{Config, FeatureGeometry, Provenance};

    use super::*;
    use crate::evaluation::{
        Map,
        category::LoadedImage,
        run::{Method, RawMap, Scored},
    };

    /// Input and images of 16 x 16 pixels, no smoothing: a gradient map is on the image as it is.
    fn manifest() -> Manifest {
        let mut config = Config::default();
        (config.input.height, config.input.width, config.scoring.smoothing) = (16, 16, 0.0);
        Manifest {
            schema_version: 1,
            name: String::new(),
            input: config.input,
            features: FeatureGeometry::new(&config.input, &config.backbone),
            sparse_coding: config.sparse_coding,
            scoring: config.scoring,
            tolerances: Default::default(),
            files: Default::default(),
            provenance: Provenance {
                version: String::new(),
                seed: 0,
                steps: 0,
                data_fingerprint: None,
                initial_weights: None,
                training: None,
                config,
            },
        }
    }

    fn test_set(masks: &[Option<Array2<bool>>]) -> TestSet {
        let image = |mask: &Option<Array2<bool>>| LoadedImage {
            path: Default::default(),
            sha256: String::new(),
            defect: mask.as_ref().map(|_| "hole".into()),
            input: Array3::zeros((3, 16, 16)),
            height: 16,
            width: 16,
            mask: mask.clone(),
        };
        TestSet { images: masks.iter().map(image).collect(), has_masks: true }
    }

    fn run(maps: Vec<Array2<f32>>, threshold: Option<f32>) -> MethodRun {
        let highest = |map: &Array2<f32>| map.iter().copied().fold(0.0, f32::max);
        let scored = |map: Array2<f32>| Scored { score: highest(&map), map: RawMap::Pixels(map) };
        MethodRun {
            method: Method::Map(Map::Gradient),
            scored: maps.into_iter().map(scored).collect(),
            threshold,
        }
    }

    fn square() -> Array2<bool> {
        Array2::from_shape_fn((16, 16), |(y, x)| (4..8).contains(&y) && (4..12).contains(&x))
    }

    #[test]
    fn a_map_that_is_its_mask_has_every_figure_one_in_every_run() {
        let test = test_set(&[Some(square()), None]);
        let map = square().mapv(|label| if label { 1.0 } else { 0.25 });
        let run = run(vec![map, Array2::from_elem((16, 16), 0.25)], Some(0.5));
        let figures = over_runs(&[RunFigures::of(&run, &test, &manifest()); 3]);
        let one = Some(Spread { mean: 1.0, std: 0.0 });
        let MapFigures { aupro_30, aupro_05, .. } = figures;
        for aupro in [aupro_30, aupro_05] {
            let Spread { mean, std } = aupro.unwrap();
            assert!((mean - 1.0).abs() < 1e-12 && std == 0.0);
        }
        let expected = MapFigures {
            image_auroc: one,
            image_ap: one,
            image_f1_max: one,
            pixel_auroc: one,
            pixel_ap: one,
            aupro_30,
            aupro_05,
            pixel_f1_max: one,
            miou_calibrated: one,
            miou_f1_max: one,
        };
        assert_eq!(figures, expected);
    }

    #[test]
    fn the_calibrated_threshold_marks_what_is_above_it() {
        // The upper half of the defect and as many good pixels of the good image are above.
        let test = test_set(&[Some(square()), None]);
        let upper = |y: usize, x: usize| y < 6 && square()[(y, x)];
        let first = Array2::from_shape_fn((16, 16), |(y, x)| if upper(y, x) { 0.75 } else { 0.5 });
        let figures = RunFigures::of(&run(vec![first.clone(), first], Some(0.5)), &test, &manifest());
        assert_eq!(figures.miou_calibrated, Some(16.0 / (32.0 + 16.0)));
        let none = RunFigures::of(&run(vec![Array2::zeros((16, 16)); 2], None), &test, &manifest());
        assert_eq!(none.miou_calibrated, None);
    }

    #[test]
    fn one_label_alone_has_no_image_figures() {
        let test = test_set(&[Some(square()), Some(square())]);
        let figures = RunFigures::of(&run(vec![Array2::zeros((16, 16)); 2], None), &test, &manifest());
        assert_eq!((figures.image_auroc, figures.image_ap, figures.image_f1_max), (None, None, None));
        assert_eq!(figures.pixel_auroc, Some(0.5));
    }

    #[test]
    fn deviation_is_over_the_runs() {
        let runs = [0.5, 0.75].map(|value| RunFigures { pixel_ap: Some(value), ..RunFigures::default() });
        assert_eq!(over_runs(&runs).pixel_ap, Some(Spread { mean: 0.625, std: 0.125 }));
        let one_missing = [runs[0], RunFigures::default()];
        assert_eq!(over_runs(&one_missing).pixel_ap, None);
        assert_eq!(over_runs(&[]), MapFigures::default());
    }
}
