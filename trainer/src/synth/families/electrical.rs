//! Families of electrical goods: cells, cables, leaded parts, tracks.

use std::f32::consts::TAU;

use super::super::{
    colour::{Colour, mix, shade},
    draw::Draw,
    field::{hash, irregular_cell, layered, noise},
    geometry::{Point, Pose, at, cell, smooth, to_box, to_segment},
    product::Product,
    relief::{LIGHT, dome, glint, rod},
};
use super::table::Table;

const TIN: Colour = [0.76, 0.76, 0.78];

/// A solar cell: crystal grains under fine fingers and a few bus bars; its electroluminescence is grey.
pub fn solar_cell(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let silicon = if design.chance(0.65) {
        design.grey([0.35, 0.6])
    } else {
        design.colour_near(0.62, 0.03, [0.4, 0.7], [0.25, 0.45])
    };
    let bars = design.count(2, 4) as f32;
    let fingers = design.within(16.0, 24.0);
    let bright = design.sign() * 0.6;
    let grains = design.within(3.0, 7.0);
    let crystal = if design.chance(0.7) { design.within(0.15, 0.4) } else { 0.0 };
    let pose = Pose::of_object(piece, 0.015);
    let tone = piece.within(0.8, 1.2);
    let [cell_seed, bend, cloud] = piece.fields();
    Product::sheet(size, shade(silicon, 0.2), |place| {
        let q = pose.on_piece(place);
        let (_, bar) = cell((q.x + 0.5) * bars);
        let (_, finger) = cell(q.y * fingers);
        let p = q * grains + at(0.6, 0.8) * (0.3 * noise(q * 12.0, bend));
        let grain = irregular_cell(at(p.x + 40.0, p.y), cell_seed);
        let border = 0.25 * crystal * smooth(0.06, 0.0, grain.from_border);
        let body = 1.0 + crystal * (grain.name - 0.5) - border + 0.06 * noise(q * 5.0, cloud);
        let line = 0.16 * smooth(0.2, 0.05, finger.abs());
        let fallen = 0.2 * smooth(0.4, 0.52, q.x.abs().max(q.y.abs()));
        let on_bar = smooth(0.028 * bars, 0.018 * bars, bar.abs());
        let cell = shade(silicon, tone * (body - line - fallen));
        mix(cell, shade(silicon, tone * (1.0 + bright)), on_bar * 0.9)
    })
}

/// A cable cut across: three insulated cores of strands in a sheath.
pub fn cable(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let sheath = design.grey([0.15, 0.75]);
    let filler = shade(sheath, design.within(0.5, 0.75));
    let hue = design.within(0.0, 1.0);
    let coats = [0.0, 0.33, 0.6].map(|step| design.colour_near(hue + step, 0.05, [0.5, 0.9], [0.4, 0.85]));
    let copper = design.colour_near(0.06, 0.02, [0.35, 0.65], [0.7, 0.9]);
    let outer = design.within(0.4, 0.45);
    let core = outer * design.within(0.38, 0.43);
    let bundle = core * design.within(0.62, 0.74);
    let strands = bundle / design.within(3.2, 4.8);
    let table = Table::backdrop(design, piece);
    let pose = Pose::of_object(piece, 0.2);
    let lay = [(); 3].map(|()| (Point::towards(piece.angle()), piece.within(-0.02, 0.02), piece.field()));
    let [wobble, cut] = piece.fields();
    let surface = |place: Point| {
        let q = pose.on_piece(place);
        let out = q.length() * (1.0 + 0.02 * noise(q * 5.0, wobble));
        if out > outer {
            return None;
        }
        let sawn = 1.0 + 0.06 * noise(at(q.x * 10.0, q.y * 55.0), cut);
        for (k, (turn, shift, seed)) in lay.iter().enumerate() {
            let middle = Point::towards(TAU * (k as f32 / 3.0 + 0.25 + 0.5 * shift)) * (outer * 0.46);
            let offset = q - middle - at(*shift, -*shift) * 0.3;
            let distance = offset.length();
            if distance > core {
                continue;
            }
            if distance > bundle {
                let rim = smooth(0.0, 0.014, (core - distance).min(distance - bundle));
                return Some(shade(coats[k], sawn * (0.72 + 0.28 * rim)));
            }
            // Strands packed in hexagons, seen end on.
            let packed = offset.turned(*turn) * (1.0 / strands);
            let (row, v) = cell(packed.y / 0.866);
            let (column, u) = cell(packed.x + 0.5 * row.rem_euclid(2) as f32);
            let loose = at(hash(column, row, *seed) - 0.5, hash(column, row, seed ^ 1) - 0.5) * 0.2;
            let from_strand = (at(u, v * 0.866) - loose).length();
            let end = smooth(0.5, 0.36, from_strand);
            let own = 0.7 + 0.45 * hash(column, row, seed ^ 2);
            return Some(shade(copper, sawn * (0.25 + 0.75 * end * own)));
        }
        let inner = smooth(outer * 0.9, outer * 0.88, out);
        Some(shade(mix(sheath, filler, inner), sawn))
    };
    Product::object(size, |place| table.colour(place), surface)
}

