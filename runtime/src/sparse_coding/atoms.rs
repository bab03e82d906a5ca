//! The dictionary of the sparse coding layer as a matrix of atoms, scaled so that the iterations converge.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayView4, Axis};

use super::{spectral_norm::largest_eigenvalue, unfold};
use crate::matrix;

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
    pub fn from_unfolded(unfolded: Array2<f32>) -> Self {
        let UnitAtoms { atoms, gram } = UnitAtoms::new(unfolded);
        Self::scaled(atoms, gram)
    }

    /// Divides atoms of unit length by their spectral norm.
    fn scaled(mut atoms: Array2<f32>, mut gram: Array2<f32>) -> Self {
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

/// Atoms of unit length, which many dictionaries share: only the last division depends on which of them are together.
#[derive(Clone, Debug)]
pub struct UnitAtoms {
    /// \[A, m\].
    atoms: Array2<f32>,
    /// Their products with each other, \[A, A\].
    gram: Array2<f32>,
}

impl UnitAtoms {
    /// Of rows of the unfolded support features, \[A, m\].
    pub fn new(mut atoms: Array2<f32>) -> Self {
        for mut atom in atoms.rows_mut() {
            let norm =
                atom.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt().max(SMALLEST_NORM);
            atom.mapv_inplace(|value| (f64::from(value) / norm) as f32);
        }
        Self { gram: matrix::gram(atoms.view()), atoms }
    }

    /// The dictionary of some of them, the same as [`Atoms::from_unfolded`] makes of their rows.
    ///
    /// # Panics
    /// If there are fewer atoms than one of `chosen` says.
    pub fn together(&self, chosen: &[usize]) -> Atoms {
        let gram = Array2::from_shape_fn((chosen.len(), chosen.len()), |(row, column)| {
            self.gram[(chosen[row], chosen[column])]
        });
        Atoms::scaled(self.atoms.select(Axis(0), chosen), gram)
    }
}

/// The spectral norm of a matrix, from its Gram matrix.
fn spectral_norm(gram: &Array2<f32>) -> f64 {
    let product = |vector: &Array1<f64>| gram.map_axis(Axis(1), |row| dot(row, vector.view()));
    largest_eigenvalue(gram.nrows(), 1e-12, product).sqrt()
}

/// The product of two vectors in f64, as so many sums that registers hold several.
fn dot(row: ArrayView1<f32>, vector: ArrayView1<f64>) -> f64 {
    let mut sums = [0.0; 8];
    if let (Some(row), Some(vector)) = (row.as_slice(), vector.as_slice()) {
        let ((row, row_rest), (vector, vector_rest)) = (row.as_chunks::<8>(), vector.as_chunks::<8>());
        for (row, vector) in row.iter().zip(vector) {
            for i in 0..8 {
                sums[i] += f64::from(row[i]) * vector[i];
            }
        }
        let rest = row_rest.iter().zip(vector_rest).map(|(entry, value)| f64::from(*entry) * value);
        return sums.iter().sum::<f64>() + rest.sum::<f64>();
    }
    row.iter().zip(vector).map(|(entry, value)| f64::from(*entry) * value).sum()
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
    fn atoms_that_are_chosen_are_those_of_their_rows() {
        let rows = Array2::from_shape_fn((40, 27), |(row, i)| ((row * 31 + i * 17) as f32).sin());
        let chosen = [3, 4, 9, 17, 30, 39];
        let together = UnitAtoms::new(rows.clone()).together(&chosen);
        let expected = Atoms::from_unfolded(rows.select(Axis(0), &chosen));
        assert_eq!((together.atoms, together.gram), (expected.atoms, expected.gram));
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
