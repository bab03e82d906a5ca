//! Families of repeated patterns: laid, woven of wire, punched or printed.

use super::super::{
    colour::{mix, shade},
    draw::Draw,
    field::{hash, layered, noise},
    geometry::{Point, Pose, at, cell, crown, smooth, to_box},
    product::Product,
};

/// Glazed tiles with joints, straight or in running bond.
pub fn tiles(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let columns = design.within(2.5, 5.5);
    let flatness = if design.chance(0.5) { 1.0 } else { design.within(0.5, 0.8) };
    let bond = if design.chance(0.5) { 0.0 } else { 0.5 };
    let joint = design.within(0.025, 0.05);
    let glaze = design.colour([0.1, 0.6], [0.4, 0.9]);
    let second = if design.chance(0.4) { design.colour([0.1, 0.6], [0.4, 0.9]) } else { glaze };
    let mortar = design.colour([0.0, 0.1], [0.45, 0.8]);
    let pose = Pose::of_sheet(piece, 0.03);
    let seed = piece.field();
    Product::sheet(size, shade(mortar, 0.4), |place| {
        let q = pose.on_piece(place) * columns;
        let (row, v) = cell(q.y / flatness);
        let (column, u) = cell(q.x + bond * row.rem_euclid(2) as f32);
        let depth = -to_box(at(u, v * flatness), at(0.5 - joint, 0.5 * flatness - joint));
        if depth < 0.0 {
            return shade(mortar, 0.85 + 0.12 * layered(q * 14.0, 3, seed));
        }
        let colour = if (row + column).rem_euclid(2) == 0 { glaze } else { second };
        let tone = 1.0 + 0.10 * (hash(row, column, seed) - 0.5) + 0.06 * layered(q * 2.5, 3, seed + 1);
        let rounded = smooth(0.0, 0.07, depth);
        let gleam = (1.0 - rounded) * if u + v < 0.0 { 0.25 } else { -0.3 };
        shade(colour, tone + gleam)
    })
}

/// Wire mesh over dark ground.
pub fn mesh(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let wires = design.within(7.0, 13.0);
    let thickness = design.within(0.28, 0.5);
    let diagonal =
        if design.chance(0.4) { Point::towards(std::f32::consts::FRAC_PI_4) } else { at(1.0, 0.0) };
    let metal = design.colour_near(0.1, 0.5, [0.0, 0.25], [0.6, 0.9]);
    let ground = design.colour([0.0, 0.3], [0.05, 0.2]);
    let pose = Pose::of_sheet(piece, 0.03);
    let seed = piece.field();
    let surface = |place: Point| {
        let q = pose.on_piece(place).turned(diagonal) * wires;
        let q = q + at(noise(q * 0.3, seed), noise(q * 0.3, seed + 1)) * 0.06;
        let ((column, u), (row, v)) = (cell(q.x), cell(q.y));
        let upright = u.abs() < thickness / 2.0;
        let level = v.abs() < thickness / 2.0;
        if !upright && !level {
            return None;
        }
        let upright_over = (column + row).rem_euclid(2) == 0;
        let (across, along) = if upright && (upright_over || !level) { (u, v) } else { (v, u) };
        let round = crown(across / thickness * 0.9);
        let rise = if upright == level { 1.0 } else { 0.75 + 0.25 * crown(along) };
        Some(shade(metal, 0.15 + 0.9 * round * rise + 0.04 * noise(q * 6.0, seed + 2)))
    };
    Product::object(size, |_| ground, surface)
}

/// Round holes punched into sheet metal, in staggered rows.
pub fn perforated(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let holes = design.within(5.0, 9.0);
    let radius = design.within(0.2, 0.34);
    let stagger = if design.chance(0.6) { 0.5 } else { 0.0 };
    let metal = design.colour_near(0.1, 0.5, [0.0, 0.35], [0.5, 0.85]);
    let ground = design.colour([0.0, 0.3], [0.04, 0.15]);
    let pose = Pose::of_sheet(piece, 0.03);
    let seed = piece.field();
    let surface = |place: Point| {
        let q = pose.on_piece(place) * holes;
        let (row, v) = cell(q.y / 0.9);
        let (_, u) = cell(q.x + stagger * row.rem_euclid(2) as f32);
        let from_edge = at(u, v * 0.9).length() - radius;
        let burr = (1.0 - smooth(0.0, 0.07, from_edge)) * if u + v < 0.0 { -0.25 } else { 0.25 };
        let grain = 0.05 * noise(at(q.x * 2.0, q.y * 14.0), seed) + 0.05 * layered(q * 0.7, 2, seed + 1);
        (from_edge > 0.0).then(|| shade(metal, 0.95 + grain + burr))
    };
    Product::object(size, |_| ground, surface)
}

/// Dots printed on paper or cloth, in one ink or two.
pub fn dots(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let count = design.within(5.0, 10.0);
    let radius = design.within(0.18, 0.36);
    let stagger = if design.chance(0.5) { 0.5 } else { 0.0 };
    let paper = design.colour([0.0, 0.25], [0.75, 0.95]);
    let ink = design.colour([0.5, 0.9], [0.2, 0.75]);
    let other = if design.chance(0.5) { design.colour([0.5, 0.9], [0.2, 0.75]) } else { ink };
    let pose = Pose::of_sheet(piece, 0.03);
    let seed = piece.field();
    Product::sheet(size, shade(paper, 0.3), |place| {
        let q = pose.on_piece(place) * count;
        let (row, v) = cell(q.y);
        let (column, u) = cell(q.x + stagger * row.rem_euclid(2) as f32);
        let edge = radius * (1.0 + 0.06 * (hash(row, column, seed) - 0.5)) + 0.015 * noise(q * 6.0, seed + 1);
        let colour = if (row + column).rem_euclid(2) == 0 { ink } else { other };
        let fibre = layered(q * 5.0, 3, seed + 2);
        let printed =
            mix(paper, colour, smooth(0.03, -0.03, at(u, v).length() - edge) * (0.93 + 0.07 * fibre));
        shade(printed, 1.0 + 0.05 * fibre)
    })
}
