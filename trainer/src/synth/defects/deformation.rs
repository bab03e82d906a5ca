//! Defects of shape: dents, warped texture, creases, pulled threads. The piece keeps its colours and they move, or lie
//! in other light.

use super::{
    super::{
        colour::{luma, mix},
        draw::Draw,
        field::noise,
        geometry::{Point, at, smooth},
        product::{Canvas, Product, pixel_centre},
        relief::LIGHT,
    },
    lightness, most_uneven, sloped, somewhere_on, to_path, walk,
};

/// A dent or a bump: one side lit, the other shaded, the texture drawn towards the middle.
pub fn dent(canvas: &mut Canvas, product: &Product, strength: f32, draw: &mut Draw) {
    let centre = somewhere_on(product, draw);
    let radius = draw.within(0.045, 0.075) + 0.07 * strength * draw.within(0.3, 1.0);
    let squash = draw.within(0.55, 1.0);
    let turn = Point::towards(draw.angle());
    let depth = (0.16 + 0.38 * strength) * draw.sign();
    let seed = draw.field();
    moved(canvas, product, |place| {
        let offset = place - centre;
        let own = offset.turned(turn);
        let lump = 1.0 + 0.2 * noise(place * 14.0, seed);
        let share = at(own.x, own.y / squash).length() / radius * lump;
        let here = (1.0 - share * share).max(0.0);
        // The slope of a bowl (1 - r^2)^2: none in the middle and at the rim.
        let slope = 2.2 * share * here;
        let light = depth * slope * offset.dot(LIGHT * -1.0) / offset.length().max(1e-6);
        (offset * (0.25 * depth * here), light)
    });
}

/// The pattern itself distorted: drawn aside, swirled or swollen, in a region.
pub fn warp(canvas: &mut Canvas, product: &Product, strength: f32, draw: &mut Draw) {
    let centre = most_uneven(canvas, product, draw);
    let radius = draw.within(0.08, 0.12) + 0.08 * strength;
    let reach = (0.03 + 0.06 * strength) * draw.sign();
    let aside = Point::towards(draw.angle());
    let kind = draw.count(0, 2);
    let tension = (0.07 + 0.3 * strength) * if lightness(canvas, centre) > 0.6 { -1.0 } else { 1.0 };
    let seed = draw.field();
    moved(canvas, product, |place| {
        let offset = place - centre;
        let share = offset.length() / radius * (1.0 + 0.2 * noise(place * 10.0, seed));
        let here = smooth(1.0, 0.1, share);
        let pulled = match kind {
            0 => aside,
            1 => at(-offset.y, offset.x) * (1.6 / radius),
            _ => offset * (1.6 / radius),
        };
        // Where it is stretched the light falls otherwise, which is all that shows on a plain surface.
        let stretched = here * (0.5 + 2.0 * (1.0 - here) * noise(place * 7.0, seed ^ 1));
        (pulled * (reach * here), tension * stretched)
    });
}

/// A fold that was pressed flat again: a line lit on one side and shaded on the other.
pub fn crease(canvas: &mut Canvas, product: &Product, strength: f32, draw: &mut Draw) {
    let start = somewhere_on(product, draw);
    let path = walk(start, draw.within(0.2, 0.35) + 0.4 * strength, 0.01, draw);
    let width = draw.within(0.008, 0.014) + 0.01 * strength;
    let depth = (0.16 + 0.4 * strength) * draw.sign();
    let across = path[path.len() - 1] - path[0];
    let across = at(-across.y, across.x) * (1.0 / across.length().max(1e-6));
    let seed = draw.field();
    moved(canvas, product, |place| {
        let (distance, along) = to_path(place, &path);
        if distance > 3.0 * width {
            return (at(0.0, 0.0), 0.0);
        }
        let nearest = path[(along * (path.len() - 1) as f32) as usize];
        let side = if (place - nearest).dot(across) < 0.0 { -1.0 } else { 1.0 };
        let ends =
            smooth(0.0, 0.2, along) * smooth(1.0, 0.8, along) * (1.0 + 0.4 * noise(place * 18.0, seed));
        let ridge = smooth(0.6 * width, 0.0, distance) * 0.5 * depth.abs();
        let bank = smooth(3.0 * width, 0.4 * width, distance) * side * depth;
        (across * (-0.006 * side * ends), ends * (bank * across.dot(LIGHT).abs().max(0.4) + ridge))
    });
}

/// A thread drawn out along a line: the cloth is gathered beside it, and a loop or a shiny line stands up.
pub fn pulled_thread(canvas: &mut Canvas, product: &Product, strength: f32, draw: &mut Draw) {
    let centre = somewhere_on(product, draw);
    let along = Point::towards(draw.within(-0.12, 0.12) + if draw.chance(0.5) { 0.0 } else { 1.571 });
    let half = draw.within(0.1, 0.18) + 0.15 * strength;
    let width = draw.within(0.004, 0.006) + 0.003 * strength;
    let gather = 0.01 + 0.02 * strength;
    let looped = draw.within(0.0, 0.045);
    let contrast = 0.3 + 0.5 * strength;
    let tint = if lightness(canvas, centre) > 0.5 { 0.25 } else { 0.85 };
    let seed = draw.field();
    let before = canvas.clone();
    let size = canvas.size;
    for (i, pixel) in canvas.pixels.iter_mut().enumerate() {
        let place = pixel_centre(i, size);
        let offset = place - centre;
        let (u, v) = (offset.dot(along), offset.dot(at(-along.y, along.x)));
        let ends = smooth(half, 0.75 * half, u.abs());
        if ends == 0.0 || v.abs() > 0.12 {
            continue;
        }
        // The thread leaves its line in a bow where it was caught.
        let bow = looped * smooth(0.3 * half, 0.0, u.abs()) + 0.004 * noise(at(u * 18.0, 0.0), seed);
        let pull = gather * ends * (v / 0.02).clamp(-1.0, 1.0) * smooth(0.12, 0.01, v.abs());
        let gathered = before.sample(place + at(-along.y, along.x) * pull);
        let shadow = 1.0 - 0.35 * contrast * ends * smooth(3.5 * width, 0.0, (v - bow - 1.5 * width).abs());
        let thread = smooth(1.6 * width, 0.5 * width, (v - bow).abs()) * ends * contrast;
        let own = luma(gathered);
        let raised = gathered.map(|channel| channel + (tint - own) * 0.8);
        let pulled = mix(gathered.map(|channel| channel * shadow), raised, thread);
        *pixel = mix(*pixel, pulled, product.coverage[i]);
    }
}

/// Each pixel of the piece from elsewhere and in other light, both as `change` says of its place.
fn moved(canvas: &mut Canvas, product: &Product, change: impl Fn(Point) -> (Point, f32)) {
    let before = canvas.clone();
    let size = canvas.size;
    for (i, pixel) in canvas.pixels.iter_mut().enumerate() {
        let place = pixel_centre(i, size);
        let (step, light) = change(place);
        if step != at(0.0, 0.0) || light != 0.0 {
            *pixel = mix(*pixel, sloped(before.sample(place + step), light), product.coverage[i]);
        }
    }
}
