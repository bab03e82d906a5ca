//! Sums of weights times the values around places of padded images: what convolutions and their transposes come down to.

use crate::tile::{COLUMNS, ROWS, Starts, Tile, add_product};

/// Weights in blocks of [`ROWS`] rows, \[block, k, row\], the last block filled up with zeros: the k-th weight of a row lies
/// `offsets[k]` after the row's start, and rows start `row` apart.
pub fn pack_rows(weight: &[f32], rows: usize, row: usize, offsets: &[usize]) -> Vec<f32> {
    let mut packed = vec![0.0; rows.div_ceil(ROWS) * offsets.len() * ROWS];
    for (block, packed) in packed.chunks_exact_mut(offsets.len() * ROWS).enumerate() {
        let used = ROWS.min(rows - block * ROWS);
        for (packed, offset) in packed.as_chunks_mut::<ROWS>().0.iter_mut().zip(offsets) {
            let weights = &weight[block * ROWS * row + offset..];
            packed.iter_mut().zip(weights.iter().step_by(row)).take(used).for_each(|(p, w)| *p = *w);
        }
    }
    packed
}

/// Where windows are read from and where their results go.
#[derive(Clone, Copy)]
pub struct Places {
    /// Images.
    pub images: usize,
    /// Windows down and across.
    pub size: [usize; 2],
    /// From an image to the next, from a row of windows to the next.
    pub source: [usize; 2],
    /// From an image to the next, from a row of results to the next, from a result to the next.
    pub target: [usize; 3],
    /// The first result.
    pub first: usize,
    /// From a channel of results to the next.
    pub channel: usize,
}

impl Places {
    fn count(&self) -> usize {
        self.images * self.size[0] * self.size[1]
    }

    /// Sources and targets of so many places from `first` on; those after them stay at the last.
    fn of(&self, first: usize, used: usize) -> [[usize; COLUMNS]; 2] {
        let [height, width] = self.size;
        let [mut image, mut y, mut x] = [first / (height * width), first / width % height, first % width];
        let (mut sources, mut targets) = ([0; COLUMNS], [0; COLUMNS]);
        for (i, (source, target)) in sources.iter_mut().zip(&mut targets).enumerate() {
            *source = image * self.source[0] + y * self.source[1] + x;
            *target = self.first + image * self.target[0] + y * self.target[1] + x * self.target[2];
            if i + 1 < used {
                x += 1;
                (y, x) = if x == width { (y + 1, 0) } else { (y, x) };
                (image, y) = if y == height { (image + 1, 0) } else { (image, y) };
            }
        }
        [sources, targets]
    }
}

/// For each place and row, the sum over k of the row's k-th weight and the value `taps[k]` after the place's source.
pub fn correlate(
    planes: &[f32],
    taps: &[usize],
    packed: &[f32],
    rows: usize,
    places: Places,
    out: &mut [f32],
) {
    // Whole vectors of neighbours are copied; where a row of windows fills columns, even that is not needed.
    let run = [COLUMNS, 16, 8, 4, 2].into_iter().find(|run| places.size[1].is_multiple_of(*run)).unwrap_or(1);
    let dense: Vec<usize> = (0..taps.len()).map(|k| k * COLUMNS).collect();
    let [direct, dense] = [taps, &dense].map(Starts::new);
    let mut panel = vec![0.0; if run == COLUMNS { 0 } else { taps.len() * COLUMNS }];
    let count = places.count();
    for first in (0..count).step_by(COLUMNS) {
        let used = COLUMNS.min(count - first);
        let [sources, targets] = places.of(first, used);
        match run {
            COLUMNS => {}
            16 => copy_runs::<16>(planes, taps, &sources, &mut panel),
            8 => copy_runs::<8>(planes, taps, &sources, &mut panel),
            4 => copy_runs::<4>(planes, taps, &sources, &mut panel),
            2 => copy_runs::<2>(planes, taps, &sources, &mut panel),
            _ => copy_runs::<1>(planes, taps, &sources, &mut panel),
        }
        for (block, packed) in packed.chunks_exact(taps.len() * ROWS).enumerate() {
            let mut tile = Tile::default();
            let left = rows - block * ROWS;
            if run == COLUMNS {
                add_product(&mut tile, left, packed, &planes[sources[0]..], direct);
            } else {
                add_product(&mut tile, left, packed, &panel, dense);
            }
            for (row, values) in tile.iter().enumerate().take(left) {
                let out = &mut out[(block * ROWS + row) * places.channel..];
                if places.target[2] == 1 && run >= 8 {
                    for i in (0..used).step_by(8) {
                        out[targets[i]..targets[i] + 8].copy_from_slice(&values[i..i + 8]);
                    }
                } else {
                    for (value, target) in values.iter().zip(targets).take(used) {
                        out[target] = *value;
                    }
                }
            }
        }
    }
}

fn copy_runs<const RUN: usize>(
    planes: &[f32],
    taps: &[usize],
    sources: &[usize; COLUMNS],
    panel: &mut [f32],
) {
    for (row, tap) in panel.chunks_exact_mut(COLUMNS).zip(taps) {
        for (run, source) in row.as_chunks_mut::<RUN>().0.iter_mut().zip(sources.iter().step_by(RUN)) {
            run.copy_from_slice(&planes[source + tap..][..RUN]);
        }
    }
}
