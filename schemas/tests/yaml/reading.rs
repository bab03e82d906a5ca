//! What a text is read as: defaults, and refusals of texts that are no config or manifest at all. Rules are `rules`'.

use sparsight_schemas::{Config, Manifest, Shrinkage, Valid};

use crate::MANIFEST;

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
fn a_mark_of_the_byte_order_is_no_part_of_the_text() {
    assert_eq!(Valid::<Config>::parse("\u{feff}seed: 7").unwrap().seed, 7);
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
