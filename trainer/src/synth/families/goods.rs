//! Families of consumer goods: tablets, bottles, loose pellets, brushes.

use std::f32::consts::PI;

use super::super::{
    colour::{mix, shade},
    draw::Draw,
    field::{hash, layered, noise, spot},
    geometry::{Point, Pose, at, cell, smooth, to_box, to_segment},
    product::Product,
    relief::{Heights, LIGHT, dome, glint},
};
use super::table::{Table, facing};

/// A pressed tablet with letters in it and speckles of its own.
pub fn pill(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let mass = design.colour([0.0, 0.3], [0.75, 0.95]);
    let speck = design.colour([0.5, 0.9], [0.4, 0.8]);
    let speckled = design.within(0.0, 0.35);
    let half = design.within(0.0, 0.2);
    let radius = design.within(0.17, 0.24) + if half < 0.05 { 0.1 } else { 0.0 };
    let (score, imprint) = (design.chance(0.4), design.field());
    let table = Table::backdrop(design, piece);
    let pose = Pose::of_loose_object(piece, 0.1);
    let tone = piece.within(0.92, 1.06);
    let [specks, chalk, cloud] = piece.fields();
    let inside = |q: Point| radius - to_segment(q, at(-half, 0.0), at(half, 0.0));
    let heights = Heights::new(size, |place| {
        let q = pose.on_piece(place);
        let letter = at(q.x / 0.026 + 4.0, q.y / 0.026 + 2.5);
        let (x, y) = (letter.x.floor() as i32, letter.y.floor() as i32);
        let stroke = (0..8).contains(&x) && (0..5).contains(&y) && x % 3 != 2 && hash(x, y, imprint) < 0.6;
        let cut = if score {
            smooth(0.016, 0.004, q.x.abs())
        } else if stroke {
            0.6
        } else {
            0.0
        };
        0.045 * smooth(-0.02, 0.09, inside(q)) - 0.012 * cut
    });
    let surface = |place: Point| {
        let q = pose.on_piece(place);
        if inside(q) < 0.0 {
            return None;
        }
        let dot = smooth(0.0, 0.5, spot(q * 20.0, speckled, [0.08, 0.38], specks));
        let body = 0.94 + 0.05 * noise(q * 70.0, chalk) + 0.03 * layered(q * 6.0, 2, cloud);
        Some(shade(mix(mass, speck, 0.75 * dot), tone * body * heights.lit(place, LIGHT, 0.4)))
    };
    Product::object(size, |place| table.colour(place), surface)
}

/// A bottle from above: the mouth, the shoulder and the rings of light in its glass.
pub fn bottle(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let glass = design.colour([0.25, 0.8], [0.25, 0.65]);
    let outer = design.within(0.4, 0.45);
    let mouth = outer * design.within(0.5, 0.68);
    let lip = mouth * design.within(1.12, 1.25);
    let shine = design.colour_near(0.1, 0.1, [0.0, 0.3], [0.75, 1.0]);
    let lamps = design.count(1, 4) as f32;
    let table = Table::backdrop(design, piece);
    let pose = Pose::of_loose_object(piece, PI);
    let level = piece.within(0.3, 0.75);
    let [wave, ripple, depths] = piece.fields();
    let surface = |place: Point| {
        let q = pose.on_piece(place);
        let radius = q.length() * (1.0 + 0.008 * noise(q * 6.0, wave));
        if radius > outer {
            return None;
        }
        // The lamps stay where they are, whichever way the bottle stands.
        let seen = (place - at(0.5, 0.5)).angle();
        let lamp = 0.5 + 0.5 * libm::cosf(lamps * seen + 0.9);
        let ring = |at_radius: f32, width: f32| smooth(width, 0.0, (radius - at_radius).abs());
        let wavy = 0.75 + 0.25 * noise(q * 22.0, ripple);
        let lights = 0.75 * ring((lip + mouth) / 2.0, 0.024) * (0.35 + 0.65 * lamp)
            + 0.55 * ring(outer * 0.93, 0.022) * lamp * wavy
            + 0.25 * ring((outer + lip) / 2.0, 0.035) * (1.0 - lamp) * wavy;
        let body = if radius < mouth {
            let inner = radius / mouth;
            0.25 + 0.55 * inner * inner + 0.2 * smooth(level + 0.05, level - 0.05, inner) * lamp * inner
        } else {
            0.65 + 0.35 * smooth(lip, outer, radius) - 0.4 * smooth(0.012, 0.0, (radius - lip).abs())
        };
        let tint = shade(glass, body + 0.06 * layered(q * 5.0, 2, depths));
        Some(mix(tint, shine, lights))
    };
    Product::object(size, |place| table.colour(place), surface)
}

