//! Noise fields: random but fixed functions of the place. All come from an integer hash of lattice points.

use super::geometry::{Point, at};

/// A uniform value in [0,1) for each lattice point and seed.
pub fn hash(x: i32, y: i32, seed: u32) -> f32 {
    (scramble(x, y, seed) >> 8) as f32 / (1 << 24) as f32
}

/// Smooth noise in [-1,1] with features of about size 1.
pub fn noise(place: Point, seed: u32) -> f32 {
    let (left, top) = (place.x.floor(), place.y.floor());
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    let (tx, ty) = (ease(place.x - left), ease(place.y - top));
    let (x, y) = (left as i32, top as i32);
    let upper = hash(x, y, seed) * (1.0 - tx) + hash(x + 1, y, seed) * tx;
    let lower = hash(x, y + 1, seed) * (1.0 - tx) + hash(x + 1, y + 1, seed) * tx;
    2.0 * (upper * (1.0 - ty) + lower * ty) - 1.0
}

/// Noise of several sizes, each half of the one before and half as strong; about [-1,1].
pub fn layered(place: Point, octaves: u32, seed: u32) -> f32 {
    let (mut sum, mut strength, mut at_octave) = (0.0, 0.5, place);
    for octave in 0..octaves {
        sum += strength * noise(at_octave, seed.wrapping_add(octave));
        strength *= 0.5;
        at_octave = at_octave * 2.0;
    }
    1.5 * sum
}

/// The irregular cell that a place falls into.
#[derive(Clone, Copy, Debug)]
pub struct IrregularCell {
    /// Uniform in [0,1), one value a cell.
    pub name: f32,
    /// How much farther the next centre is: 0 on the border between two cells.
    pub from_border: f32,
}

/// Cells of about size 1 around centres scattered at random.
pub fn irregular_cell(place: Point, seed: u32) -> IrregularCell {
    let (x, y) = (place.x.floor() as i32, place.y.floor() as i32);
    let (mut nearest, mut next, mut owner) = (f32::MAX, f32::MAX, (x, y));
    for cy in y - 1..=y + 1 {
        for cx in x - 1..=x + 1 {
            let centre = at(cx as f32 + hash(cx, cy, seed), cy as f32 + hash(cx, cy, seed ^ 0x9e37_79b9));
            let offset = place - centre;
            let distance = offset.dot(offset);
            if distance < nearest {
                (next, nearest) = (nearest, distance);
                owner = (cx, cy);
            } else if distance < next {
                next = distance;
            }
        }
    }
    let name = hash(owner.0, owner.1, seed ^ 0x85eb_ca6b);
    IrregularCell { name, from_border: next.sqrt() - nearest.sqrt() }
}

/// How deep inside a round spot a place is, as a share of the spot's radius: 1 in its middle, below 0 outside. A
/// `share` of the cells of size 1 has one, of a radius within `radii` (at most 0.5), small ones more often.
pub fn spot(place: Point, share: f32, radii: [f32; 2], seed: u32) -> f32 {
    let (x, y) = (place.x.floor() as i32, place.y.floor() as i32);
    if hash(x, y, seed) >= share {
        return -1.0;
    }
    let large = hash(x, y, seed ^ 0x9e37_79b9);
    let radius = radii[0] + (radii[1] - radii[0]) * large * large;
    let within = |salt: u32| radius + (1.0 - 2.0 * radius) * hash(x, y, seed ^ salt);
    let centre = at(x as f32 + within(0x85eb_ca6b), y as f32 + within(0xc2b2_ae35));
    1.0 - (place - centre).length() / radius
}

/// Brightness factor of a relief lit from direction `light` (a unit step): slopes that face it are brighter. `here` is
/// the height at `place`.
pub fn relief(height: impl Fn(Point) -> f32, here: f32, place: Point, light: Point, strength: f32) -> f32 {
    const STEP: f32 = 1.0 / 256.0;
    let slope = at(height(place + at(STEP, 0.0)) - here, height(place + at(0.0, STEP)) - here);
    (1.0 - strength * slope.dot(light) / STEP).clamp(0.2, 1.8)
}

fn scramble(x: i32, y: i32, seed: u32) -> u32 {
    let mut bits = (x as u32).wrapping_mul(0x9e37_79b1) ^ (y as u32).wrapping_mul(0x85eb_ca77) ^ seed;
    for _ in 0..2 {
        bits = (bits ^ bits >> 16).wrapping_mul(0x7feb_352d);
        bits = (bits ^ bits >> 15).wrapping_mul(0x846c_a68b);
    }
    bits ^ bits >> 16
}
