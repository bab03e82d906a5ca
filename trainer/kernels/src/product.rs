//! Matrix products, by the same tiles as convolutions.

use crate::{
    correlation::pack_rows,
    parallel::for_each_chunk,
    tile::{COLUMNS, ROWS, Starts, Tile, add_product},
};

/// The product \[m,n\] of a \[m,k\] and b \[k,n\], either of which may be stored `transposed`.
pub fn product(a: &[f32], b: &[f32], [m, k, n]: [usize; 3], transposed: [bool; 2]) -> Vec<f32> {
    let (row, term) = if transposed[0] { (1, m) } else { (k, 1) };
    let offsets: Vec<usize> = (0..k).map(|t| t * term).collect();
    let packed = pack_rows(a, m, row, &offsets);
    let mut panels = vec![0.0; n.div_ceil(COLUMNS) * k * COLUMNS];
    for (panel, values) in panels.chunks_exact_mut(k * COLUMNS).enumerate() {
        let first = panel * COLUMNS;
        let used = COLUMNS.min(n - first);
        for (t, values) in values.chunks_exact_mut(COLUMNS).enumerate() {
            if transposed[1] {
                let column = b[first * k + t..].iter().step_by(k);
                values.iter_mut().zip(column).take(used).for_each(|(value, b)| *value = *b);
            } else {
                values[..used].copy_from_slice(&b[t * n + first..][..used]);
            }
        }
    }
    let starts: Vec<usize> = (0..k).map(|t| t * COLUMNS).collect();
    let starts = Starts::new(&starts);
    let mut out = vec![0.0; m * n];
    for_each_chunk(&mut out, ROWS * n, |block, out| {
        let packed = &packed[block * k * ROWS..];
        for (panel, values) in panels.chunks_exact(k * COLUMNS).enumerate() {
            let mut tile = Tile::default();
            add_product(&mut tile, out.len() / n, packed, values, starts);
            for (out, values) in out.chunks_exact_mut(n).zip(&tile) {
                let out = out[panel * COLUMNS..].iter_mut();
                out.zip(values).for_each(|(out, value)| *out = *value);
            }
        }
    });
    out
}
