//! A bundle at work on one thread: scoring, the gradient map, adapting, and many shots against few.

use std::{path::Path, time::Instant};

use anyhow::ensure;
use ndarray::{Array3, Array4, Axis};
use sparsight_runtime::{
    detector::{Adaptation, Detector, Options, Provider, SupportImage},
    dictionary::{Dictionary, Shot},
    images::{find_images, read_image, to_input},
    replace::sha256_hex,
};
use sparsight_schemas::Poses;

use super::{median, products};

/// Shots of a large support; those that the folder does not have are made of the others by turning them upside down, by
/// mirroring them and by both.
const MANY: usize = 100;

/// A detector, its dictionaries, and the images that it scores.
pub struct Scoring {
    detector: Detector,
    support: Vec<SupportImage>,
    many: Vec<SupportImage>,
    few_shots: Dictionary,
    many_shots: Dictionary,
    images: Vec<std::path::PathBuf>,
}

impl Scoring {
    pub fn open(bundle: &Path, support: &Path, images: &Path) -> anyhow::Result<Self> {
        let options = Options { provider: Provider::Cpu, threads: 1, ..Options::default() };
        let mut detector = Detector::open_with(bundle, &options)?;
        let input = detector.bundle().manifest.input;
        let mut many = Vec::new();
        let shots = find_images(&[support])?;
        for pose in 0..4 {
            for image in &shots {
                let mut pixels = to_input(&read_image(&image.path)?, &input);
                if pose % 2 == 1 {
                    pixels.invert_axis(Axis(1));
                }
                if pose / 2 == 1 {
                    pixels.invert_axis(Axis(2));
                }
                let name = format!("{} {pose}", image.name.display());
                let shot = Shot { sha256: sha256_hex(name.as_bytes()), name };
                many.push(SupportImage { shot, input: pixels.as_standard_layout().into_owned() });
            }
        }
        many.truncate(MANY);
        ensure!(many.len() >= 10, "{}: fewer than ten shots in four poses", support.display());
        let support = many[..10].to_vec();
        let few_shots = detector.dictionary(&support, &Adaptation::default())?;
        let many_shots = detector.dictionary(&many, &Adaptation::default())?;
        let images = find_images(&[images])?.into_iter().map(|image| image.path).take(50).collect();
        Ok(Self { detector, support, many, few_shots, many_shots, images })
    }

    pub fn atoms(&self) -> usize {
        self.few_shots.atom_count()
    }

    /// Billions of operations of the products of one image.
    pub fn gflop(&self) -> f64 {
        let manifest = &self.detector.bundle().manifest;
        let (config, features) = (&manifest.sparse_coding, &manifest.features);
        let values = features.channels * config.receptive_field * config.receptive_field;
        products::gflop(features.height * features.width, self.atoms(), values, config.steps)
    }

    /// Milliseconds by name.
    pub fn round(&mut self) -> anyhow::Result<Vec<(String, f64)>> {
        let input = self.detector.bundle().manifest.input;
        let mut samples: [Vec<f64>; 6] = Default::default();
        let mut scorer = self.detector.with_dictionary(&self.few_shots)?;
        for path in &self.images {
            let start = Instant::now();
            let image: Array3<f32> = to_input(&read_image(path)?, &input);
            samples[0].push(since(start));
            let begin = Instant::now();
            let score = scorer.score_input(image.view())?;
            samples[1].push(since(begin));
            samples[2].push(1e3 * score.elapsed.backbone.as_secs_f64());
            samples[3].push(1e3 * score.elapsed.sparse_coding.as_secs_f64());
            let begin = Instant::now();
            scorer.score_and_gradient_map(image.view())?;
            samples[4].push(since(begin));
        }
        let mut scorer = self.detector.with_dictionary(&self.many_shots)?;
        for path in &self.images {
            let image: Array3<f32> = to_input(&read_image(path)?, &input);
            let begin = Instant::now();
            scorer.score_input(image.view())?;
            samples[5].push(since(begin));
        }
        let names =
            ["decode_ms", "score_ms", "backbone_ms", "sparse_coding_ms", "with_gradient_ms", "score_100_ms"];
        let mut round: Vec<_> =
            names.into_iter().zip(samples).map(|(name, times)| (name.to_string(), median(times))).collect();

        let mut batch = Array4::zeros((10, 3, input.height, input.width));
        for (mut slot, image) in batch.outer_iter_mut().zip(&self.support) {
            slot.assign(&image.input);
        }
        let begin = Instant::now();
        for image in batch.outer_iter() {
            self.detector.backbone_mut().features(image.insert_axis(Axis(0)))?;
        }
        round.push(("ten_backbones_ms".into(), since(begin)));
        let begin = Instant::now();
        self.detector.support_features(&self.support, Poses::AsTaken)?;
        self.detector.with_dictionary(&self.few_shots)?;
        round.push(("adapt_10_uncalibrated_ms".into(), since(begin)));
        let begin = Instant::now();
        self.detector.dictionary(&self.support, &Adaptation::default())?;
        round.push(("adapt_10_ms".into(), since(begin)));
        let begin = Instant::now();
        self.detector.dictionary(&self.many, &Adaptation::default())?;
        round.push(("adapt_100_ms".into(), since(begin)));
        round.push(("many_shots".into(), self.many.len() as f64));
        Ok(round)
    }
}

fn since(start: Instant) -> f64 {
    1e3 * start.elapsed().as_secs_f64()
}
