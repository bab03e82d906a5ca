//! Families of made-up textiles and soft stuff: carpet, linen, zipper, rope, foam.

use std::f32::consts::{PI, TAU};

use super::super::{
    colour::{mix, shade},
    draw::Draw,
    field::{irregular_cell, layered, noise, spot},
    geometry::{Point, Pose, at, cell, crown, smooth, to_box},
    product::Product,
    relief::{Heights, LIGHT, rod},
};
use super::table::Table;

/// Cut pile: tufts of mixed yarns, leaning in patches.
pub fn carpet(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let yarn =
        if design.chance(0.5) { design.grey([0.3, 0.65]) } else { design.colour([0.15, 0.6], [0.3, 0.7]) };
    let other = shade(mix(yarn, design.colour([0.0, 0.5], [0.3, 0.8]), 0.5), 0.85);
    let tufts = design.within(28.0, 42.0);
    let mixed = design.within(0.1, 0.5);
    let pile = design.within(0.15, 0.35);
    let pose = Pose::of_sheet(piece, PI);
    let tone = piece.within(0.9, 1.1);
    let [cell, tip, nap] = piece.fields();
    Product::sheet(size, shade(yarn, 0.15), |place| {
        let q = pose.on_piece(place);
        let tuft = irregular_cell(q * tufts, cell);
        let colour = if tuft.name < mixed { other } else { yarn };
        let lean = noise(q * 4.0, nap);
        let own = 0.28 * ((tuft.name * 13.0) % 1.0 - 0.5);
        let round = 0.75 + 0.25 * smooth(0.0, 0.5, tuft.from_border);
        shade(colour, tone * round * (1.02 + own + pile * noise(q * tufts * 2.7, tip) + 0.1 * lean))
    })
}

/// Grey cloth of low contrast: threads of uneven thickness, slubs, a soft fall of light.
pub fn linen(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let cloth = design.grey([0.38, 0.78]);
    let threads = design.within(26.0, 40.0);
    let weave = design.within(0.08, 0.2);
    let uneven = design.within(0.05, 0.16);
    let pose = Pose::of_sheet(piece, 0.05);
    let tone = piece.within(0.82, 1.16);
    let [warp, weft, fold] = piece.fields();
    Product::sheet(size, shade(cloth, 0.2), |place| {
        let q = pose.on_piece(place) * threads;
        let p = q + at(1.0, -1.0) * (0.25 * noise(q * 0.12, fold));
        let ((column, u), (row, v)) = (cell(p.x), cell(p.y));
        let over = (column + row).rem_euclid(2) == 0;
        let thread = if over { crown(u * 0.9) } else { crown(v * 0.9) };
        let slub = if over {
            noise(at(column as f32 * 7.3, q.y * 0.12), warp)
        } else {
            noise(at(q.x * 0.12, row as f32 * 7.3), weft)
        };
        let drape = 0.06 * noise(q * (2.5 / threads), fold);
        shade(cloth, tone * (1.0 - weave + weave * thread + uneven * slub + drape))
    })
}

/// A closed zipper: two rows of teeth between tapes.
pub fn zipper(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let tape = design.colour([0.0, 0.7], [0.08, 0.6]);
    let teeth =
        if design.chance(0.6) { design.grey([0.45, 0.8]) } else { design.colour([0.2, 0.7], [0.2, 0.7]) };
    let pitch = design.within(0.06, 0.1);
    let reach = design.within(0.07, 0.11);
    let ribs = design.within(24.0, 34.0);
    let half = design.within(0.36, 0.46);
    let table = Table::backdrop(design, piece);
    let pose = Pose::of_object(piece, 0.03);
    let pulled = piece.within(0.0, 1.0);
    let [fibre, wobble, metal] = piece.fields();
    let surface = |place: Point| {
        let q = pose.on_piece(place);
        let q = at(q.x + 0.01 * noise(at(q.y * 3.0, 0.0), wobble), q.y);
        if q.x.abs() > half {
            return None;
        }
        // The right row stands half a pitch lower; each tooth ends beyond the middle.
        let left = q.x < 0.0;
        let tooth = |side: f32, offset: f32| {
            let (_, v) = cell(q.y / pitch + offset + pulled);
            let body = to_box(at(q.x - side * reach * 0.42, v * pitch), at(reach * 0.55, pitch * 0.22));
            let head = at(q.x + side * reach * 0.08, v * pitch).length() - pitch * 0.34;
            (body.min(head), v)
        };
        let (mine, other) =
            if left { (tooth(-1.0, 0.0), tooth(1.0, 0.5)) } else { (tooth(1.0, 0.5), tooth(-1.0, 0.0)) };
        let (distance, v) = if mine.0 < other.0 { mine } else { other };
        if distance < 0.0 {
            let lit =
                0.45 + 0.5 * rod((v * 3.0).clamp(-1.0, 1.0), -0.8) + 0.25 * smooth(0.0, -0.012, distance);
            return Some(shade(teeth, lit + 0.05 * noise(q * 55.0, metal)));
        }
        let (stitch, s) = cell(q.y * ribs);
        let (rib, r) = cell(q.x * ribs);
        let over = (stitch + rib).rem_euclid(2) == 0;
        let knit = 0.65 + 0.35 * if over { crown(r) } else { crown(s) };
        let seam = 0.25 * smooth(0.014, 0.006, (q.x.abs() - reach * 1.5).abs());
        let shadow = 0.4 * smooth(0.02, 0.0, distance);
        let fuzz = 0.1 * layered(q * 30.0, 2, fibre);
        Some(shade(tape, (knit + fuzz + seam) * (1.0 - shadow)))
    };
    Product::object(size, |place| table.colour(place), surface)
}

