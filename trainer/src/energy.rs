//! The energy-based model: backbone, then sparse coding; its energy, and its gradient in the image.

use burn::tensor::{Tensor, TensorData, backend::Backend};
use sparsight_schemas::{BackboneConfig, InputConfig, SparseCodingConfig};

use crate::{
    backbone::Backbone,
    batch::{join, part},
    operations::burn::BurnOperations,
    sparse_coding::{self, Atoms},
    weights::Weights,
};

/// A backbone with its parameters, and the settings of the layer on top.
pub struct EnergyModel<B: Backend> {
    backbone: Backbone,
    operations: BurnOperations<B>,
    sparse_coding: SparseCodingConfig,
}

impl<B: Backend> EnergyModel<B> {
    /// The model with these parameters.
    pub fn new(
        input: &InputConfig,
        backbone: &BackboneConfig,
        sparse_coding: &SparseCodingConfig,
        weights: &Weights<B>,
    ) -> Self {
        Self {
            backbone: Backbone::new(input, backbone),
            operations: weights.operations(),
            sparse_coding: *sparse_coding,
        }
    }

    /// Features \[n,d,h,w\] of images \[n,3,H,W\] in \[0,1\].
    pub fn features(&self, images: Tensor<B, 4>) -> Tensor<B, 4> {
        self.backbone.forward(&self.operations, &images).features
    }

    /// The dictionary of support images \[k,3,H,W\]: of the rows `kept` of its unfolded features, or of all.
    pub fn adapt(&self, support: Tensor<B, 4>, kept: Option<Vec<usize>>) -> Atoms<B> {
        self.adapt_to_features(self.features(support), kept)
    }

    /// As [`EnergyModel::adapt`], from the support's features \[k,d,h,w\].
    pub fn adapt_to_features(&self, features: Tensor<B, 4>, kept: Option<Vec<usize>>) -> Atoms<B> {
        let rows = sparse_coding::unfold(features, self.sparse_coding.receptive_field); // [A,m]
        Atoms::from_unfolded(match kept {
            Some(kept) => {
                let kept =
                    Tensor::from_data(TensorData::from(&kept[..]).convert::<B::IntElem>(), &rows.device());
                rows.select(0, kept)
            }
            None => rows,
        })
    }

    /// Energy maps \[n,h,w\] of features \[n,d,h,w\].
    pub fn energy_map(&self, features: Tensor<B, 4>, atoms: &Atoms<B>) -> Tensor<B, 3> {
        let [n, _, h, w] = features.dims();
        let unfolded = sparse_coding::unfold(features, self.sparse_coding.receptive_field);
        let codes = sparse_coding::codes(unfolded.clone(), atoms, &self.sparse_coding);
        sparse_coding::energy_map(unfolded, atoms, codes, [n, h, w], &self.sparse_coding)
    }

    /// The energy maps of each task, from features \[n,d,h,w\] of several tasks with a dictionary each.
    pub fn energy_maps(&self, features: Tensor<B, 4>, dictionaries: &[Atoms<B>]) -> Vec<Tensor<B, 3>> {
        let of_tasks = part(features, dictionaries.len()).into_iter().zip(dictionaries);
        of_tasks.map(|(features, atoms)| self.energy_map(features, atoms)).collect()
    }

    /// Energies \[n\] of images \[n,3,H,W\]: Eq. (8), unless the codes count too.
    pub fn energy(&self, images: Tensor<B, 4>, atoms: &Atoms<B>) -> Tensor<B, 1> {
        sparse_coding::energy(self.energy_map(self.features(images), atoms))
    }

    /// Gradient \[n,3,H,W\] in the images of the sum of their energies.
    pub fn image_gradient(&self, images: Tensor<B, 4>, atoms: &Atoms<B>) -> Tensor<B, 4> {
        self.image_gradients(images, std::slice::from_ref(atoms))
    }

    /// As [`EnergyModel::image_gradient`], of images of several tasks with a dictionary each.
    pub fn image_gradients(&self, images: Tensor<B, 4>, dictionaries: &[Atoms<B>]) -> Tensor<B, 4> {
        let tape = self.backbone.forward(&self.operations, &images);
        let of_tasks = part(tape.features.clone(), dictionaries.len()).into_iter().zip(dictionaries);
        let gradient =
            |(features, atoms)| sparse_coding::features_gradient(features, atoms, &self.sparse_coding);
        self.backbone.vjp(&self.operations, &tape, &join(of_tasks.map(gradient).collect()))
    }
}
