//! Families of small metal parts, many of which lie in any pose.

use std::f32::consts::{PI, TAU};

use super::super::{
    colour::{Colour, mix, shade},
    draw::Draw,
    field::{hash, layered, noise},
    geometry::{Point, Pose, at, cell, hump, smooth, to_box},
    product::Product,
    relief::{Heights, LIGHT, rod},
};
use super::table::{Table, bevel, facing, sheen};

/// A screw on its side, in any direction and turned about its axis.
pub fn screw(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let metal = steel(design);
    let half = design.within(0.3, 0.38);
    let shank = design.within(0.045, 0.065);
    let head = shank * design.within(1.9, 2.4);
    let countersunk = design.chance(0.5);
    let turns = design.within(22.0, 32.0);
    let bare = design.within(-0.2, 0.1);
    let table = Table::backdrop(design, piece);
    let pose = Pose::of_loose_object(piece, PI);
    let (roll, tone) = (piece.within(0.0, 1.0), piece.within(0.85, 1.15));
    let light = pose.direction_on_piece(LIGHT).y;
    let seed = piece.field();
    let surface = |place: Point| {
        let q = pose.on_piece(place);
        let from_head = q.x + half;
        let tip = smooth(half, half - 0.11, q.x);
        let side = (q.y / shank).clamp(-1.0, 1.0);
        // The thread climbs by half a turn from one side to the other.
        let phase = q.x * turns + 0.25 * side + roll;
        let threaded = if q.x > bare { 1.0 } else { 0.0 };
        let crest = threaded * hump(phase);
        let height = if from_head < head * 0.75 {
            let share = from_head / (head * 0.75);
            let dome = (share * (2.0 - share)).max(0.0).sqrt();
            if countersunk { head * (1.0 - 0.55 * share) } else { head * (0.35 + 0.65 * dome) }
        } else {
            shank * (0.82 + 0.18 * crest) * tip
        };
        if from_head < 0.0 || q.x > half || q.y.abs() > height {
            return None;
        }
        let across = q.y / height.max(1e-4);
        let flank = threaded * 0.3 * (hump(phase + 0.25) - 0.5);
        let glare = 0.3 * smooth(0.4, 0.0, (across - 0.4 * light).abs());
        let slot = if from_head < 0.014 { 0.7 } else { 1.0 };
        let body = 0.3 + 0.6 * rod(across, light) + glare + flank + 0.04 * noise(q * 60.0, seed);
        Some(shade(metal, tone * slot * body))
    };
    Product::object(size, |place| table.colour(place), surface)
}

/// A compression spring on its side: near strands over far ones.
pub fn spring(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let metal = steel(design);
    let half = design.within(0.28, 0.38);
    let radius = design.within(0.09, 0.15);
    let wire = design.within(0.014, 0.022);
    let coils = design.count(6, 10) as f32;
    let table = Table::backdrop(design, piece);
    let pose = Pose::of_loose_object(piece, PI);
    let stretch = piece.within(0.93, 1.07);
    let (roll, tone) = (piece.within(0.0, 1.0), piece.within(0.85, 1.15));
    let light = pose.direction_on_piece(LIGHT);
    let seed = piece.field();
    let half = half * stretch;
    let surface = |place: Point| {
        let q = pose.on_piece(place);
        if q.y.abs() > radius + wire || q.x.abs() > half {
            return None;
        }
        let across = (q.y / radius).clamp(-1.0, 1.0);
        // Where along a turn a strand is at this height; the far one leans the other way.
        let quarter = libm::asinf(across) / TAU;
        let pitch = 2.0 * half / coils;
        let slope = (1.0 - across * across).max(0.02).sqrt() * TAU * radius / pitch;
        let lean = slope / (1.0 + slope * slope).sqrt();
        let strand = |offset: f32| {
            let (_, u) = cell(q.x / pitch + offset + roll + 0.5);
            let beyond = (q.y.abs() - radius).max(0.0);
            at(u * pitch * lean, beyond).length() * if u < 0.0 { -1.0 } else { 1.0 }
        };
        let (near, far) = (strand(-quarter), strand(quarter - 0.5));
        let lit = |distance: f32| 0.3 + 0.75 * rod(distance / wire, light.x) + 0.05 * noise(q * 50.0, seed);
        let tube = 0.55 + 0.45 * rod(across, light.y);
        if near.abs() < wire {
            Some(shade(metal, tone * tube * lit(near)))
        } else if far.abs() < wire {
            Some(shade(metal, tone * 0.45 * tube * lit(far)))
        } else {
            None
        }
    };
    Product::object(size, |place| table.colour(place), surface)
}

