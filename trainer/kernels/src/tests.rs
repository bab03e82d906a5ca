//! Every loop against the definition of what it computes, in f64, and every derivative against the law that makes it one.

use crate::{Window, convolution::Convolution, elementwise, norm, product, windows};

/// Reproducible values between -1 and 1.
fn values(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let draw = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(draw).collect()
}

fn dot(x: &[f32], y: &[f32]) -> f64 {
    assert_eq!(x.len(), y.len());
    x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}

#[track_caller]
fn assert_near(actual: &[f32], expected: &[f64], what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-3f64, |most, value| most.max(value.abs()));
    for (i, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        assert!((f64::from(*actual) - expected).abs() < 5e-6 * scale, "{what} {i}: {actual} {expected}");
    }
}

/// Sums over the window of every position, by the definition: visits (result, image, weight).
fn each_product(convolution: Convolution, mut visit: impl FnMut(usize, usize, usize)) {
    let Convolution { images, inputs, outputs, size: [h, w], window } = convolution;
    let [rows, columns] = convolution.result_size();
    for n in 0..images {
        for o in 0..outputs {
            for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
                for i in 0..inputs {
                    for (ky, kx) in (0..window.side).flat_map(|ky| (0..window.side).map(move |kx| (ky, kx))) {
                        let [py, px] = [y * window.stride + ky, x * window.stride + kx];
                        let inside =
                            |p: usize, side: usize| (window.padding..side + window.padding).contains(&p);
                        if inside(py, h) && inside(px, w) {
                            let pixel =
                                ((n * inputs + i) * h + py - window.padding) * w + px - window.padding;
                            let weight = ((o * inputs + i) * window.side + ky) * window.side + kx;
                            visit(((n * outputs + o) * rows + y) * columns + x, pixel, weight);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn convolutions_their_transposes_and_weight_gradients_are_the_sums_that_define_them() {
    let window = |side, stride, padding| Window { side, stride, padding };
    let cases = [
        (3, 3, 9, [32, 64], window(7, 2, 3)),
        (2, 8, 16, [8, 8], window(3, 1, 1)),
        (5, 4, 5, [9, 7], window(3, 2, 1)),
        (3, 40, 8, [4, 4], window(3, 1, 1)),
        (2, 6, 3, [16, 16], window(1, 2, 0)),
        (2, 3, 17, [5, 32], window(1, 1, 0)),
        (1, 2, 3, [11, 10], window(3, 3, 1)),
        (1, 1, 1, [1, 1], window(3, 2, 1)),
        (40, 2, 2, [2, 2], window(5, 1, 2)),
    ];
    for (images, inputs, outputs, size, window) in cases {
        let convolution = Convolution { images, inputs, outputs, size, window };
        let results = outputs * images * convolution.result_size().iter().product::<usize>();
        let x = values(images * inputs * size[0] * size[1], 1);
        let weight = values(outputs * inputs * window.side * window.side, 2);
        let g = values(results, 3);
        let mut expected = [vec![0.0; results], vec![0.0; x.len()], vec![0.0; weight.len()]];
        let product = |a: f32, b: f32| f64::from(a) * f64::from(b);
        each_product(convolution, |result, pixel, k| {
            expected[0][result] += product(x[pixel], weight[k]);
            expected[1][pixel] += product(g[result], weight[k]);
            expected[2][k] += product(g[result], x[pixel]);
        });
        let what = |part: &str| format!("{part} of {convolution:?}");
        assert_near(&convolution.forward(&x, &weight), &expected[0], &what("results"));
        assert_near(&convolution.transposed(&g, &weight), &expected[1], &what("transpose"));
        assert_near(&convolution.weight_gradient(&x, &g), &expected[2], &what("weight's gradient"));
    }
}

#[test]
fn pools_and_neighbourhoods_are_transposes_of_each_other() {
    for (size, window) in [
        ([64, 64], Window { side: 3, stride: 2, padding: 1 }),
        ([7, 9], Window { side: 5, stride: 4, padding: 2 }),
    ] {
        let x = values(3 * size[0] * size[1], 1);
        let pooled = windows::average_pool(&x, size, window);
        let y = values(pooled.len(), 2);
        let back = windows::transposed_average_pool(&y, size, window);
        assert!((dot(&pooled, &y) - dot(&x, &back)).abs() < 1e-4, "{size:?} {window:?}");

        // A pool is a convolution with equal weights.
        let convolution = Convolution { images: 3, inputs: 1, outputs: 1, size, window };
        let weight = vec![1.0 / (window.side * window.side) as f32; window.side * window.side];
        let expected: Vec<f64> = convolution.forward(&x, &weight).into_iter().map(f64::from).collect();
        assert_near(&pooled, &expected, "pool");
    }
    for (shape, l) in [([2, 3, 4, 4], 3), ([1, 2, 1, 5], 5), ([2, 3, 3, 2], 1)] {
        let x = values(shape.iter().product(), 1);
        let rows = windows::unfold(&x, shape, l);
        let y = values(rows.len(), 2);
        assert!((dot(&rows, &y) - dot(&x, &windows::fold(&y, shape, l))).abs() < 1e-4, "{shape:?} {l}");
        let middle = (l * l) / 2;
        assert_eq!(rows[middle], x[0], "the middle of the first neighbourhood is the first position");
    }
}

#[test]
fn elus_and_slopes_are_exact_to_rounding_and_keep_nan() {
    let x: Vec<f32> = (-2000..2000).map(|i| i as f32 * 0.05).collect();
    let g = values(x.len(), 1);
    let slope = |x: f32| f64::from(x.min(0.0)).exp();
    let expected: Vec<f64> = x.iter().map(|x| f64::from(x.max(0.0)) + slope(*x) - 1.0).collect();
    for (actual, expected) in elementwise::elu(&x).iter().zip(expected) {
        assert!(
            (f64::from(*actual) - expected).abs() < 1e-7 * expected.abs().max(1.0),
            "{actual} {expected}"
        );
    }
    for (i, vjp) in elementwise::elu_vjp(&x, &g).into_iter().enumerate() {
        let expected = slope(x[i]) * f64::from(g[i]);
        assert!(
            (f64::from(vjp) - expected).abs() < 5e-7 * expected.abs() + 1e-37,
            "{} {vjp} {expected}",
            x[i]
        );
    }
    let c = values(x.len(), 2);
    for (i, gradient) in elementwise::elu_vjp_gradient(&x, &g, &c).into_iter().enumerate() {
        let expected = if x[i] < 0.0 { slope(x[i]) * f64::from(g[i]) * f64::from(c[i]) } else { 0.0 };
        assert!((f64::from(gradient) - expected).abs() < 1e-6 * expected.abs() + 1e-37, "{}", x[i]);
    }
    assert!(elementwise::elu(&[f32::NAN])[0].is_nan());
    assert_eq!(elementwise::elu(&[f32::INFINITY, f32::NEG_INFINITY]), [f32::INFINITY, -1.0]);
}

#[test]
fn shrinkage_and_its_two_derivatives_are_those_of_the_definition() {
    let (lambda, tau) = (0.3f32, 20.0f32);
    let shrink = |u: f64| u / (1.0 + (-f64::from(tau) * (u.abs() - f64::from(lambda))).exp());
    let u: Vec<f32> = (-400..400).map(|i| (i as f32 + 0.5) * 0.01).collect();
    let [a, c] = [1, 2].map(|seed| values(u.len(), seed));
    let parts = [
        elementwise::shrink(&u, lambda, tau),
        elementwise::shrink_vjp(&u, &a, lambda, tau),
        elementwise::shrink_vjp_gradient(&u, &a, &c, lambda, tau),
    ];
    for i in 0..u.len() {
        let (x, h) = (f64::from(u[i]), 1e-5);
        let [below, at, above] = [x - h, x, x + h].map(shrink);
        let slope = f64::from(a[i]) * (above - below) / (2.0 * h);
        let bend = f64::from(a[i]) * f64::from(c[i]) * (above - 2.0 * at + below) / (h * h);
        for (part, expected, tolerance) in [(0, at, 1e-6), (1, slope, 1e-5), (2, bend, 1e-3)] {
            let actual = f64::from(parts[part][i]);
            assert!((actual - expected).abs() < tolerance, "{part} at {x}: {actual} {expected}");
        }
    }
}

#[test]
fn channels_are_scaled_shifted_and_summed() {
    let (channels, positions) = (3, 37);
    let [x, y] = [1, 2].map(|seed| values(2 * channels * positions, seed));
    let [scale, shift] = [3, 4].map(|seed| values(channels, seed));
    let scaled = elementwise::scale(&x, &scale, Some(&shift), positions);
    let channel = |i: usize| i / positions % channels;
    for (i, value) in scaled.into_iter().enumerate() {
        assert!((value - (x[i] * scale[channel(i)] + shift[channel(i)])).abs() < 1e-6);
    }
    let of = |sum: usize, term: &dyn Fn(usize) -> f32| -> f64 {
        (0..x.len()).filter(|i| channel(*i) == sum).map(|i| f64::from(term(i))).sum()
    };
    let products: Vec<f64> = (0..channels).map(|c| of(c, &|i| x[i] * y[i])).collect();
    assert_near(&elementwise::channel_sums(&x, Some(&y), channels, positions), &products, "products");
    let sums: Vec<f64> = (0..channels).map(|c| of(c, &|i| x[i])).collect();
    assert_near(&elementwise::channel_sums(&x, None, channels, positions), &sums, "sums");
}

/// s and r of one group, by the definition.
fn standardized(x: &[f64], epsilon: f64) -> (Vec<f64>, f64) {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
    let r = 1.0 / (variance + epsilon).sqrt();
    (x.iter().map(|x| (x - mean) * r).collect(), r)
}

fn vjp(s: &[f64], r: f64, v: &[f64]) -> Vec<f64> {
    let mean = |term: &dyn Fn(usize) -> f64| (0..s.len()).map(term).sum::<f64>() / s.len() as f64;
    let (centre, along) = (mean(&|i| v[i]), mean(&|i| v[i] * s[i]));
    (0..s.len()).map(|i| r * (v[i] - centre - s[i] * along)).collect()
}

#[test]
fn standardisation_and_its_derivatives_are_those_of_the_definition() {
    let (length, epsilon) = (45, 1e-5);
    let x = values(2 * length, 1);
    let (s, r) = norm::standardize(&x, length, epsilon as f32);
    let [v, c] = [2, 3].map(|seed| values(2 * length, seed));
    let t = norm::standardize_vjp(&s, &r, &v, length);
    let in_s = norm::standardize_vjp_gradient(&s, &r, &v, &c, length);
    let double = |x: &[f32]| x.iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
    for group in 0..2 {
        let part = |x: &[f32]| x[group * length..][..length].to_vec();
        let [x, v, c] = [&x, &v, &c].map(|x| double(&part(x)));
        let (expected, inverse_deviation) = standardized(&x, epsilon);
        assert_near(&part(&s), &expected, "standardized");
        assert_near(&[r[group]], &[inverse_deviation], "inverse deviation");
        assert_near(&part(&t), &vjp(&expected, inverse_deviation, &v), "vjp");

        // By differences: the VJP of s in x is the gradient of v's product, and its gradient in s that of c's product.
        let along = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let moved = |x: &[f64], i: usize, by: f64| {
            let mut x = x.to_vec();
            x[i] += by;
            x
        };
        let slope = |of: &dyn Fn(f64) -> f64| (of(1e-6) - of(-1e-6)) / 2e-6;
        for i in 0..length {
            let numeric = slope(&|by| along(&standardized(&moved(&x, i, by), epsilon).0, &v));
            assert!((f64::from(part(&t)[i]) - numeric).abs() < 1e-4, "{numeric}");
            let numeric = slope(&|by| along(&vjp(&moved(&expected, i, by), inverse_deviation, &v), &c));
            assert!((f64::from(part(&in_s)[i]) - numeric).abs() < 1e-4, "{numeric}");
        }
    }
    assert_near(&norm::group_sums(&x, &v, length)[..1], &[dot(&x[..length], &v[..length])], "sum");
    assert_eq!(norm::scale_groups(&[1.0, 2.0, 3.0, 4.0], &[2.0, -1.0], 2), [2.0, 4.0, -3.0, -4.0]);
}

#[test]
fn products_are_the_sums_that_define_them_however_the_factors_are_stored() {
    for [m, k, n] in [[9, 70, 35], [160, 33, 64], [1, 1, 1], [8, 5, 31]] {
        let [a, b] = [(m * k, 1), (k * n, 2)].map(|(count, seed)| values(count, seed));
        for (a_transposed, b_transposed) in [(false, false), (true, false), (false, true), (true, true)] {
            let a_at = |i: usize, t: usize| f64::from(a[if a_transposed { t * m + i } else { i * k + t }]);
            let b_at = |t: usize, j: usize| f64::from(b[if b_transposed { j * k + t } else { t * n + j }]);
            let entry = |i: usize, j: usize| (0..k).map(|t| a_at(i, t) * b_at(t, j)).sum::<f64>();
            let expected: Vec<f64> = (0..m * n).map(|place| entry(place / n, place % n)).collect();
            let actual = product::product(&a, &b, [m, k, n], [a_transposed, b_transposed]);
            assert_near(&actual, &expected, &format!("{m}x{k}x{n} {a_transposed} {b_transposed}"));
        }
    }
}
