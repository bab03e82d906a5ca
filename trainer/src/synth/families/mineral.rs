//! Families of stone, cement and glaze: mostly grey, with a grain that is new on every piece.

use std::f32::consts::PI;

use super::super::{
    colour::{mix, shade},
    draw::Draw,
    field::{irregular_cell, layered, noise, spot},
    geometry::{Point, Pose, at, smooth},
    product::Product,
    relief::{Heights, LIGHT},
};

/// Cast concrete: clouds, sand and air pores, with the seams of the formwork on some.
pub fn concrete(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let cement = design.grey([0.42, 0.72]);
    let clouds = design.within(0.05, 0.13);
    let sand = design.within(0.05, 0.11);
    let grains = design.within(35.0, 60.0);
    let porous = design.within(0.04, 0.22);
    let pose = Pose::of_sheet(piece, PI);
    let tone = piece.within(0.84, 1.16);
    let [cloud, grain, large, small] = piece.fields();
    Product::sheet(size, shade(cement, 0.25), |place| {
        let q = pose.on_piece(place);
        let body = 1.0 + clouds * layered(q * 3.0, 4, cloud) + sand * layered(q * grains, 2, grain);
        let pore = smooth(0.0, 0.4, spot(q * 9.0, porous, [0.06, 0.2], large))
            .max(0.7 * smooth(0.0, 0.5, spot(q * 21.0, porous, [0.12, 0.3], small)));
        shade(cement, tone * body * (1.0 - 0.35 * pore))
    })
}

/// Asphalt: stones of several greys in dark binder.
pub fn asphalt(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let binder = design.grey([0.16, 0.26]);
    let stone = design.grey([0.34, 0.55]);
    let stones = design.within(16.0, 28.0);
    let laid_bare = design.within(0.3, 0.75);
    let pose = Pose::of_sheet(piece, PI);
    let tone = piece.within(0.85, 1.18);
    let [cell, dust, grain] = piece.fields();
    Product::sheet(size, shade(binder, 0.3), |place| {
        let q = pose.on_piece(place);
        let chip = irregular_cell(q * stones, cell);
        let round = smooth(0.06, 0.4, chip.from_border);
        let bare = smooth(1.0 - laid_bare, 1.15 - 0.4 * laid_bare, chip.name);
        let body = mix(binder, stone, round * bare * (0.6 + 0.4 * noise(q * 4.0, dust)));
        shade(body, tone * (0.85 + 0.2 * round + 0.16 * layered(q * 60.0, 2, grain)))
    })
}

/// Plaster spread by trowel: a low relief of strokes, white or tinted.
pub fn plaster(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let coat =
        if design.chance(0.6) { design.grey([0.6, 0.9]) } else { design.colour([0.1, 0.35], [0.55, 0.85]) };
    let coarse = design.within(7.0, 16.0);
    let stretch = design.within(0.35, 1.0);
    let depth = design.within(0.05, 0.16) / coarse;
    let pose = Pose::of_sheet(piece, 0.3);
    let tone = piece.within(0.9, 1.06);
    let [strokes, grain, bend] = piece.fields();
    let heights = Heights::new(size, |place| {
        let q = pose.on_piece(place) * coarse;
        let q = q + at(noise(q * 0.3, bend), noise(q * 0.3 + at(7.0, 3.0), bend)) * 0.8;
        layered(at(q.x * stretch, q.y), 3, strokes)
    });
    Product::sheet(size, shade(coat, 0.3), |place| {
        let fine = 0.05 * noise(pose.on_piece(place) * 95.0, grain);
        let hollow = 0.05 * heights.at(place);
        shade(coat, tone * (0.96 + fine + hollow) * heights.lit(place, LIGHT, depth))
    })
}

/// Polished marble: clouds, and veins that branch where two meet.
pub fn marble(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let (stone, vein) = match design.count(0, 3) {
        0 => (design.grey([0.8, 0.95]), design.grey([0.35, 0.55])),
        1 => (design.grey([0.12, 0.25]), design.grey([0.6, 0.85])),
        2 => {
            (design.colour_near(0.09, 0.03, [0.15, 0.35], [0.7, 0.9]), design.colour([0.2, 0.5], [0.3, 0.5]))
        }
        _ => (design.colour_near(0.4, 0.1, [0.2, 0.5], [0.2, 0.45]), design.grey([0.6, 0.8])),
    };
    let wide = design.within(1.6, 3.0);
    let strength = design.within(0.4, 0.85);
    let along = Point::towards(design.angle());
    let pose = Pose::of_sheet(piece, 0.5);
    let [warp, main, side, cloud] = piece.fields();
    Product::sheet(size, shade(stone, 0.2), |place| {
        let q = pose.on_piece(place).turned(along) * wide;
        let bend = at(layered(q * 1.1, 2, warp), noise(q * 1.6 + at(5.0, 9.0), warp)) * 0.55;
        // Stretched noise is zero along lines that run on rather than close.
        let ridge = |place: Point, seed: u32| noise(at(place.x * 0.3, place.y * 1.2), seed).abs();
        let clouds = layered(q + bend, 2, cloud);
        let veins = smooth(0.16, 0.0, ridge(q + bend, main)) * (0.55 + 0.6 * clouds)
            + 0.45 * smooth(0.09, 0.0, ridge((q + bend) * 2.3 + at(31.0, 0.0), side)) * (0.5 - 0.7 * clouds);
        mix(shade(stone, 0.97 + 0.1 * clouds), vein, veins * strength)
    })
}

/// Speckled glaze on ceramic: fine and large specks under gloss.
pub fn ceramic(design: &mut Draw, piece: &mut Draw, size: usize) -> Product {
    let glaze =
        if design.chance(0.5) { design.grey([0.72, 0.93]) } else { design.colour([0.1, 0.5], [0.5, 0.85]) };
    let speck = shade(mix(glaze, design.colour([0.1, 0.6], [0.1, 0.4]), 0.85), 0.9);
    let density = design.within(0.12, 0.5);
    let (fine, coarse) = (design.within(24.0, 36.0), design.within(8.0, 13.0));
    let pose = Pose::of_sheet(piece, PI);
    let gloss = Point::towards(piece.angle()) * piece.within(0.0, 0.35) + at(0.5, 0.5);
    let tone = piece.within(0.93, 1.05);
    let [small, large, cloud] = piece.fields();
    Product::sheet(size, shade(glaze, 0.3), |place| {
        let q = pose.on_piece(place);
        let specks = (0.75 * smooth(0.0, 0.6, spot(q * fine, density, [0.1, 0.3], small)))
            .max(0.9 * smooth(0.0, 0.35, spot(q * coarse, density * 0.5, [0.05, 0.2], large)));
        let shine = 0.07 * smooth(0.5, 0.0, (place - gloss).length());
        shade(mix(glaze, speck, specks), tone * (0.95 + 0.04 * layered(q * 4.0, 3, cloud) + shine))
    })
}
