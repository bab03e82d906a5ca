//! `sparsight info`: what a bundle or a dictionary says of itself, and which providers compute here.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use ndarray::ArrayView1;
use serde_json::{Value, json};
use sparsight_runtime::{
    backbone::{Provider, ProviderState, provider_states},
    bundle::Bundle,
    calibration::Calibration,
    dictionary::Dictionary,
    onnxruntime::Library,
    roi::Roi,
    terminal::printable,
};
use sparsight_schemas::{AtomSampling, EnergyKind};

use super::{
    Exit,
    promise::{promise, summary},
    trust::Trust,
};

/// Say what a bundle or a dictionary is, or which providers can compute here
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Info {
    /// A bundle (a folder) or a dictionary (a file)
    #[arg(value_name = "BUNDLE|DICTIONARY", required_unless_present = "providers")]
    path: Option<PathBuf>,
    /// Say of each provider whether the ONNX Runtime library was built with it, whether its own libraries load, and
    /// whether it computes
    #[arg(long, conflicts_with = "path")]
    providers: bool,
    /// The ONNX Runtime library to ask [default: as for score]
    #[arg(long, value_name = "PATH", conflicts_with = "path")]
    onnxruntime: Option<PathBuf>,
    /// The GPU to try, as CUDA counts them
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "path")]
    device_id: u16,
    /// As JSON, with every setting
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: Trust,
}

const EXAMPLE: &str = "\
Example:
  sparsight info bundle
  sparsight info leather.dictionary --json
  sparsight info --providers";

impl Info {
    pub fn run(&self) -> anyhow::Result<Exit> {
        let (text, json) = match &self.path {
            None => {
                let (library, states) = provider_states(self.onnxruntime.as_deref(), self.device_id)?;
                (providers_text(&library, &states), providers_json(&library, &states))
            }
            Some(path) if path.is_dir() => {
                let bundle = self.trust.open(path)?;
                (bundle_text(&bundle), bundle_json(&bundle))
            }
            Some(path) => {
                let dictionary = Dictionary::read(path)?;
                (dictionary_text(&dictionary), dictionary_json(&dictionary))
            }
        };
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{json:#}")?;
        } else {
            for (name, value) in text {
                writeln!(out, "{name:<14}  {}", printable(&value))?;
            }
        }
        Ok(Exit::Done)
    }
}

fn providers_text(library: &Library, states: &[ProviderState]) -> Vec<(&'static str, String)> {
    let words = |state: &ProviderState| {
        let yes = |is| if is { "yes" } else { "no" };
        let ProviderState { built_in, loads, usable, reason, .. } = state;
        let because = reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        format!("built in: {}, loads: {}, usable: {}{because}", yes(*built_in), yes(*loads), yes(*usable))
    };
    let name = |state: &ProviderState| if state.provider == Provider::Cuda { "cuda" } else { "cpu" };
    let file = format!("{} ({})", library.path.display(), library.found);
    let states = states.iter().map(|state| (name(state), words(state)));
    [("ONNX Runtime", file)].into_iter().chain(states).collect()
}

fn providers_json(library: &Library, states: &[ProviderState]) -> Value {
    let state = |state: &ProviderState| {
        json!({
            "provider": state.provider.to_string(),
            "built_in": state.built_in,
            "loads": state.loads,
            "usable": state.usable,
            "reason": state.reason,
        })
    };
    json!({
        "kind": "providers",
        "onnxruntime": library.path,
        "providers": states.iter().map(state).collect::<Vec<_>>(),
    })
}

fn bundle_text(bundle: &Bundle) -> Vec<(&'static str, String)> {
    let manifest = &bundle.manifest;
    let (input, features, coding) = (&manifest.input, &manifest.features, &manifest.sparse_coding);
    let provenance = &manifest.provenance;
    let shrinkage = format!("{:?}", coding.shrinkage).to_lowercase();
    let atoms = match (coding.max_atoms, coding.atom_sampling) {
        (0, _) => "all of a support".into(),
        (most, AtomSampling::Uniform) => format!("at most {most} of a support, drawn uniformly"),
        (most, AtomSampling::InverseDensity) => {
            format!("at most {most} of a support, drawn by inverse density")
        }
    };
    let energy = match coding.energy {
        EnergyKind::Reconstruction => "what the codes leave unexplained",
        EnergyKind::Lasso => "what the codes leave unexplained, and their size (lasso)",
    };
    let relative = match (manifest.scoring.reference, manifest.scoring.reference_floor) {
        (false, _) => String::new(),
        (true, 0.0) => ", relative to the shots' own energies".into(),
        (true, floor) => {
            format!(", relative to the shots' own energies, which count as {floor} times their mean at least")
        }
    };
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
        ("atoms", atoms),
        ("energy", energy.into()),
        (
            "scoring",
            format!(
                "top fraction {}, smoothing {} pixels{relative}",
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
    text.extend(names.zip(promise(dictionary)));
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
        "max_atoms": dictionary.selection.map(|selection| selection.max_atoms),
        "seed": dictionary.selection.map(|selection| selection.seed),
        "atom_sampling": dictionary.selection.map(|selection| selection.sampling),
        "poses": dictionary.poses,
        "roi": dictionary.roi.as_ref().map(roi_rows),
        "threshold": dictionary.threshold(),
        "false_alarm_rate": dictionary.false_alarm_rate,
        "guaranteed_rate": calibration.map(Calibration::guaranteed_rate),
        "calibration": calibration.map(|c| json!({ "method": c.method, "scores": c.scores })),
        "shots": shots.collect::<Vec<_>>(),
    })
}
