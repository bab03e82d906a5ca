//! The sparse coding layer meets the golden cases: float64 results of an independent implementation.

#![allow(clippy::unwrap_used)] // a test may

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use ndarray::{Array, Array3, Array4, ArrayD, ArrayView, Axis, Dimension, Ix1, Ix2, Ix3, Ix4};
use safetensors::{Dtype, SafeTensors};
use sparsight_runtime::{
    sparse_coding::{Coder, codes, dictionary, energy, energy_map, features_gradient, lambdas, unfold},
    verify::relative_difference,
};
use sparsight_schemas::SparseCodingConfig;

const TOLERANCE: f32 = 1e-4;

/// The tensors of a golden file, cast to f32.
struct Golden {
    bytes: Vec<u8>,
    config: SparseCodingConfig,
}

impl Golden {
    fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let mut config: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&header.metadata().as_ref().unwrap()["config"]).unwrap();
        let keys = ["receptive_field", "steps", "lambda_max", "lambda_star", "shrinkage", "tau"];
        config.retain(|key, _| keys.contains(&key.as_str()));
        assert_eq!(config.len(), keys.len());
        Self { config: serde_json::from_value(config.into()).unwrap(), bytes }
    }

    fn array<D: Dimension>(&self, name: &str) -> Array<f32, D> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = tensors.tensor(name).unwrap();
        let values: Vec<f32> = match tensor.dtype() {
            Dtype::F64 => {
                tensor.data().as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes) as f32).collect()
            }
            Dtype::F32 => {
                tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
            }
            other => panic!("{name} holds {other}"),
        };
        ArrayD::from_shape_vec(tensor.shape(), values).unwrap().into_dimensionality().unwrap()
    }

    fn check<D: Dimension>(&self, name: &str, computed: ArrayView<f32, D>) {
        let expected: Array<f32, D> = self.array(name);
        assert_eq!(computed.shape(), expected.shape(), "shape of {name}");
        let difference = relative_difference(&computed.to_owned(), &expected);
        assert!(difference <= TOLERANCE, "{name}: relative difference {difference:e}");
        eprintln!("{name}: {difference:.1e}");
    }

    /// Every function of the layer, each fed with what the one before computed, and the coder that does all of it.
    fn check_all(&self) {
        let support: Array<f32, Ix4> = self.array("support_features");
        let query: Array<f32, Ix4> = self.array("query_features");
        let (n, _, h, w) = query.dim();
        let atoms = dictionary(support.view(), self.config.receptive_field);
        let unfolded = unfold(query.view(), self.config.receptive_field);
        let codes = codes(unfolded.view(), &atoms, &self.config);
        let map = energy_map(unfolded.view(), &atoms, codes.view(), [n, h, w], &self.config);
        self.check::<Ix1>("lambdas", ArrayView::from(&lambdas(&self.config)));
        self.check::<Ix2>("dictionary", atoms.dictionary());
        self.check::<Ix2>("codes", codes.view());
        self.check::<Ix3>("energy_map", map.view());
        self.check::<Ix1>("energy", energy(map.view()).view());
        self.check::<Ix4>("features_gradient", features_gradient(query.view(), &atoms, &self.config).view());

        let mut coder = Coder::new(&atoms, &self.config);
        let (mut maps, mut gradients) = (Array3::zeros((n, h, w)), Array4::zeros(query.dim()));
        for (i, image) in query.outer_iter().enumerate() {
            maps.index_axis_mut(Axis(0), i).assign(&coder.energy_map(image));
        }
        self.check::<Ix3>("energy_map", maps.view());
        for (i, image) in query.outer_iter().enumerate() {
            let (map, gradient) = coder.energy_map_and_gradient(image, None);
            maps.index_axis_mut(Axis(0), i).assign(&map);
            gradients.index_axis_mut(Axis(0), i).assign(&gradient);
        }
        self.check::<Ix3>("energy_map", maps.view());
        self.check::<Ix4>("features_gradient", gradients.view());
    }
}

fn fixture(name: &str) -> Golden {
    Golden::read(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/golden").join(name))
}

#[test]
fn sigmoid_shrinkage() {
    fixture("tiny_sigmoid.safetensors").check_all();
}

#[test]
fn soft_shrinkage() {
    fixture("tiny_soft.safetensors").check_all();
}

#[test]
fn no_shrinkage() {
    fixture("tiny_none.safetensors").check_all();
}

#[test]
fn one_step() {
    fixture("tiny_one_step.safetensors").check_all();
}

#[test]
fn receptive_field_of_one_position() {
    fixture("tiny_rf1.safetensors").check_all();
}

#[test]
fn features_that_are_not_square() {
    fixture("rect_sigmoid.safetensors").check_all();
}

#[test]
fn full_widths() {
    match env::var_os("SPARSIGHT_GOLDEN") {
        Some(folder) => Golden::read(&PathBuf::from(folder).join("table_a.safetensors")).check_all(),
        None => eprintln!("skipped: SPARSIGHT_GOLDEN does not name the folder of table_a.safetensors"),
    }
}