/// Pellets, beans or soft capsules, strewn: each lies as it fell.
pub fn pellets(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let skin = design.colour([0.1, 0.9], [0.35, 0.95]);
    let second = if design.chance(0.3) { design.colour([0.1, 0.9], [0.35, 0.95]) } else { skin };
    let count = design.within(2.6, 4.6);
    let long = design.within(0.3, 0.44);
    let wide = long * design.within(0.5, 1.0);
    let gloss = design.within(0.0, 0.7);
    let varied = design.within(0.05, 0.3);
    let table = Table::backdrop(design, piece);
    let shift = at(piece.within(0.0, 1.0), piece.within(0.0, 1.0));
    let [turn, slip, tone, grain] = piece.fields();
    let surface = |place: Point| {
        let q = place * count + shift;
        // A pellet may reach into the next cell, and under the one there.
        let (x, y) = (q.x.floor() as i32, q.y.floor() as i32);
        let around = (y - 1..=y + 1).flat_map(|row| (x - 1..=x + 1).map(move |column| (column, row)));
        around.into_iter().find_map(|(column, row)| {
            let slipped = |salt: u32| 0.5 + 0.4 * (hash(column, row, slip ^ salt) - 0.5);
            let offset = q - at(column as f32 + slipped(1), row as f32 + slipped(2));
            if offset.dot(offset) > long * long {
                return None;
            }
            let lie = Point::towards(hash(column, row, turn) * PI);
            let along = offset.turned(at(lie.x, -lie.y));
            let own = 1.0 + 0.15 * (hash(column, row, slip ^ 3) - 0.5);
            let unit = at(along.x / (long * own), along.y / (wide * own));
            if unit.dot(unit) > 1.0 {
                return None;
            }
            let chosen = if hash(column, row, tone ^ 1) < 0.5 { skin } else { second };
            let colour = shade(chosen, 1.0 + varied * (hash(column, row, tone) - 0.5));
            let normal = unit.turned(lie);
            let lit = shade(colour, 0.25 + 0.8 * dome(normal, LIGHT) + 0.05 * noise(q * 14.0, grain));
            Some(mix(lit, [1.0; 3], gloss * glint(normal, LIGHT, 0.4)))
        })
    };
    Product::object(size, |place| table.colour(place), surface)
}

/// The head of a toothbrush: tufts of bristles in rows, in two or three colours.
pub fn brush(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let half = at(design.within(0.17, 0.22), design.within(0.36, 0.42));
    let columns = design.count(3, 4) as f32;
    let pitch = 2.0 * (half.x - 0.015) / columns;
    let handle = design.colour([0.2, 0.8], [0.5, 0.9]);
    let colours = [(); 3].map(|()| design.colour([0.0, 0.65], [0.8, 1.0]));
    let layout = design.count(0, 2) as i32;
    let bristle = pitch / design.within(6.0, 8.0);
    let table = Table::backdrop(design, piece);
    let pose = Pose::of_loose_object(piece, 0.08);
    let [lean_x, lean_y, tip, wear] = piece.fields();
    let surface = |place: Point| {
        let q = pose.on_piece(place);
        let round = half.x * 0.85;
        let inside = round - to_box(q, at(half.x - round, half.y - round));
        // Tips stand apart from their roots: each tuft leans a little, and some bristles more.
        let splay = at(noise(q * 22.0, wear), noise(q * 22.0 + at(9.0, 4.0), wear)) * (0.09 * pitch);
        let p = (q + splay) * (1.0 / pitch) + at(0.5, 0.5) * (columns % 2.0);
        let ((column, u), (row, v)) = (cell(p.x), cell(p.y));
        let lean = at(hash(column, row, lean_x) - 0.5, hash(column, row, lean_y) - 0.5) * 0.16;
        let from_tuft = (at(u, v) - lean).length();
        let middle = (at(column as f32 + 0.5, row as f32 + 0.5) - at(0.5, 0.5) * (columns % 2.0)) * pitch;
        let rooted = round - to_box(middle, at(half.x - round, half.y - round)) > pitch * 0.3;
        if rooted && from_tuft < 0.47 {
            let group = match layout {
                0 => row.rem_euclid(2),
                1 => column.rem_euclid(2) + i32::from(row.rem_euclid(4) == 0),
                _ => i32::from(row.abs() > 2),
            };
            let b = q * (1.0 / bristle);
            let (x, y) = (b.x.floor() as i32, b.y.floor() as i32);
            let shift = at(hash(x, y, tip) - 0.5, hash(x, y, tip ^ 1) - 0.5) * 0.3;
            let from_tip = (at(cell(b.x).1, cell(b.y).1) - shift).length();
            let depth = 1.0 - 0.4 * smooth(0.25, 0.47, from_tuft);
            let lit = (0.68 + 0.4 * smooth(0.5, 0.1, from_tip)) * (0.85 + 0.3 * hash(x, y, tip ^ 2));
            return Some(shade(colours[group as usize % 3], depth * lit));
        }
        let edge = smooth(0.03, 0.0, inside) * (0.25 * facing(q) - 0.05);
        let shadow = 0.45 * smooth(0.62, 0.45, from_tuft) * if rooted { 1.0 } else { 0.0 };
        (inside > 0.0).then(|| shade(handle, 0.92 + edge - shadow))
    };
    Product::object(size, |place| table.colour(place), surface)
}
