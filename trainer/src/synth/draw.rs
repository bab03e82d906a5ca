//! Random draws of the procedural categories: each is named, so that adding a family, a defect or an image changes no
//! other. Only integers and divisions by powers of two are behind them: every platform draws the same.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use super::colour::{Colour, from_hsv};

/// A stream of random values.
#[derive(Clone, Debug)]
pub struct Draw(ChaCha8Rng);

impl Draw {
    /// The stream called `name` under a seed.
    pub fn new(seed: u64, name: &str) -> Self {
        Self(ChaCha8Rng::from_seed(Sha256::digest(format!("{seed}/{name}")).into()))
    }

    /// Uniform between two values.
    pub fn within(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.0.random::<f32>()
    }

    /// One of `low..=high`, all equally likely.
    pub fn count(&mut self, low: u32, high: u32) -> u32 {
        self.0.random_range(low..=high)
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f32) -> bool {
        self.0.random::<f32>() < probability
    }

    /// Either sign.
    pub fn sign(&mut self) -> f32 {
        if self.chance(0.5) { 1.0 } else { -1.0 }
    }

    /// Any direction, in radians.
    pub fn angle(&mut self) -> f32 {
        self.within(0.0, std::f32::consts::TAU)
    }

    /// Seed of a noise field.
    pub fn field(&mut self) -> u32 {
        self.0.random()
    }

    /// Seeds of several noise fields.
    pub fn fields<const COUNT: usize>(&mut self) -> [u32; COUNT] {
        std::array::from_fn(|_| self.field())
    }

    /// Grey, or nearly: a cast too faint to be called a colour; value uniform in this range.
    pub fn grey(&mut self, value: [f32; 2]) -> Colour {
        self.colour([0.0, 0.06], value)
    }

    /// A colour of any hue; saturation and value uniform in these ranges.
    pub fn colour(&mut self, saturation: [f32; 2], value: [f32; 2]) -> Colour {
        self.colour_near(0.5, 0.5, saturation, value)
    }

    /// A colour whose hue (0 to 1, red to red) is within `spread` of `hue`.
    pub fn colour_near(&mut self, hue: f32, spread: f32, saturation: [f32; 2], value: [f32; 2]) -> Colour {
        let hue = self.within(hue - spread, hue + spread);
        let saturation = self.within(saturation[0], saturation[1]);
        from_hsv(hue, saturation, self.within(value[0], value[1]))
    }
}
