//! Tensors of several tasks in one, one task after the other along the first axis. What is computed of them lives elsewhere.

use burn::tensor::{Tensor, backend::Backend};

/// The tensors of several tasks, at least one, in one.
pub fn join<B: Backend, const D: usize>(mut of_tasks: Vec<Tensor<B, D>>) -> Tensor<B, D> {
    match of_tasks.len() {
        1 => of_tasks.remove(0),
        _ => Tensor::cat(of_tasks, 0),
    }
}

/// The tensors of so many tasks that [`join`] put together, each as long as the others.
///
/// # Panics
/// They can't be as long.
pub fn part<B: Backend, const D: usize>(joined: Tensor<B, D>, tasks: usize) -> Vec<Tensor<B, D>> {
    assert!(joined.dims()[0].is_multiple_of(tasks), "{tasks} tasks of {} rows", joined.dims()[0]);
    match tasks {
        1 => vec![joined],
        tasks => joined.chunk(tasks, 0),
    }
}
