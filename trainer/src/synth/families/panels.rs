//! Families of walls, boards and prints: regular, with pieces that differ one by one.

use std::f32::consts::FRAC_PI_4;

use super::super::{
    colour::{mix, shade},
    draw::Draw,
    field::{hash, layered, noise},
    geometry::{Point, Pose, at, cell, crown, hump, smooth, to_box},
    product::Product,
    relief::{Heights, rod},
};

/// A brick wall in running bond: rough bricks of their own tone in sandy mortar.
pub fn brick(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let clay = if design.chance(0.75) {
        design.colour_near(0.03, 0.03, [0.35, 0.65], [0.4, 0.7])
    } else {
        design.grey([0.4, 0.7])
    };
    let mortar = design.grey([0.5, 0.8]);
    let rows = design.within(4.0, 7.5);
    let length = design.within(2.0, 3.0);
    let joint = design.within(0.06, 0.11);
    let varied = design.within(0.15, 0.45);
    let pose = Pose::of_sheet(piece, 0.03);
    let [tone, edge, rough, sand] = piece.fields();
    Product::sheet(size, shade(mortar, 0.3), |place| {
        let q = pose.on_piece(place) * rows;
        let q = q + at(1.0, 1.0) * (0.06 * noise(q * 2.2, edge));
        let (row, v) = cell(q.y);
        let (column, u) = cell(q.x / length + 0.5 * row.rem_euclid(2) as f32);
        let inside = 0.06 - to_box(at(u * length, v), at(0.5 * length - joint - 0.06, 0.44 - joint));
        let grain = noise(q * 14.0, sand);
        if inside < 0.0 {
            return shade(mortar, 0.82 + 0.12 * grain + 0.5 * inside);
        }
        let own = 1.0 + varied * (hash(column, row, tone) - 0.5);
        let lit = (1.0 - smooth(0.0, 0.09, inside)) * if u * length + v < 0.0 { 0.15 } else { -0.25 };
        shade(clay, own + lit + 0.2 * layered(q * 4.0, 2, rough) + 0.08 * grain)
    })
}

/// Corrugated board: flutes that show through the liner, and fibres of recycled paper.
pub fn corrugated(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let kraft = design.colour_near(0.09, 0.015, [0.25, 0.5], [0.55, 0.8]);
    let flutes = design.within(9.0, 18.0);
    let depth = design.within(0.05, 0.2);
    let upright = if design.chance(0.5) { at(1.0, 0.0) } else { at(0.0, 1.0) };
    let pose = Pose::of_sheet(piece, 0.04);
    let tone = piece.within(0.9, 1.08);
    let [bend, fibre, cloud] = piece.fields();
    Product::sheet(size, shade(kraft, 0.4), |place| {
        let q = pose.on_piece(place).turned(upright);
        let flute = hump(q.x * flutes + 0.18 * noise(q * 2.2, bend)) - 0.5;
        let hair = noise(at(q.x * 24.0, q.y * 75.0), fibre) + noise(at(q.x * 80.0, q.y * 22.0), fibre ^ 1);
        let fleck = smooth(0.75, 0.95, noise(at(q.x * 38.0, q.y * 55.0), cloud ^ 1));
        shade(kraft, tone * (1.0 + depth * flute + 0.04 * hair + 0.05 * noise(q * 5.0, cloud) - 0.3 * fleck))
    })
}

/// Fine woven wire, grey and without gaps.
pub fn wire_cloth(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let wire = design.grey([0.42, 0.75]);
    let count = design.within(14.0, 22.0);
    let long = design.within(1.0, 1.9);
    let contrast = design.within(0.3, 0.65);
    let slant = if design.chance(0.3) { Point::towards(FRAC_PI_4) } else { at(1.0, 0.0) };
    let pose = Pose::of_sheet(piece, 0.03);
    let tone = piece.within(0.8, 1.2);
    let [bend, own, dull] = piece.fields();
    Product::sheet(size, shade(wire, 0.12), |place| {
        let q = pose.on_piece(place).turned(slant) * count;
        let q = at(q.x / long, q.y) + at(1.0, 1.0) * (0.1 * noise(q * 0.3, bend));
        let ((column, u), (row, v)) = (cell(q.x), cell(q.y));
        let warp_over = (column + row).rem_euclid(2) == 0;
        let (across, along, number) = if warp_over { (u, v, column) } else { (v, u, row + 999) };
        let knuckle = rod((across * 2.1).clamp(-1.0, 1.0), -0.6) * (0.45 + 0.55 * crown(along));
        let gap = smooth(0.5, 0.44, across.abs());
        let varied = 1.0 + 0.12 * (hash(number, 0, own) - 0.5) + 0.08 * noise(q * 0.25, dull);
        shade(wire, tone * varied * (1.0 - contrast + 1.15 * contrast * knuckle * gap))
    })
}

