//! The last step from a piece to an image: light, lens, sensor, eight bits. One camera takes a defective piece and its
//! clean twin alike, noise included, so that they differ in the defect alone.

use image::{Rgb, RgbImage};

use super::{
    draw::Draw,
    field::hash,
    geometry::{Point, at},
    product::{Canvas, pixel_centre},
};

/// Everything about one exposure but the piece.
#[derive(Clone, Debug)]
pub struct Camera {
    exposure: f32,
    balance: [f32; 3],
    /// Change of brightness across the image, and where to.
    slope: Point,
    /// Standard deviation of the blur, in 128ths of the side.
    blur: f32,
    /// Standard deviation of the noise, in units of the range [0,1].
    noise: f32,
    seed: u32,
}

impl Camera {
    /// Draws an exposure.
    pub fn new(piece: &mut Draw) -> Self {
        Self {
            exposure: piece.within(0.94, 1.06),
            balance: [piece.within(0.985, 1.015), 1.0, piece.within(0.985, 1.015)],
            slope: Point::towards(piece.angle()) * piece.within(0.0, 0.12),
            blur: piece.within(0.35, 0.6),
            noise: piece.within(0.004, 0.012),
            seed: piece.field(),
        }
    }

    /// Takes the picture.
    pub fn expose(&self, canvas: &Canvas) -> RgbImage {
        let size = canvas.size;
        let seen = canvas.blurred((self.blur * size as f32 / 128.0).max(0.2));
        RgbImage::from_fn(size as u32, size as u32, |x, y| {
            let i = y as usize * size + x as usize;
            let light = self.exposure * (1.0 + self.slope.dot(pixel_centre(i, size) - at(0.5, 0.5)));
            Rgb(std::array::from_fn(|c| {
                let value = seen.pixels[i][c] * light * self.balance[c] + self.noise * self.grain(i, c);
                (value * 255.0 + 0.5).clamp(0.0, 255.0) as u8
            }))
        })
    }

    /// Nearly Gaussian, of mean 0 and variance 1: a sum of four uniform values.
    fn grain(&self, pixel: usize, channel: usize) -> f32 {
        let uniform = |k: i32| hash(pixel as i32, 4 * channel as i32 + k, self.seed);
        ((0..4).map(uniform).sum::<f32>() - 2.0) * 3.0f32.sqrt()
    }
}
