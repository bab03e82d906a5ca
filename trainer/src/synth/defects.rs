//! The kinds of defects. Each is one function that changes a picture of a piece, more visibly with more strength (0 to
//! 1). What it changed is read off the finished images, not promised here.

mod marks;
mod wear;

use super::{
    draw::Draw,
    geometry::Point,
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

/// All kinds.
pub const DEFECTS: &[Defect] = &[
    Defect { name: "scratch", inflict: wear::scratch },
    Defect { name: "stain", inflict: marks::stain },
    Defect { name: "hole", inflict: wear::hole },
    Defect { name: "discolouration", inflict: marks::discolouration },
    Defect { name: "missing_part", inflict: wear::missing_part },
    Defect { name: "fibre", inflict: marks::fibre },
    Defect { name: "smear", inflict: wear::smear },
    Defect { name: "misprint", inflict: marks::misprint },
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
