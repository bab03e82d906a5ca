//! Convolutions without bias, their transposes and their gradients in the weight, as products of tiles whose columns are
//! read from padded images: no matrix of columns is ever laid out in memory.

use crate::{
    Window,
    correlation::{Places, correlate, pack_rows},
    parallel::{for_each_chunk, map},
    tile::{COLUMNS, ROWS, Starts, Tile, add_product},
};

/// Images whose positions make up at least this many are computed together.
const POSITIONS_TOGETHER: usize = 4 * COLUMNS;
/// Terms of a weight's gradient that are summed before they are added to it.
const TERMS_TOGETHER: usize = 1024;

/// Images \[n,i,h,w\], o channels of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Images.
    pub images: usize,
    /// Channels of the images, i.
    pub inputs: usize,
    /// Channels of the results, o.
    pub outputs: usize,
    /// Height and width of the images.
    pub size: [usize; 2],
    /// The window.
    pub window: Window,
}

impl Convolution {
    /// Height and width of the results.
    pub fn result_size(&self) -> [usize; 2] {
        self.window.apply(self.size)
    }

    /// The results \[n,o,h',w'\] of images `x` \[n,i,h,w\] and a weight \[o,i,k,k\].
    pub fn forward(&self, x: &[f32], weight: &[f32]) -> Vec<f32> {
        let Window { side, stride, padding } = self.window;
        let [height, width] = self.result_size();
        // A plane for each phase of the stride, so that neighbouring windows read neighbouring values.
        let phases = stride.min(side);
        let [rows, columns] = self.size.map(|pixels| (pixels + 2 * padding).div_ceil(stride));
        let plane = rows * columns;
        let image = self.inputs * phases * phases * plane;
        let taps: Vec<usize> = (0..self.inputs * side * side)
            .map(|k| {
                let (channel, y, x) = (k / (side * side), k / side % side, k % side);
                let phase = (channel * phases + y % stride) * phases + x % stride;
                phase * plane + y / stride * columns + x / stride
            })
            .collect();
        let offsets: Vec<usize> = (0..taps.len()).collect();
        let packed = pack_rows(weight, self.outputs, taps.len(), &offsets);
        let positions = height * width;
        let together = POSITIONS_TOGETHER.div_ceil(positions).min(self.images);
        let mut out = vec![0.0; self.images * self.outputs * positions];
        let input = self.inputs * self.size[0] * self.size[1];
        for_each_chunk(&mut out, together * self.outputs * positions, |chunk, out| {
            let images = out.len() / (self.outputs * positions);
            let mut planes = vec![0.0; images * image + COLUMNS];
            for i in 0..images {
                let x = &x[(chunk * together + i) * input..][..input];
                self.split_into_phases(x, phases, [rows, columns], &mut planes[i * image..]);
            }
            let places = Places {
                images,
                size: [height, width],
                source: [image, columns],
                target: [self.outputs * positions, width, 1],
                first: 0,
                channel: positions,
            };
            correlate(&planes, &taps, &packed, self.outputs, places, out);
        });
        out
    }

    fn split_into_phases(&self, x: &[f32], phases: usize, [rows, columns]: [usize; 2], planes: &mut [f32]) {
        let Window { stride, padding, .. } = self.window;
        let [height, width] = self.size;
        for (channel, x) in x.chunks_exact(height * width).enumerate() {
            for (y, line) in x.chunks_exact(width).enumerate() {
                let (phase_y, row) = ((y + padding) % stride, (y + padding) / stride);
                if phase_y >= phases {
                    continue;
                }
                for phase_x in 0..phases {
                    let first = (phase_x + stride - padding % stride) % stride; // the first pixel of this phase
                    let plane = (channel * phases + phase_y) * phases + phase_x;
                    let start = (plane * rows + row) * columns + (first + padding) / stride;
                    if stride == 1 {
                        planes[start..start + width].copy_from_slice(line);
                    } else {
                        let pixels = line.iter().skip(first).step_by(stride);
                        planes[start..].iter_mut().zip(pixels).for_each(|(place, pixel)| *place = *pixel);
                    }
                }
            }
        }
    }

