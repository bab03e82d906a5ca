//! Loops over single values: the ELU, sigmoid shrinkage and their derivatives, scales and shifts of channels.

use crate::parallel::{collect, map, sum};

/// Values that one thread takes at a time.
const TOGETHER: usize = 1 << 15;

fn map_values(x: &[f32], value: impl Fn(f32) -> f32 + Sync) -> Vec<f32> {
    collect(x.len(), TOGETHER, |chunk| x[chunk * TOGETHER..].iter().map(|x| value(*x)))
}

fn map_pairs(x: &[f32], y: &[f32], value: impl Fn(f32, f32) -> f32 + Sync) -> Vec<f32> {
    collect(x.len(), TOGETHER, |chunk| {
        let [x, y] = [x, y].map(|values| &values[chunk * TOGETHER..]);
        x.iter().zip(y).map(|(x, y)| value(*x, *y))
    })
}

fn map_triples(x: &[f32], y: &[f32], z: &[f32], value: impl Fn(f32, f32, f32) -> f32 + Sync) -> Vec<f32> {
    collect(x.len(), TOGETHER, |chunk| {
        let [x, y, z] = [x, y, z].map(|values| &values[chunk * TOGETHER..]);
        x.iter().zip(y).zip(z).map(|((x, y), z)| value(*x, *y, *z))
    })
}

/// x above zero, exp(x) - 1 elsewhere.
pub fn elu(x: &[f32]) -> Vec<f32> {
    map_values(x, |x| x.max(0.0) + (exp_of_negative(x) - 1.0))
}

/// g times the ELU's slope at x, exp(min(x, 0)).
pub fn elu_vjp(x: &[f32], g: &[f32]) -> Vec<f32> {
    map_pairs(x, g, |x, g| g * exp_of_negative(x))
}

/// The gradient in x of c times [`elu_vjp`]: c g exp(x) below zero, nothing above.
pub fn elu_vjp_gradient(x: &[f32], g: &[f32], c: &[f32]) -> Vec<f32> {
    map_triples(x, g, c, |x, g, c| if x < 0.0 { c * g * exp_of_negative(x) } else { 0.0 })
}

/// Sigmoid shrinkage of u, Eq. (9): u sigmoid(tau (|u| - lambda)).
pub fn shrink(u: &[f32], lambda: f32, tau: f32) -> Vec<f32> {
    map_values(u, |u| u * gate(u, lambda, tau))
}

/// a times the derivative of [`shrink`] in u, g + tau |u| g (1 - g) with the gate g.
pub fn shrink_vjp(u: &[f32], a: &[f32], lambda: f32, tau: f32) -> Vec<f32> {
    map_pairs(u, a, |u, a| {
        let gate = gate(u, lambda, tau);
        a * (gate + tau * u.abs() * gate * (1.0 - gate))
    })
}

/// c a times the second derivative of [`shrink`] in u, sign(u) tau g (1 - g) (2 + tau |u| (1 - 2 g)).
pub fn shrink_vjp_gradient(u: &[f32], a: &[f32], c: &[f32], lambda: f32, tau: f32) -> Vec<f32> {
    map_triples(u, a, c, |u, a, c| {
        let gate = gate(u, lambda, tau);
        let sign = if u == 0.0 { 0.0 } else { 1.0f32.copysign(u) };
        c * a * sign * tau * gate * (1.0 - gate) * (2.0 + tau * u.abs() * (1.0 - 2.0 * gate))
    })
}

/// sigmoid(tau (|u| - lambda)).
#[inline(always)]
fn gate(u: f32, lambda: f32, tau: f32) -> f32 {
    let x = tau * (u.abs() - lambda);
    let small = exp_of_negative(-x.abs());
    (if x < 0.0 { small } else { 1.0 }) / (1.0 + small)
}

/// exp(min(x, 0)), to a few units in the last place; NaN stays NaN.
#[inline(always)]
fn exp_of_negative(x: f32) -> f32 {
    // 2^k e^r with |r| <= ln(2) / 2, ln(2) in two parts, the polynomial of Cephes' expf.
    const LN2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    const ROUNDER: f32 = 12_582_912.0; // 1.5 * 2^23: what is added to it is rounded to an integer
    let x = if x > 0.0 { 0.0 } else { x };
    let bounded = if x < -87.0 { -87.0 } else { x };
    let shifted = bounded * std::f32::consts::LOG2_E + ROUNDER;
    let k = shifted - ROUNDER;
    let r = bounded - k * LN2[0] - k * LN2[1];
    let coefficients = [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    let series = coefficients.into_iter().fold(1.987_569_2e-4, |sum, c| sum * r + c);
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    (series * r * r + r + 1.0) * power
}

/// x times its channel's scale, plus its channel's shift if there are shifts; x \[n,c,positions\].
pub fn scale(x: &[f32], scale: &[f32], shift: Option<&[f32]>, positions: usize) -> Vec<f32> {
    collect(x.len(), positions, |plane| {
        let channel = plane % scale.len();
        let (scale, shift) = (scale[channel], shift.map_or(0.0, |shift| shift[channel]));
        x[plane * positions..].iter().map(move |x| x * scale + shift)
    })
}

/// For each channel the sum of x y over images and positions; of x alone where there is no y.
pub fn channel_sums(x: &[f32], y: Option<&[f32]>, channels: usize, positions: usize) -> Vec<f32> {
    let images = x.len() / (channels * positions);
    map(channels, |channel| {
        let sum: f64 = (0..images)
            .map(|image| {
                let place = (image * channels + channel) * positions;
                let x = &x[place..place + positions];
                f64::from(match y {
                    Some(y) => sum(x, &y[place..place + positions], |x, y| x * y),
                    None => sum(x, x, |x, _| x),
                })
            })
            .sum();
        sum as f32
    })
}
