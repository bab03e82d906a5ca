//! The sparse coding layer in f32 on arrays: support features become atoms, a query is explained by few of them,
//! and what they can't explain is its energy. The training half has the same functions in the same order on its own
//! tensors; golden cases pin both. [`Coder`] does all of it at once, fast; the functions are the equations as they stand.
//!
//! Shapes: n images, h x w positions, d channels, receptive field l, m = d l l values of a position, A atoms.

mod atoms;
mod coder;
mod codes;
mod energy;
mod sigmoid;
mod spectral_norm;
mod unfold;

pub use atoms::{Atoms, UnitAtoms, dictionary};
pub use coder::Coder;
pub use codes::{codes, lambdas, shrink};
pub use energy::{energy, energy_map, features_gradient, is_energy};
pub use spectral_norm::largest_eigenvalue;
pub use unfold::{fold, unfold};