    /// The transpose as a linear map: results `y` \[n,o,h',w'\] back onto images \[n,i,h,w\].
    pub fn transposed(&self, y: &[f32], weight: &[f32]) -> Vec<f32> {
        let Window { side, stride, padding } = self.window;
        let [height, width] = self.result_size();
        let taps_along = side.div_ceil(stride);
        // Places of the padded image by phase: y = stride * place + phase - padding.
        let places = |phase: usize, pixels: usize| {
            let first = padding.saturating_sub(phase).div_ceil(stride);
            (first, (pixels + padding).saturating_sub(phase).div_ceil(stride))
        };
        let [rows, columns] = self.size.map(|pixels| (pixels + padding).div_ceil(stride) + taps_along);
        let (plane, pixels) = (rows * columns, self.size[0] * self.size[1]);
        let image = self.outputs * plane;
        let phases: Vec<_> = (0..stride.min(side).pow(2))
            .map(|phase| {
                let [phase_y, phase_x] = [phase / stride.min(side), phase % stride.min(side)];
                let along = |phase: usize| (side - phase).div_ceil(stride);
                let [taps_y, taps_x] = [along(phase_y), along(phase_x)];
                let (taps, offsets): (Vec<usize>, Vec<usize>) = (0..self.outputs * taps_y * taps_x)
                    .map(|k| (k / (taps_y * taps_x), k / taps_x % taps_y, k % taps_x))
                    .map(|(channel, y, x)| {
                        let tap = channel * plane + (taps_along - 1 - y) * columns + taps_along - 1 - x;
                        let [y, x] = [phase_y + stride * y, phase_x + stride * x];
                        (tap, (channel * self.inputs * side + y) * side + x)
                    })
                    .unzip();
                let packed = pack_rows(weight, self.inputs, side * side, &offsets);
                (taps, packed, [phase_y, phase_x])
            })
            .collect();
        let together = POSITIONS_TOGETHER.div_ceil(height * width).min(self.images);
        let mut out = vec![0.0; self.images * self.inputs * pixels];
        for_each_chunk(&mut out, together * self.inputs * pixels, |chunk, out| {
            let images = out.len() / (self.inputs * pixels);
            let mut planes = vec![0.0; images * image + COLUMNS];
            let y = &y[chunk * together * self.outputs * height * width..];
            for (line, values) in y.chunks_exact(width).take(images * self.outputs * height).enumerate() {
                let start =
                    line / height * plane + (line % height + taps_along - 1) * columns + taps_along - 1;
                planes[start..start + width].copy_from_slice(values);
            }
            for (taps, packed, [phase_y, phase_x]) in &phases {
                let [(first_y, end_y), (first_x, end_x)] =
                    [places(*phase_y, self.size[0]), places(*phase_x, self.size[1])];
                if end_y <= first_y || end_x <= first_x {
                    continue;
                }
                let first = first_y * columns + first_x;
                let onto = (stride * first_y + phase_y - padding) * self.size[1] + stride * first_x + phase_x
                    - padding;
                let places = Places {
                    images,
                    size: [end_y - first_y, end_x - first_x],
                    source: [image, columns],
                    target: [self.inputs * pixels, stride * self.size[1], stride],
                    first: onto,
                    channel: pixels,
                };
                correlate(&planes[first..], taps, packed, self.inputs, places, out);
            }
        });
        out
    }

