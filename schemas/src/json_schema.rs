//! The JSON Schemas of the formats, for editors and other languages: what the types say, and the ranges of numbers, which types don't.
//! No rule is checked by them: that is `Validate`'s, and a test holds these ranges against it.

use schemars::{Schema, json_schema, schema_for};

use crate::{Config, EvaluationReport, Manifest, ScoreRecord};

/// As (file name, schema).
pub fn json_schemas() -> Vec<(&'static str, Schema)> {
    vec![
        ("config.schema.json", narrowed(schema_for!(Config))),
        ("manifest.schema.json", narrowed(schema_for!(Manifest))),
        ("score_record.schema.json", with_every_verdict(schema_for!(ScoreRecord))),
        ("evaluation_report.schema.json", schema_for!(EvaluationReport)),
    ]
}

/// A type, fields of it, and keywords for them.
type Rule = (&'static str, &'static [&'static str], Schema);

/// What a number of these fields must be, or each number of a list; rules that compare one field with another are left out.
fn ranges() -> Vec<Rule> {
    let count = || json_schema!({"minimum": 1});
    let episode = || json_schema!({"minimum": 1, "maximum": 10_000});
    let positive = || json_schema!({"exclusiveMinimum": 0});
    let positive_scale = || json_schema!({"exclusiveMinimum": 0, "maximum": 1e9});
    let scale = || json_schema!({"minimum": 0, "maximum": 1e9});
    let share = || json_schema!({"minimum": 0, "maximum": 1});
    let positive_share = || json_schema!({"exclusiveMinimum": 0, "maximum": 1});
    let decay = || json_schema!({"minimum": 0, "exclusiveMaximum": 1});
    let channels = || json_schema!({"minimum": 8, "maximum": 4096, "multipleOf": 8});
    let thousand = || json_schema!({"minimum": 0, "maximum": 1000});
    let receptive_field = || json_schema!({"minimum": 1, "maximum": 15, "not": {"multipleOf": 2}});
    vec![
        ("InputConfig", &["height", "width"], json_schema!({"minimum": 16, "maximum": 4096})),
        ("BackboneConfig", &["widths", "feature_channels"], channels()),
        ("BackboneConfig", &["strides"], json_schema!({"minimum": 1, "maximum": 2})),
        ("BackboneConfig", &["image_shortcut_cells"], json_schema!({"minimum": 1, "maximum": 32})),
        ("SparseCodingConfig", &["receptive_field"], receptive_field()),
        ("SparseCodingConfig", &["steps"], json_schema!({"minimum": 1, "maximum": 1000})),
        ("SparseCodingConfig", &["lambda_max", "lambda_star", "tau"], positive_scale()),
        ("ScoringConfig", &["top_fraction"], positive_share()),
        ("ScoringConfig", &["smoothing", "reference_floor"], thousand()),
        ("EpisodeConfig", &["tasks", "shots", "queries"], episode()),
        ("AugmentationConfig", &["greyscale", "brightness", "contrast"], share()),
        ("NegativesConfig", &["patches"], episode()),
        ("NegativesConfig", &["area", "opacity"], positive_share()),
        ("NegativesConfig", &["aspect_ratio"], positive()),
        ("NegativesConfig", &["anomalies"], share()),
        ("NegativeKinds", &["noise", "constant", "copy_paste", "blur"], scale()),
        ("LangevinConfig", &["steps"], thousand()),
        ("LangevinConfig", &["step_size", "noise_std"], scale()),
        ("ObjectiveConfig", &["eta_rec", "eta_cd", "eta_dense", "eta_image"], scale()),
        ("OptimizerConfig", &["learning_rate"], scale()),
        ("OptimizerConfig", &["beta_1", "beta_2", "averaging"], decay()),
        ("OptimizerConfig", &["epsilon"], positive()),
        ("OptimizerConfig", &["clip_norm"], positive_scale()),
        ("TrainingConfig", &["checkpoint_every", "validate_every"], count()),
        ("TrainingConfig", &["receptive_field"], receptive_field()),
        ("FeatureGeometry", &["channels", "height", "width", "stride"], count()),
        ("Tolerances", &["features", "energy", "gradient"], positive()),
    ]
}

/// How long a list or a text must be.
fn lengths() -> Vec<Rule> {
    vec![
        ("BackboneConfig", &["widths", "strides"], json_schema!({"minItems": 1, "maxItems": 4})),
        ("TrainingConfig", &["output"], json_schema!({"minLength": 1})),
    ]
}

/// A record always has these, null where an image failed; the types let a reader do without.
fn with_every_verdict(mut schema: Schema) -> Schema {
    let required = json_schema!({"required": ["image", "anomaly_score", "energy", "threshold", "anomalous"]});
    schema.ensure_object().extend(required.as_object().cloned().unwrap_or_default());
    schema
}

fn narrowed(mut schema: Schema) -> Schema {
    let mut narrow = |(kind, fields, keywords): Rule, of_items: bool| {
        for field in fields {
            // A format has only some of the types.
            let Some(property) = schema.pointer_mut(&format!("/$defs/{kind}/properties/{field}")) else {
                continue;
            };
            let narrowed = match of_items && property.get("items").is_some() {
                true => &mut property["items"],
                false => property,
            };
            for (keyword, value) in keywords.as_object().into_iter().flatten() {
                narrowed[keyword] = value.clone();
            }
        }
    };
    ranges().into_iter().for_each(|range| narrow(range, true));
    lengths().into_iter().for_each(|length| narrow(length, false));
    schema
}
