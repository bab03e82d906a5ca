//! The released binary over the tiny bundle, against the snapshot in `snapshots/`: its figures may move within the
//! manifest's tolerances and no further. A change that is meant is accepted with `cargo insta review`.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use serde_json::Value;
use sha2::{Digest, Sha256};
use sparsight_schemas::{AtomSampling, EnergyKind, Manifest, ResizeFilter, SparseCodingConfig, Valid};
use tempfile::TempDir;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The binary that `cargo xtask regress` built; without it, as under a plain `cargo test`, it is built here.
static SPARSIGHT: LazyLock<PathBuf> = LazyLock::new(|| {
    if let Some(binary) = env::var_os("SPARSIGHT_BIN") {
        return binary.into();
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).args([
        "build",
        "--release",
        "--package",
        "sparsight-runtime",
        "--bin",
        "sparsight",
    ]);
    let built = cargo.args(["--message-format", "json"]).stderr(Stdio::inherit()).output().unwrap();
    assert!(built.status.success(), "building sparsight failed");
    let messages = String::from_utf8(built.stdout).unwrap();
    let mut binaries = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    binaries.next_back().unwrap()
});

/// A copy of the tiny bundle that a test may change.
struct Bundle(TempDir);

impl Bundle {
    fn tiny() -> Self {
        let copy = tempfile::tempdir().unwrap();
        for file in fs::read_dir(root().join("fixtures/bundles/tiny")).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        Self(copy)
    }

    fn manifest(&self) -> Manifest {
        let yaml = fs::read_to_string(self.0.path().join("manifest.yaml")).unwrap();
        Valid::<Manifest>::parse(&yaml).unwrap().into_raw()
    }

    fn with_manifest(self, change: impl FnOnce(&mut Manifest)) -> Self {
        let mut manifest = self.manifest();
        change(&mut manifest);
        fs::write(self.0.path().join("manifest.yaml"), serde_yaml::to_string(&manifest).unwrap()).unwrap();
        self
    }

    /// Changes one weight of the backbone, and the hash that would tell.
    fn with_changed_weight(self, parameter: &str) -> Self {
        let path = self.0.path().join("backbone.onnx");
        let mut bytes = fs::read(&path).unwrap();
        // In the file a tensor's name (field 8) is followed by its values (field 9: 0x4a, a length, the bytes).
        let name = [parameter.as_bytes(), &[0x4a]].concat();
        let found = bytes.windows(name.len()).position(|window| window == name).unwrap();
        let sign_and_exponent = found + name.len() + 2 + 4 * 10 + 3;
        bytes[sign_and_exponent] ^= 0x80;
        fs::write(&path, &bytes).unwrap();
        let hash = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        self.with_manifest(|manifest| drop(manifest.files.insert("backbone.onnx".into(), hash)))
    }

    /// What the binary says of the committed queries after adapting to the committed support.
    fn report(&self) -> Value {
        self.report_with(&[])
    }

    /// As [`Bundle::report`], with more arguments to score.
    fn report_with(&self, more: &[&str]) -> Value {
        let dictionary = self.0.path().join("dictionary.safetensors");
        sparsight(
            &["adapt"],
            &[self.0.path(), Path::new("fixtures/regress/support"), Path::new("-o"), &dictionary],
        );
        let score = ["score", "--format", "json", "--provider", "cpu", "--threads", "1"];
        let queries = Path::new("fixtures/regress/queries");
        let arguments = [&score[..], more].concat();
        serde_json::from_str(&sparsight(&arguments, &[self.0.path(), &dictionary, queries])).unwrap()
    }

    /// Whether the report is the committed one, but for what the tolerances allow.
    fn report_is_as_committed(&self) -> bool {
        let stored = stored("report");
        settle(&stored, &self.report(), tolerance()) == stored
    }

    /// What is highest in the maps of the committed queries, as thresholds of theirs tell, by the kind of map.
    fn maps(&self) -> Value {
        let maps = self.0.path().join("maps").display().to_string();
        let of_kind = |kind: &&str| {
            let mut report = self.report_with(&["--map", kind, "--save-maps", &maps]);
            report.as_array_mut().unwrap().iter_mut().for_each(|record| drop(record["map"].take()));
            ((*kind).to_owned(), report)
        };
        Value::Object(["gradient", "product"].iter().map(of_kind).collect())
    }
}