/// Expanded metal: diamond openings between grey strands.
pub fn grating(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let metal = design.grey([0.4, 0.7]);
    let count = design.within(5.0, 9.0);
    let slim = design.within(0.5, 0.75);
    let strand = design.within(0.14, 0.24);
    let behind = if design.chance(0.5) { design.grey([0.75, 0.95]) } else { design.grey([0.06, 0.2]) };
    let pose = Pose::of_sheet(piece, 0.04);
    let tone = piece.within(0.85, 1.15);
    let [bend, dull, grain] = piece.fields();
    let surface = |place: Point| {
        let q = pose.on_piece(place) * count;
        let q = q + at(1.0, -0.6) * (0.06 * noise(q * 0.5, bend));
        // Turned by an eighth, the diamonds are the squares of a grid.
        let (a, b) = (cell(q.x + q.y / slim).1, cell(q.x - q.y / slim).1);
        let from_strand = (0.5 - a.abs()).min(0.5 - b.abs());
        if from_strand > strand {
            return None;
        }
        // Each strand slopes; where two meet the metal lies flat.
        let slope = if a.abs() > b.abs() { a.signum() } else { -b.signum() };
        let flat = smooth(strand * 1.4, strand * 0.6, 0.5 - a.abs().min(b.abs()));
        let lit = 0.85 + 0.14 * slope * (1.0 - flat) + 0.15 * smooth(strand * 0.4, 0.0, from_strand);
        let wear = 0.07 * layered(q * 0.9, 2, dull) + 0.06 * noise(q * 9.0, grain);
        Some(shade(metal, tone * (lit + wear)))
    };
    Product::object(size, |_| behind, surface)
}

/// A printed page: lines of text, words and paragraphs new on every piece.
pub fn paper(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let page =
        if design.chance(0.6) { design.grey([0.82, 0.96]) } else { design.colour([0.05, 0.25], [0.8, 0.95]) };
    let ink =
        if design.chance(0.6) { design.grey([0.08, 0.3]) } else { design.colour([0.4, 0.9], [0.15, 0.5]) };
    let lines = design.within(8.0, 13.0);
    let heavy = design.within(0.45, 0.62);
    let rules = design.count(0, 6) as i32;
    let pose = Pose::of_sheet(piece, 0.04);
    let tone = piece.within(0.93, 1.04);
    let [text, words, fibre, cloud] = piece.fields();
    Product::sheet(size, shade(page, 0.5), |place| {
        let q = pose.on_piece(place) * lines;
        let (line, v) = cell(q.y);
        let (x, y) = ((q.x * 9.0).floor() as i32, ((v + 0.5) * 9.0).floor() as i32);
        // Three columns make a letter; every so often one is left out between words.
        let letter = x.div_euclid(3);
        let word = letter.div_euclid(5);
        let gap = letter.rem_euclid(5) == (hash(word, line, words) * 5.0) as i32;
        let inked =
            (2..7).contains(&y) && x.rem_euclid(3) != 2 && !gap && hash(x, y + 9 * line, text) < heavy;
        let rule = rules > 2 && line.rem_euclid(rules) == 0;
        let printed = if rule { v.abs() < 0.06 } else { inked };
        let rough = 0.03 * noise(q * 7.0, fibre) + 0.03 * layered(q * 0.4, 2, cloud);
        shade(mix(page, ink, if printed { 0.88 } else { 0.0 }), tone * (0.98 + rough))
    })
}

/// Slotted tread plate: raised bars that lie crosswise by turns, grey and worn bright on top.
pub fn tread_plate(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let metal = design.grey([0.38, 0.7]);
    let count = design.within(3.5, 6.0);
    let (long, wide) = (design.within(0.34, 0.44), design.within(0.08, 0.13));
    let rise = design.within(0.02, 0.045);
    let pose = Pose::of_sheet(piece, 0.04);
    let tone = piece.within(0.8, 1.2);
    let [dirt, grain, worn] = piece.fields();
    let quarter = Point::towards(FRAC_PI_4);
    let heights = Heights::new(size, |place| {
        let q = (pose.on_piece(place) * count).turned(quarter);
        let ((column, u), (row, v)) = (cell(q.x), cell(q.y));
        let (along, across) = if (column + row).rem_euclid(2) == 0 { (u, v) } else { (v, u) };
        let out = at(along / long, across / wide).length();
        rise * smooth(1.25, 0.55, out) / count
    });
    // From the left, so that bars of both directions catch it.
    Product::sheet(size, shade(metal, 0.2), |place| {
        let q = pose.on_piece(place) * count;
        let top = 7.0 * heights.at(place) * (1.0 + 0.6 * noise(q * 1.5, worn));
        let skin = 0.1 * layered(q * 1.1, 2, dirt) + 0.07 * noise(q * 14.0, grain);
        shade(metal, tone * (0.9 + top + skin) * heights.lit(place, at(-1.0, 0.0), 2.2))
    })
}
