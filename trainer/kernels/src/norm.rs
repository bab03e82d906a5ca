//! Standardisation of groups of values to mean 0 and variance 1, its vector-Jacobian product (VJP), and the VJP's own
//! gradients. `length` values make a group; with r the inverse deviation and s = r (x - mean(x)).

use crate::parallel::{collect, map, sum};

fn mean(x: &[f32], y: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    sum(x, y, term) / x.len() as f32
}

/// s and, one for each group, r = 1 / sqrt(variance + epsilon), the variance being the biased one.
pub fn standardize(x: &[f32], length: usize, epsilon: f32) -> (Vec<f32>, Vec<f32>) {
    let statistics = map(x.len() / length, |group| {
        let x = &x[group * length..][..length];
        let centre = mean(x, x, |x, _| x);
        let variance = mean(x, x, |x, _| (x - centre) * (x - centre));
        (centre, 1.0 / (variance + epsilon).sqrt())
    });
    let standardized = collect(x.len(), length, |group| {
        let (centre, r) = statistics[group];
        x[group * length..].iter().map(move |x| (x - centre) * r)
    });
    (standardized, statistics.into_iter().map(|(_, r)| r).collect())
}

/// r (v - mean(v) - s mean(v s)): the VJP of s in x. It is its own transpose as a linear map of v.
pub fn standardize_vjp(s: &[f32], r: &[f32], v: &[f32], length: usize) -> Vec<f32> {
    collect(s.len(), length, |group| {
        let ([s, v], r) = ([s, v].map(|x| &x[group * length..][..length]), r[group]);
        let (centre, along) = (mean(v, v, |v, _| v), mean(v, s, |v, s| v * s));
        s.iter().zip(v).map(move |(s, v)| r * (v - centre - s * along))
    })
}

/// The gradient in s of c's product with [`standardize_vjp`]: -r (c mean(v s) + v mean(c s)).
pub fn standardize_vjp_gradient(s: &[f32], r: &[f32], v: &[f32], c: &[f32], length: usize) -> Vec<f32> {
    collect(s.len(), length, |group| {
        let [s, v, c] = [s, v, c].map(|x| &x[group * length..][..length]);
        let (of_v, of_c) = (-r[group] * mean(c, s, |c, s| c * s), -r[group] * mean(v, s, |v, s| v * s));
        v.iter().zip(c).map(move |(v, c)| v * of_v + c * of_c)
    })
}

/// For each group the sum of x y.
pub fn group_sums(x: &[f32], y: &[f32], length: usize) -> Vec<f32> {
    map(x.len() / length, |group| {
        let (x, y) = (&x[group * length..][..length], &y[group * length..][..length]);
        sum(x, y, |x, y| x * y)
    })
}

/// x times its group's factor.
pub fn scale_groups(x: &[f32], factors: &[f32], length: usize) -> Vec<f32> {
    collect(x.len(), length, |group| {
        let factor = factors[group];
        x[group * length..].iter().map(move |x| x * factor)
    })
}
