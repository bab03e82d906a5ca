//! Rules that a config or a manifest may break: each is refused, named with its field and line. Texts of another form are
//! `reading`'s.

use std::collections::HashSet;
use std::mem::discriminant;

use sparsight_schemas::{Config, Manifest, ParseError, Valid, Violation};

use crate::MANIFEST;

/// Configs that break one rule, and what is said of them.
const BROKEN_CONFIGS: &[(&str, &str)] = &[
    ("input:\n  height: 15", "input.height: 15 pixels; must be between 16 and 4096 (line 2)"),
    ("input: {height: 32,\n  width: 4097}", "input.width: 4097 pixels; must be between 16 and 4096 (line 2)"),
    ("backbone: {widths: []}", "backbone.widths: 0 stages; must be 1 to 4 (line 1)"),
    ("backbone: {widths: [8, 8, 8, 8, 8]}", "backbone.widths: 5 stages; must be 1 to 4 (line 1)"),
    (
        "seed: 1\nbackbone:\n  strides: [1, 2]",
        "backbone.strides: 2 strides for 4 widths; must be one for each stage (line 3)",
    ),
    ("backbone: {widths: [8]}", "backbone.strides: 4 strides for 1 widths; must be one for each stage"),
    (
        "backbone: {widths: [8, 12, 16, 16]}",
        "backbone.widths: width 12; must be a positive multiple of 8, the groups of the group normalisation, and at most 4096 (line 1)",
    ),
    (
        "backbone: {widths: [8, 4104, 16, 16]}",
        "backbone.widths: width 4104; must be a positive multiple of 8, the groups of the group normalisation, and at most 4096 (line 1)",
    ),
    (
        "backbone: {image_shortcut_cells: 3}",
        "backbone.image_shortcut_cells: 3; must divide the stride of the features, 32 pixels, into even numbers of pixels \
         (line 1)",
    ),
    (
        "backbone: {image_shortcut_cells: 9223372036854775809}",
        "backbone.image_shortcut_cells: 9223372036854775809; must divide the stride of the features, 32 pixels, into even \
         numbers of pixels (line 1)",
    ),
    (
        "backbone: {image_shortcut_contrast: true}",
        "backbone.image_shortcut_contrast: true, without a shortcut that could see them; set image_shortcut to true (line 1)",
    ),
    ("backbone: {strides: [1, 2, 3, 2]}", "backbone.strides: stride 3; must be 1 or 2 (line 1)"),
    (
        "backbone:\n  feature_channels: 20",
        "backbone.feature_channels: 20 channels; must be a positive multiple of 8, the groups of the group normalisation, and at most 4096 (line 2)",
    ),
    (
        "sparse_coding: {receptive_field: 2}",
        "sparse_coding.receptive_field: 2; must be odd and at most 15 (line 1)",
    ),
    (
        "sparse_coding: {receptive_field: 17}",
        "sparse_coding.receptive_field: 17; must be odd and at most 15 (line 1)",
    ),
    ("langevin: {steps: 1001}", "langevin.steps: 1001 steps; must be at most 1000 (line 1)"),
    (
        "negatives: {patches: [1, 10001]}",
        "negatives.patches: [1, 10001] patches; must be [fewest, most] with 1 <= fewest <= most <= 10000 (line 1)",
    ),
    ("sparse_coding: {steps: 0}", "sparse_coding.steps: 0 iterations; must be 1 to 1000 (line 1)"),
    (
        "sparse_coding: {lambda_max: .inf}",
        "sparse_coding.lambda_max: inf; must be positive and at most 1e9 (line 1)",
    ),
    (
        "sparse_coding:\n  steps: 4\n  lambda_star: 0.4",
        "sparse_coding.lambda_star: 0.4; must be positive and at most lambda_max, 0.3 (line 3)",
    ),
    ("sparse_coding: {tau: .nan}", "sparse_coding.tau: NaN; must be positive and at most 1e9 (line 1)"),
    ("scoring: {top_fraction: 0}", "scoring.top_fraction: 0; must be above 0 and at most 1 (line 1)"),
    ("scoring: {smoothing: -1}", "scoring.smoothing: -1; must be between 0 and 1000 pixels (line 1)"),
    (
        "scoring: {reference: true, reference_floor: .nan}",
        "scoring.reference_floor: NaN; must be between 0 and 1000 (line 1)",
    ),
    (
        "scoring: {reference: true, reference_floor: -1}",
        "scoring.reference_floor: -1; must be between 0 and 1000 (line 1)",
    ),
    (
        "scoring: {reference: true, reference_floor: 1001}",
        "scoring.reference_floor: 1001; must be between 0 and 1000 (line 1)",
    ),
    (
        "scoring:\n  reference_floor: 1",
        "scoring.reference_floor: 1 of no reference; set scoring.reference to true, or leave this out (line 2)",
    ),
    (
        "negatives: {patches: [2, 1]}",
        "negatives.patches: [2, 1] patches; must be [fewest, most] with 1 <= fewest <= most <= 10000 (line 1)",
    ),
    (
        "negatives: {area: [0.1, 1.5]}",
        "negatives.area: [0.1, 1.5]; must be [smallest, largest] with 0 < smallest <= largest <= 1 (line 1)",
    ),
    (
        "negatives: {aspect_ratio: [0, 1]}",
        "negatives.aspect_ratio: [0.0, 1.0]; must be [smallest, largest] with 0 < smallest <= largest (line 1)",
    ),
    (
        "negatives:\n  kinds: {noise: 0, constant: 0, copy_paste: 0, blur: 0}",
        "negatives.kinds: weights [0.0, 0.0, 0.0, 0.0]; must be from 0 to 1e9 and not all zero (line 2)",
    ),
    (
        "negatives:\n  kinds: {noise: 3.0e38, blur: 3.0e38}",
        "negatives.kinds: weights [3e38, 1.0, 1.0, 3e38]; must be from 0 to 1e9 and not all zero (line 2)",
    ),
    ("training: {output: ''}", "training.output: \"\"; must name a folder (line 1)"),
    ("training: {output: ~}", "training.output: \"~\"; must name a folder (line 1)"),
    ("training: {output: null}", "training.output: \"null\"; must name a folder (line 1)"),
    ("episodes: {tasks: 0}", "episodes.tasks: 0; must be at least 1 (line 1)"),
    ("episodes: {shots: 0}", "episodes.shots: 0; must be at least 1 (line 1)"),
    ("episodes: {tasks: 10001}", "episodes.tasks: 10001; must be at most 10000 (line 1)"),
    ("episodes: {queries: 0}", "episodes.queries: 0; must be at least 1 (line 1)"),
    ("training: {receptive_field: 2}", "training.receptive_field: 2; must be odd and at most 15 (line 1)"),
    ("training: {checkpoint_every: 0}", "training.checkpoint_every: 0; must be at least 1 (line 1)"),
    ("langevin: {step_size: -1}", "langevin.step_size: -1.0; must be between 0 and 1e9 (line 1)"),
    ("langevin: {noise_std: 1e39}", "langevin.noise_std: 1e39; must be between 0 and 1e9 (line 1)"),
    ("objective: {eta_rec: -1}", "objective.eta_rec: -1.0; must be between 0 and 1e9 (line 1)"),
    ("objective: {eta_cd: .nan}", "objective.eta_cd: NaN; must be between 0 and 1e9 (line 1)"),
    ("optimizer: {learning_rate: -0.1}", "optimizer.learning_rate: -0.1; must be between 0 and 1e9 (line 1)"),
    ("optimizer: {beta_1: 1}", "optimizer.beta_1: 1; must be at least 0 and below 1 (line 1)"),
    ("optimizer: {beta_2: -0.1}", "optimizer.beta_2: -0.1; must be at least 0 and below 1 (line 1)"),
    (
        "episodes: {augmentation: {brightness: 2}}",
        "episodes.augmentation.brightness: 2.0; must be between 0 and 1 (line 1)",
    ),
    (
        "negatives: {anomalies: 0.5}",
        "negatives.anomalies: 0.5, with objective.eta_rec above 0; anomalies have no original to reconstruct: set one of them to 0 (line 1)",
    ),
    (
        "langevin: {learned: true}\nobjective: {eta_rec: 0}",
        "langevin.learned: true, but no step is taken or reconstructs; set langevin.steps, step_size and objective.eta_rec above 0 (line 1)",
    ),
    ("negatives: {anomalies: -0.5}", "negatives.anomalies: -0.5; must be between 0 and 1 (line 1)"),
    (
        "negatives:\n  opacity: [0.5, 1.1]",
        "negatives.opacity: [0.5, 1.1]; must be [least, most] with 0 < least <= most <= 1 (line 2)",
    ),
    (
        "objective: {eta_rec: 0, eta_cd: 0}",
        "objective: every weight is 0; give a term of the loss a weight (line 1)",
    ),
    ("optimizer: {clip_norm: 0}", "optimizer.clip_norm: 0.0; must be positive and at most 1e9 (line 1)"),
    (
        "data: {exclude: [nut], validation: [nut]}",
        "data.validation: nut is in data.exclude too; name it in one of them (line 1)",
    ),
    ("training: {validate_every: 0}", "training.validate_every: 0; must be at least 1 (line 1)"),
    ("optimizer: {averaging: 1}", "optimizer.averaging: 1; must be at least 0 and below 1 (line 1)"),
    ("optimizer: {epsilon: 0}", "optimizer.epsilon: 0; must be positive and finite (line 1)"),
];

