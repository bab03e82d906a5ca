//! Families of steel and cast surfaces: grey, of low contrast, brighter or darker from piece to piece.

use std::f32::consts::{PI, TAU};

use super::super::{
    colour::shade,
    draw::Draw,
    field::{layered, noise},
    geometry::{Point, Pose, at, hump, smooth},
    product::Product,
    relief::{Heights, LIGHT},
};
use super::table::Table;

/// Hot-rolled steel sheet: faint streaks along the rolling direction, scale and grain.
pub fn rolled_steel(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let steel = design.grey([0.36, 0.62]);
    let (streaks, mottle) = (design.within(0.03, 0.1), design.within(0.04, 0.12));
    let grain = design.within(0.04, 0.1);
    let spacing = design.within(14.0, 40.0);
    let along = if design.chance(0.5) { at(1.0, 0.0) } else { at(0.0, 1.0) };
    let pose = Pose::of_sheet(piece, 0.03);
    let tone = piece.within(0.75, 1.25);
    let [line, scale, fine] = piece.fields();
    Product::sheet(size, shade(steel, 0.2), |place| {
        let q = pose.on_piece(place).turned(along);
        let streak = noise(at(q.x * 0.8, q.y * spacing), line) + 0.5 * noise(at(q.x * 2.0, q.y * 80.0), line);
        let patches = layered(at(q.x * 4.0, q.y * 7.0), 3, scale);
        shade(steel, tone * (1.0 + streaks * streak + mottle * patches + grain * layered(q * 55.0, 2, fine)))
    })
}

/// The ground arc of a magnet: upright grinding lines, darker where the surface turns away from the light.
pub fn magnetic_tile(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let ferrite = design.grey([0.24, 0.46]);
    let fineness = design.within(40.0, 80.0);
    let lines = design.within(0.06, 0.16);
    let curve = design.within(0.1, 0.45);
    let pose = Pose::of_sheet(piece, 0.03);
    let (middle, tone) = (piece.within(0.3, 0.7), piece.within(0.78, 1.25));
    let [ground, chatter, cloud] = piece.fields();
    Product::sheet(size, shade(ferrite, 0.2), |place| {
        let q = pose.on_piece(place);
        let cut = 0.6 * noise(at(q.x * fineness, q.y * 1.5), ground)
            + 0.4 * noise(at(q.x * fineness * 0.37, q.y * 0.5), chatter)
            + 0.35 * layered(q * 50.0, 2, cloud);
        let from_middle = (place.x - middle) * 2.0;
        let turned_away = 1.0 - curve * from_middle * from_middle;
        shade(ferrite, tone * turned_away * (1.0 + lines * cut + 0.05 * layered(q * 3.0, 2, chatter)))
    })
}

/// A radiograph of a welded seam: a pale bead with ripples across soft plates, under film grain.
pub fn weld(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let film = design.grey([0.28, 0.5]);
    let half = design.within(0.11, 0.2);
    let rise = design.within(0.25, 0.55);
    let ripples = design.within(9.0, 18.0);
    let ripple = design.within(0.03, 0.09);
    let pose = Pose::of_object(piece, 0.06);
    let (shift, tone) = (piece.within(0.0, 10.0), piece.within(0.8, 1.2));
    let fall = piece.within(-0.35, 0.35);
    let [edge, body, grain] = piece.fields();
    Product::sheet(size, shade(film, 0.2), |place| {
        let q = pose.on_piece(place);
        let wobble = 0.02 * noise(at((q.x + shift) * 6.0, 0.0), edge);
        let width = half * (1.0 + 0.09 * noise(at((q.x + shift) * 11.0, 9.0), edge));
        let across = (q.y - wobble) / width;
        let bead = smooth(1.15, 0.75, across.abs());
        // Each ripple froze as a crescent behind the pool.
        let crescent = (q.x + shift) * ripples + 0.9 * across * across + 3.0 * wobble;
        let lump = ripple * (hump(crescent) - 0.5) + 0.09 * layered(q * 7.0, 2, body);
        let density = 1.0 + fall * q.y + bead * (rise * (1.0 - 0.35 * across * across) + lump);
        shade(film, tone * (density + 0.07 * layered(place * 60.0, 2, grain)))
    })
}

/// A turned face: arcs of the tool about a centre beyond the image, with chatter across them.
pub fn turned_face(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let metal = design.grey([0.45, 0.75]);
    let centre = Point::towards(design.angle()) * design.within(0.7, 1.3);
    let feed = design.within(45.0, 75.0);
    let (groove, chatter) = (design.within(0.05, 0.13), design.within(0.0, 0.07));
    let lobes = design.within(18.0, 40.0);
    let pose = Pose::of_object(piece, 0.04);
    let tone = piece.within(0.8, 1.2);
    let (phase, bright) = (piece.within(0.0, 9.0), piece.within(-0.25, 0.25));
    let [cut, wander, grain] = piece.fields();
    Product::sheet(size, shade(metal, 0.2), |place| {
        let q = pose.on_piece(place);
        let radial = q - centre;
        let (radius, angle) = (radial.length(), radial.angle());
        let arc = (radius + phase) * feed;
        let lines = 0.7 * noise(at(arc, 0.0), cut) + 0.3 * noise(at(arc * 1.7, angle * 3.0), cut);
        let beat = chatter * (hump(angle * lobes + 2.0 * radius) - 0.5);
        let aside = radial.dot(at(-centre.y, centre.x)) / (radius * centre.length()) - bright;
        let sheen = 0.14 * smooth(0.5, 0.0, aside.abs());
        let fine = 0.05 * layered(q * 50.0, 2, grain) + 0.05 * layered(q * 3.0, 2, wander);
        shade(metal, tone * (0.93 + groove * lines + beat + sheen + fine))
    })
}

/// A round sand casting: rim, web with curved blades, hub and bore, all rough.
pub fn casting(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let iron = design.grey([0.4, 0.65]);
    let outer = design.within(0.4, 0.46);
    let (rim, hub) = (outer * design.within(0.8, 0.9), outer * design.within(0.28, 0.42));
    let bore = hub * design.within(0.4, 0.65);
    let blades = design.count(0, 7) as f32;
    let twist = design.within(-6.0, 6.0);
    let rough = design.within(0.003, 0.007);
    let table = Table::backdrop(design, piece);
    let pose = Pose::of_loose_object(piece, PI);
    let tone = piece.within(0.8, 1.2);
    let [skin, cloud, fine] = piece.fields();
    let heights = Heights::new(size, |place| {
        let q = pose.on_piece(place);
        let radius = q.length();
        let step = |edge: f32| smooth(-0.012, 0.012, radius - edge);
        let web = step(hub) * (1.0 - step(rim));
        let crest = hump((q.angle() + twist * radius) * blades / TAU);
        let blade = if blades > 0.0 { 0.018 * web * smooth(0.62, 0.9, crest) } else { 0.0 };
        let edge = 0.03 * smooth(0.025, 0.0, outer - radius);
        -0.03 * web + blade - edge + rough * layered(q * 38.0, 2, skin)
    });
    let surface = |place: Point| {
        let q = pose.on_piece(place);
        let radius = q.length();
        if radius > outer || radius < bore {
            return None;
        }
        let skin = 1.0 + 0.08 * layered(q * 5.0, 3, cloud) + 0.06 * noise(q * 70.0, fine);
        let hollow = 1.0 + 3.0 * heights.at(place);
        Some(shade(iron, tone * skin * hollow * heights.lit(place, LIGHT, 0.28)))
    };
    Product::object(size, |place| table.colour(place), surface)
}
