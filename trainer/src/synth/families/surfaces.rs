//! Families of natural and finished surfaces.

use super::super::{
    colour::{mix, shade},
    draw::Draw,
    field::{hash, irregular_cell, layered, noise, relief},
    geometry::{Point, Pose, at, hump, smooth},
    product::Product,
};

/// Leather: rounded cells between creases.
pub fn leather(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let cells = design.within(14.0, 30.0);
    let depth = design.within(0.010, 0.022);
    let hide = design.colour_near(0.06, 0.05, [0.35, 0.8], [0.25, 0.7]);
    let light = Point::towards(design.angle());
    let pose = Pose::of_sheet(piece, 3.2);
    let seed = piece.field();
    Product::sheet(size, shade(hide, 0.15), |place| {
        let height = |place: Point| {
            let q = pose.on_piece(place) * cells;
            let q = q + at(noise(q * 0.5, seed), noise(q * 0.5, seed + 1)) * 0.4;
            smooth(0.0, 0.45, irregular_cell(q, seed + 2).from_border)
        };
        let (q, here) = (pose.on_piece(place), height(place));
        let mottle = layered(q * 5.0, 3, seed + 3);
        let pores = noise(q * cells * 5.0, seed + 4);
        shade(
            hide,
            relief(height, here, place, light, depth) * (0.72 + 0.28 * here + 0.08 * mottle + 0.05 * pores),
        )
    })
}

/// Planed wood: growth rings cut lengthwise, and fibres.
pub fn wood(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let rings = design.within(5.0, 12.0);
    let wave = design.within(0.2, 0.7);
    let fibres = design.within(0.08, 0.22);
    let light = design.colour_near(0.09, 0.025, [0.3, 0.6], [0.65, 0.9]);
    let dark = shade(mix(light, [0.35, 0.16, 0.05], design.within(0.2, 0.5)), design.within(0.6, 0.8));
    let pose = Pose::of_sheet(piece, 0.08);
    let seed = piece.field();
    Product::sheet(size, shade(dark, 0.3), |place| {
        let q = pose.on_piece(place);
        let bend = wave * layered(at(q.x * 0.9, q.y * 2.0), 2, seed);
        let ring = q.y * rings + bend;
        let ring = ring - ring.floor();
        // Early wood darkens slowly into late wood, which ends sharply.
        let late = smooth(0.2, 0.9, ring) * smooth(1.0, 0.93, ring);
        let fibre = layered(at(q.x * 6.0, q.y * 110.0), 2, seed + 1);
        let pore = smooth(0.55, 0.8, noise(at(q.x * 9.0, q.y * 70.0), seed + 2));
        shade(mix(light, dark, 0.8 * late), 1.0 + fibres * fibre - 0.22 * pore)
    })
}

/// Metal brushed in one direction, with the broad highlight that this makes.
pub fn brushed_metal(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let metal = design.colour_near(0.1, 0.5, [0.0, 0.15], [0.55, 0.75]);
    let strength = design.within(0.12, 0.25);
    let fineness = design.within(60.0, 110.0);
    let gloss = design.within(0.08, 0.25);
    let pose = Pose::of_sheet(piece, 0.05);
    let centre = piece.within(0.3, 0.7);
    let seed = piece.field();
    Product::sheet(size, shade(metal, 0.2), |place| {
        let q = pose.on_piece(place);
        let lines = 0.6 * noise(at(q.x * 2.5, q.y * fineness), seed)
            + 0.4 * noise(at(q.x * 8.0, q.y * fineness * 1.9), seed + 1)
            + 0.3 * noise(at(q.x * 1.0, q.y * fineness * 0.3), seed + 2);
        let highlight = 1.0 - smooth(0.0, 0.6, (place.x - centre).abs());
        shade(metal, 0.88 + strength * lines + gloss * highlight)
    })
}

/// Granite or terrazzo: chips of a few colours in a matrix.
pub fn granite(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let chips = design.within(12.0, 28.0);
    let joint = design.within(0.02, 0.25);
    let matrix = design.colour([0.0, 0.15], [0.45, 0.8]);
    let palette = [(); 4].map(|()| design.colour([0.0, 0.3], [0.15, 0.9]));
    let pose = Pose::of_sheet(piece, 3.2);
    let seed = piece.field();
    Product::sheet(size, shade(matrix, 0.2), |place| {
        let q = pose.on_piece(place) * chips;
        let chip = irregular_cell(q + at(noise(q, seed), noise(q, seed + 1)) * 0.25, seed + 2);
        let colour = palette[(chip.name * 4.0) as usize % 4];
        let body = mix(matrix, colour, smooth(joint * 0.5, joint, chip.from_border) * 0.85);
        let crystal = hash((q.x * 9.0).floor() as i32, (q.y * 9.0).floor() as i32, seed + 3) - 0.5;
        shade(body, 0.95 + 0.12 * layered(q * 2.0, 2, seed + 4) + 0.08 * crystal + 0.05 * hump(chip.name))
    })
}
