//! Colours of the procedural categories: three values, red, green and blue, nominally in [0,1].

/// Red, green and blue.
pub type Colour = [f32; 3];

/// From hue (any number, its fraction counts), saturation and value.
pub fn from_hsv(hue: f32, saturation: f32, value: f32) -> Colour {
    let sector = (hue - hue.floor()) * 6.0;
    let channel = |offset: f32| {
        let k = (offset + sector) % 6.0;
        value * (1.0 - saturation * k.min(4.0 - k).clamp(0.0, 1.0))
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}

/// From `a` (share 0) to `b` (share 1); shares beyond are clamped.
pub fn mix(a: Colour, b: Colour, share: f32) -> Colour {
    let share = share.clamp(0.0, 1.0);
    std::array::from_fn(|c| a[c] + (b[c] - a[c]) * share)
}

/// Lighter or darker by a factor.
pub fn shade(colour: Colour, factor: f32) -> Colour {
    colour.map(|channel| channel * factor.max(0.0))
}

/// Perceived lightness.
pub fn luma(colour: Colour) -> f32 {
    0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
}
