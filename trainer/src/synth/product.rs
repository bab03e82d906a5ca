//! Pictures of a piece before the camera: what it looks like, where it is, and what lies under it.

use super::{
    colour::{Colour, mix, shade},
    geometry::{Point, at},
};

/// A square picture in floating point.
#[derive(Clone, Debug, PartialEq)]
pub struct Canvas {
    /// Pixels of a side.
    pub size: usize,
    /// Row by row.
    pub pixels: Vec<Colour>,
}

/// A piece: a cut from a sheet, or an object on some ground.
#[derive(Clone, Debug)]
pub struct Product {
    /// The piece as it is seen.
    pub canvas: Canvas,
    /// What is seen where the piece is missing.
    pub ground: Canvas,
    /// How much of each pixel is the piece, 0 to 1.
    pub coverage: Vec<f32>,
}

impl Canvas {
    /// Calls `colour` with the number and the centre of each pixel.
    pub fn paint(size: usize, mut colour: impl FnMut(usize, Point) -> Colour) -> Self {
        let pixels = (0..size * size).map(|i| colour(i, pixel_centre(i, size))).collect();
        Self { size, pixels }
    }

    /// The colour at a place, between the nearest four pixels; outside of the picture, its edge goes on.
    pub fn sample(&self, place: Point) -> Colour {
        let last = (self.size - 1) as f32;
        let on_grid = |share: f32| (share * self.size as f32 - 0.5).clamp(0.0, last);
        let (x, y) = (on_grid(place.x), on_grid(place.y));
        let (left, top) = (x.floor() as usize, y.floor() as usize);
        let (right, below) = ((left + 1).min(self.size - 1), (top + 1).min(self.size - 1));
        let row = |y: usize| {
            mix(self.pixels[y * self.size + left], self.pixels[y * self.size + right], x - x.floor())
        };
        mix(row(top), row(below), y - y.floor())
    }

    /// Blurred by a Gaussian; `sigma` in pixels.
    pub fn blurred(&self, sigma: f32) -> Self {
        let radius = (3.0 * sigma).ceil() as isize;
        let weights: Vec<f32> =
            (-radius..=radius).map(|i| libm::expf(-0.5 * (i * i) as f32 / (sigma * sigma))).collect();
        let total: f32 = weights.iter().sum();
        let along = |picture: &Self, step_x: isize, step_y: isize| {
            let last = self.size as isize - 1;
            let near = |i: usize, offset: isize| (i as isize + offset).clamp(0, last) as usize;
            let pixels = (0..self.size * self.size).map(|i| {
                let mut sum = [0.0; 3];
                for (weight, offset) in weights.iter().zip(-radius..) {
                    let (x, y) = (near(i % self.size, offset * step_x), near(i / self.size, offset * step_y));
                    let pixel = picture.pixels[y * self.size + x];
                    sum = std::array::from_fn(|c| sum[c] + pixel[c] * weight / total);
                }
                sum
            });
            Self { size: self.size, pixels: pixels.collect() }
        };
        along(&along(self, 1, 0), 0, 1)
    }
}

impl Product {
    /// A cut from a sheet that fills the picture; `under` is seen through holes.
    pub fn sheet(size: usize, under: Colour, surface: impl Fn(Point) -> Colour) -> Self {
        Self::object(size, |_| under, |place| Some(surface(place)))
    }

    /// An object that casts a soft shadow on `ground`; `surface` is none beside it. Each pixel is the mean of four
    /// samples.
    pub fn object(
        size: usize,
        ground: impl Fn(Point) -> Colour,
        surface: impl Fn(Point) -> Option<Colour>,
    ) -> Self {
        let quarter = 0.25 / size as f32;
        let samples =
            [at(-quarter, -quarter), at(quarter, -quarter), at(-quarter, quarter), at(quarter, quarter)];
        let mut coverage = vec![0.0; size * size];
        let object = Canvas::paint(size, |i, centre| {
            let mut sum = [0.0; 3];
            for colour in samples.iter().filter_map(|step| surface(centre + *step)) {
                coverage[i] += 0.25;
                sum = std::array::from_fn(|c| sum[c] + 0.25 * colour[c]);
            }
            sum
        });
        let ground = Canvas::paint(size, |_, centre| ground(centre));
        if coverage.iter().all(|covered| *covered == 1.0) {
            return Self { canvas: object, ground, coverage };
        }
        let shadow = Canvas { size, pixels: coverage.iter().map(|covered| [*covered; 3]).collect() };
        let shadow = shadow.blurred(0.015 * size as f32);
        let canvas = Canvas::paint(size, |i, centre| {
            let darkness = 0.45 * shadow.sample(centre - at(0.012, 0.018))[0];
            let under = shade(ground.pixels[i], (1.0 - darkness) * (1.0 - coverage[i]));
            std::array::from_fn(|c| object.pixels[i][c] + under[c])
        });
        Self { canvas, ground, coverage }
    }
}

/// Centre of a pixel, as shares of the side.
pub fn pixel_centre(pixel: usize, size: usize) -> Point {
    at((pixel % size) as f32 + 0.5, (pixel / size) as f32 + 0.5) * (1.0 / size as f32)
}
