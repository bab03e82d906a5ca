//! Proof that this machine computes what the trainer's did: every stage of a bundle's probe, computed again and
//! compared.

use ndarray::{Array, Array1, Array2, Array3, Array4, ArrayD, Axis, Dimension};
use safetensors::SafeTensors;
use sparsight_schemas::Tolerances;

use crate::{
    backbone::BackboneError,
    bundle::BundleError,
    detector::Detector,
    sparse_coding::{Atoms, Coder, codes, energy, lambdas, unfold},
    tensors::{self, TensorError},
};

/// The probe's file in a bundle.
pub const PROBE_FILE: &str = "probe.safetensors";

/// How far a tensor lies from the probe's.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// The probe's tensor.
    pub name: &'static str,
    /// The largest difference, relative to the largest expected magnitude.
    pub difference: f32,
    /// The largest that the manifest allows.
    pub tolerance: f32,
}

impl Stage {
    /// Whether the stage is within its tolerance.
    pub fn holds(&self) -> bool {
        self.difference <= self.tolerance
    }
}

/// Why nothing could be compared.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The probe is missing or altered.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The backbone failed.
    #[error(transparent)]
    Backbone(#[from] BackboneError),
    /// The probe's content is not a probe.
    #[error("{path}: {source}; export the bundle again")]
    Probe {
        /// The file.
        path: String,
        /// What is wrong.
        source: TensorError,
    },
    /// A tensor of the probe has another shape than what is computed.
    #[error("{path}: {name} has shape {expected:?}, but {found:?} is computed; export the bundle again")]
    Shape {
        /// The file.
        path: String,
        /// The tensor.
        name: &'static str,
        /// Its shape.
        expected: Vec<usize>,
        /// The shape of what is computed.
        found: Vec<usize>,
    },
}

/// A stored support and query, and everything that they should give. n queries, k shots; other letters as in
/// [`crate::sparse_coding`].
#[derive(Clone, Debug)]
pub struct Probe {
    /// \[k, 3, H, W\].
    pub support: Array4<f32>,
    /// \[n, 3, H, W\].
    pub query: Array4<f32>,
    /// \[k, d, h, w\].
    pub support_features: Array4<f32>,
    /// \[n, d, h, w\].
    pub query_features: Array4<f32>,
    /// \[N\].
    pub lambdas: Array1<f32>,
    /// \[n h w, A\], by the support's positions that [`Probe::atom_positions`] says.
    pub codes: Array2<f32>,
    /// \[n, h, w\].
    pub energy_map: Array3<f32>,
    /// \[n\].
    pub energy: Array1<f32>,
    /// \[n, d, h, w\]: of the sum of the energies in the query's features.
    pub features_gradient: Array4<f32>,
    /// \[n, 3, H, W\]: of the same sum in the query.
    pub image_gradient: Array4<f32>,
}

impl Probe {
    /// The probe in a file's bytes.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TensorError> {
        let tensors = SafeTensors::deserialize(bytes)?;
        Ok(Self {
            support: tensors::array(&tensors, "support")?,
            query: tensors::array(&tensors, "query")?,
            support_features: tensors::array(&tensors, "support_features")?,
            query_features: tensors::array(&tensors, "query_features")?,
            lambdas: tensors::array(&tensors, "lambdas")?,
            codes: tensors::array(&tensors, "codes")?,
            energy_map: tensors::array(&tensors, "energy_map")?,
            energy: tensors::array(&tensors, "energy")?,
            features_gradient: tensors::array(&tensors, "features_gradient")?,
            image_gradient: tensors::array(&tensors, "image_gradient")?,
        })
    }

    /// Which of a support's `positions`, in the order of its images, are the atoms of a probe with `atoms` of them: spread
    /// evenly; all where there are as many. A probe needs no lot, and codes by all positions would make up most of a bundle.
    pub fn atom_positions(positions: usize, atoms: usize) -> Vec<usize> {
        let atoms = atoms.max(1).min(positions);
        (0..atoms).map(|atom| atom * positions / atoms).collect()
    }

    /// The file's bytes: the same for the same probe.
    ///
    /// # Errors
    /// Arrays that the format can't hold.
    pub fn to_bytes(&self) -> Result<Vec<u8>, TensorError> {
        fn dynamic<D: Dimension>(array: &Array<f32, D>) -> ArrayD<f32> {
            array.clone().into_dyn()
        }
        let tensors = [
            ("support", dynamic(&self.support)),
            ("query", dynamic(&self.query)),
            ("support_features", dynamic(&self.support_features)),
            ("query_features", dynamic(&self.query_features)),
            ("lambdas", dynamic(&self.lambdas)),
            ("codes", dynamic(&self.codes)),
            ("energy_map", dynamic(&self.energy_map)),
            ("energy", dynamic(&self.energy)),
            ("features_gradient", dynamic(&self.features_gradient)),
            ("image_gradient", dynamic(&self.image_gradient)),
        ];
        tensors::to_bytes(&tensors, None)
    }
}