/// Changes to the manifest that break one rule, and what is said of them.
const BROKEN_MANIFESTS: &[(&str, &str, &str)] = &[
    (
        "schema_version: 1",
        "schema_version: 2",
        "schema_version: version 2; this program reads version 1: export the bundle again with a matching sparsight-train (line 1)",
    ),
    ("height: 32", "height: 8", "input.height: 8 pixels; must be between 16 and 4096 (line 3)"),
    ("channels: 16", "channels: 0", "features.channels: 0; must be at least 1 (line 4)"),
    ("width: 4", "width: 0", "features.width: 0; must be at least 1 (line 4)"),
    ("stride: 8", "stride: 0", "features.stride: 0; must be at least 1 (line 4)"),
    (
        "width: 4",
        "width: 5",
        "features.width: 5 positions; a stride of 8 pixels makes 4 of the input (line 4)",
    ),
    (
        "stride: 8",
        "stride: 4",
        "features.height: 4 positions; a stride of 4 pixels makes 8 of the input (line 4)",
    ),
    (
        "lambda_star: 0.05",
        "lambda_star: 0.5",
        "sparse_coding.lambda_star: 0.5; must be positive and at most lambda_max, 0.3 (line 5)",
    ),
    (
        "top_fraction: 0.01",
        "top_fraction: 2",
        "scoring.top_fraction: 2; must be above 0 and at most 1 (line 6)",
    ),
    ("gradient: 0.001", "gradient: 0", "tolerances.gradient: 0; must be positive and finite (line 7)"),
    ("energy: 0.0001", "energy: .nan", "tolerances.energy: NaN; must be positive and finite (line 7)"),
    (
        "  probe.safetensors: 2222222222222222222222222222222222222222222222222222222222222222\n",
        "",
        "files: no sha256 for probe.safetensors; export the bundle again (line 9)",
    ),
    (
        "  probe.safetensors:",
        "  ../evil: 2222222222222222222222222222222222222222222222222222222222222222\n  probe.safetensors:",
        "files: ../evil: a bundle holds only files named backbone.onnx, backbone_vjp.onnx, probe.safetensors (line 9)",
    ),
    (
        "2222222222222222222222222222222222222222222222222222222222222222",
        "222222222222222222222222222222222222222222222222222222222222222",
        "files: probe.safetensors: \"222222222222222222222222222222222222222222222222222222222222222\" is not a sha256 (64 lower-case hexadecimal digits) (line 9)",
    ),
];

