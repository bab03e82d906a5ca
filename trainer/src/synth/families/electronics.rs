//! Families of boards and components.

use super::super::{
    colour::{Colour, mix, shade},
    draw::Draw,
    field::{hash, layered, noise},
    geometry::{Point, Pose, at, cell, smooth, to_box, to_segment},
    product::Product,
};

/// A bare circuit board: traces with bends of 45 degrees between pads.
pub fn circuit(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let pitch = design.within(0.055, 0.075);
    let width = pitch * design.within(0.14, 0.22);
    let mask = design.colour_near(0.4, 0.25, [0.5, 0.9], [0.2, 0.5]);
    let copper = mix(mask, [0.9, 0.85, 0.5], design.within(0.25, 0.45));
    let tin = design.colour_near(0.12, 0.05, [0.05, 0.5], [0.75, 0.95]);
    let traces = route(design, pitch);
    let pose = Pose::of_object(piece, 0.02);
    let seed = piece.field();
    Product::sheet(size, shade(mask, 0.25), |place| {
        let q = pose.on_piece(place);
        let (mut to_trace, mut to_pad) = (1.0f32, 1.0f32);
        for [from, bend, to] in &traces {
            to_trace = to_trace.min(to_segment(q, *from, *bend)).min(to_segment(q, *bend, *to));
            to_pad = to_pad.min((q - *from).length()).min((q - *to).length());
        }
        let gloss = 1.0 + 0.05 * layered(q * 8.0, 3, seed) + 0.05 * noise(q * 90.0, seed + 1);
        let pad = pitch * 0.36;
        if to_pad < pad * 0.45 {
            return shade(mask, 0.25);
        }
        let board = mix(mask, copper, smooth(width * 1.15, width * 0.85, to_trace));
        let lit = shade(board, gloss);
        mix(
            lit,
            shade(tin, 0.8 + 0.3 * gloss - 0.3 + 0.1 * smooth(pad, pad * 0.5, to_pad)),
            smooth(pad * 1.08, pad * 0.92, to_pad),
        )
    })
}

/// Traces from grid point to grid point: straight, then diagonal.
fn route(design: &mut Draw, pitch: f32) -> Vec<[Point; 3]> {
    let reach = (0.5 / pitch) as i32;
    let side = 2 * reach as u32;
    let mut taken = std::collections::BTreeSet::new();
    let mut traces = Vec::new();
    for _ in 0..90 {
        let start = [0; 2].map(|_: i32| design.count(0, side) as i32 - reach);
        let (straight, diagonal) = (design.count(1, 7) as i32, design.count(0, 4) as i32);
        let (upright, forwards, sideways) = (design.chance(0.5), design.sign() as i32, design.sign() as i32);
        let along = |n: i32| if upright { [0, n * forwards] } else { [n * forwards, 0] };
        let aslant =
            |n: i32| if upright { [n * sideways, n * forwards] } else { [n * forwards, n * sideways] };
        let add = |a: [i32; 2], b: [i32; 2]| [a[0] + b[0], a[1] + b[1]];
        let bend = add(start, along(straight));
        let path: Vec<[i32; 2]> = (0..=straight)
            .map(|n| add(start, along(n)))
            .chain((1..=diagonal).map(|n| add(bend, aslant(n))))
            .collect();
        if path.iter().any(|point| taken.contains(point) || point.iter().any(|c| c.abs() > reach)) {
            continue;
        }
        let [from, bend, to] =
            [start, bend, path[path.len() - 1]].map(|[x, y]| at(x as f32, y as f32) * pitch);
        traces.push([from, bend, to]);
        taken.extend(path);
    }
    traces
}

/// A packaged chip on its board: body, pins, notch and marking.
pub fn chip(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let half = at(design.within(0.2, 0.27), design.within(0.26, 0.37));
    let pins = design.count(4, 9) as f32;
    let reach = design.within(0.07, 0.1);
    let body = design.colour([0.0, 0.15], [0.1, 0.22]);
    let board = design.colour_near(0.4, 0.25, [0.4, 0.8], [0.25, 0.5]);
    let marking = design.colour([0.0, 0.1], [0.6, 0.85]);
    let rows = design.count(2, 4) as i32;
    let text = design.field();
    let pose = Pose::of_object(piece, 0.04);
    let seed = piece.field();
    let metal: Colour = [0.78, 0.78, 0.8];
    let surface = |place: Point| {
        let q = pose.on_piece(place);
        let inside = -to_box(q, half);
        if inside < 0.0 {
            let (number, v) = cell((q.y + half.y) / (2.0 * half.y) * pins);
            let leg = v.abs() < 0.22 && (0..pins as i32).contains(&number);
            let out = q.x.abs() - half.x;
            // The leg bends down half-way out.
            let lit = if out < reach * 0.45 { 1.0 } else { 0.75 };
            return (leg && out > 0.0 && out < reach).then(|| shade(metal, lit * (1.0 - 0.5 * v.abs())));
        }
        let notch = (q - at(-half.x * 0.7, -half.y * 0.82)).length() - 0.022;
        let letter = at((q.x + half.x * 0.7) / 0.02, (q.y + 0.1) / 0.022);
        let row = (letter.y / 7.0).floor() as i32;
        let (x, y) = (letter.x.floor() as i32, letter.y.floor() as i32 - row * 7);
        let columns = (half.x * 1.4 / 0.02) as i32;
        let printed = (0..rows).contains(&row)
            && (0..columns).contains(&x)
            && x % 4 != 3
            && y < 5
            && hash(x, y + 5 * row, text) < 0.6;
        let edge = 0.35 * smooth(0.02, 0.0, inside);
        let matt = 1.0 + edge + 0.12 * noise(q * 70.0, seed) + 0.06 * layered(q * 6.0, 2, seed + 1);
        let colour = mix(body, marking, if printed { 0.7 } else { 0.0 });
        Some(shade(colour, matt * if notch < 0.0 { 0.5 } else { 1.0 }))
    };
    let ground = |place: Point| {
        let q = pose.on_piece(place);
        let (number, v) = cell((q.y + half.y) / (2.0 * half.y) * pins);
        let out = q.x.abs() - half.x;
        let solder = v.abs() < 0.34 && (0..pins as i32).contains(&number) && out > 0.0 && out < reach * 1.25;
        let colour = if solder { shade(metal, 0.85) } else { board };
        shade(colour, 1.0 + 0.06 * layered(place * 30.0, 3, seed + 2))
    };
    Product::object(size, ground, surface)
}