/// A transistor over perforated board: a black body and three legs.
pub fn transistor(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let board = design.colour_near(0.22, 0.2, [0.3, 0.7], [0.25, 0.6]);
    let ring = mix(TIN, [0.8, 0.55, 0.3], design.within(0.0, 1.0));
    let body = design.grey([0.08, 0.2]);
    let pitch = design.within(0.095, 0.115);
    let half = at(pitch * design.within(1.5, 1.9), design.within(0.12, 0.17));
    let rows = design.count(1, 3) as i32;
    let text = design.field();
    let round = design.chance(0.5);
    let pose = Pose::of_object(piece, 0.03);
    let lean = piece.within(-0.05, 0.05);
    let bends = [(); 3].map(|()| piece.within(-0.012, 0.012));
    let [grain, fibre] = piece.fields();
    let middle = at(0.0, -0.2);
    let surface = |place: Point| {
        let q = pose.on_piece(place);
        let p = (q - middle).turned(Point::towards(lean));
        let corner = if round && p.y < 0.0 { half.x * 0.6 } else { 0.015 };
        let inside = corner - to_box(p, at(half.x - corner, half.y - corner));
        if inside > 0.0 {
            let letter = at((p.x + half.x * 0.7) / 0.022, (p.y + 0.05) / 0.02);
            let (x, y) = (letter.x.floor() as i32, letter.y.floor() as i32);
            let printed = x >= 0
                && p.x < half.x * 0.7
                && (0..rows * 5).contains(&y)
                && x % 3 != 2
                && y % 5 < 3
                && hash(x, y, text) < 0.6;
            let gloss = 0.5 * smooth(0.02, 0.0, inside) * (0.5 + 0.5 * p.dot(LIGHT) / p.length().max(1e-6));
            let matt = 1.0 + gloss + 0.14 * noise(q * 65.0, grain);
            return Some(shade(mix(body, [0.6; 3], if printed { 0.6 } else { 0.0 }), matt));
        }
        (0..3).find_map(|k| {
            let from = at((k as f32 - 1.0) * pitch * 0.9, middle.y + half.y);
            let to = at((k as f32 - 1.0) * pitch + bends[k], 2.55 * pitch);
            let across = to_segment(q, from, to) / 0.02;
            (across < 1.0 && q.y > from.y).then(|| shade(TIN, 0.35 + 0.75 * rod(across, -0.4)))
        })
    };
    let ground = |place: Point| {
        let q = pose.on_piece(place);
        let ((_, u), (_, v)) = (cell(q.x / pitch + 0.5), cell(q.y / pitch));
        let distance = at(u, v).length();
        let weave = 1.0 + 0.06 * layered(at(q.x * 55.0, q.y * 20.0), 2, fibre);
        let plate = mix(board, ring, smooth(0.37, 0.31, distance));
        shade(mix(plate, [0.04; 3], smooth(0.2, 0.14, distance)), weave)
    };
    Product::object(size, ground, surface)
}

