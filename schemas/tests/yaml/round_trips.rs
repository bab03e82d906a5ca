//! Laws of any text and any config: what is written is read again as it was, and nothing panics.

use proptest::prelude::*;
use sparsight_schemas::{BackboneConfig, Config, Manifest, Valid};

use crate::MANIFEST;

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
            config.scoring.reference = height % 2 == 1;
            config.scoring.reference_floor = if height % 2 == 1 { learning_rate as f32 } else { 0.0 };
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
