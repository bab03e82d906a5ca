//! Procedural categories in the MVTec-AD layout: products that look plausible, with defects whose masks are exact. What
//! a category looks like, how a piece of it lies and what is wrong with it are drawn from named streams under one seed;
//! the same seed makes the same bytes on every platform (arithmetic, square roots and libm only).

mod camera;
mod colour;
mod defects;
mod draw;
mod families;
mod field;
mod geometry;
mod layout;
mod product;
mod relief;
#[cfg(test)]
mod tests;

pub use defects::{DEFECTS, Defect};
pub use families::{FAMILIES, Family};
pub use layout::{Options, SynthError, synthesise};

use image::{GrayImage, Luma, RgbImage};

use camera::Camera;
use draw::Draw;

/// Smallest difference, in 255ths, that counts as a change; below it the clean pixel is kept.
const VISIBLE: u8 = 5;
/// What the changed pixels differ by on average, at least, in 255ths.
const CLEARLY_VISIBLE: u64 = 12;
/// Changed pixels, at least, as a share of the image: one of this many.
const SMALLEST_SHARE: usize = 1000;
/// Draws of a defect before giving up; later draws are stronger.
const ATTEMPTS: u32 = 24;

/// One procedural category.
#[derive(Clone, Debug)]
pub struct SynthCategory {
    /// The family's name and a number: `weave_000`.
    pub name: String,
    family: Family,
    seed: u64,
    size: usize,
}

/// A defective image, its mask and its clean twin.
#[derive(Clone, Debug)]
pub struct Anomaly {
    /// The defective image.
    pub image: RgbImage,
    /// 255 where it differs from its twin, else 0; never empty.
    pub mask: GrayImage,
    /// The same piece before the same camera, without the defect.
    pub clean: RgbImage,
}

impl SynthCategory {
    /// Category `number` of a run: families take turns, and count up when all have been used. It looks the same
    /// however many categories are made.
    pub fn new(number: usize, seed: u64, size: usize) -> Self {
        let family = FAMILIES[number % FAMILIES.len()];
        let name = format!("{}_{:03}", family.name, number / FAMILIES.len());
        Self { name, family, seed, size }
    }

    /// The good piece called `piece`, for example `train/3`.
    pub fn good(&self, piece: &str) -> RgbImage {
        let (product, camera) = self.piece(piece);
        camera.expose(&product.canvas)
    }

    /// The piece called `piece` with a defect; none if every draw of it stayed invisible on this piece.
    pub fn anomaly(&self, piece: &str, defect: &Defect) -> Option<Anomaly> {
        let (product, camera) = self.piece(piece);
        let clean = camera.expose(&product.canvas);
        (0..ATTEMPTS).find_map(|attempt| {
            let mut draw = self.draw(&format!("{piece}/{}/{attempt}", defect.name));
            let weakest = attempt as f32 / ATTEMPTS as f32;
            let strength = draw.within(weakest, 1.0);
            let mut canvas = product.canvas.clone();
            (defect.inflict)(&mut canvas, &product, strength, &mut draw);
            visible_change(&clean, camera.expose(&canvas))
        })
    }

    fn piece(&self, piece: &str) -> (product::Product, Camera) {
        let mut draw = self.draw(piece);
        let camera = Camera::new(&mut draw);
        ((self.family.make)(&mut self.draw("design"), &mut draw, self.size), camera)
    }

    fn draw(&self, stream: &str) -> Draw {
        Draw::new(self.seed, &format!("{}/{stream}", self.name))
    }
}

/// Keeps what differs visibly and resets the rest to the clean image; none if too little is left.
fn visible_change(clean: &RgbImage, mut image: RgbImage) -> Option<Anomaly> {
    let mut mask = GrayImage::new(image.width(), image.height());
    let (mut changed, mut total) = (0, 0);
    for ((pixel, before), marked) in image.pixels_mut().zip(clean.pixels()).zip(mask.pixels_mut()) {
        let difference = (0..3).map(|c| pixel[c].abs_diff(before[c])).max().unwrap_or(0);
        if difference < VISIBLE {
            *pixel = *before;
        } else {
            *marked = Luma([255]);
            changed += 1;
            total += u64::from(difference);
        }
    }
    let enough =
        changed * SMALLEST_SHARE >= clean.pixels().len() && total >= CLEARLY_VISIBLE * changed as u64;
    enough.then(|| Anomaly { image, mask, clean: clean.clone() })
}
