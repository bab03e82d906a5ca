//! The layer as it ships: codes and energies of one image after the other, with everything packed that depends on the
//! dictionary alone, and nothing allocated once the buffers have their size. The equations as they stand are in
//! [`super::codes`] and [`super::energy_map`]; this is the same, fast.
//!
//! Positions lie in panels of 16, so that one instruction serves many of them, and panels in blocks that pass
//! through all iterations together.

mod neighbourhoods;

use std::sync::Arc;

use ndarray::{Array3, ArrayView2, ArrayView3};
use sparsight_schemas::{Shrinkage, SparseCodingConfig};

use self::neighbourhoods::Neighbourhoods;
use super::{
    Atoms,
    energy::{price, sign},
    lambdas,
    sigmoid::{multiply_by_slope, shrink_all},
};
use crate::matrix::packed::{BLOCK, LANES, Lanes, Packed};

/// Where less than this share of |z|^2 is left unexplained, the energy is taken from the residual itself: the difference
/// of |z|^2 and what is explained would have lost too many digits.
const WELL_EXPLAINED: f64 = 0.02;

/// Rows whose products are summed in f32 before they join a sum in f64.
const ROWS_IN_F32: usize = 16;

/// Codes images with one dictionary. A clone shares the dictionary and has buffers of its own.
#[derive(Clone, Debug)]
pub struct Coder {
    matrices: Arc<Matrices>,
    neighbourhoods: Neighbourhoods,
    buffers: Buffers,
    energy_map: Vec<f32>,
}

/// What depends on the dictionary and the settings alone.
#[derive(Debug)]
struct Matrices {
    /// D', \[A, m\].
    atoms: Packed,
    /// -D, \[m, A\].
    minus_dictionary: Packed,
    /// I - D'D, \[A, A\]: with it a + D'(z - D a) is one product and one sum.
    step: Packed,
    receptive_field: usize,
    lambdas: Vec<f32>,
    shrinkage: Shrinkage,
    tau: f32,
    /// What a code's size counts for in half the energy; 0 where it counts for nothing.
    price: f32,
}

/// Panels of one block of positions; each is \[panels, rows\] with as many rows as its letter has.
#[derive(Clone, Debug, Default)]
struct Buffers {
    /// z, m rows.
    z: Vec<Lanes>,
    /// D'z, A rows.
    correlations: Vec<Lanes>,
    /// The codes a, A rows.
    codes: Vec<Lanes>,
    /// What is to become the codes, A rows.
    next: Vec<Lanes>,
    /// z - D a, and at last the gradient in z, m rows.
    residual: Vec<Lanes>,
    /// What every shrinkage was given, A rows each; for the gradient alone.
    inputs: Vec<Lanes>,
}

impl Coder {
    /// Packs the matrices of `atoms`.
    pub fn new(atoms: &Atoms, config: &SparseCodingConfig) -> Self {
        let (d, gram) = (&atoms.atoms, &atoms.gram);
        let (count, values) = d.dim();
        let identity = |row, column| if row == column { 1.0 } else { 0.0 };
        let matrices = Matrices {
            atoms: Packed::new(count, values, |atom, i| d[(atom, i)]),
            minus_dictionary: Packed::new(values, count, |i, atom| -d[(atom, i)]),
            step: Packed::new(count, count, |row, column| identity(row, column) - gram[(row, column)]),
            receptive_field: config.receptive_field,
            lambdas: lambdas(config),
            shrinkage: config.shrinkage,
            tau: config.tau as f32,
            price: price(config) as f32,
        };
        let neighbourhoods = Neighbourhoods::new(config.receptive_field);
        Self { matrices: Arc::new(matrices), neighbourhoods, buffers: Buffers::default(), energy_map: vec![] }
    }

    /// Number of atoms.
    pub fn atom_count(&self) -> usize {
        self.matrices.atoms.rows()
    }

