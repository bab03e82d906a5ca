//! Small things in or on the piece: inclusions, pits, coloured spots, objects that don't belong there.

use super::{
    super::{
        colour::{luma, mix, shade},
        draw::Draw,
        field::{layered, noise},
        geometry::{Point, at, smooth, to_box, to_polygon, to_segment},
        product::{Canvas, Product, pixel_centre},
        relief::{LIGHT, dome, glint, rod},
    },
    each_pixel_of, lightness, somewhere_on, sunken,
};

/// A few small blobs, soft at the edge, darker or brighter than the piece.
pub fn inclusion(canvas: &mut Canvas, product: &Product, strength: f32, draw: &mut Draw) {
    let centre = somewhere_on(product, draw);
    let behind = lightness(canvas, centre);
    let bright = if behind > 0.65 { false } else { behind < 0.25 || draw.chance(0.4) };
    let contrast = 0.25 + 0.6 * strength;
    let blobs: Vec<(Point, f32, Point, f32)> = (0..draw.count(1, 4))
        .map(|k| {
            let reach = if k == 0 { 0.0 } else { draw.within(0.02, 0.07) };
            let radius = draw.within(0.012, 0.018) + 0.03 * strength * draw.within(0.2, 1.0);
            let place = centre + Point::towards(draw.angle()) * reach;
            (place, radius, Point::towards(draw.angle()), draw.within(0.4, 1.0))
        })
        .collect();
    let seed = draw.field();
    each_pixel_of(canvas, product, |place, colour| {
        let mut here = 0.0f32;
        for (middle, radius, turn, squash) in &blobs {
            let offset = (place - *middle).turned(*turn);
            let distance = at(offset.x, offset.y / squash).length() / radius;
            here = here.max(smooth(1.1, 0.5, distance + 0.35 * noise(place * 45.0, seed)));
        }
        let share = here * contrast;
        if bright { mix(colour, [0.9; 3], 0.7 * share) } else { shade(colour, 1.0 - share) }
    });
}

/// A cluster of small pits, densest in its middle.
pub fn pitting(canvas: &mut Canvas, product: &Product, strength: f32, draw: &mut Draw) {
    let centre = somewhere_on(product, draw);
    let spread = draw.within(0.03, 0.055) + 0.05 * strength;
    let depth = 0.3 + 0.5 * strength;
    let behind = lightness(canvas, centre);
    let pits: Vec<(Point, f32)> = (0..draw.count(7, 12) + (16.0 * strength) as u32)
        .map(|_| {
            let reach = spread * (draw.within(0.0, 1.0) + draw.within(0.0, 1.0));
            let radius = draw.within(0.005, 0.008) + 0.005 * strength * draw.within(0.0, 1.0);
            (centre + Point::towards(draw.angle()) * reach, radius)
        })
        .collect();
    each_pixel_of(canvas, product, |place, colour| {
        let (mut pit, mut lip) = (0.0f32, 0.0f32);
        for (middle, radius) in &pits {
            let offset = place - *middle;
            let share = offset.length() / radius;
            if share < 2.0 {
                pit = pit.max(smooth(1.2, 0.4, share));
                lip += smooth(2.0, 1.2, share) * smooth(0.6, 1.2, share) * offset.dot(LIGHT * -1.0)
                    / (share * radius);
            }
        }
        let lit = colour.map(|channel| channel * (1.0 + 0.3 * depth * lip.clamp(-1.0, 1.0)));
        sunken(lit, pit * depth, behind)
    });
}

