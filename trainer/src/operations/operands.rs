//! Tensors of a backend that is not known by its type as those of one that is, and back, inside and outside of a graph of
//! automatic differentiation. What is computed with them is `kernels`' and `nodes`'.

use std::any::Any;

use burn::{
    backend::{
        Autodiff,
        autodiff::{
            checkpoint::strategy::NoCheckpointing,
            ops::{Backward, OpsKind},
        },
    },
    tensor::{Tensor, TensorPrimitive, backend::Backend, ops::FloatTensor},
};

/// What an operation takes, and where differentiated the tensors of the graph.
pub struct Operands<C: Backend, const N: usize> {
    /// The tensors' values.
    pub values: [FloatTensor<C>; N],
    differentiated: Option<[FloatTensor<Autodiff<C>>; N]>,
}

impl<C: Backend, const N: usize> Operands<C, N> {
    /// The operands where all inputs are of backend `C`, differentiated or not; elsewhere none.
    pub fn of<B: Backend, const D: usize>(inputs: [&Tensor<B, D>; N]) -> Option<Self> {
        let plain = |x: &dyn Any| Some(x.downcast_ref::<Tensor<C, D>>()?.clone().into_primitive().tensor());
        let differentiated =
            |x: &dyn Any| Some(x.downcast_ref::<Tensor<Autodiff<C>, D>>()?.clone().into_primitive().tensor());
        let all = inputs.map(|x| x as &dyn Any);
        if let Some(values) = every(all.map(plain)) {
            return Some(Self { values, differentiated: None });
        }
        let differentiated = every(all.map(differentiated))?;
        let values = differentiated.clone().map(|x| x.primitive);
        Some(Self { values, differentiated: Some(differentiated) })
    }

    /// The output as a tensor, as a node of the graph where the inputs are in one.
    pub fn record<B: Backend, const E: usize>(
        &self,
        node: impl Backward<C, N, State = Vec<FloatTensor<C>>>,
        kept: Vec<FloatTensor<C>>,
        output: FloatTensor<C>,
    ) -> Option<Tensor<B, E>> {
        let output: Box<dyn Any> = match &self.differentiated {
            None => Box::new(Tensor::<C, E>::from_primitive(TensorPrimitive::Float(output))),
            Some(inputs) => {
                let nodes = inputs.clone().map(|input| input.node);
                let output = match node.prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
                    OpsKind::Tracked(step) => step.finish(kept, output),
                    OpsKind::UnTracked(step) => step.finish(output),
                };
                Box::new(Tensor::<Autodiff<C>, E>::from_primitive(TensorPrimitive::Float(output)))
            }
        };
        output.downcast().ok().map(|output| *output)
    }
}

fn every<T, const N: usize>(found: [Option<T>; N]) -> Option<[T; N]> {
    found.iter().all(Option::is_some).then(|| found.map(|x| x.unwrap_or_else(|| unreachable!())))
}
