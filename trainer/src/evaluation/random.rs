//! The baseline of random weights: the bundle again, with the random weights of its seed.

use sparsight_runtime::{backbone::Options, detector::Detector};
use sparsight_schemas::{Config, FeatureGeometry, Manifest, Valid};
use tempfile::TempDir;

use super::EvaluationError;
use crate::{
    export::{Origin, export_bundle},
    weights::random_parameters,
};

/// A detector whose backbone has random weights, and the folder of its bundle.
pub struct RandomWeights {
    detector: Detector,
    /// Goes with the detector, which may read from it until then.
    _folder: TempDir,
}

impl RandomWeights {
    /// Exports a bundle like that of `manifest` to a temporary folder, but with the random weights of its config and
    /// seed, and opens it.
    pub fn open(manifest: &Manifest, options: &Options) -> Result<Self, EvaluationError> {
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
        let detector = Detector::open_with(bundle, &options)
            .map_err(|error| EvaluationError::Random(Box::new(error)))?;
        Ok(Self { detector, _folder: folder })
    }

    /// The detector.
    pub fn detector(&mut self) -> &mut Detector {
        &mut self.detector
    }
}
