//! Families of things that grew or were baked: each piece is its own.

use std::f32::consts::{PI, TAU};

use super::super::{
    colour::{mix, shade},
    draw::Draw,
    field::{hash, irregular_cell, layered, noise, spot},
    geometry::{Point, Pose, at, hump, smooth, to_segment},
    product::Product,
    relief::{Heights, LIGHT, dome, glint},
};
use super::table::Table;

/// A hazelnut seen from any side: a striped shell with a tip, and a rough pale base.
pub fn hazelnut(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let shell = design.colour_near(0.06, 0.02, [0.55, 0.75], [0.45, 0.7]);
    let base = mix(shell, [0.85, 0.75, 0.6], design.within(0.5, 0.8));
    let stripes = design.within(7.0, 13.0);
    let contrast = design.within(0.15, 0.35);
    let reach = design.within(0.25, 0.55);
    let table = Table::backdrop(design, piece);
    let pose = Pose::of_loose_object(piece, PI);
    // The axis from base to tip leans towards the camera or away from it, up to upright.
    let lean = piece.within(-1.4, 1.4);
    let (flat, up) = (libm::cosf(lean), libm::sinf(lean));
    let radius = piece.within(0.29, 0.33);
    let (long, wide) = (radius * (1.0 + 0.2 * flat), radius * piece.within(0.93, 1.0));
    let light = pose.direction_on_piece(LIGHT);
    let tone = piece.within(0.88, 1.12);
    let [outline, grain, mottle, rough] = piece.fields();
    let surface = |place: Point| {
        let q = pose.on_piece(place);
        let lump = 1.0 + 0.06 * noise(q * 5.0, outline);
        let tip = 1.0 + 0.25 * flat * smooth(0.45, 1.0, q.x / long);
        let unit = at(q.x / long, q.y * tip / wide) * (1.0 / lump);
        let out = unit.dot(unit);
        if out > 1.0 {
            return None;
        }
        let height = (1.0 - out).sqrt();
        let along = unit.x * flat + height * up;
        let across = at(unit.y, height * flat - unit.x * up);
        // Folded, so that the stripes meet where the angle starts anew.
        let round = across.angle().abs() / TAU;
        let stripe =
            noise(at(round * stripes * 2.0, along * 1.2), grain) * (1.0 - smooth(0.6, 1.0, along.abs()));
        let edge = -1.0 + reach + 0.1 * noise(at(round * 9.0, 0.0), rough);
        let bare = smooth(edge + 0.04, edge - 0.04, along);
        let skin = shade(shell, 1.0 + contrast * stripe + 0.12 * noise(q * 14.0, mottle));
        let colour = mix(skin, shade(base, 1.0 + 0.2 * noise(q * 45.0, rough)), bare);
        let lit = tone * (0.22 + 0.85 * dome(unit, light));
        let gloss = 0.22 * glint(unit, light, 0.35) * (1.0 - bare);
        Some(mix(shade(colour, lit), [1.0; 3], gloss))
    };
    Product::object(size, |place| table.colour(place), surface)
}

/// A kernel bent like a crescent, on either side.
pub fn cashew(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let kernel = design.colour_near(0.1, 0.02, [0.2, 0.45], [0.8, 0.95]);
    let half = design.within(0.16, 0.21);
    let table = Table::backdrop(design, piece);
    let pose = Pose::of_loose_object(piece, PI);
    let bend = design.within(1.0, 1.8) * piece.within(0.85, 1.15) * piece.sign();
    let thick = piece.within(0.1, 0.125);
    let taper = piece.within(0.1, 0.3);
    let light = pose.direction_on_piece(LIGHT);
    let [outline, groove, blotch] = piece.fields();
    let surface = |place: Point| {
        let q = pose.on_piece(place);
        // The middle line is a parabola, so that the place is straightened by a shift.
        let curve = bend * (q.x * q.x - 0.4 * half * half);
        let lean = 1.0 / (1.0 + 4.0 * bend * bend * q.x * q.x).sqrt();
        let straight = at(q.x, (q.y - curve) * lean);
        let width =
            thick * (1.0 - taper * (q.x / half).clamp(-1.0, 1.0)) * (1.0 + 0.12 * noise(q * 8.0, outline));
        let from_axis = to_segment(straight, at(-half, 0.0), at(half, 0.0));
        if from_axis > width {
            return None;
        }
        let ahead = straight.x - straight.x.clamp(-half, half);
        let unit = at(ahead, straight.y) * (1.0 / width);
        let line = 0.07 * noise(at(q.x * 6.0, straight.y * 60.0), groove);
        let toast = 0.1 * layered(q * 9.0, 2, blotch);
        let lit = shade(kernel, 0.3 + 0.72 * dome(unit, light) + line + toast * (1.0 - unit.y.abs()));
        Some(mix(lit, [1.0, 0.97, 0.9], 0.15 * glint(unit, light, 0.6)))
    };
    Product::object(size, |place| table.colour(place), surface)
}

