//! Defects that add something: stains, wrong colours, fibres, ink.

use super::{
    super::{
        colour::{from_hsv, luma, mix, shade},
        draw::Draw,
        field::{hash, layered},
        geometry::{Point, at, smooth},
        product::{Canvas, Product, pixel_centre},
    },
    each_pixel_of, somewhere_on, to_path, walk,
};

/// A spill: an uneven blob, darker at its rim.
pub fn stain(canvas: &mut Canvas, product: &Product, strength: f32, draw: &mut Draw) {
    let centre = somewhere_on(product, draw);
    let radius = draw.within(0.035, 0.06) + 0.07 * strength * draw.within(0.3, 1.0);
    let tint = if draw.chance(0.6) {
        from_hsv(draw.within(0.02, 0.15), 0.7, 0.12)
    } else {
        draw.colour([0.4, 0.9], [0.2, 0.7])
    };
    let opacity = 0.3 + 0.5 * strength;
    let seed = draw.field();
    each_pixel_of(canvas, product, |place, colour| {
        let offset = place - centre;
        let edge = radius * (1.0 + 0.45 * layered(offset * (1.6 / radius) + at(9.0, 9.0), 3, seed));
        let inside = edge - offset.length();
        let rim = 0.25 * smooth(0.02, 0.0, inside);
        mix(colour, tint, smooth(-0.004, 0.012, inside) * opacity * (0.8 + rim))
    });
}

/// A region of another hue and brightness: bleached, burnt, badly dyed.
pub fn discolouration(canvas: &mut Canvas, product: &Product, strength: f32, draw: &mut Draw) {
    let centre = somewhere_on(product, draw);
    let radius = draw.within(0.07, 0.11) + 0.08 * strength * draw.within(0.2, 1.0);
    let squash = draw.within(0.6, 1.0);
    let turn = Point::towards(draw.angle());
    let amount = 0.14 + 0.3 * strength;
    let up = draw.count(0, 2) as usize;
    let brighter = draw.sign();
    let seed = draw.field();
    each_pixel_of(canvas, product, |place, colour| {
        let offset = (place - centre).turned(turn);
        let distance =
            at(offset.x, offset.y / squash).length() + radius * 0.25 * layered(place * 9.0, 2, seed);
        let here = amount * smooth(radius, radius * 0.7, distance);
        // Light pieces can only lose light, dark ones only gain it.
        let brighter = if luma(colour) > 0.75 {
            -1.0
        } else if luma(colour) < 0.2 {
            1.0
        } else {
            brighter
        };
        std::array::from_fn(|c| {
            let channel = if c == up { 1.0 } else { -0.4 };
            colour[c] + here * (0.5 * brighter + 0.5 * channel) * (0.35 + 0.65 * colour[c])
        })
    });
}

/// A hair or thread that lies on the piece, with its shadow.
pub fn fibre(canvas: &mut Canvas, product: &Product, strength: f32, draw: &mut Draw) {
    let start = somewhere_on(product, draw);
    let path = walk(start, draw.within(0.15, 0.3) + 0.3 * strength, 0.12, draw);
    let radius = draw.within(0.0045, 0.006) + 0.004 * strength;
    let behind = luma(canvas.sample(start));
    let value = if behind > 0.5 { draw.within(0.02, 0.2) } else { draw.within(0.8, 0.98) };
    let colour = from_hsv(draw.within(0.0, 1.0), draw.within(0.0, 0.5), value);
    let opacity = 0.6 + 0.4 * strength;
    // A fibre may reach beyond the piece.
    let size = canvas.size;
    for (i, pixel) in canvas.pixels.iter_mut().enumerate() {
        let place = pixel_centre(i, size);
        let shadow = smooth(2.2 * radius, 0.0, to_path(place - at(0.006, 0.009), &path).0);
        let distance = to_path(place, &path).0;
        *pixel = shade(*pixel, 1.0 - 0.3 * shadow * opacity);
        *pixel = mix(
            *pixel,
            shade(colour, 1.1 - 0.4 * distance / radius),
            smooth(1.3 * radius, 0.6 * radius, distance) * opacity,
        );
    }
}

/// Ink where none should be: a stamp of blocks, or a doubled row of bars.
pub fn misprint(canvas: &mut Canvas, product: &Product, strength: f32, draw: &mut Draw) {
    let centre = somewhere_on(product, draw);
    let turn = Point::towards(draw.within(-0.4, 0.4));
    let unit = draw.within(0.016, 0.022) + 0.01 * strength;
    let (columns, rows) = (draw.count(3, 6) as i32, draw.count(3, 5) as i32);
    let behind = luma(canvas.sample(centre));
    let ink = draw.colour([0.2, 0.9], if behind > 0.45 { [0.05, 0.3] } else { [0.75, 1.0] });
    let opacity = 0.35 + 0.5 * strength;
    let bars = draw.chance(0.3);
    let seed = draw.field();
    each_pixel_of(canvas, product, |place, colour| {
        let q = (place - centre).turned(turn) * (1.0 / unit) + at(columns as f32, rows as f32) * 0.5;
        let (x, y) = (q.x.floor() as i32, q.y.floor() as i32);
        let inked = (0..columns).contains(&x)
            && (0..rows).contains(&y)
            && hash(x, if bars { 0 } else { y }, seed) < 0.6;
        mix(colour, ink, if inked { opacity } else { 0.0 })
    });
}