/// Rope of three strands across the image, twisted; the twist starts anywhere.
pub fn rope(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let fibre =
        if design.chance(0.5) { design.grey([0.45, 0.85]) } else { design.colour([0.2, 0.7], [0.4, 0.85]) };
    let tracer = if design.chance(0.4) { design.colour([0.5, 0.9], [0.3, 0.8]) } else { fibre };
    let radius = design.within(0.14, 0.24);
    let lay = design.within(2.2, 3.8) * design.sign();
    let yarns = design.within(5.0, 9.0);
    let table = Table::backdrop(design, piece);
    let pose = Pose::of_loose_object(piece, 0.25);
    let roll = piece.within(0.0, 30.0);
    let [bend, hair, dirt] = piece.fields();
    let surface = |place: Point| {
        let q = pose.on_piece(place);
        let y = q.y + 0.02 * noise(at(q.x * 2.5 + roll, 0.0), bend);
        let across = y / radius;
        if across.abs() > 1.0 {
            return None;
        }
        // Unrolled about its axis, the rope is a band of slanted strands.
        let around = libm::asinf(across) / TAU;
        let (strand, u) = cell(q.x * lay + 3.0 * around + roll);
        let bulge = crown(u * 0.96);
        if across.abs() > 0.86 + 0.14 * bulge {
            return None;
        }
        let (_, w) = cell((q.x * lay * 0.35 - 3.0 * around) * yarns * 0.5 + u * yarns * 0.6);
        let thread = 0.78 + 0.22 * crown(w);
        let colour = if strand.rem_euclid(3) == 0 { tracer } else { fibre };
        let stain = 0.1 * noise(q * 7.0, dirt) + 0.1 * noise(at(q.x * 45.0, y * 45.0), hair);
        Some(shade(colour, (0.3 + 0.7 * bulge) * thread * (0.4 + 0.65 * rod(across, -0.8)) * (1.0 + stain)))
    };
    Product::object(size, |place| table.colour(place), surface)
}

/// Open foam: bubbles of several sizes, cut through.
pub fn foam(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let plastic =
        if design.chance(0.5) { design.grey([0.4, 0.85]) } else { design.colour([0.15, 0.6], [0.55, 0.95]) };
    let bubbles = design.within(14.0, 24.0);
    let share = design.within(0.6, 0.95);
    let depth = design.within(0.25, 0.55);
    let pose = Pose::of_sheet(piece, PI);
    let tone = piece.within(0.9, 1.08);
    let [large, middle, small, skin] = piece.fields();
    let heights = Heights::new(size, |place| {
        let q = pose.on_piece(place);
        let bubble = |scale: f32, seed: u32| {
            let inside =
                spot(q.turned(Point::towards(5.0 * scale)) * (bubbles * scale), share, [0.2, 0.45], seed);
            if inside > 0.0 { (inside * (2.0 - inside)).sqrt() / scale } else { 0.0 }
        };
        -bubble(0.6, large).max(bubble(1.0, middle)).max(bubble(1.7, small))
    });
    Product::sheet(size, shade(plastic, 0.2), |place| {
        let q = pose.on_piece(place);
        let hollow = 1.0 + depth * heights.at(place).max(-1.2);
        let body = hollow * heights.lit(place, LIGHT * -1.0, 0.012) + 0.05 * noise(q * 60.0, skin);
        shade(plastic, tone * body)
    })
}