/// Flat washers laid out in rows, none quite in its place.
pub fn washers(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let metal = steel(design);
    let count = design.count(2, 3) as f32;
    let outer = design.within(0.34, 0.41);
    let bore = outer * design.within(0.42, 0.62);
    let table = Table::backdrop(design, piece);
    let pose = Pose::of_object(piece, 0.05);
    let tone = piece.within(0.85, 1.15);
    let [shift_x, shift_y, turn, grain] = piece.fields();
    let beyond = |number: i32| (2.0 * number as f32 + 1.0 - count % 2.0).abs() > count;
    let surface = |place: Point| {
        let q = pose.on_piece(place) * (count / 0.94) + at(0.5, 0.5) * (count % 2.0);
        let ((column, u), (row, v)) = (cell(q.x), cell(q.y));
        let shift = at(hash(column, row, shift_x) - 0.5, hash(column, row, shift_y) - 0.5) * 0.14;
        let from_centre = at(u, v) - shift;
        let radius = from_centre.length();
        if radius > outer || radius < bore || beyond(column) || beyond(row) {
            return None;
        }
        let own = hash(column, row, turn);
        let angle = from_centre.angle();
        let inside = (outer - radius).min(radius - bore) / count;
        let turned = 0.09 * noise(at(radius * 28.0, own * 90.0), grain) + 0.05 * layered(q * 5.0, 2, grain);
        Some(shade(metal, tone * (sheen(angle + own * TAU) + bevel(inside, from_centre) + turned)))
    };
    Product::object(size, |place| table.colour(place), surface)
}

/// A nut with bent lobes around a threaded bore, turned any way.
pub fn lobed_nut(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let metal = steel(design);
    let lobes = design.count(3, 6) as f32;
    let outer = design.within(0.38, 0.44);
    let waist = outer * design.within(0.68, 0.8);
    let bore = design.within(0.1, 0.15);
    let bent = design.within(-0.25, 0.25);
    let table = Table::backdrop(design, piece);
    let pose = Pose::of_object(piece, PI);
    let tone = piece.within(0.85, 1.15);
    let light = pose.direction_on_piece(LIGHT);
    let [grain, rubbed] = piece.fields();
    let surface = |place: Point| {
        let q = pose.on_piece(place);
        let (radius, angle) = (q.length(), q.angle());
        let lobe = smooth(0.15, 0.75, hump((angle + bent * radius) * lobes / TAU));
        let edge = waist + (outer - waist) * lobe;
        if radius > edge || radius < bore {
            return None;
        }
        // Outside of the waist the lobes are bent upwards and face the light by their direction.
        let rise = smooth(waist * 0.8, waist, radius);
        let face = 0.8 + 0.22 * rise * q.dot(light) / radius - 0.12 * rise * (1.0 - lobe);
        let thread = smooth(0.035, 0.03, radius - bore);
        let ridges = 0.25 * (hump((radius - bore) * 85.0 + angle / TAU) - 0.5) + 0.25 * facing(q) - 0.3;
        let rim = smooth(0.016, 0.0, edge - radius) * (0.3 * q.dot(light) / radius - 0.1);
        let marks = 0.07 * noise(q * 42.0, grain) + 0.09 * layered(q * 6.0, 3, rubbed);
        Some(shade(metal, tone * (face + thread * ridges + rim + marks)))
    };
    Product::object(size, |place| table.colour(place), surface)
}

/// A coin or token: beaded rim, a device in relief and bars around it.
pub fn coin(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let metal = match design.count(0, 2) {
        0 => steel(design),
        1 => design.colour_near(0.06, 0.02, [0.45, 0.65], [0.5, 0.75]),
        _ => design.colour_near(0.12, 0.02, [0.4, 0.6], [0.6, 0.8]),
    };
    let radius = design.within(0.38, 0.44);
    let beads = design.count(36, 60) as f32;
    let letters = design.count(18, 30) as f32;
    let (device, text) = (design.field(), design.field());
    let field = radius * design.within(0.5, 0.62);
    let table = Table::backdrop(design, piece);
    let pose = Pose::of_object(piece, PI);
    let (tone, worn) = (piece.within(0.85, 1.15), piece.within(0.6, 1.0));
    let [tarnish, scratch] = piece.fields();
    let heights = Heights::new(size, |place| {
        let q = pose.on_piece(place);
        let (out, round) = (q.length(), q.angle() / TAU);
        let rim = smooth(0.03, 0.02, radius - out) * (0.7 + 0.3 * hump(round * beads));
        // Mirrored, as emblems are.
        let emblem = layered(at(q.x.abs() * 9.0, q.y * 9.0), 2, device) - 1.2 * out / field;
        let raised = smooth(-0.85, -0.6, emblem) * smooth(field, field * 0.85, out);
        let (letter, u) = cell(round * letters);
        let (line, v) = cell((out - field * 1.16) / (radius * 0.2) + 0.5);
        let stroke = hash(letter, (u * 2.0 + 1.0) as i32 + 7 * (v * 3.0 + 1.5) as i32, text) < 0.6;
        let written = line == 0 && stroke && to_box(at(u, v), at(0.36, 0.4)) < 0.0;
        0.012 * worn * (rim + raised + if written { 0.7 } else { 0.0 })
    });
    let surface = |place: Point| {
        let q = pose.on_piece(place);
        let out = q.length();
        if out > radius {
            return None;
        }
        let patina = 0.1 * layered(q * 4.0, 2, tarnish) + 0.04 * noise(q * 60.0, scratch);
        let high = 6.0 * heights.at(place);
        let lit = heights.lit(place, LIGHT, 0.35) * (0.84 + high + patina) + 0.6 * bevel(radius - out, q);
        Some(shade(mix(metal, [0.12, 0.1, 0.08], 0.25 - 0.25 * patina - high), tone * lit))
    };
    Product::object(size, |place| table.colour(place), surface)
}

fn steel(design: &mut Draw) -> Colour {
    design.grey([0.5, 0.78])
}
