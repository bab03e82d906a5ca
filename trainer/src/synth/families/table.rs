//! What objects lie on, and the light and shade that turned parts have in common.

use super::super::{
    colour::{Colour, shade},
    draw::Draw,
    field::layered,
    geometry::{Point, smooth},
    relief::LIGHT,
};

/// What an object lies on.
pub struct Table {
    colour: Colour,
    grain: f32,
    /// Brightness of this exposure.
    tone: f32,
    seed: u32,
}

impl Table {
    /// Of any colour, the same for all pieces.
    pub fn new(design: &mut Draw, piece: &mut Draw) -> Self {
        let colour = design.colour([0.0, 0.35], [0.12, 0.9]);
        Self { colour, grain: design.within(0.0, 0.12), tone: 1.0, seed: piece.field() }
    }

    /// As inspection stations have it: nearly grey and even, dark, bright or between, a little brighter or darker
    /// from piece to piece.
    pub fn backdrop(design: &mut Draw, piece: &mut Draw) -> Self {
        let value = [[0.03, 0.1], [0.35, 0.6], [0.78, 0.95]][design.count(0, 2) as usize];
        let (colour, grain) = (design.grey(value), design.within(0.01, 0.07));
        Self { colour, grain, tone: piece.within(0.93, 1.07), seed: piece.field() }
    }

    /// The colour of a place on the image.
    pub fn colour(&self, place: Point) -> Colour {
        shade(self.colour, self.tone * (1.0 + self.grain * layered(place * 30.0, 2, self.seed)))
    }
}

/// Brightness of a turned face: two opposite highlights, like a record's.
pub fn sheen(angle: f32) -> f32 {
    0.9 + 0.1 * libm::cosf(2.0 * angle + 0.8)
}

/// How far a slope away from the centre faces the light, which comes from the upper left; -1 to 1.
pub fn facing(from_centre: Point) -> f32 {
    from_centre.dot(LIGHT) / from_centre.length().max(1e-6)
}

/// Light and shade of a rounded edge, `inside` away from it.
pub fn bevel(inside: f32, from_centre: Point) -> f32 {
    smooth(0.016, 0.0, inside) * (0.3 * facing(from_centre) - 0.1)
}
