//! Height maps of pieces and how light falls on them. Heights are taken once for each sample of the picture, where a
//! slope read off a function would take three.

use super::{
    geometry::{Point, at},
    product::pixel_centre,
};

/// Where the light comes from, as a step on the image: the upper left.
pub const LIGHT: Point = Point { x: -0.6, y: -0.8 };

/// Heights at four places of each pixel, which are those that [`Product`](super::product::Product) samples.
#[derive(Clone, Debug)]
pub struct Heights {
    side: usize,
    values: Vec<f32>,
}

impl Heights {
    /// Takes the height of each place on an image of `size` pixels a side.
    pub fn new(size: usize, height: impl Fn(Point) -> f32) -> Self {
        let side = 2 * size;
        Self { side, values: (0..side * side).map(|i| height(pixel_centre(i, side))).collect() }
    }

    /// The height at a place; outside of the image, its edge goes on.
    pub fn at(&self, place: Point) -> f32 {
        let (x, y) = self.sample(place);
        self.values[y * self.side + x]
    }

    /// Brightness factor under light from `light` (a step of length 1): slopes that face it are brighter. `strength` is
    /// the change for a slope of 1 in heights a side.
    pub fn lit(&self, place: Point, light: Point, strength: f32) -> f32 {
        let (x, y) = self.sample(place);
        let (last, value) = (self.side - 1, |x: usize, y: usize| self.values[y * self.side + x]);
        let slope = at(
            value((x + 1).min(last), y) - value(x.saturating_sub(1), y),
            value(x, (y + 1).min(last)) - value(x, y.saturating_sub(1)),
        ) * (0.5 * self.side as f32);
        (1.0 - strength * slope.dot(light)).clamp(0.2, 1.8)
    }

    fn sample(&self, place: Point) -> (usize, usize) {
        let on_grid = |share: f32| (share * self.side as f32).clamp(0.0, (self.side - 1) as f32) as usize;
        (on_grid(place.x), on_grid(place.y))
    }
}

/// Brightness, 0 to 1, of a matt hemisphere of radius 1 at `offset` from its middle.
pub fn dome(offset: Point, light: Point) -> f32 {
    let up = (1.0 - offset.dot(offset)).max(0.0).sqrt();
    (0.5 * offset.dot(light) + 0.86 * up).clamp(0.0, 1.0)
}

/// Brightness, 0 to 1, of a matt half-round rod: `across` is -1 to 1, `light` the step towards the light along it.
pub fn rod(across: f32, light: f32) -> f32 {
    dome(at(across, 0.0), at(light, 0.0))
}

/// A highlight on a hemisphere of radius 1, 1 in its middle and 0 from `spread` on.
pub fn glint(offset: Point, light: Point, spread: f32) -> f32 {
    let distance = (offset - light * 0.45).length();
    if distance < spread { 1.0 - distance / spread } else { 0.0 }
}