/// Drops of a colour, translucent: the piece shows through.
pub fn colour_spot(canvas: &mut Canvas, product: &Product, strength: f32, draw: &mut Draw) {
    let centre = somewhere_on(product, draw);
    let behind = lightness(canvas, centre);
    let tint = draw.colour([0.55, 0.95], if behind > 0.5 { [0.3, 0.7] } else { [0.65, 1.0] });
    let opacity = 0.2 + 0.45 * strength;
    let drops: Vec<(Point, f32)> = (0..draw.count(1, 3))
        .map(|k| {
            let reach = if k == 0 { 0.0 } else { draw.within(0.03, 0.09) };
            let radius = (draw.within(0.018, 0.028) + 0.045 * strength) / (1.0 + 0.5 * k as f32);
            (centre + Point::towards(draw.angle()) * reach, radius)
        })
        .collect();
    let seed = draw.field();
    each_pixel_of(canvas, product, |place, colour| {
        let mut here = 0.0f32;
        for (middle, radius) in &drops {
            let share = (place - *middle).length() / radius * (1.0 + 0.12 * layered(place * 20.0, 2, seed));
            here = here.max(smooth(1.08, 0.9, share) * (0.8 + 0.2 * share));
        }
        // Half dye, half paint: what is under it keeps its light and shade.
        let dyed = tint.map(|channel| channel * (0.3 + 0.9 * luma(colour)));
        mix(colour, mix(tint, dyed, 0.6), here * opacity)
    });
}

/// Something that doesn't belong there, with its shadow: a bead, a splinter, a shaving, a crumb.
pub fn foreign_object(canvas: &mut Canvas, product: &Product, strength: f32, draw: &mut Draw) {
    let centre = somewhere_on(product, draw);
    let radius = draw.within(0.02, 0.032) + 0.035 * strength;
    let turn = Point::towards(draw.angle());
    let kind = draw.count(0, 3);
    let behind = lightness(canvas, centre);
    let value = if behind > 0.5 { [0.1, 0.4] } else { [0.6, 0.95] };
    let colour = if draw.chance(0.5) { draw.grey(value) } else { draw.colour([0.3, 0.9], value) };
    let slim = draw.within(0.18, 0.4);
    let corners = draw.count(3, 6);
    let opacity = 0.7 + 0.3 * strength;
    let seed = draw.field();
    // Brightness at an offset, and how far inside the object it is.
    let object = |offset: Point| -> (f32, f32) {
        let own = offset.turned(turn);
        let unit = offset * (1.0 / radius);
        match kind {
            0 => (0.4 + 0.6 * dome(unit, LIGHT) + 0.6 * glint(unit, LIGHT, 0.4), radius - offset.length()),
            1 => {
                let long = at(radius * 1.6, 0.0);
                let distance = to_segment(own, long * -1.0, long);
                let width = radius * slim;
                let side = (own.y / width).clamp(-1.0, 1.0);
                (0.4 + 0.7 * rod(side, LIGHT.turned(turn).y), width - distance)
            }
            2 => {
                // A curl: most of a ring, open at one side.
                let ring = own.length() - 0.8 * radius;
                let open = smooth(2.3, 2.5, own.angle().abs());
                let lit = 0.6 + 0.4 * libm::cosf(own.angle() * 2.0 + 8.0 * ring / radius);
                (lit, 0.3 * slim.max(0.3) * 2.0 * radius - ring.abs() - open * radius)
            }
            _ => {
                let ragged = 0.3 * radius * noise(own * (1.2 / radius) + at(9.0, 9.0), seed);
                let edge = to_polygon(own, corners, 0.75 * radius).max(to_box(own, at(radius, radius)));
                (0.75 + 0.35 * noise(own * (2.0 / radius), seed ^ 1), ragged - edge)
            }
        }
    };
    let reach = 3.0 * radius + 0.02;
    let size = canvas.size;
    for (i, pixel) in canvas.pixels.iter_mut().enumerate() {
        let offset = pixel_centre(i, size) - centre;
        if offset.dot(offset) > reach * reach {
            continue;
        }
        let lift = at(0.3, 0.4) * (radius * 0.8);
        let shadow = 0.4 * opacity * smooth(-0.015, 0.01, object(offset - lift).1);
        let (lit, inside) = object(offset);
        *pixel = shade(*pixel, 1.0 - shadow);
        *pixel = mix(*pixel, shade(colour, lit), smooth(-0.004, 0.004, inside) * opacity);
    }
}
