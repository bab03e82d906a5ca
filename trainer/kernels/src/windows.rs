//! Means over windows and rows of neighbourhoods, with their transposes as linear maps.

use crate::{Window, parallel::for_each_chunk};

/// Mean of each window of planes of height and width `size`, the padding counted.
pub fn average_pool(x: &[f32], size: [usize; 2], window: Window) -> Vec<f32> {
    let [height, width] = window.apply(size);
    let Window { side, stride, padding } = window;
    let mut out = vec![0.0; x.len() / (size[0] * size[1]) * height * width];
    let share = 1.0 / (side * side) as f32;
    for_each_chunk(&mut out, height * width, |plane, out| {
        let x = &x[plane * size[0] * size[1]..];
        let mut sums = vec![0.0; size[1] + 2 * padding];
        for (row, out) in out.chunks_exact_mut(width).enumerate() {
            sums.fill(0.0);
            for y in rows_of(window, row, size[0]) {
                let line = x[y * size[1]..].iter().take(size[1]);
                sums[padding..].iter_mut().zip(line).for_each(|(sum, x)| *sum += x);
            }
            for (column, out) in out.iter_mut().enumerate() {
                *out = share * sums[column * stride..][..side].iter().sum::<f32>();
            }
        }
    });
    out
}

/// The transpose of [`average_pool`], onto planes of height and width `size`.
pub fn transposed_average_pool(y: &[f32], size: [usize; 2], window: Window) -> Vec<f32> {
    let [height, width] = window.apply(size);
    let Window { side, stride, padding } = window;
    let mut out = vec![0.0; y.len() / (height * width) * size[0] * size[1]];
    let share = 1.0 / (side * side) as f32;
    for_each_chunk(&mut out, size[0] * size[1], |plane, out| {
        let mut sums = vec![0.0; size[1] + 2 * padding];
        for (row, y) in y[plane * height * width..].chunks_exact(width).take(height).enumerate() {
            sums.fill(0.0);
            for (column, y) in y.iter().enumerate() {
                sums[column * stride..][..side].iter_mut().for_each(|sum| *sum += share * y);
            }
            for y in rows_of(window, row, size[0]) {
                let line = out[y * size[1]..].iter_mut().take(size[1]);
                line.zip(&sums[padding..]).for_each(|(out, sum)| *out += sum);
            }
        }
    });
    out
}

/// Rows of pixels under a row of windows.
fn rows_of(Window { side, stride, padding }: Window, row: usize, height: usize) -> std::ops::Range<usize> {
    (row * stride).saturating_sub(padding)..(row * stride + side).saturating_sub(padding).min(height)
}

/// Every l x l neighbourhood of features \[n,d,h,w\], zero padded and flattened channel-major (c, ky, kx): rows
/// \[n*h*w, d*l*l\].
pub fn unfold(x: &[f32], [n, d, h, w]: [usize; 4], l: usize) -> Vec<f32> {
    let mut rows = vec![0.0; n * h * w * d * l * l];
    for_each_chunk(&mut rows, h * w * d * l * l, |image, rows| {
        let x = &x[image * d * h * w..];
        each_neighbour([d, h, w], l, |place, value| rows[place] = x[value]);
    });
    rows
}

/// The transpose of [`unfold`]: sums rows into features \[n,d,h,w\].
pub fn fold(rows: &[f32], [n, d, h, w]: [usize; 4], l: usize) -> Vec<f32> {
    let mut out = vec![0.0; n * d * h * w];
    for_each_chunk(&mut out, d * h * w, |image, out| {
        let rows = &rows[image * h * w * d * l * l..];
        each_neighbour([d, h, w], l, |place, value| out[value] += rows[place]);
    });
    out
}

/// Calls `visit` with the place in an image's rows and the place in its features, for each neighbour of each position.
#[inline(always)]
fn each_neighbour([d, h, w]: [usize; 3], l: usize, mut visit: impl FnMut(usize, usize)) {
    let r = l / 2;
    for y in 0..h {
        for x in 0..w {
            let row = (y * w + x) * d * l * l;
            for c in 0..d {
                for ky in r.saturating_sub(y)..l.min(h + r - y) {
                    for kx in r.saturating_sub(x)..l.min(w + r - x) {
                        visit(row + (c * l + ky) * l + kx, (c * h + y + ky - r) * w + x + kx - r);
                    }
                }
            }
        }
    }
}
