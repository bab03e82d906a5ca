//! The kinds of defects. Each is one function that changes a picture of a piece, more visibly with more strength (0 to
//! 1). What it changed is read off the finished images, not promised here.

mod deformation;
mod deposits;
mod fractures;
mod marks;
mod wear;

use super::{
    colour::{Colour, luma, mix, shade},
    draw::Draw,
    geometry::{Point, at},
    product::{Canvas, Product, pixel_centre},
};

/// A kind of defect.
#[derive(Clone, Copy, Debug)]
pub struct Defect {
    /// Name of its folder.
    pub name: &'static str,
    /// Changes the picture of a piece; `strength` is 0 to 1.
    pub inflict: fn(&mut Canvas, &Product, f32, &mut Draw),
}

/// All kinds. New kinds go to the end: the others then keep their places.
pub const DEFECTS: &[Defect] = &[
    Defect { name: "scratch", inflict: wear::scratch },
    Defect { name: "stain", inflict: marks::stain },
    Defect { name: "hole", inflict: wear::hole },
    Defect { name: "discolouration", inflict: marks::discolouration },
    Defect { name: "missing_part", inflict: wear::missing_part },
    Defect { name: "fibre", inflict: marks::fibre },
    Defect { name: "smear", inflict: wear::smear },
    Defect { name: "misprint", inflict: marks::misprint },
    Defect { name: "crack", inflict: fractures::crack },
    Defect { name: "dent", inflict: deformation::dent },
    Defect { name: "inclusion", inflict: deposits::inclusion },
    Defect { name: "worn_patch", inflict: wear::worn_patch },
    Defect { name: "warp", inflict: deformation::warp },
    Defect { name: "foreign_object", inflict: deposits::foreign_object },
    Defect { name: "pitting", inflict: deposits::pitting },
    Defect { name: "chipped_edge", inflict: fractures::chipped_edge },
    Defect { name: "colour_spot", inflict: deposits::colour_spot },
    Defect { name: "pulled_thread", inflict: deformation::pulled_thread },
    Defect { name: "crease", inflict: deformation::crease },
    Defect { name: "crazing", inflict: fractures::crazing },
];

/// A random place on the piece, away from the border of the image.
fn somewhere_on(product: &Product, draw: &mut Draw) -> Point {
    let size = product.canvas.size;
    let margin = size / 10;
    let inner = |i: &usize| {
        let (x, y) = (i % size, i / size);
        x.min(y) >= margin && x.max(y) < size - margin
    };
    let covered: Vec<usize> =
        (0..size * size).filter(inner).filter(|i| product.coverage[*i] == 1.0).collect();
    let chosen = draw.count(0, covered.len().max(1) as u32 - 1) as usize;
    pixel_centre(covered.get(chosen).copied().unwrap_or(size * size / 2), size)
}

/// A walk of `length` from `start` in steps of 1/128, whose direction drifts by up to `bend` radians a step.
fn walk(start: Point, length: f32, bend: f32, draw: &mut Draw) -> Vec<Point> {
    const STEP: f32 = 1.0 / 128.0;
    let (mut heading, mut drift) = (draw.angle(), draw.within(-bend, bend));
    let mut path = vec![start];
    let mut place = start;
    for _ in 0..(length / STEP).max(2.0) as usize {
        drift = (drift + draw.within(-bend, bend) * 0.4).clamp(-bend, bend);
        heading += drift;
        place = place + Point::towards(heading) * STEP;
        path.push(place);
    }
    path
}

/// Distance to a path, and how far along it the nearest point is, 0 to 1; a quick bound decides most pixels.
fn to_path(place: Point, path: &[Point]) -> (f32, f32) {
    let mut nearest = (f32::MAX, 0);
    for (i, point) in path.iter().enumerate() {
        let offset = place - *point;
        let distance = offset.dot(offset);
        if distance < nearest.0 {
            nearest = (distance, i);
        }
    }
    let (i, last) = (nearest.1, path.len() - 1);
    let before = super::geometry::to_segment(place, path[i.saturating_sub(1)], path[i]);
    let after = super::geometry::to_segment(place, path[i], path[(i + 1).min(last)]);
    (before.min(after), i as f32 / last as f32)
}

/// Changes what is piece in each pixel and leaves what is ground.
fn each_pixel_of(canvas: &mut Canvas, product: &Product, change: impl Fn(Point, [f32; 3]) -> [f32; 3]) {
    let size = canvas.size;
    for (i, pixel) in canvas.pixels.iter_mut().enumerate() {
        let changed = change(pixel_centre(i, size), *pixel);
        *pixel = mix(*pixel, changed, product.coverage[i]);
    }
}

/// A place on the piece from which the edge is near, if it has one within the image.
fn edge_of(product: &Product, draw: &mut Draw) -> Point {
    let inside = somewhere_on(product, draw);
    let size = product.canvas.size;
    let outside: Vec<usize> = (0..size * size).filter(|i| product.coverage[*i] == 0.0).collect();
    let squared = |place: Point| (place - inside).dot(place - inside);
    let nearest =
        outside.into_iter().map(|i| pixel_centre(i, size)).min_by(|a, b| squared(*a).total_cmp(&squared(*b)));
    // Half-way into the nearest edge, so that a part of the piece goes.
    nearest.map_or(inside, |edge| edge + (inside - edge) * 0.35)
}

/// The most uneven of some places on the piece: where there is no texture, moving it about is invisible.
fn most_uneven(canvas: &Canvas, product: &Product, draw: &mut Draw) -> Point {
    let places: Vec<Point> = (0..12).map(|_| somewhere_on(product, draw)).collect();
    let uneven = |place: &Point| unevenness(canvas, *place);
    places.into_iter().max_by(|a, b| uneven(a).total_cmp(&uneven(b))).unwrap_or(at(0.5, 0.5))
}

fn unevenness(canvas: &Canvas, centre: Point) -> f32 {
    let places = (0..49).map(|k| centre + at((k % 7) as f32 - 3.0, (k / 7) as f32 - 3.0) * 0.018);
    let lumas: Vec<f32> = places.map(|place| luma(canvas.sample(place))).collect();
    let mean = lumas.iter().sum::<f32>() / lumas.len() as f32;
    lumas.iter().map(|value| (value - mean) * (value - mean)).sum()
}

/// Lightness around a place, as the mean of a patch.
fn lightness(canvas: &Canvas, centre: Point) -> f32 {
    let places = (0..25).map(|k| centre + at((k % 5) as f32 - 2.0, (k / 5) as f32 - 2.0) * 0.015);
    places.map(|place| luma(canvas.sample(place))).sum::<f32>() / 25.0
}

/// Darker by a share of itself, or on what is too dark for that lighter: what a gap or a pit looks like.
fn sunken(colour: Colour, share: f32, lightness: f32) -> Colour {
    if lightness > 0.2 { shade(colour, 1.0 - share) } else { mix(colour, [0.75; 3], 0.6 * share) }
}

/// Lit or shaded by a slope: by a factor, and a little on black too.
fn sloped(colour: Colour, light: f32) -> Colour {
    colour.map(|channel| channel * (1.0 + light) + 0.12 * light)
}