fn broken_manifest(was: &str, is: &str) -> String {
    assert!(MANIFEST.contains(was), "the manifest has no {was:?}");
    MANIFEST.replacen(was, is, 1)
}

fn violation(error: ParseError) -> Violation {
    match error {
        ParseError::Rule { violation, .. } => violation,
        ParseError::Form(error) => panic!("not a broken rule: {error}"),
    }
}

#[test]
fn each_broken_rule_of_a_config_is_named_with_its_field_and_line() {
    for (yaml, said) in BROKEN_CONFIGS {
        assert_eq!(Valid::<Config>::parse(yaml).unwrap_err().to_string(), *said, "of {yaml:?}");
    }
}

#[test]
fn each_broken_rule_of_a_manifest_is_named_with_its_field_and_line() {
    for (was, is, said) in BROKEN_MANIFESTS {
        let yaml = broken_manifest(was, is);
        assert_eq!(Valid::<Manifest>::parse(&yaml).unwrap_err().to_string(), *said, "of {is:?}");
    }
}

#[test]
fn every_rule_can_be_broken() {
    let configs = BROKEN_CONFIGS.iter().map(|(yaml, _)| Valid::<Config>::parse(yaml).unwrap_err());
    let manifests = BROKEN_MANIFESTS
        .iter()
        .map(|(was, is, _)| Valid::<Manifest>::parse(&broken_manifest(was, is)).unwrap_err());
    let broken: Vec<Violation> = configs.chain(manifests).map(violation).collect();
    let kinds: HashSet<_> = broken.iter().map(discriminant).collect();
    let rules = include_str!("../../src/violation.rs").matches("#[error(").count();
    assert_eq!(kinds.len(), rules);
}

#[test]
fn a_broken_rule_in_a_default_has_no_line() {
    let error = Valid::<Config>::parse("sparse_coding: {lambda_max: 0.01}").unwrap_err();
    assert_eq!(
        error.to_string(),
        "sparse_coding.lambda_star: 0.05; must be positive and at most lambda_max, 0.01"
    );
}
