//! Defects that take something away or move it: scratches, holes, missing parts, smears.

use super::{
    super::{
        colour::{luma, mix, shade},
        draw::Draw,
        field::layered,
        geometry::{Point, at, smooth, to_box},
        product::{Canvas, Product, pixel_centre},
    },
    each_pixel_of, edge_of, most_uneven, somewhere_on, to_path, walk,
};

/// A thin line, nearly straight: bright or dark in the middle, with a burr beside it.
pub fn scratch(canvas: &mut Canvas, product: &Product, strength: f32, draw: &mut Draw) {
    let start = somewhere_on(product, draw);
    let path = walk(start, draw.within(0.12, 0.25) + 0.3 * strength, 0.015, draw);
    let radius = draw.within(0.004, 0.006) + 0.005 * strength;
    let target = if luma(canvas.sample(start)) > 0.5 { [0.08; 3] } else { [0.92; 3] };
    let opacity = 0.35 + 0.5 * strength;
    let size = canvas.size;
    for (i, pixel) in canvas.pixels.iter_mut().enumerate() {
        let (distance, along) = to_path(pixel_centre(i, size), &path);
        let pressure = smooth(0.0, 0.15, along) * smooth(1.0, 0.7, along);
        let width = radius * (0.4 + 0.6 * pressure);
        let groove = smooth(1.4 * width, 0.5 * width, distance);
        let burr = smooth(3.0 * width, 1.6 * width, distance) - groove;
        let scratched = shade(mix(*pixel, target, groove * opacity), 1.0 + 0.2 * burr.max(0.0) * opacity);
        *pixel = mix(*pixel, scratched, product.coverage[i]);
    }
}

/// A hole through the piece, with a worn rim; what lies under it shows, in shadow.
pub fn hole(canvas: &mut Canvas, product: &Product, strength: f32, draw: &mut Draw) {
    let centre = somewhere_on(product, draw);
    let radius = draw.within(0.022, 0.03) + 0.04 * strength;
    let seed = draw.field();
    let dark = 0.35 + 0.3 * luma(product.ground.sample(centre));
    let size = canvas.size;
    for (i, pixel) in canvas.pixels.iter_mut().enumerate() {
        let offset = pixel_centre(i, size) - centre;
        let ragged = radius * (1.0 + 0.3 * layered(offset * (1.5 / radius) + at(7.0, 7.0), 2, seed));
        let beyond = offset.length() - ragged;
        let facing = offset.dot(at(-0.6, -0.8)) / offset.length().max(1e-6);
        let rim = smooth(0.4 * radius, 0.0, beyond) * (0.5 + 0.5 * strength);
        let worn = shade(*pixel, 1.0 - rim * (0.25 + 0.25 * facing));
        let depth = shade(product.ground.pixels[i], dark * (1.0 - 0.3 * facing));
        *pixel = mix(*pixel, mix(worn, depth, smooth(0.005, -0.005, beyond)), product.coverage[i]);
    }
}

/// A piece broken or cut off: a corner, an edge, a bite.
pub fn missing_part(canvas: &mut Canvas, product: &Product, strength: f32, draw: &mut Draw) {
    let centre = edge_of(product, draw);
    let half = draw.within(0.04, 0.06) + 0.06 * strength;
    let turn = Point::towards(draw.angle());
    let shape = at(half, half * draw.within(0.6, 1.2));
    let seed = draw.field();
    let size = canvas.size;
    for (i, pixel) in canvas.pixels.iter_mut().enumerate() {
        let place = pixel_centre(i, size);
        let offset = (place - centre).turned(turn);
        let beyond = to_box(offset, shape) + 0.012 * layered(place * 30.0, 3, seed);
        let shadow = 0.35 * smooth(-0.035, 0.0, beyond);
        let broken = shade(product.ground.pixels[i], 1.0 - shadow);
        let torn = shade(
            mix(*pixel, broken, smooth(0.003, -0.003, beyond)),
            1.0 + 0.25 * smooth(0.006, 0.0, beyond.abs()),
        );
        *pixel = mix(*pixel, torn, smooth(0.01, 0.004, beyond) * product.coverage[i]);
    }
}

/// Dragged while wet, or rubbed with a greasy finger: a region blurred along one direction, under a faint film.
pub fn smear(canvas: &mut Canvas, product: &Product, strength: f32, draw: &mut Draw) {
    let centre = most_uneven(canvas, product, draw);
    let shape = at(draw.within(0.08, 0.11) + 0.07 * strength, draw.within(0.05, 0.08) + 0.05 * strength);
    let turn = Point::towards(draw.angle());
    let reach = 0.04 + 0.08 * strength;
    let film = 0.06 + 0.12 * strength;
    let film = if luma(canvas.sample(centre)) > 0.45 { [film, 0.0] } else { [film, 0.9] };
    let before = canvas.clone();
    let size = canvas.size;
    for (i, pixel) in canvas.pixels.iter_mut().enumerate() {
        let place = pixel_centre(i, size);
        let offset = (place - centre).turned(turn);
        let distance = at(offset.x / shape.x, offset.y / shape.y).length();
        if distance > 1.0 {
            continue;
        }
        let back = at(turn.x, -turn.y) * reach;
        let mut sum = [0.0; 3];
        for k in 0..12 {
            let colour = before.sample(place - back * (k as f32 / 11.0));
            sum = std::array::from_fn(|c| sum[c] + colour[c] / 12.0);
        }
        let smeared = mix(sum, [film[1]; 3], film[0]);
        *pixel = mix(*pixel, smeared, smooth(1.0, 0.75, distance));
    }
}

/// Rubbed, worn or faded: a region, uneven at its edge, whose texture is weaker and paler or duller.
pub fn worn_patch(canvas: &mut Canvas, product: &Product, strength: f32, draw: &mut Draw) {
    let centre = somewhere_on(product, draw);
    let shape = at(draw.within(0.07, 0.12) + 0.08 * strength, draw.within(0.05, 0.09) + 0.06 * strength);
    let turn = Point::towards(draw.angle());
    let amount = 0.25 + 0.6 * strength;
    let lift = (0.06 + 0.16 * strength) * draw.sign();
    let seed = draw.field();
    let even = canvas.blurred(0.03 * canvas.size as f32);
    each_pixel_of(canvas, product, |place, colour| {
        let offset = (place - centre).turned(turn);
        let distance = at(offset.x / shape.x, offset.y / shape.y).length();
        if distance > 1.5 {
            return colour;
        }
        let strokes = layered(at(offset.x * 14.0, offset.y * 45.0), 2, seed);
        let here = smooth(1.0, 0.45, distance + 0.4 * strokes);
        let middle = even.sample(place);
        let grey = luma(middle);
        // Dark pieces wear pale; bright ones can only grow dull.
        let lift = if grey < 0.25 {
            lift.abs()
        } else if grey > 0.8 {
            -lift.abs()
        } else {
            lift
        };
        let worn = mix(middle, [grey; 3], 0.4).map(|channel| channel + lift);
        mix(colour, worn, here * amount)
    });
}
