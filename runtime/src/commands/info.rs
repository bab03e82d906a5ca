//! `sparsight info`: what a bundle or a dictionary says of itself.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use ndarray::ArrayView1;
use serde_json::{Value, json};
use sparsight_runtime::{bundle::Bundle, calibration::Calibration, dictionary::Dictionary, roi::Roi};

use super::{
    Exit,
    promise::{promise, summary},
};

/// Say what a bundle or a dictionary is
#[derive(clap::Args)]
#[command(after_help = "Example:\n  sparsight info bundle\n  sparsight info leather.dictionary --json")]
pub struct Info {
    /// A bundle (a folder) or a dictionary (a file)
    #[arg(value_name = "BUNDLE|DICTIONARY")]
    path: PathBuf,
    /// As JSON, with every setting
    #[arg(long)]
    json: bool,
}

impl Info {
    pub fn run(&self) -> anyhow::Result<Exit> {
        let (text, json) = match self.path.is_dir() {
            true => {
                let bundle = Bundle::open(&self.path)?;
                (bundle_text(&bundle), bundle_json(&bundle))
            }
            false => {
                let dictionary = Dictionary::read(&self.path)?;
                (dictionary_text(&dictionary), dictionary_json(&dictionary))
            }
        };
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{json:#}")?;
        } else {
            for (name, value) in text {
                writeln!(out, "{name:<14}  {value}")?;
            }
        }
        Ok(Exit::Done)
    }
}

fn bundle_text(bundle: &Bundle) -> Vec<(&'static str, String)> {
    let manifest = &bundle.manifest;
    let (input, features, coding) = (&manifest.input, &manifest.features, &manifest.sparse_coding);
    let provenance = &manifest.provenance;
    let shrinkage = format!("{:?}", coding.shrinkage).to_lowercase();
    vec![
        ("bundle", manifest.name.clone()),
        ("sha256", bundle.sha256.clone()),
        ("input", format!("{} x {} pixels (height x width)", input.height, input.width)),
        (
            "features",
            format!(
                "{} channels at {} x {} positions, every {} pixels",
                features.channels, features.height, features.width, features.stride
            ),
        ),
        (
            "sparse coding",
            format!(
                "receptive field {}, {} steps, lambda {} to {}, {shrinkage} shrinkage",
                coding.receptive_field, coding.steps, coding.lambda_max, coding.lambda_star
            ),
        ),
        (
            "scoring",
            format!(
                "top fraction {}, smoothing {} pixels",
                manifest.scoring.top_fraction, manifest.scoring.smoothing
            ),
        ),
        (
            "trained",
            format!(
                "{} steps, seed {}, by sparsight-train {}",
                provenance.steps, provenance.seed, provenance.version
            ),
        ),
    ]
}

fn bundle_json(bundle: &Bundle) -> Value {
    json!({ "kind": "bundle", "sha256": bundle.sha256, "manifest": *bundle.manifest })
}

fn dictionary_text(dictionary: &Dictionary) -> Vec<(&'static str, String)> {
    let (_, d, h, w) = dictionary.support_features.dim();
    let mut text = vec![
        ("dictionary", summary(dictionary)),
        ("bundle sha256", dictionary.bundle_sha256.clone()),
        ("features", format!("{d} channels at {h} x {w} positions for each shot")),
    ];
    let rows = dictionary.roi.iter().flat_map(roi_rows);
    text.extend(std::iter::once("roi").chain(std::iter::repeat("")).zip(rows));
    let names = std::iter::once("calibration").chain(std::iter::repeat(""));
    text.extend(names.zip(promise(dictionary.calibration.as_ref())));
    text
}

/// The positions of a region of interest from top to bottom: # counts, . does not.
fn roi_rows(roi: &Roi) -> Vec<String> {
    let row =
        |row: ArrayView1<f32>| row.iter().map(|inside| if *inside == 1.0 { '#' } else { '.' }).collect();
    roi.inside().outer_iter().map(row).collect()
}

fn dictionary_json(dictionary: &Dictionary) -> Value {
    let calibration = dictionary.calibration.as_ref();
    let scores = calibration.and_then(Calibration::shot_scores);
    let shots = dictionary.shots.iter().enumerate().map(|(i, shot)| {
        json!({ "name": shot.name, "sha256": shot.sha256, "score": scores.map(|scores| scores[i]) })
    });
    json!({
        "kind": "dictionary",
        "bundle_sha256": dictionary.bundle_sha256,
        "atoms": dictionary.atom_count(),
        "roi": dictionary.roi.as_ref().map(roi_rows),
        "threshold": dictionary.threshold(),
        "false_alarm_rate": calibration.map(|c| c.false_alarm_rate),
        "guaranteed_rate": calibration.map(Calibration::guaranteed_rate),
        "calibration": calibration.map(|c| json!({ "method": c.method, "scores": c.scores })),
        "shots": shots.collect::<Vec<_>>(),
    })
}
