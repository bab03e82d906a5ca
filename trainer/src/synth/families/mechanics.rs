//! Families of machined parts: metal objects on a table.

use std::f32::consts::{PI, TAU};

use super::super::{
    colour::{Colour, mix, shade},
    draw::Draw,
    field::{layered, noise},
    geometry::{Point, Pose, at, cell, hump, smooth, to_box, to_polygon},
    product::Product,
};
use super::table::{Table, bevel, facing, sheen};

/// A spur gear with a hub and, often, lightening holes.
pub fn gear(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let teeth = design.count(10, 22) as f32;
    let tip = design.within(0.38, 0.44);
    let root = tip * design.within(0.78, 0.86);
    let bore = design.within(0.05, 0.09);
    let hub = bore + design.within(0.03, 0.06);
    let holes = [0, 3, 4, 5, 6][design.count(0, 4) as usize];
    let metal = metal(design);
    let table = Table::new(design, piece);
    let pose = Pose::of_object(piece, PI);
    let seed = piece.field();
    let surface = |place: Point| {
        let q = pose.on_piece(place);
        let (radius, angle) = (q.length(), q.angle());
        let flank = (hump(angle * teeth / TAU) - 0.5) * 2.2 + 0.5;
        let edge = root + (tip - root) * flank.clamp(0.0, 1.0);
        let sector = if holes > 0 { TAU / holes as f32 } else { TAU };
        let in_sector = angle - (angle / sector).round() * sector;
        let hole = Point::towards(in_sector) * radius - at((hub + root) / 2.0, 0.0);
        let from_hole = if holes > 0 { hole.length() - (root - hub) * 0.28 } else { 1.0 };
        let inside = (edge - radius).min(radius - bore).min(from_hole);
        let raised = if radius < hub || radius > root * 0.88 { 1.0 } else { 0.82 };
        let turned = 0.06 * noise(at(radius * 160.0, 3.0 * hump(angle / TAU)), seed);
        (inside > 0.0).then(|| shade(metal, raised * (sheen(angle) + bevel(inside, q)) + turned))
    };
    Product::object(size, |place| table.colour(place), surface)
}

/// The head of a hexagon bolt, with or without a drive in it.
pub fn bolt(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let inradius = design.within(0.27, 0.35);
    let washer = inradius * design.within(1.2, 1.32);
    let drive = design.count(0, 3);
    let depth = inradius * design.within(0.35, 0.5);
    let metal = metal(design);
    let table = Table::new(design, piece);
    let pose = Pose::of_object(piece, PI);
    let seed = piece.field();
    let surface = |place: Point| {
        let q = pose.on_piece(place);
        let radius = q.length();
        let head = -to_polygon(q, 6, inradius);
        if radius > washer {
            return None;
        }
        if head < 0.0 {
            let rim = bevel(washer - radius, q);
            return Some(shade(metal, 0.42 + rim + 0.05 * noise(at(radius * 130.0, q.angle()), seed)));
        }
        let arm = depth * 0.22;
        let from_drive = match drive {
            0 => 1.0,
            1 => to_box(q, at(depth * 1.3, arm)),
            2 => to_box(q, at(depth, arm)).min(to_box(q, at(arm, depth))),
            _ => to_polygon(q, 6, depth * 0.7),
        };
        if from_drive < 0.0 {
            return Some(shade(metal, 0.22 + 0.3 * smooth(-0.02, 0.0, from_drive)));
        }
        // Corners are cut by a cone, which catches light by its direction.
        let chamfer = smooth(inradius * 0.97, inradius, radius) * (1.0 - 0.6 * facing(q));
        let scratched = 0.05 * layered(at(q.x * 12.0, q.y * 60.0), 2, seed);
        let face = 0.98 + scratched + bevel(head, q) + 0.5 * bevel(from_drive, q);
        Some(shade(metal, face * (1.0 - 0.3 * chamfer)))
    };
    Product::object(size, |place| table.colour(place), surface)
}

