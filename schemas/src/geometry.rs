//! Where features lie on the image; both halves need it, and every map is drawn by it.

use serde::{Deserialize, Serialize};

use crate::{BackboneConfig, InputConfig};

/// Shape of the features and their places: position (y, x) is centred on pixel (stride y, stride x) of the input,
/// because every layer of the backbone is padded so that its first output sits on its first input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FeatureGeometry {
    /// Channels d.
    pub channels: usize,
    /// Positions from top to bottom.
    pub height: usize,
    /// Positions from left to right.
    pub width: usize,
    /// Pixels of the input between neighbouring positions.
    pub stride: usize,
}

impl FeatureGeometry {
    /// Shape of the features that the backbone makes of an input: the stem halves twice, rounding up, and so does
    /// each stage of stride 2.
    pub fn new(input: &InputConfig, backbone: &BackboneConfig) -> Self {
        let strides = [2, 2].into_iter().chain(backbone.strides.iter().copied());
        let side = |pixels: usize| strides.clone().fold(pixels, |side, stride| side.div_ceil(stride));
        Self {
            channels: backbone.feature_channels,
            height: side(input.height),
            width: side(input.width),
            stride: backbone.stride(),
        }
    }

    /// Positions of one image.
    pub fn positions(&self) -> usize {
        self.height * self.width
    }

    /// Where pixel `pixel` of an image with `pixels` along an axis falls on that axis of the features, as a
    /// fractional position, when the input has `input` pixels there. Pixel centres are at half-integers, so that
    /// resizing keeps the edges of the image; the result may lie outside of the positions and is then clamped by
    /// the reader.
    pub fn position_of(&self, pixel: usize, pixels: usize, input: usize) -> f32 {
        let on_input = (pixel as f32 + 0.5) * (input as f32 / pixels as f32) - 0.5;
        on_input / self.stride as f32
    }

    /// The position, of `positions` along an axis, in whose cell pixel `pixel` lies: the nearest one. The rest as
    /// [`FeatureGeometry::position_of`] has it.
    pub fn cell_of(&self, pixel: usize, pixels: usize, input: usize, positions: usize) -> usize {
        (self.position_of(pixel, pixels, input).round().max(0.0) as usize).min(positions.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geometry(height: usize, width: usize, strides: &[usize]) -> FeatureGeometry {
        let backbone = BackboneConfig { strides: strides.to_vec(), ..BackboneConfig::default() };
        FeatureGeometry::new(&InputConfig { height, width, ..InputConfig::default() }, &backbone)
    }

    #[test]
    fn table_a_makes_four_by_four_of_128() {
        let g = geometry(128, 128, &[1, 2, 2, 2]);
        assert_eq!((g.height, g.width, g.stride), (4, 4, 32));
    }

    #[test]
    fn odd_sides_round_up_in_every_layer() {
        let g = geometry(33, 47, &[1, 2]);
        assert_eq!((g.height, g.width), (5, 6)); // 33 17 9 9 5; 47 24 12 12 6
    }

    #[test]
    fn every_pixel_lies_in_the_cell_of_its_nearest_position() {
        let g = geometry(128, 128, &[1, 2, 1]);
        let cells: Vec<usize> = (0..128).map(|pixel| g.cell_of(pixel, 128, 128, g.width)).collect();
        assert!(cells.is_sorted());
        assert_eq!((cells[3], cells[4], cells[12], cells[127]), (0, 1, 2, 15));
        // Twice the pixels: pixel 8 lies at 3.75 of the input, pixel 9 at 4.25.
        assert_eq!(g.cell_of(8, 256, 128, g.width), 0);
        assert_eq!(g.cell_of(9, 256, 128, g.width), 1);
    }

    #[test]
    fn a_position_sits_on_the_pixel_it_is_centred_on() {
        let g = geometry(128, 128, &[1, 2, 1]);
        assert_eq!(g.position_of(24, 128, 128), 3.0);
        assert_eq!(g.position_of(0, 128, 128), 0.0);
        // Twice the pixels: pixel 49 covers the right half of input pixel 24.
        assert_eq!(g.position_of(49, 256, 128), (24.75 - 0.5) / 8.0);
    }
}
