//! Families of packed goods: capsules, blisters, printed labels.

use super::super::{
    colour::{mix, shade},
    draw::Draw,
    field::{hash, layered, noise},
    geometry::{Point, Pose, at, cell, crown, smooth, to_box, to_segment},
    product::Product,
};

/// A hard capsule of two halves, one of them printed.
pub fn capsule(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let half = design.within(0.2, 0.28);
    let radius = design.within(0.11, 0.16);
    let join = design.within(-0.08, 0.08);
    let cap = design.colour([0.3, 0.9], [0.45, 0.95]);
    let body = design.colour([0.0, 0.5], [0.6, 0.95]);
    let ink = design.colour([0.0, 0.6], [0.05, 0.35]);
    let letters = design.field();
    let ground = design.colour([0.0, 0.2], [0.1, 0.9]);
    let lie = design.angle();
    let pose = Pose::of_object(piece, 0.15);
    let turn = Point::towards(lie);
    let seed = piece.field();
    let surface = |place: Point| {
        let q = pose.on_piece(place).turned(turn);
        let from_axis = to_segment(q, at(-half, 0.0), at(half, 0.0));
        let cap_side = q.x < join;
        // The cap slides over the body and is a little wider.
        let radius = if cap_side { radius } else { radius * 0.95 };
        if from_axis > radius {
            return None;
        }
        let mut colour = if cap_side { cap } else { body };
        let on_print = at((q.x - join - 0.03) / 0.022, q.y / 0.022 + 2.5);
        if !cap_side && glyph(on_print, 7, 5, letters) {
            colour = mix(colour, ink, 0.85);
        }
        let round = (1.0 - (from_axis / radius) * (from_axis / radius)).max(0.0).sqrt();
        let seam = if cap_side { 0.25 * smooth(0.012, 0.0, join - q.x) } else { 0.0 };
        let lit = pose.on_piece(place) - at(0.0, -radius * 0.45).turned(at(1.0, 0.0));
        let streak = to_segment(lit.turned(turn), at(-half, 0.0), at(half, 0.0));
        let gloss = 0.35 * smooth(radius * 0.28, 0.0, streak);
        let lit = shade(colour, 0.5 + 0.5 * round - seam + 0.02 * noise(q * 60.0, seed));
        Some(mix(lit, [1.0; 3], gloss))
    };
    Product::object(size, |place| shade(ground, 1.0 + 0.04 * layered(place * 25.0, 3, seed + 1)), surface)
}

/// A blister pack: tablets under domes in embossed foil.
pub fn blister(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let columns = design.count(2, 4) as f32;
    let radius = design.within(0.27, 0.36);
    let stretch = design.within(0.8, 1.0);
    let foil = design.colour_near(0.6, 0.5, [0.0, 0.2], [0.6, 0.8]);
    let tablet = design.colour([0.0, 0.6], [0.65, 0.95]);
    let scored = design.chance(0.5);
    let pose = Pose::of_object(piece, 0.03);
    let seed = piece.field();
    Product::sheet(size, shade(foil, 0.25), |place| {
        let q = pose.on_piece(place) * columns + at(0.5, 0.5) * (columns % 2.0);
        let ((_, u), (_, v)) = (cell(q.x), cell(q.y));
        let from_centre = at(u, v / stretch);
        let distance = from_centre.length();
        if distance < radius {
            let edge = smooth(radius, radius * 0.75, distance);
            let score = if scored { 0.25 * smooth(0.03, 0.01, u.abs()) } else { 0.0 };
            let gloss = 0.5 * smooth(0.1, 0.0, (from_centre - at(-0.12, -0.14)).length());
            let lit = shade(tablet, 0.7 + 0.28 * edge - score + 0.03 * noise(q * 25.0, seed));
            return mix(lit, [1.0; 3], gloss);
        }
        let dome = smooth(radius + 0.09, radius, distance);
        let slope = dome * (1.0 - dome) * 1.6 * from_centre.dot(at(-0.6, -0.8)) / distance;
        let knurl = 0.06 * crown(cell(q.x * 9.0 + q.y * 9.0).1) * crown(cell(q.x * 9.0 - q.y * 9.0).1);
        let crumple = 0.08 * layered(q * 2.0, 3, seed + 1);
        shade(foil, 0.9 + slope + knurl + crumple)
    })
}

/// A label with a frame, a picture mark and lines of print.
pub fn label(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let half = at(design.within(0.36, 0.43), design.within(0.26, 0.4));
    let paper = design.colour([0.0, 0.35], [0.75, 0.97]);
    let ink = design.colour([0.2, 0.9], [0.1, 0.5]);
    let accent = design.colour([0.5, 0.9], [0.4, 0.85]);
    let lines = design.count(4, 7) as f32;
    let mark = at(-half.x * design.within(0.45, 0.65), -half.y * design.within(0.2, 0.5));
    let round = design.chance(0.5);
    let text = design.field();
    let carton = design.colour([0.1, 0.5], [0.2, 0.7]);
    let pose = Pose::of_object(piece, 0.06);
    let seed = piece.field();
    let surface = |place: Point| {
        let q = pose.on_piece(place);
        let inside = -(to_box(q, at(half.x - 0.02, half.y - 0.02)) - 0.02);
        if inside < 0.0 {
            return None;
        }
        let frame = smooth(0.006, 0.003, (inside - 0.02).abs());
        let from_mark = if round { (q - mark).length() - 0.09 } else { to_box(q - mark, at(0.09, 0.07)) };
        let (row, v) = cell((q.y + half.y) / (2.0 * half.y) * (lines + 2.0));
        let right = if (q.y - mark.y).abs() < 0.12 { mark.x + 0.12 } else { -half.x + 0.06 };
        let letter = at((q.x - right) / 0.016, v * 6.0 + 2.5);
        let end = (half.x * 2.0 - 0.1) / 0.016 * (0.6 + 0.4 * hash(row, 1, text));
        let printed = (1..=lines as i32).contains(&row)
            && q.x > right
            && q.x < half.x - 0.05
            && letter.x < end
            && glyph(letter, i32::MAX, 5, text.wrapping_add(row as u32));
        let mut colour = mix(paper, ink, frame * 0.9);
        if printed {
            colour = mix(colour, ink, 0.9);
        }
        colour = mix(colour, accent, smooth(0.004, -0.004, from_mark));
        Some(shade(colour, 0.98 + 0.03 * layered(q * 40.0, 2, seed)))
    };
    Product::object(
        size,
        |place| shade(carton, 0.95 + 0.08 * layered(at(place.x * 60.0, place.y * 6.0), 2, seed + 1)),
        surface,
    )
}

/// Whether a place is on the ink of made-up writing: letters 2 wide and `height` tall in cells 3 wide, from the origin
/// to `columns`.
fn glyph(place: Point, columns: i32, height: i32, seed: u32) -> bool {
    let (x, y) = (place.x.floor() as i32, place.y.floor() as i32);
    (0..columns).contains(&x) && (0..height).contains(&y) && x % 3 != 2 && hash(x, y, seed) < 0.62
}
