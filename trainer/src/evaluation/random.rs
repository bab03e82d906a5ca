//! The baseline of random weights: the bundle again, with the random weights of its seed.

use sparsight_runtime::{backbone::Options, detector::Detector};
use sparsight_schemas::{Config, FeatureGeometry, Manifest, Valid};

use super::EvaluationError;
use crate::{
    export::{Origin, export_bundle},
    weights::random_parameters,
};

/// Exports a bundle like that of `manifest`, but with the random weights of its config and seed, to a temporary folder, and opens
/// it. The folder is gone then, so that nothing is left of it wherever the evaluation ends: energies need no other file.
pub fn random_weights(manifest: &Manifest, options: &Options) -> Result<Detector, EvaluationError> {
    // The manifest is what ships: its settings hold, whatever the weights were trained with.
    let config = Valid::new(Config {
        input: manifest.input,
        sparse_coding: manifest.sparse_coding,
        scoring: manifest.scoring,
        ..manifest.provenance.config.clone()
    })
    .map_err(EvaluationError::Config)?;
    if FeatureGeometry::new(&config.input, &config.backbone) != manifest.features {
        return Err(EvaluationError::OtherFeatures);
    }
    let parameters = random_parameters(&config.backbone, manifest.provenance.seed);
    let folder = tempfile::tempdir().map_err(EvaluationError::Folder)?;
    let bundle = folder.path().join("bundle");
    export_bundle(&parameters, &config, Origin::default(), &bundle, |_| Ok(()))
        .map_err(|error| EvaluationError::Export(Box::new(error)))?;
    // Made here, and by nobody who could sign it.
    let options = Options { public_key: None, ..options.clone() };
    Detector::open_with(bundle, &options).map_err(|error| EvaluationError::Random(Box::new(error)))
}