fn sparsight(arguments: &[&str], paths: &[&Path]) -> String {
    let output = Command::new(&*SPARSIGHT).current_dir(root()).args(arguments).args(paths).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What is committed by this name: what follows the second line of dashes.
fn stored(name: &str) -> Value {
    let path = root().join(format!("xtask/tests/snapshots/regress__{name}.snap"));
    let snapshot = fs::read_to_string(path).unwrap();
    serde_json::from_str(snapshot.splitn(3, "---\n").nth(2).unwrap()).unwrap()
}

fn tolerance() -> f64 {
    f64::from(Bundle::tiny().manifest().tolerances.energy)
}

/// `actual`, with the stored number in the place of each that lies within the relative tolerance of it: what is left
/// to tell the two apart is a difference.
fn settle(stored: &Value, actual: &Value, tolerance: f64) -> Value {
    match (stored, actual) {
        (Value::Number(s), Value::Number(a)) => {
            let (s, a) = (s.as_f64().unwrap(), a.as_f64().unwrap());
            if (s - a).abs() <= tolerance * s.abs() { stored.clone() } else { actual.clone() }
        }
        (Value::Array(s), Value::Array(a)) if s.len() == a.len() => {
            s.iter().zip(a).map(|(s, a)| settle(s, a, tolerance)).collect()
        }
        (Value::Object(s), Value::Object(a)) => {
            let settled = a
                .iter()
                .map(|(key, a)| (key.clone(), s.get(key).map_or(a.clone(), |s| settle(s, a, tolerance))));
            Value::Object(settled.collect())
        }
        _ => actual.clone(),
    }
}

/// Every number times a factor.
fn scale(report: &Value, factor: f64) -> Value {
    match report {
        Value::Number(number) => Value::from(number.as_f64().unwrap() * factor),
        Value::Array(values) => values.iter().map(|value| scale(value, factor)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (key.clone(), scale(value, factor))).collect()
        }
        _ => report.clone(),
    }
}

#[test]
fn the_report_is_the_committed_one() {
    let settled = settle(&stored("report"), &Bundle::tiny().report(), tolerance());
    insta::assert_snapshot!("report", serde_json::to_string_pretty(&settled).unwrap());
}

/// With the settings beyond the paper that the default bundle has.
#[test]
fn the_maps_are_as_high_as_the_committed_ones() {
    let bundle = Bundle::tiny().with_manifest(|manifest| {
        let SparseCodingConfig { max_atoms, atom_sampling, energy, .. } = &mut manifest.sparse_coding;
        (*max_atoms, *atom_sampling, *energy) = (24, AtomSampling::InverseDensity, EnergyKind::Lasso);
        let scoring = &mut manifest.scoring;
        (scoring.reference, scoring.reference_floor) = (true, 1.0);
    });
    let tolerance = f64::from(bundle.manifest().tolerances.gradient);
    let settled = settle(&stored("maps"), &bundle.maps(), tolerance);
    insta::assert_snapshot!("maps", serde_json::to_string_pretty(&settled).unwrap());
}

#[test]
fn a_difference_within_the_tolerance_passes_and_one_beyond_it_fails() {
    let (stored, tolerance) = (stored("report"), tolerance());
    for factor in [1.0 + 0.9 * tolerance, 1.0 - 0.9 * tolerance] {
        assert_eq!(settle(&stored, &scale(&stored, factor), tolerance), stored);
    }
    for factor in [1.0 + 1.1 * tolerance, 1.0 - 1.1 * tolerance] {
        assert_ne!(settle(&stored, &scale(&stored, factor), tolerance), stored);
    }
}

#[test]
fn a_missing_image_fails() {
    let stored = stored("report");
    let fewer = Value::Array(stored.as_array().unwrap()[1..].to_vec());
    assert_ne!(settle(&stored, &fewer, tolerance()), stored);
}

/// So it is the changes of the tests below that fail, not the way in which they are made.
#[test]
fn the_manifest_written_anew_changes_nothing() {
    assert_eq!(Bundle::tiny().with_manifest(|_| ()).report(), Bundle::tiny().report());
}

#[test]
fn a_changed_weight_fails() {
    assert!(!Bundle::tiny().with_changed_weight("stage1.conv1.weight").report_is_as_committed());
}

#[test]
fn a_changed_resize_filter_fails() {
    let bundle = Bundle::tiny().with_manifest(|manifest| manifest.input.resize = ResizeFilter::Bicubic);
    assert!(!bundle.report_is_as_committed());
}

#[test]
fn a_changed_lambda_fails() {
    let bundle = Bundle::tiny().with_manifest(|manifest| manifest.sparse_coding.lambda_star *= 1.1);
    assert!(!bundle.report_is_as_committed());
}