    /// The energy map \[h, w\] of `features` \[d, h, w\], as [`super::energy_map`] of one image.
    ///
    /// Allocates only where an image has more positions than those before.
    ///
    /// # Panics
    /// If the atoms have not d l l values.
    pub fn energy_map(&mut self, features: ArrayView3<f32>) -> ArrayView2<'_, f32> {
        let shape = self.read(features);
        let Self { matrices, neighbourhoods, buffers, energy_map } = self;
        for (block, energies) in energy_map.chunks_mut(BLOCK * LANES).enumerate() {
            buffers.read_block(matrices, neighbourhoods, block * BLOCK, energies.len());
            buffers.iterate(matrices, |_| {});
            buffers.energies(matrices, energies);
        }
        self.map(shape)
    }

    /// The energy map, and the gradient \[d, h, w\] of its mean in the features, as [`super::features_gradient`] of one
    /// image, in one pass. The mean is over the positions that are 1 in `inside` \[h, w\], 0 elsewhere; none for all.
    ///
    /// # Panics
    /// If the atoms have not d l l values, or `inside` has another shape than the map.
    pub fn energy_map_and_gradient(
        &mut self,
        features: ArrayView3<f32>,
        inside: Option<ArrayView2<f32>>,
    ) -> (ArrayView2<'_, f32>, Array3<f32>) {
        let shape = self.read(features);
        let Self { matrices, neighbourhoods, buffers, energy_map } = self;
        assert!(inside.is_none_or(|inside| inside.dim() == shape), "shape of what is inside");
        let inside: Option<Vec<f32>> = inside.map(|inside| inside.iter().copied().collect());
        let count = inside.as_ref().map_or(energy_map.len() as f32, |inside| inside.iter().sum());
        let slope = 2.0 / (count * matrices.atoms.inner() as f32);
        let mut inputs = std::mem::take(&mut buffers.inputs);
        for (block, energies) in energy_map.chunks_mut(BLOCK * LANES).enumerate() {
            buffers.read_block(matrices, neighbourhoods, block * BLOCK, energies.len());
            inputs.clear();
            buffers.iterate(matrices, |u| inputs.extend_from_slice(u));
            buffers.energies(matrices, energies);
            buffers.gradient(matrices, &inputs, slope);
            if let Some(inside) = &inside {
                buffers.limit_gradient(&inside[block * BLOCK * LANES..][..energies.len()]);
            }
            neighbourhoods.add_back(&buffers.residual, block * BLOCK);
        }
        self.buffers.inputs = inputs;
        let gradient = self.neighbourhoods.take_gradient(features.dim());
        (self.map(shape), gradient)
    }

    /// Makes the features of an image ready to be read by block.
    fn read(&mut self, features: ArrayView3<f32>) -> (usize, usize) {
        let (d, h, w) = features.dim();
        let l = self.matrices.receptive_field;
        assert_eq!(d * l * l, self.matrices.atoms.inner(), "values of a position and of an atom");
        self.neighbourhoods.read(features);
        self.energy_map.resize(h * w, 0.0);
        (h, w)
    }

    fn map(&self, shape: (usize, usize)) -> ArrayView2<'_, f32> {
        ArrayView2::from_shape(shape, &self.energy_map).expect("a value for each position")
    }
}

impl Matrices {
    /// What the codes of every column cost: 2 p |a|_1.
    fn paid(&self, codes: &[Lanes]) -> [f64; LANES] {
        if self.price == 0.0 {
            return [0.0; LANES];
        }
        sums(codes, f32::abs).map(|size| 2.0 * f64::from(self.price) * size)
    }
}

impl Buffers {
    /// Reads z of `positions` positions from the panel `first` on, and computes D'z.
    fn read_block(
        &mut self,
        matrices: &Matrices,
        neighbourhoods: &Neighbourhoods,
        first: usize,
        positions: usize,
    ) {
        let panels = positions.div_ceil(LANES);
        let (atoms, values) = (matrices.atoms.rows(), matrices.atoms.inner());
        for (buffer, rows) in [
            (&mut self.z, values),
            (&mut self.residual, values),
            (&mut self.correlations, atoms),
            (&mut self.codes, atoms),
            (&mut self.next, atoms),
        ] {
            buffer.resize(panels * rows, [0.0; LANES]);
        }
        neighbourhoods.gather(&mut self.z, first);
        matrices.atoms.multiply(&self.z, None, &mut self.correlations, atoms);
    }

    /// Eq. (6); `input` sees what every shrinkage is given.
    fn iterate(&mut self, matrices: &Matrices, mut input: impl FnMut(&[Lanes])) {
        let Self { correlations, codes, next, .. } = self;
        for (n, &lambda) in matrices.lambdas.iter().enumerate() {
            if n == 0 {
                codes.copy_from_slice(correlations); // codes that are still zero need no product
            } else {
                matrices.step.multiply(codes, Some(correlations), next, matrices.step.rows());
                std::mem::swap(codes, next);
            }
            input(codes);
            shrink_all(codes, lambda, matrices.shrinkage, matrices.tau);
        }
    }

    /// The energies of the block's positions: (|z|^2 - 2 a'D'z + a'D'D a) / m, or where that has lost its digits, or
    /// costs more, from the residual; and of the codes' sizes, if those count.
    fn energies(&mut self, matrices: &Matrices, energies: &mut [f32]) {
        let (atoms, values) = (matrices.atoms.rows(), matrices.atoms.inner());
        if atoms > values {
            return self.energies_of_residual(matrices, energies);
        }
        // With u = a + D'z - D'D a, 2 a'D'z - a'D'D a is a'(D'z - a + u).
        self.begin_next(matrices);
        for (panel, energies) in energies.chunks_mut(LANES).enumerate() {
            let (z, rows) = (panel * values..(panel + 1) * values, panel * atoms..(panel + 1) * atoms);
            let square = squares(&self.z[z.clone()]);
            let paid = matrices.paid(&self.codes[rows.clone()]);
            let explained = explained(
                &self.codes[rows.clone()],
                &self.correlations[rows.clone()],
                &self.next[rows.clone()],
            );
            let rest: [f64; LANES] = std::array::from_fn(|lane| square[lane] - explained[lane]);
            let exact = (0..energies.len()).all(|lane| rest[lane] >= WELL_EXPLAINED * square[lane]);
            let rest = if exact {
                rest
            } else {
                let residual = &mut self.residual[z.clone()];
                matrices.minus_dictionary.multiply(&self.codes[rows], Some(&self.z[z]), residual, values);
                squares(residual)
            };
            mean(rest, paid, values, energies);
        }
    }