/// Pressed cork: granules of several browns with dark pores.
pub fn cork(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let bark = design.colour_near(0.08, 0.02, [0.35, 0.6], [0.6, 0.85]);
    let granules = design.within(10.0, 22.0);
    let varied = design.within(0.15, 0.4);
    let pores = design.within(0.15, 0.5);
    let pose = Pose::of_sheet(piece, PI);
    let [bend, cell, dark, grain] = piece.fields();
    Product::sheet(size, shade(bark, 0.25), |place| {
        let q = pose.on_piece(place) * granules;
        let granule = irregular_cell(q + at(noise(q, bend), noise(q + at(3.0, 8.0), bend)) * 0.3, cell);
        let joint = smooth(0.0, 0.12, granule.from_border);
        let body = 1.0 + varied * (granule.name - 0.6) + 0.12 * noise(q * 2.6, grain);
        let pore = smooth(0.0, 0.3, spot(at(q.x * 0.7, q.y * 1.3), pores, [0.05, 0.3], dark));
        shade(bark, body * (0.8 + 0.2 * joint) * (1.0 - 0.6 * pore))
    })
}

/// The skin of a citrus fruit, near: dimples under a broad highlight.
pub fn peel(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let fruit = design.colour_near(0.12, 0.08, [0.75, 0.98], [0.65, 0.95]);
    let dimples = design.within(13.0, 22.0);
    let depth = design.within(0.006, 0.012);
    let roundness = design.within(0.2, 0.6);
    let pose = Pose::of_sheet(piece, PI);
    let middle = at(piece.within(0.35, 0.65), piece.within(0.35, 0.65));
    let ripe = piece.within(0.88, 1.08);
    let [cell, bump, blush] = piece.fields();
    let heights = Heights::new(size, |place| {
        let q = pose.on_piece(place) * dimples;
        let dimple = |place: Point, seed: u32| smooth(0.0, 0.8, spot(place, 0.6, [0.2, 0.45], seed));
        let (few, many) = (dimple(q, cell), dimple(q.turned(at(0.8, 0.6)) * 1.27, cell ^ 1));
        0.35 * noise(q * 0.4, bump) - few.max(0.6 * many)
    });
    Product::sheet(size, shade(fruit, 0.4), |place| {
        let offset = (place - middle) * 1.3;
        let ball = 1.0 - roundness * offset.dot(offset);
        let lit = heights.lit(place, LIGHT, depth);
        let gloss = 0.35 * smooth(0.4, 0.0, (offset - LIGHT * 0.18).length()) * smooth(0.85, 1.35, lit);
        let hue = 0.04 * noise(pose.on_piece(place) * 2.0, blush);
        let colour = [fruit[0] * (1.0 - hue), fruit[1] * (1.0 + hue), fruit[2]];
        mix(shade(colour, ripe * ball * lit), [1.0; 3], gloss)
    })
}

/// A biscuit with a scalloped rim and docker holes, browned towards its edge.
pub fn biscuit(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let dough = design.colour_near(0.1, 0.02, [0.35, 0.6], [0.75, 0.92]);
    let crust = shade(mix(dough, [0.5, 0.25, 0.08], 0.65), 0.95);
    let scallops = design.count(14, 26) as f32;
    let (radius, depth) = (design.within(0.36, 0.42), design.within(0.01, 0.025));
    let pitch = design.within(0.09, 0.14);
    let ring = radius * design.within(0.72, 0.85);
    let square = design.chance(0.35);
    let table = Table::backdrop(design, piece);
    let pose = Pose::of_loose_object(piece, if square { 0.15 } else { PI });
    let baked = piece.within(0.05, 0.5);
    let [outline, crumb, brown, hole] = piece.fields();
    // A square with round corners is a circle in the fourth power.
    let reach = |q: Point| {
        if square { (q.x * q.x * q.x * q.x + q.y * q.y * q.y * q.y).sqrt().sqrt() } else { q.length() }
    };
    let edge = |q: Point| {
        let scallop = depth * hump(q.angle() / TAU * scallops);
        let full = if square { radius * 0.92 } else { radius };
        full - scallop + 0.012 * noise(q * 6.0, outline)
    };
    let docked = |q: Point| {
        let (x, y) = ((q.x / pitch).round(), (q.y / pitch).round());
        let shift =
            at(hash(x as i32, y as i32, hole) - 0.5, hash(x as i32, y as i32, hole ^ 1) - 0.5) * 0.012;
        let held = at(x, y) * pitch;
        (held.length() < ring - 0.03).then(|| (q - held - shift).length())
    };
    let heights = Heights::new(size, |place| {
        let q = pose.on_piece(place);
        let inside = edge(q) - reach(q);
        let dip = docked(q).map_or(0.0, |distance| 0.012 * smooth(0.02, 0.006, distance));
        let groove = 0.006 * smooth(0.012, 0.0, (reach(q) - ring).abs());
        0.03 * smooth(0.0, 0.05, inside) - dip - groove + 0.006 * layered(q * 26.0, 2, crumb)
    });
    let surface = |place: Point| {
        let q = pose.on_piece(place);
        let inside = edge(q) - reach(q);
        if inside < 0.0 {
            return None;
        }
        let browning = baked + 0.55 * smooth(0.09, 0.0, inside) + 0.3 * noise(q * 6.0, brown);
        let dip = docked(q).map_or(0.0, |distance| smooth(0.014, 0.004, distance));
        Some(shade(mix(dough, crust, browning), heights.lit(place, LIGHT, 0.3) * (1.0 - 0.45 * dip)))
    };
    Product::object(size, |place| table.colour(place), surface)
}
