//! Shrinkage and its derivative for many values at once. The exponential is a polynomial, good to a relative 3e-7,
//! because no library's exponential works on a register of values.

use sparsight_schemas::Shrinkage;

use crate::matrix::packed::{Lanes, for_the_machine, multiply_add};

for_the_machine! {
    /// `values <- shrink(values, lambda)`, as [`super::shrink`] does for one value.
    pub(super) fn shrink_all(values: &mut [Lanes], lambda: f32, shrinkage: Shrinkage, tau: f32) {
        match shrinkage {
            Shrinkage::Sigmoid => {
                for u in values.as_flattened_mut() {
                    *u *= sigmoid::<FUSED>(tau * (u.abs() - lambda));
                }
            }
            Shrinkage::Soft => {
                for u in values.as_flattened_mut() {
                    *u = (u.abs() - lambda).max(0.0).copysign(*u);
                }
            }
            Shrinkage::None => {}
        }
    }
}

for_the_machine! {
    /// `gradients <- gradients * slope`, the slope being that of [`shrink_all`] at `values`.
    pub(super) fn multiply_by_slope(
        gradients: &mut [Lanes],
        values: &[Lanes],
        lambda: f32,
        shrinkage: Shrinkage,
        tau: f32,
    ) {
        let pairs = gradients.as_flattened_mut().iter_mut().zip(values.as_flattened());
        match shrinkage {
            Shrinkage::Sigmoid => {
                for (gradient, &u) in pairs {
                    let s = sigmoid::<FUSED>(tau * (u.abs() - lambda));
                    *gradient *= s + tau * u.abs() * s * (1.0 - s);
                }
            }
            Shrinkage::Soft => {
                for (gradient, &u) in pairs {
                    *gradient *= if u.abs() > lambda { 1.0 } else { 0.0 };
                }
            }
            Shrinkage::None => {}
        }
    }
}

/// 1 / (1 + exp(-x)), whatever x is but NaN.
#[inline(always)]
fn sigmoid<const FUSED: bool>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<FUSED>(-x))
}

/// exp(x) for x in \[-87, 87\], and beyond them what it is there: it keeps a finite exponent.
#[inline(always)]
fn exp<const FUSED: bool>(x: f32) -> f32 {
    // Added to a small number, it leaves the nearest whole number in the lowest bits.
    const ROUNDING: f32 = 1.5 * (1 << 23) as f32;
    // ln 2 in two parts; the first has so few digits that its products with whole numbers are exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let x = x.clamp(-87.0, 87.0);
    let rounded = multiply_add::<FUSED>(x, std::f32::consts::LOG2_E, ROUNDING);
    let whole = rounded - ROUNDING;
    let r = multiply_add::<FUSED>(whole, -LN_2[1], multiply_add::<FUSED>(whole, -LN_2[0], x));
    // exp(r) on |r| <= ln 2 / 2, by Taylor's series to the sixth power and the minimax coefficients of Cephes.
    let mut series = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        series = multiply_add::<FUSED>(series, r, coefficient);
    }
    let series = multiply_add::<FUSED>(series, r * r, r) + 1.0;
    let power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(1.0f32.to_bits()));
    series * power
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{matrix::packed::with_each_kind_of_instructions, sparse_coding::codes::shrink_derivative};

    const KINDS: [Shrinkage; 3] = [Shrinkage::Sigmoid, Shrinkage::Soft, Shrinkage::None];

    /// Numbers of both signs and every size, whole panels of them.
    fn values() -> Vec<Lanes> {
        let value = |i: usize| {
            let size = 10f32.powf((i % 97) as f32 / 12.0 - 6.0);
            [size, -size][i % 2]
        };
        (0..200).map(|panel| std::array::from_fn(|lane| value(panel * 31 + lane))).collect()
    }

    #[test]
    fn the_exponential_is_that_of_float64_to_a_relative_3e_7() {
        for i in -870_000..=870_000 {
            let x = i as f32 * 1e-4;
            let expected = f64::from(x).exp();
            for computed in [exp::<true>(x), exp::<false>(x)] {
                assert!((f64::from(computed) / expected - 1.0).abs() <= 3e-7, "{x}: {computed} {expected}");
            }
        }
    }

    #[test]
    fn many_values_shrink_like_one_in_float64() {
        for shrinkage in KINDS {
            for lambda in [0.3f32, 0.05] {
                with_each_kind_of_instructions(|| compare_shrunk(lambda, shrinkage));
            }
        }
    }

    fn compare_shrunk(lambda: f32, shrinkage: Shrinkage) {
        let mut shrunk = values();
        shrink_all(&mut shrunk, lambda, shrinkage, 20.0);
        for (u, shrunk) in values().as_flattened().iter().zip(shrunk.as_flattened()) {
            let exact = f64::from(*u);
            let x = 20.0 * (exact.abs() - f64::from(lambda));
            let expected = match shrinkage {
                Shrinkage::Sigmoid => exact / (1.0 + (-x).exp()),
                Shrinkage::Soft => exact.signum() * (exact.abs() - f64::from(lambda)).max(0.0),
                Shrinkage::None => exact,
            };
            // |u| - lambda is rounded before it is multiplied by tau.
            let bound = 3e-6 * expected.abs() + 1e-7 * f64::from(u.abs().min(lambda));
            assert!((f64::from(*shrunk) - expected).abs() <= bound, "{u}: {shrunk} {expected}");
        }
    }

    #[test]
    fn slopes_are_those_of_one_value() {
        let compare = |shrinkage: Shrinkage| {
            let mut slopes = vec![[1.0; 16]; 200];
            multiply_by_slope(&mut slopes, &values(), 0.3, shrinkage, 20.0);
            for (u, slope) in values().as_flattened().iter().zip(slopes.as_flattened()) {
                let expected = shrink_derivative(*u, 0.3, shrinkage, 20.0);
                assert!((slope - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{u}: {slope} {expected}");
            }
        };
        KINDS.iter().for_each(|kind| with_each_kind_of_instructions(|| compare(*kind)));
    }

    #[test]
    fn values_beyond_any_exponent_stay_finite_and_grow_no_larger() {
        for shrinkage in KINDS {
            let mut shrunk = [[
                f32::MAX,
                f32::MIN,
                f32::MIN_POSITIVE,
                0.0,
                -0.0,
                1e18,
                -1e18,
                88.0,
                1.0,
                0.1,
                -0.1,
                0.3,
                -0.3,
                9.0,
                -9.0,
                87.0,
            ]];
            let values = shrunk;
            shrink_all(&mut shrunk, 0.3, shrinkage, 1e6);
            assert!(values[0].iter().zip(shrunk[0]).all(|(u, shrunk)| shrunk.abs() <= u.abs()), "{shrunk:?}");
        }
    }
}
