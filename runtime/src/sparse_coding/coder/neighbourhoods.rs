//! Neighbourhoods of feature positions as panels of columns, as [`super::super::unfold`] has them as rows, and the way
//! back.

use ndarray::{Array3, ArrayView3, s};

use super::super::unfold::LARGEST;
use crate::matrix::packed::{LANES, Lanes};

/// The features of one image with a border of zeros, and where its positions are in it.
#[derive(Clone, Debug)]
pub(super) struct Neighbourhoods {
    receptive_field: usize,
    /// Channels, height and width of the features.
    shape: (usize, usize, usize),
    /// The features with half a receptive field of zeros around, \[d, h + l - 1, w + l - 1\].
    padded: Vec<f32>,
    /// As `padded`, the gradient.
    gradient: Vec<f32>,
    /// For every position, its neighbourhood's first value in a channel of `padded`; whole panels of them, where the
    /// last one's positions are repeated.
    places: Vec<[usize; LANES]>,
}

impl Neighbourhoods {
    pub(super) fn new(receptive_field: usize) -> Self {
        Self { receptive_field, shape: (0, 0, 0), padded: vec![], gradient: vec![], places: vec![] }
    }

    /// Takes the features \[d, h, w\] of an image.
    pub(super) fn read(&mut self, features: ArrayView3<f32>) {
        let (d, h, w) = features.dim();
        let border = self.receptive_field / 2;
        let width = w + 2 * border;
        if self.shape != features.dim() {
            self.shape = features.dim();
            self.padded.clear();
            self.padded.resize(d * self.channel(), 0.0);
            self.places.clear();
            let place = |position: usize| position / w * width + position % w;
            self.places.extend(
                (0..(h * w).div_ceil(LANES))
                    .map(|panel| std::array::from_fn(|lane| place((panel * LANES + lane).min(h * w - 1)))),
            );
        }
        let size = self.channel();
        for (channel, padded) in features.outer_iter().zip(self.padded.chunks_exact_mut(size)) {
            for (row, padded) in channel.outer_iter().zip(padded[border * width..].chunks_exact_mut(width)) {
                let inside = padded[border..].iter_mut();
                inside.zip(row).for_each(|(to, from)| *to = from.clamp(-LARGEST, LARGEST));
            }
        }
    }

    /// Writes the neighbourhoods of the panels from `first` on: \[panels, d l l\].
    pub(super) fn gather(&self, panels: &mut [Lanes], first: usize) {
        let values = self.shape.0 * self.receptive_field * self.receptive_field;
        for (panel, places) in panels.chunks_exact_mut(values).zip(&self.places[first..]) {
            let consecutive = places.is_sorted_by(|place, next| place + 1 == *next);
            for (lanes, neighbour) in panel.iter_mut().zip(self.neighbours()) {
                if consecutive {
                    lanes.copy_from_slice(&self.padded[neighbour + places[0]..][..LANES]);
                } else {
                    *lanes = places.map(|place| self.padded[neighbour + place]);
                }
            }
        }
    }

    /// Adds the gradients of the neighbourhoods of the panels from `first` on, \[panels, d l l\], to those of the
    /// features that they came from.
    pub(super) fn add_back(&mut self, panels: &[Lanes], first: usize) {
        self.gradient.resize(self.padded.len(), 0.0);
        let mut gradient = std::mem::take(&mut self.gradient);
        let (d, h, w) = self.shape;
        let values = d * self.receptive_field * self.receptive_field;
        for (i, (panel, places)) in panels.chunks_exact(values).zip(&self.places[first..]).enumerate() {
            let positions = (h * w - (first + i) * LANES).min(LANES);
            for (lanes, neighbour) in panel.iter().zip(self.neighbours()) {
                for (value, place) in lanes.iter().zip(places).take(positions) {
                    gradient[neighbour + place] += value;
                }
            }
        }
        self.gradient = gradient;
    }

    /// The gradient \[d, h, w\] that was added up, which is zero again.
    pub(super) fn take_gradient(&mut self, (d, h, w): (usize, usize, usize)) -> Array3<f32> {
        let border = self.receptive_field / 2;
        let padded = (d, h + 2 * border, w + 2 * border);
        let padded = Array3::from_shape_vec(padded, std::mem::take(&mut self.gradient));
        let padded = padded.expect("as many values as features and their border");
        padded.slice(s![.., border..border + h, border..border + w]).to_owned()
    }

    /// Values of a channel of `padded`.
    fn channel(&self) -> usize {
        let (_, h, w) = self.shape;
        (h + self.receptive_field - 1) * (w + self.receptive_field - 1)
    }

    /// Where the values of a neighbourhood lie in `padded`, from the neighbourhood's place, in the order (c, ky, kx).
    fn neighbours(&self) -> impl Iterator<Item = usize> {
        let ((d, _, w), l, channel) = (self.shape, self.receptive_field, self.channel());
        let width = w + l - 1;
        (0..d)
            .flat_map(move |c| (0..l).flat_map(move |ky| (0..l).map(move |kx| c * channel + ky * width + kx)))
    }
}
