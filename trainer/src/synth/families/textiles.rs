//! Families of cloth: threads over and under each other.

use super::super::{
    colour::{Colour, mix, shade},
    draw::Draw,
    field::{hash, layered, noise},
    geometry::{Point, Pose, at, cell, crown, smooth},
    product::Product,
};

/// Plain weave: each thread over one, under one.
pub fn weave(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let [warp, weft] = yarns(design);
    woven(design, piece, size, [warp, weft], |column, row| (column + row).rem_euclid(2) == 0)
}

/// Twill: over and under several, one further in each row, which makes diagonals.
pub fn twill(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let period = design.count(3, 4) as i32;
    let over = design.count(1, period as u32 - 1) as i32;
    let direction = design.sign() as i32;
    let warp = design.colour([0.3, 0.8], [0.3, 0.8]);
    let weft = design.colour([0.0, 0.15], [0.65, 0.9]);
    woven(design, piece, size, [warp, weft], |column, row| {
        (column + direction * row).rem_euclid(period) < over
    })
}

/// Stocking stitch: columns of loops that look like the letter V.
pub fn knit(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let columns = design.within(9.0, 15.0);
    let height = design.within(0.75, 1.0);
    let slant = design.within(0.7, 1.1);
    let yarn = design.colour([0.2, 0.7], [0.45, 0.9]);
    let band = design.chance(0.5).then(|| (design.count(4, 7) as i32, design.colour([0.2, 0.7], [0.3, 0.9])));
    let pose = Pose::of_sheet(piece, 0.04);
    let seed = piece.field();
    Product::sheet(size, shade(yarn, 0.15), |place| {
        let q = pose.on_piece(place) * columns;
        let q = q + at(noise(q * 0.4, seed), noise(q * 0.4, seed + 1)) * 0.06;
        let (_, u) = cell(q.x);
        let (row, v) = cell(q.y / height - slant * u.abs());
        let colour = match band {
            Some((rows, other)) if row.rem_euclid(rows) == 0 => other,
            _ => yarn,
        };
        let across = (u.abs() - 0.25) / 0.5;
        let round = crown(across) * (0.45 + 0.55 * crown(v));
        let fibre = layered(at(q.x * 9.0, q.y * 3.0), 2, seed + 2);
        shade(colour, 0.25 + 0.75 * round + 0.12 * fibre)
    })
}

fn yarns(design: &mut Draw) -> [Colour; 2] {
    let warp = design.colour([0.05, 0.6], [0.4, 0.9]);
    let weft = if design.chance(0.5) {
        shade(warp, design.within(0.75, 1.1))
    } else {
        design.colour([0.05, 0.6], [0.4, 0.9])
    };
    [warp, weft]
}

fn woven(
    design: &mut Draw,
    piece: &mut Draw,
    size: usize,
    [warp, weft]: [Colour; 2],
    warp_is_over: impl Fn(i32, i32) -> bool,
) -> Product {
    let threads = design.within(14.0, 26.0);
    let squeeze = design.within(0.8, 1.25);
    let fuzz = design.within(0.05, 0.2);
    let pose = Pose::of_sheet(piece, 0.04);
    let seed = piece.field();
    Product::sheet(size, shade(mix(warp, weft, 0.5), 0.12), |place| {
        let q = pose.on_piece(place) * threads;
        let q = at(q.x * squeeze, q.y) + at(noise(q * 0.25, seed), noise(q * 0.25, seed + 1)) * 0.12;
        let ((column, u), (row, v)) = (cell(q.x), cell(q.y));
        let over = warp_is_over(column, row);
        // Neighbours along the thread on the same side continue it without a dip.
        let goes_on = |step: i32| {
            over == if over { warp_is_over(column, row + step) } else { warp_is_over(column + step, row) }
        };
        let (colour, across, along, thread) = if over { (warp, u, v, column) } else { (weft, v, u, row) };
        let dip = if goes_on(if along < 0.0 { -1 } else { 1 }) { 1.0 } else { crown(along * 0.9) };
        let tone = 1.0 + 0.08 * (hash(thread, i32::from(over), seed + 2) - 0.5);
        let fibre = fuzz * layered(fibre_place(q, over), 2, seed + 3);
        let gap = smooth(0.5, 0.4, across.abs());
        shade(colour, tone * gap * (0.35 + 0.65 * crown(across * 0.8) * dip + fibre))
    })
}

/// Stretched along the thread.
fn fibre_place(q: Point, over: bool) -> Point {
    if over { at(q.x * 8.0, q.y * 1.5) } else { at(q.x * 1.5 + 100.0, q.y * 8.0) }
}