    /// a + D'(z - D a): what the next iteration would begin with.
    fn begin_next(&mut self, matrices: &Matrices) {
        matrices.step.multiply(&self.codes, Some(&self.correlations), &mut self.next, matrices.atoms.rows());
    }

    /// Leaves no gradient at positions that are 0 in `inside`.
    fn limit_gradient(&mut self, inside: &[f32]) {
        let values = self.residual.len() / inside.len().div_ceil(LANES);
        for (panel, inside) in self.residual.chunks_exact_mut(values).zip(inside.chunks(LANES)) {
            for row in panel {
                row.iter_mut().zip(inside).for_each(|(gradient, inside)| *gradient *= inside);
            }
        }
    }

    /// As [`Buffers::energies`], from the residual z - D a.
    fn energies_of_residual(&mut self, matrices: &Matrices, energies: &mut [f32]) {
        let (atoms, values) = (matrices.atoms.rows(), matrices.atoms.inner());
        matrices.minus_dictionary.multiply(&self.codes, Some(&self.z), &mut self.residual, values);
        for (panel, energies) in energies.chunks_mut(LANES).enumerate() {
            let rest = squares(&self.residual[panel * values..][..values]);
            let paid = matrices.paid(&self.codes[panel * atoms..][..atoms]);
            mean(rest, paid, values, energies);
        }
    }

    /// `slope` (r - D s), the gradient in z of what has the slope `slope` r in r = z - D a, and -`slope` p sign(a) in a for the
    /// price p of a code; `inputs` are those of every shrinkage. s is what comes back of D'r - p sign(a) through all
    /// iterations, and r - D s is z - D (a + s): one product with D.
    fn gradient(&mut self, matrices: &Matrices, inputs: &[Lanes], slope: f32) {
        self.begin_next(matrices);
        let Self { correlations, codes, next, residual, z, .. } = self;
        let sums = correlations; // a + s, from a on
        for ((sum, code), next) in
            sums.as_flattened_mut().iter_mut().zip(codes.as_flattened_mut()).zip(next.as_flattened())
        {
            *sum = *code;
            *code = next - *code - matrices.price * sign(*code); // D'r - p sign(a)
        }
        let inputs = inputs.chunks_exact(codes.len().max(1));
        for (n, (u, &lambda)) in inputs.zip(&matrices.lambdas).enumerate().rev() {
            multiply_by_slope(codes, u, lambda, matrices.shrinkage, matrices.tau);
            let sums = sums.as_flattened_mut().iter_mut();
            sums.zip(codes.as_flattened()).for_each(|(sum, gradient)| *sum += gradient);
            if n > 0 {
                matrices.step.multiply(codes, None, next, matrices.step.rows());
                std::mem::swap(codes, next);
            }
        }
        matrices.minus_dictionary.multiply(sums, Some(z), residual, matrices.minus_dictionary.rows());
        residual.as_flattened_mut().iter_mut().for_each(|value| *value *= slope);
    }
}

/// a'(b - a + u) of every column.
fn explained(codes: &[Lanes], correlations: &[Lanes], next: &[Lanes]) -> [f64; LANES] {
    let mut sums = [0.0; LANES];
    for ((a, b), u) in codes.iter().zip(correlations).zip(next) {
        for lane in 0..LANES {
            sums[lane] += f64::from(a[lane]) * f64::from(b[lane] - a[lane] + u[lane]);
        }
    }
    sums
}

/// The squared norm of every column.
fn squares(values: &[Lanes]) -> [f64; LANES] {
    sums(values, |value| value * value)
}

/// The sum of a term of every value, by column.
fn sums(values: &[Lanes], term: impl Fn(f32) -> f32) -> [f64; LANES] {
    let mut sums = [0.0; LANES];
    for rows in values.chunks(ROWS_IN_F32) {
        let mut part = [0.0; LANES];
        for row in rows {
            for lane in 0..LANES {
                part[lane] += term(row[lane]);
            }
        }
        for lane in 0..LANES {
            sums[lane] += f64::from(part[lane]);
        }
    }
    sums
}

/// The energies of positions with these squared norms of residuals and this paid for their codes: finite for every finite
/// input, beyond f32 the largest one.
fn mean(squares: [f64; LANES], paid: [f64; LANES], values: usize, energies: &mut [f32]) {
    for ((energy, square), paid) in energies.iter_mut().zip(squares).zip(paid) {
        *energy = ((square + paid) / values as f64).min(f64::from(f32::MAX)) as f32;
    }
}
