//! Configs and manifests as YAML text, from outside: what is accepted, what is refused, and what the refusal says.

use std::collections::HashSet;
use std::mem::discriminant;

use proptest::prelude::*;
use sparsight_schemas::{BackboneConfig, Config, Manifest, ParseError, Shrinkage, Valid, Violation};

/// A manifest that keeps every rule.
const MANIFEST: &str = "\
schema_version: 1
name: tiny
input: {height: 32, width: 32, resize: bilinear}
features: {channels: 16, height: 4, width: 4, stride: 8}
sparse_coding: {receptive_field: 3, steps: 8, lambda_max: 0.3, lambda_star: 0.05, shrinkage: sigmoid, tau: 20.0}
scoring: {top_fraction: 0.01, smoothing: 4.0}
tolerances: {features: 0.0001, energy: 0.0001, gradient: 0.001}
files:
  backbone.onnx: 0000000000000000000000000000000000000000000000000000000000000000
  backbone_vjp.onnx: 1111111111111111111111111111111111111111111111111111111111111111
  probe.safetensors: 2222222222222222222222222222222222222222222222222222222222222222
provenance: {version: 0.1.0, seed: 1, steps: 0, data_fingerprint: null, config: {}}
";

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
    let rules = include_str!("../src/violation.rs").matches("#[error(").count();
    assert_eq!(kinds.len(), rules);
}

#[test]
fn an_unknown_field_is_named_with_its_line() {
    let cases = [
        ("sed: 1", "unknown field `sed`", "at line 1 column 1"),
        ("# seed\n\nseed: 1\nsed: 2", "unknown field `sed`", "at line 4 column 1"),
        ("input:\n  width: 32\n  hight: 32\n", "input: unknown field `hight`", "at line 3 column 3"),
        (
            "negatives:\n  kinds: {noise: 1, sponge: 2}",
            "negatives.kinds: unknown field `sponge`",
            "at line 2 column 21",
        ),
    ];
    for (yaml, field, place) in cases {
        let said = Valid::<Config>::parse(yaml).unwrap_err().to_string();
        assert!(said.starts_with(field) && said.ends_with(place), "{said:?} of {yaml:?}");
    }
    let said = Valid::<Manifest>::parse(&format!("{MANIFEST}licence: MIT\n")).unwrap_err().to_string();
    assert!(said.starts_with("unknown field `licence`") && said.ends_with("at line 13 column 1"), "{said:?}");
}

#[test]
fn a_value_of_another_type_is_named_with_its_line() {
    let cases = [
        ("\nseed: -1", "seed: invalid type: integer `-1`, expected u64 at line 2 column 7"),
        (
            "training:\n  steps: 1.5",
            "training.steps: invalid type: floating point `1.5`, expected usize at line 2 column 10",
        ),
        (
            "input: {resize: nearest}",
            "input.resize: unknown variant `nearest`, expected one of `bilinear`, `bicubic`, `lanczos` at line 1 column 17",
        ),
        ("- seed", "invalid type: sequence, expected struct Config at line 1 column 1"),
    ];
    for (yaml, said) in cases {
        assert_eq!(Valid::<Config>::parse(yaml).unwrap_err().to_string(), said);
    }
}

#[test]
fn a_text_that_is_not_yaml_is_one_line_with_its_place() {
    let said = Valid::<Config>::parse("seed: 1\nname: 'a\n").unwrap_err().to_string();
    assert_eq!(
        said,
        "found unexpected end of stream at line 3 column 1, while scanning a quoted scalar at line 2 column 7"
    );
}

#[test]
fn a_field_given_twice_is_an_error() {
    let said = Valid::<Config>::parse("seed: 1\nname: a\nseed: 2").unwrap_err().to_string();
    assert_eq!(said, "duplicate field `seed`");
}

#[test]
fn a_manifest_lacks_no_field() {
    for line in MANIFEST.lines().filter(|line| !line.starts_with(' ') && !line.starts_with("files")) {
        let yaml = MANIFEST.replace(&format!("{line}\n"), "");
        let said = Valid::<Manifest>::parse(&yaml).unwrap_err().to_string();
        let field = line.split(':').next().unwrap();
        assert!(said.starts_with(&format!("missing field `{field}`")), "{said:?} without {field}");
    }
}

#[test]
fn an_empty_text_is_the_default_config_and_no_manifest() {
    for empty in ["", "\n", "# nothing but a comment\n", "---\n", "{}"] {
        assert_eq!(*Valid::<Config>::parse(empty).unwrap(), Config::default(), "of {empty:?}");
        let said = Valid::<Manifest>::parse(empty).unwrap_err().to_string();
        assert!(said.starts_with("missing field `schema_version`"), "{said:?} of {empty:?}");
    }
}