/// A crown cap from above: crimped skirt, rings, and a printed star.
pub fn bottle_cap(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let crimps = design.count(19, 23) as f32;
    let outer = design.within(0.39, 0.44);
    let rim = outer * 0.8;
    let points = design.count(3, 8) as f32;
    let reach = [rim * design.within(0.25, 0.4), rim * design.within(0.55, 0.8)];
    let lacquer = design.colour([0.4, 0.9], [0.4, 0.85]);
    let print = design.colour([0.0, 0.7], [0.7, 1.0]);
    let ring = rim * design.within(0.86, 0.93);
    let table = Table::new(design, piece);
    let pose = Pose::of_object(piece, PI);
    let seed = piece.field();
    let surface = |place: Point| {
        let q = pose.on_piece(place);
        let (radius, angle) = (q.length(), q.angle());
        let crimp = hump(angle * crimps / TAU);
        let edge = outer * (0.96 + 0.04 * crimp);
        if radius > edge {
            return None;
        }
        if radius > rim {
            let fall = (radius - rim) / (edge - rim);
            return Some(shade(lacquer, (1.0 - 0.35 * fall) * (0.55 + 0.55 * crimp) + 0.1 * facing(q)));
        }
        let star = reach[0] + (reach[1] - reach[0]) * hump(angle * points / TAU);
        let printed = smooth(0.006, -0.006, radius - star).max(smooth(0.012, 0.006, (radius - ring).abs()));
        let dome = 0.12 * facing(q) * radius / rim;
        let gloss = 0.04 * layered(q * 10.0, 2, seed);
        Some(shade(mix(lacquer, print, printed), 0.95 + dome + gloss))
    };
    Product::object(size, |place| table.colour(place), surface)
}

/// A ball bearing: two rings and the balls between them.
pub fn bearing(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let outer = design.within(0.38, 0.44);
    let race = [outer * design.within(0.46, 0.54), outer * design.within(0.72, 0.8)];
    let bore = race[0] * design.within(0.6, 0.75);
    let ball = (race[1] - race[0]) * 0.46;
    let middle = (race[0] + race[1]) / 2.0;
    let balls = ((PI * middle / ball) * design.within(0.65, 0.9)) as u32;
    let metal = metal(design);
    let cage = design.colour_near(0.12, 0.1, [0.1, 0.6], [0.25, 0.5]);
    let table = Table::new(design, piece);
    let pose = Pose::of_object(piece, PI);
    let seed = piece.field();
    let surface = |place: Point| {
        let q = pose.on_piece(place);
        let (radius, angle) = (q.length(), q.angle());
        if radius > outer || radius < bore {
            return None;
        }
        if radius < race[0] || radius > race[1] {
            let inside = if radius > race[1] {
                (outer - radius).min(radius - race[1])
            } else {
                (race[0] - radius).min(radius - bore)
            };
            let turned = 0.05 * noise(at(radius * 220.0, 2.0 * hump(angle / TAU)), seed);
            return Some(shade(metal, sheen(angle) + bevel(inside, q) + turned));
        }
        let (_, u) = cell(angle * balls as f32 / TAU);
        let from_ball = at(radius - middle, u * TAU / balls as f32 * middle);
        let height = 1.0 - from_ball.dot(from_ball) / (ball * ball);
        if height > 0.0 {
            let lit = (from_ball - at(-0.3, -0.3) * ball).length() / ball;
            return Some(shade(metal, 0.35 + 0.5 * height + 0.5 * smooth(0.45, 0.0, lit)));
        }
        Some(shade(cage, 0.6 + 0.2 * smooth(ball, ball * 0.5, (radius - middle).abs())))
    };
    Product::object(size, |place| table.colour(place), surface)
}

/// Steel, brass or something between.
fn metal(design: &mut Draw) -> Colour {
    if design.chance(0.7) {
        design.colour_near(0.6, 0.1, [0.0, 0.12], [0.6, 0.85])
    } else {
        design.colour_near(0.11, 0.03, [0.35, 0.6], [0.65, 0.85])
    }
}
