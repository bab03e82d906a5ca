//! The dictionary of the sparse coding layer as a matrix of atoms, scaled so that the iterations converge.

use ndarray::{Array1, Array2, ArrayView2, ArrayView4, Axis};

use super::{spectral_norm::largest_eigenvalue, unfold};
use crate::matrix::product;

/// Norms below this count as this much, so that an atom of zeros stays zero.
const SMALLEST_NORM: f64 = 1e-8;

/// The dictionary D and its Gram matrix, ready for Eq. (6) with step 1.
#[derive(Clone, Debug)]
pub struct Atoms {
    /// D': one atom a row, \[A, m\].
    pub(super) atoms: Array2<f32>,
    /// D'D, \[A, A\].
    pub(super) gram: Array2<f32>,
}

/// D of `support_features` \[k, d, h, w\]: every unfolded position is an atom, in the order (shot, y, x); each is
/// divided by its l2 norm (at least 1e-8), then all by the spectral norm of the whole matrix.
pub fn dictionary(support_features: ArrayView4<f32>, receptive_field: usize) -> Atoms {
    Atoms::from_unfolded(unfold(support_features, receptive_field))
}

impl Atoms {
    /// As [`dictionary`], from some rows of the unfolded support features, \[A, m\].
    pub fn from_unfolded(mut atoms: Array2<f32>) -> Self {
        for mut atom in atoms.rows_mut() {
            let norm =
                atom.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt().max(SMALLEST_NORM);
            atom.mapv_inplace(|value| (f64::from(value) / norm) as f32);
        }
        let mut gram = product(atoms.view(), atoms.t());
        let norm = spectral_norm(&gram).max(SMALLEST_NORM);
        let scale = 1.0 / norm;
        atoms.mapv_inplace(|value| (f64::from(value) * scale) as f32);
        gram.mapv_inplace(|value| (f64::from(value) * (scale * scale)) as f32);
        Self { atoms, gram }
    }

    /// D, \[m, A\].
    pub fn dictionary(&self) -> ArrayView2<'_, f32> {
        self.atoms.t()
    }

    /// Number of atoms A.
    pub fn count(&self) -> usize {
        self.atoms.nrows()
    }
}

/// The spectral norm of a matrix, from its Gram matrix.
fn spectral_norm(gram: &Array2<f32>) -> f64 {
    let mut row_in_f64 = Array1::zeros(gram.ncols());
    let square = largest_eigenvalue(gram.nrows(), 1e-12, |vector| {
        gram.map_axis(Axis(1), |row| {
            row_in_f64.zip_mut_with(&row, |exact, &entry| *exact = f64::from(entry));
            row_in_f64.dot(vector)
        })
    });
    square.sqrt()
}

#[cfg(test)]
mod tests {
    use ndarray::Array4;

    use super::*;

    #[test]
    fn the_spectral_norm_of_the_dictionary_is_one() {
        let features =
            Array4::from_shape_fn((2, 3, 2, 2), |(a, b, c, d)| ((a * 5 + b * 3 + c * 7 + d) as f32).sin());
        let atoms = dictionary(features.view(), 3);
        assert_eq!((atoms.count(), atoms.dictionary().dim()), (8, (27, 8)));
        assert!((spectral_norm(&atoms.gram) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn features_of_zeros_make_atoms_of_zeros() {
        let atoms = dictionary(Array4::zeros((1, 2, 2, 2)).view(), 1);
        assert!(atoms.dictionary().iter().all(|value| *value == 0.0));
    }

    #[test]
    fn a_feature_and_its_negative_have_the_norm_of_both() {
        let features = Array4::from_shape_fn(
            (2, 4, 1, 1),
            |(shot, c, _, _)| if shot == 0 { 0.5 } else { -0.5 } * c as f32,
        );
        let atoms = dictionary(features.view(), 1);
        // Two atoms of length 1 on one line have spectral norm sqrt(2).
        for atom in atoms.dictionary().columns() {
            assert!((atom.dot(&atom) - 0.5).abs() < 1e-6);
        }
    }
}