/// A light-emitting diode on its side: a tinted dome on a flange, two legs.
pub fn led(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let epoxy = design.colour([0.4, 0.95], [0.55, 0.95]);
    let radius = design.within(0.12, 0.17);
    let length = design.within(0.1, 0.2);
    let legs = [design.within(0.26, 0.32), design.within(0.18, 0.26)];
    let table = Table::backdrop(design, piece);
    let lie = Point::towards(design.angle());
    let pose = Pose::of_loose_object(piece, 0.35);
    let splay = [piece.within(-0.03, 0.03), piece.within(-0.03, 0.03)];
    let light = pose.direction_on_piece(LIGHT).turned(lie);
    let haze = piece.field();
    let surface = |place: Point| {
        let q = pose.on_piece(place).turned(lie) - at(0.05, 0.0);
        let ahead = (q.x - length).max(0.0);
        let unit = at(ahead, q.y) * (1.0 / radius);
        let in_dome = q.x > 0.0 && unit.dot(unit) < 1.0;
        let in_flange = (-0.045..=0.0).contains(&q.x) && q.y.abs() < radius * 1.15;
        if in_dome || in_flange {
            let across = if in_dome { unit } else { at(0.0, q.y / (radius * 1.15)) };
            // The lens spreads the dark lead frame inside it.
            let cup = to_box(q - at(length * 0.35, 0.35 * radius), at(length * 0.4, radius * 0.25))
                .min(to_box(q - at(length * 0.2, -0.4 * radius), at(length * 0.3, radius * 0.14)));
            let frame = 0.4 * smooth(0.02, -0.01, cup);
            let through = 0.2 * smooth(0.5, 1.0, across.length());
            let body = 0.6 + 0.5 * dome(across, light) - frame - through + 0.04 * noise(q * 25.0, haze);
            return Some(mix(shade(epoxy, body), [1.0; 3], 0.7 * glint(across, light, 0.28)));
        }
        let leg = |k: usize| {
            let y = radius * if k == 0 { 0.42 } else { -0.42 };
            let end = at(-0.045 - legs[k], y + splay[k]);
            to_segment(q, at(-0.045, y), end) / 0.016
        };
        let across = leg(0).min(leg(1));
        (q.x < 0.0 && across < 1.0).then(|| shade(TIN, 0.4 + 0.65 * rod(across, -0.4)))
    };
    Product::object(size, |place| table.colour(place), surface)
}

/// Parallel tracks of a printed circuit that jog together, with a row of vias.
pub fn tracks(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let pitch = design.within(0.07, 0.12);
    let width = design.within(0.18, 0.3);
    let mask = design.colour_near(0.4, 0.3, [0.4, 0.9], [0.15, 0.4]);
    let copper = if design.chance(0.4) {
        design.colour_near(0.09, 0.03, [0.4, 0.6], [0.7, 0.85])
    } else {
        mix(mask, [0.85, 0.85, 0.5], design.within(0.25, 0.45))
    };
    let (bend, jog) = (design.within(-0.2, 0.05), design.within(0.08, 0.2) * design.sign());
    let vias = design.within(0.15, 0.4);
    let upright = if design.chance(0.5) { at(1.0, 0.0) } else { at(0.0, 1.0) };
    let pose = Pose::of_object(piece, 0.02);
    let slip = piece.within(-0.5, 0.5) * pitch;
    let [cloud, grain] = piece.fields();
    Product::sheet(size, shade(mask, 0.2), |place| {
        let q = pose.on_piece(place).turned(upright) + at(0.0, slip);
        let shift = jog.signum() * (q.x - bend).clamp(0.0, jog.abs());
        let (number, v) = cell((q.y - shift) / pitch);
        let slanted = q.x > bend && q.x < bend + jog.abs();
        let across = v.abs() * if slanted { 0.71 } else { 1.0 };
        let via = at((q.x - vias - 0.05 * number.rem_euclid(2) as f32) / pitch, v).length();
        let track = smooth(width + 0.05, width - 0.05, across);
        let pad = smooth(0.42, 0.36, via);
        let light = 1.0 + 0.05 * layered(q * 9.0, 2, cloud) + 0.06 * noise(q * 75.0, grain);
        let board = mix(mask, copper, track);
        let rim = 0.12 * track * (1.0 - track) * if v < 0.0 { 4.0 } else { -4.0 };
        let plated = mix(shade(board, 1.0 + rim), TIN, pad);
        shade(mix(plated, [0.05; 3], smooth(0.2, 0.15, via)), light)
    })
}
