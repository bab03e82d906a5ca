//! Defects of brittle things: cracks, networks of them, chipped edges.

use super::{
    super::{
        colour::{mix, shade},
        draw::Draw,
        field::{irregular_cell, layered, noise},
        geometry::{Point, at, smooth},
        product::{Canvas, Product},
    },
    each_pixel_of, edge_of, lightness, somewhere_on, sunken, to_path,
};

/// A thin dark line that turns at random and branches, finer towards its ends.
pub fn crack(canvas: &mut Canvas, product: &Product, strength: f32, draw: &mut Draw) {
    let start = somewhere_on(product, draw);
    let length = draw.within(0.12, 0.2) + 0.4 * strength;
    let heading = draw.angle();
    let main = jagged(start, heading, length, draw);
    let mut paths = vec![(main, 1.0)];
    for _ in 0..draw.count(0, 3) {
        let from = draw.count(0, paths[0].0.len() as u32 - 1) as usize;
        let aside = heading + draw.within(0.5, 1.1) * draw.sign();
        let reach = length * draw.within(0.15, 0.45);
        paths.push((jagged(paths[0].0[from], aside, reach, draw), 0.7));
    }
    let radius = draw.within(0.0028, 0.0045) + 0.003 * strength;
    let depth = 0.25 + 0.55 * strength;
    let behind = lightness(canvas, start);
    let seed = draw.field();
    each_pixel_of(canvas, product, |place, colour| {
        let mut gap = 0.0f32;
        for (path, share) in &paths {
            let (distance, along) = to_path(place, path);
            if distance > 0.03 {
                continue;
            }
            let width = radius * share * smooth(1.05, 0.5, along) * (1.0 + 0.5 * noise(place * 60.0, seed));
            gap = gap.max(smooth(1.5 * width + 0.001, 0.4 * width, distance) * smooth(1.0, 0.85, along));
        }
        sunken(colour, gap * depth, behind)
    });
}

/// Straight stretches with sudden turns about one heading.
fn jagged(start: Point, heading: f32, length: f32, draw: &mut Draw) -> Vec<Point> {
    let (mut path, mut place, mut left) = (vec![start], start, length);
    while left > 0.0 {
        let stretch = draw.within(0.012, 0.04);
        place = place + Point::towards(heading + draw.within(-0.75, 0.75)) * stretch;
        path.push(place);
        left -= stretch;
    }
    path
}

/// A region of fine cracks that meet, as in old glaze or tired metal.
pub fn crazing(canvas: &mut Canvas, product: &Product, strength: f32, draw: &mut Draw) {
    let centre = somewhere_on(product, draw);
    let radius = draw.within(0.07, 0.1) + 0.09 * strength;
    let cells = draw.within(16.0, 26.0);
    let depth = 0.18 + 0.4 * strength;
    let width = 0.07 + 0.06 * strength;
    let behind = lightness(canvas, centre);
    let [bend, cell, edge] = draw.fields();
    each_pixel_of(canvas, product, |place, colour| {
        let distance = (place - centre).length() + 0.5 * radius * layered(place * 9.0, 2, edge);
        if distance > radius {
            return colour;
        }
        let q = place * cells + at(0.35, -0.35) * noise(place * cells, bend);
        let gap = smooth(width + 0.04, 0.3 * width, irregular_cell(q, cell).from_border);
        sunken(colour, gap * depth * smooth(radius, 0.6 * radius, distance), behind)
    });
}

/// A chip off the edge of an object, or a spall off a face without one: a few flat facets, fresh and of another tone.
pub fn chipped_edge(canvas: &mut Canvas, product: &Product, strength: f32, draw: &mut Draw) {
    let centre = edge_of(product, draw);
    let radius = draw.within(0.026, 0.036) + 0.06 * strength;
    let sides: Vec<(Point, f32)> = (0..6)
        .map(|k| (Point::towards(k as f32 * 1.047 + draw.within(-0.3, 0.3)), draw.within(0.7, 1.1)))
        .collect();
    let tone = (0.15 + 0.35 * strength) * if lightness(canvas, centre) > 0.55 { -1.0 } else { 1.0 };
    let gone = draw.within(0.1, 0.6);
    let [rough, facet] = draw.fields();
    let ground = product.ground.clone();
    each_pixel_of(canvas, product, |place, colour| {
        let offset = place - centre;
        let inside =
            sides.iter().map(|(side, reach)| reach * radius - offset.dot(*side)).fold(f32::MAX, f32::min)
                + 0.004 * noise(place * 70.0, rough);
        if inside < -0.01 {
            return colour;
        }
        let flat = irregular_cell(offset * (1.1 / radius) + at(40.0, 40.0), facet).name - 0.5;
        let fresh = colour.map(|channel| channel * (1.0 + tone + 0.5 * flat * tone.abs()) + 0.1 * tone);
        let fresh = shade(fresh, 1.0 + 0.08 * noise(place * 60.0, rough));
        // Deepest in the middle, where nothing is left.
        let through = smooth(0.75 - gone, 0.85 - gone, inside / radius);
        mix(colour, mix(fresh, shade(ground.sample(place), 0.8), through), smooth(0.0, 0.006, inside))
    });
}
