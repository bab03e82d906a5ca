//! The energy-based model: backbone, then sparse coding; its energy, and its gradient in the image.

use burn::tensor::{Tensor, TensorData, backend::Backend};
use sparsight_schemas::{BackboneConfig, InputConfig, SparseCodingConfig};

use crate::{
    backbone::Backbone,
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
        sparse_coding::energy_map(unfolded, atoms, codes, [n, h, w])
    }

    /// Energy maps \[n,h,w\] of features \[n,d,h,w\] of several tasks, as many of each: the first n / t by the first of the t
    /// dictionaries, and so on.
    pub fn energy_maps(&self, features: Tensor<B, 4>, of_tasks: &[Atoms<B>]) -> Tensor<B, 3> {
        let maps = part(features, of_tasks.len()).into_iter().zip(of_tasks);
        join(maps.map(|(features, atoms)| self.energy_map(features, atoms)).collect())
    }

    /// Energies \[n\] of images \[n,3,H,W\], Eq. (8).
    pub fn energy(&self, images: Tensor<B, 4>, atoms: &Atoms<B>) -> Tensor<B, 1> {
        sparse_coding::energy(self.energy_map(self.features(images), atoms))
    }

    /// Gradient \[n,3,H,W\] in the images of the sum of their energies.
    pub fn image_gradient(&self, images: Tensor<B, 4>, atoms: &Atoms<B>) -> Tensor<B, 4> {
        self.image_gradients(images, std::slice::from_ref(atoms))
    }

    /// As [`EnergyModel::image_gradient`], of images of several tasks, as many of each.
    pub fn image_gradients(&self, images: Tensor<B, 4>, of_tasks: &[Atoms<B>]) -> Tensor<B, 4> {
        let tape = self.backbone.forward(&self.operations, &images);
        let features = part(tape.features.clone(), of_tasks.len()).into_iter().zip(of_tasks);
        let gradient = join(
            features
                .map(|(features, atoms)| {
                    sparse_coding::features_gradient(features, atoms, &self.sparse_coding)
                })
                .collect(),
        );
        self.backbone.vjp(&self.operations, &tape, &gradient)
    }
}

/// Tensors of several tasks along their first axis.
pub fn join<B: Backend, const D: usize>(mut of_tasks: Vec<Tensor<B, D>>) -> Tensor<B, D> {
    match of_tasks.len() {
        1 => of_tasks.remove(0),
        _ => Tensor::cat(of_tasks, 0),
    }
}

/// The tensors of so many tasks that [`join`] put together, each as long as the others.
pub fn part<B: Backend, const D: usize>(joined: Tensor<B, D>, tasks: usize) -> Vec<Tensor<B, D>> {
    match tasks {
        1 => vec![joined],
        tasks => joined.chunk(tasks, 0),
    }
}