/// Computes every stage of the bundle's probe, each from the stage before as computed here, so that the last ones
/// stand for the whole path. In the order of the computation. Energies and their gradients are those of the [`Coder`], which scores.
///
/// # Errors
/// A probe that is missing, altered or not a probe; the backbone's failure. A stage that does not hold is no error.
pub fn verify(detector: &mut Detector) -> Result<Vec<Stage>, VerifyError> {
    let bundle = detector.bundle().clone();
    let path = bundle.path.join(PROBE_FILE).display().to_string();
    let probe = Probe::from_bytes(&bundle.read(PROBE_FILE)?)
        .map_err(|source| VerifyError::Probe { path: path.clone(), source })?;
    let config = &bundle.manifest.sparse_coding;
    let Tolerances { features: features_tolerance, energy: energy_tolerance, gradient: gradient_tolerance } =
        bundle.manifest.tolerances;

    let backbone = detector.backbone_mut();
    let support_features = backbone.features(probe.support.view())?;
    let query_features = backbone.features(probe.query.view())?;
    let (n, _, h, w) = query_features.dim();
    let lambdas = Array1::from(lambdas(config));
    let rows = unfold(support_features.view(), config.receptive_field);
    let kept = Probe::atom_positions(rows.nrows(), probe.codes.ncols());
    let atoms = Atoms::from_unfolded(rows.select(Axis(0), &kept));
    let unfolded = unfold(query_features.view(), config.receptive_field);
    let codes = codes(unfolded.view(), &atoms, config);
    let mut coder = Coder::new(&atoms, config);
    let mut energy_map = Array3::zeros([n, h, w]);
    let mut features_gradient = Array4::zeros(query_features.raw_dim());
    for query in 0..n {
        let features = query_features.index_axis(Axis(0), query);
        let (map, gradient) = coder.energy_map_and_gradient(features, None);
        energy_map.index_axis_mut(Axis(0), query).assign(&map);
        features_gradient.index_axis_mut(Axis(0), query).assign(&gradient);
    }
    let energy = energy(energy_map.view());
    let image_gradient = backbone.image_gradient(probe.query.view(), features_gradient.view())?;

    let comparison = Comparison { path };
    Ok(vec![
        comparison.stage(
            "support_features",
            &support_features,
            &probe.support_features,
            features_tolerance,
        )?,
        comparison.stage("query_features", &query_features, &probe.query_features, features_tolerance)?,
        comparison.stage("lambdas", &lambdas, &probe.lambdas, energy_tolerance)?,
        comparison.stage("codes", &codes, &probe.codes, energy_tolerance)?,
        comparison.stage("energy_map", &energy_map, &probe.energy_map, energy_tolerance)?,
        comparison.stage("energy", &energy, &probe.energy, energy_tolerance)?,
        comparison.stage(
            "features_gradient",
            &features_gradient,
            &probe.features_gradient,
            gradient_tolerance,
        )?,
        comparison.stage("image_gradient", &image_gradient, &probe.image_gradient, gradient_tolerance)?,
    ])
}

/// Where the expected tensors are, for messages.
struct Comparison {
    path: String,
}

impl Comparison {
    fn stage<D: Dimension>(
        &self,
        name: &'static str,
        computed: &Array<f32, D>,
        expected: &Array<f32, D>,
        tolerance: f32,
    ) -> Result<Stage, VerifyError> {
        if computed.shape() != expected.shape() {
            let (found, expected) = (computed.shape().to_vec(), expected.shape().to_vec());
            return Err(VerifyError::Shape { path: self.path.clone(), name, expected, found });
        }
        Ok(Stage { name, difference: relative_difference(computed, expected), tolerance })
    }
}

/// The largest difference, relative to the largest expected magnitude; infinite where NaN hides one.
pub fn relative_difference<D: Dimension>(computed: &Array<f32, D>, expected: &Array<f32, D>) -> f32 {
    let largest = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let difference = computed.iter().zip(expected).fold(0.0_f32, |difference, (computed, expected)| {
        let d = (computed - expected).abs();
        if d.is_nan() { f32::INFINITY } else { difference.max(d) }
    });
    if difference == 0.0 { 0.0 } else { difference / largest }
}

#[cfg(test)]
mod tests {
    use super::Probe;

    #[test]
    fn a_probes_atoms_are_spread_evenly_over_its_support() {
        assert_eq!(Probe::atom_positions(8, 3), [0, 2, 5]);
        for all in [4, 5] {
            assert_eq!(Probe::atom_positions(4, all), [0, 1, 2, 3], "{all}");
        }
        assert_eq!(Probe::atom_positions(4, 0), [0], "no codes to compare with do not match one atom's");
        assert!(Probe::atom_positions(0, 3).is_empty());
    }
}