    /// The gradient \[o,i,k,k\] in the weight of the product of the results with `g` \[n,o,h',w'\].
    pub fn weight_gradient(&self, x: &[f32], g: &[f32]) -> Vec<f32> {
        let Window { side, stride, padding } = self.window;
        let [height, width] = self.result_size();
        let positions = height * width;
        // Channels last, so that a window's values lie in `side` runs.
        let [rows, columns] = self.size.map(|pixels| pixels + 2 * padding);
        let image = rows * columns * self.inputs;
        let mut padded = vec![0.0; self.images * image + side * self.inputs + COLUMNS];
        for (image_number, x) in x.chunks_exact(self.inputs * self.size[0] * self.size[1]).enumerate() {
            for (y, line) in padded[image_number * image..][..image]
                .chunks_exact_mut(columns * self.inputs)
                .skip(padding)
                .take(self.size[0])
                .enumerate()
            {
                let source = &x[y * self.size[1]..];
                let target = &mut line[padding * self.inputs..];
                transpose(
                    source,
                    self.size[0] * self.size[1],
                    [self.inputs, self.size[1]],
                    target,
                    self.inputs,
                );
            }
        }
        let blocks = self.outputs.div_ceil(ROWS);
        let terms = self.images * positions;
        let mut packed = vec![0.0; blocks * terms * ROWS]; // [block, image, position, row]
        for (image, g) in g.chunks_exact(self.outputs * positions).enumerate() {
            for (block, g) in g.chunks(ROWS * positions).enumerate() {
                let start = (block * terms + image * positions) * ROWS;
                transpose(g, positions, [g.len() / positions, positions], &mut packed[start..], ROWS);
            }
        }
        let starts: Vec<usize> = (0..terms)
            .map(|term| {
                let (image_number, y, x) = (term / positions, term / width % height, term % width);
                image_number * image + (y * stride * columns + x * stride) * self.inputs
            })
            .collect();

        let run = side * self.inputs;
        let column_blocks = run.div_ceil(COLUMNS);
        let tiles = map(side * column_blocks, |strip| {
            let (y, block) = (strip / column_blocks, strip % column_blocks);
            let from = y * columns * self.inputs + block * COLUMNS;
            let mut tiles = vec![Tile::default(); blocks];
            for (part, starts) in starts.chunks(TERMS_TOGETHER).enumerate() {
                let starts = Starts::new(starts);
                for (tile, packed) in tiles.iter_mut().zip(packed.chunks_exact(terms * ROWS)) {
                    add_product(tile, ROWS, &packed[part * TERMS_TOGETHER * ROWS..], &padded[from..], starts);
                }
            }
            tiles
        });
        let mut out = vec![0.0; self.outputs * self.inputs * side * side];
        let places: Vec<Vec<usize>> = (0..tiles.len())
            .map(|strip| {
                let (y, first) = (strip / column_blocks, strip % column_blocks * COLUMNS);
                let place = |column: usize| (column % self.inputs * side + y) * side + column / self.inputs;
                (first..run.min(first + COLUMNS)).map(place).collect()
            })
            .collect();
        for (o, filter) in out.chunks_exact_mut(self.inputs * side * side).enumerate() {
            for (tiles, places) in tiles.iter().zip(&places) {
                tiles[o / ROWS][o % ROWS]
                    .iter()
                    .zip(places)
                    .for_each(|(value, place)| filter[*place] = *value);
            }
        }
        out
    }
}

/// Rows of `source`, so far apart, become columns of `target`, whose rows are so far apart.
fn transpose(source: &[f32], row: usize, [rows, columns]: [usize; 2], target: &mut [f32], target_row: usize) {
    const BLOCK: usize = 8;
    for first in (0..rows).step_by(BLOCK) {
        let source: [&[f32]; BLOCK] =
            std::array::from_fn(|r| &source[(first + r).min(rows - 1) * row..][..columns]);
        let targets = target.chunks_mut(target_row).take(columns).map(|target| &mut target[first..]);
        for (column, target) in targets.enumerate() {
            match target.first_chunk_mut::<BLOCK>() {
                Some(target) if rows - first >= BLOCK => {
                    *target = std::array::from_fn(|r| source[r][column]);
                }
                _ => target.iter_mut().zip(source).take(rows - first).for_each(|(t, s)| *t = s[column]),
            }
        }
    }
}