#[test]
fn the_defaults_are_the_papers() {
    let config = Valid::<Config>::parse("name: defaults").unwrap();
    assert_eq!((config.input.height, config.input.width), (128, 128));
    assert_eq!(config.backbone.widths, [32, 64, 128, 256]);
    assert_eq!(config.backbone.strides, [1, 2, 2, 2]);
    assert_eq!(config.backbone.feature_channels, 256);
    let coding = config.sparse_coding;
    assert_eq!((coding.receptive_field, coding.steps, coding.shrinkage), (3, 8, Shrinkage::Sigmoid));
    assert_eq!((coding.lambda_max, coding.lambda_star, coding.tau), (0.3, 0.05, 20.0));
    assert_eq!((config.episodes.shots, config.episodes.queries, config.langevin.steps), (10, 10, 5));
    assert_eq!((config.negatives.patches, config.negatives.area), ([1, 3], [0.0025, 0.025]));
}

#[test]
fn a_field_left_out_of_a_group_keeps_its_default() {
    let config = Valid::<Config>::parse("sparse_coding: {steps: 3}").unwrap();
    assert_eq!(config.sparse_coding.steps, 3);
    assert_eq!(config.sparse_coding.lambda_max, Config::default().sparse_coding.lambda_max);
}

#[test]
fn a_broken_rule_in_a_default_has_no_line() {
    let error = Valid::<Config>::parse("sparse_coding: {lambda_max: 0.01}").unwrap_err();
    assert_eq!(
        error.to_string(),
        "sparse_coding.lambda_star: 0.05; must be positive and at most lambda_max, 0.01"
    );
}

fn configs() -> impl Strategy<Value = Config> {
    let backbone =
        proptest::collection::vec((1usize..40, 1usize..3), 1..5).prop_map(|stages| BackboneConfig {
            widths: stages.iter().map(|(groups, _)| groups * 8).collect(),
            strides: stages.iter().map(|(_, stride)| *stride).collect(),
            feature_channels: 8 * stages.len(),
            image_shortcut: stages.len() % 2 == 1,
            image_shortcut_cells: 2 - stages.len() % 2,
            image_shortcut_contrast: stages.len() == 3,
        });
    let names = proptest::collection::vec(".*", 0..3);
    (backbone, ".*", any::<u64>(), 16usize..4097, 1e-6f64..10.0, 0.0f64..1.0, names).prop_map(
        |(backbone, name, seed, height, lambda_max, learning_rate, roots)| {
            let mut config = Config { name, seed, backbone, ..Config::default() };
            config.input.height = height;
            config.sparse_coding.lambda_max = lambda_max;
            config.sparse_coding.lambda_star = lambda_max / 3.0;
            config.optimizer.learning_rate = learning_rate;
            config.data.roots = roots;
            config
        },
    )
}

proptest! {
    #[test]
    fn a_config_that_is_written_and_read_again_is_equal(config in configs()) {
        let yaml = serde_yaml::to_string(&config).unwrap();
        prop_assert_eq!(Valid::<Config>::parse(&yaml).unwrap().into_raw(), config);
    }

    #[test]
    fn a_manifest_that_is_written_and_read_again_is_equal(config in configs()) {
        let mut manifest = Valid::<Manifest>::parse(MANIFEST).unwrap().into_raw();
        manifest.provenance.config = config;
        let yaml = serde_yaml::to_string(&manifest).unwrap();
        prop_assert_eq!(Valid::<Manifest>::parse(&yaml).unwrap().into_raw(), manifest);
    }

    #[test]
    fn no_text_makes_it_panic_and_every_error_is_one_line(text in "(\\PC|\n|[-:{}\\[\\]&*!?|>'\"%@#, ]){0,60}") {
        for error in [Valid::<Config>::parse(&text).err(), Valid::<Manifest>::parse(&text).err()].into_iter().flatten() {
            prop_assert!(!error.to_string().contains('\n'));
        }
    }

    #[test]
    fn no_spoilt_manifest_makes_it_panic(place in 0..MANIFEST.len(), length in 0usize..20, patch in "\\PC{0,8}") {
        let end = (place + length).min(MANIFEST.len());
        let text = format!("{}{patch}{}", &MANIFEST[..place], &MANIFEST[end..]);
        if let Err(error) = Valid::<Manifest>::parse(&text) {
            prop_assert!(!error.to_string().contains('\n'));
        }
    }
}
