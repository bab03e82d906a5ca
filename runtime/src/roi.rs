//! A region of interest: the feature positions that count. It is drawn as a mask on an image and kept at the size of the
//! features; what is done within it is said where it is done.

use image::RgbImage;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, Zip};
use sparsight_schemas::Manifest;

/// Brightness from which a pixel of a mask is white, of 255.
const WHITE: u32 = 128;

/// The positions that count, at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Roi {
    /// 1 where a position counts, else 0, \[h, w\].
    inside: Array2<f32>,
}

/// Why a mask makes no region of interest.
#[derive(Debug, thiserror::Error)]
pub enum RoiError {
    /// No position is inside.
    #[error("no feature position is inside; white is inside, and a position counts if half of its cell is")]
    Empty,
    /// The mask was drawn on another kind of image.
    #[error(
        "{} x {} pixels have another aspect ratio than the images, {} x {}; draw it on one of them",
        mask.0, mask.1, image.0, image.1
    )]
    AspectRatio {
        /// Width and height of the mask.
        mask: (u32, u32),
        /// Width and height of an image.
        image: (u32, u32),
    },
    /// What was stored is no region.
    #[error("its roi holds other values than 0 and 1")]
    NotAMask,
}

impl Roi {
    /// The positions at least half of whose cell is white in `mask`, an image of any size: the cell of a position is made
    /// of the pixels of the bundle's input that are nearer to it than to any other.
    ///
    /// # Errors
    /// There are none.
    pub fn from_mask(mask: &RgbImage, manifest: &Manifest) -> Result<Self, RoiError> {
        let (geometry, input) = (&manifest.features, &manifest.input);
        let mut balance = Array2::<i64>::zeros((geometry.height, geometry.width));
        let on_mask = |pixel: usize, pixels: usize, side: u32| {
            (((2 * pixel + 1) * side as usize) / (2 * pixels)).min(side as usize - 1) as u32
        };
        for y in 0..input.height {
            for x in 0..input.width {
                let cell = [
                    geometry.cell_of(y, input.height, input.height, geometry.height),
                    geometry.cell_of(x, input.width, input.width, geometry.width),
                ];
                let pixel =
                    mask[(on_mask(x, input.width, mask.width()), on_mask(y, input.height, mask.height()))];
                let brightness = pixel.0.iter().map(|&channel| u32::from(channel)).sum::<u32>() / 3;
                balance[cell] += if brightness >= WHITE { 1 } else { -1 };
            }
        }
        Self::from_inside(balance.mapv(|balance| f32::from(balance >= 0)))
    }

    /// The region of a stored \[h, w\] of 0 and 1.
    ///
    /// # Errors
    /// Other values, or no 1.
    pub fn from_inside(inside: Array2<f32>) -> Result<Self, RoiError> {
        if inside.iter().any(|value| *value != 0.0 && *value != 1.0) {
            return Err(RoiError::NotAMask);
        }
        if inside.iter().all(|value| *value == 0.0) {
            return Err(RoiError::Empty);
        }
        Ok(Self { inside })
    }

    /// 1 where a position counts, else 0, \[h, w\].
    pub fn inside(&self) -> ArrayView2<'_, f32> {
        self.inside.view()
    }

    /// How many positions count.
    pub fn count(&self) -> usize {
        self.positions().len()
    }

    /// The share of the positions that count, above 0.
    pub fn share(&self) -> f32 {
        self.count() as f32 / self.inside.len() as f32
    }

    /// The positions that count, as y w + x, in their order.
    pub fn positions(&self) -> Vec<usize> {
        let all = self.inside.iter().enumerate();
        all.filter(|(_, inside)| **inside == 1.0).map(|(position, _)| position).collect()
    }

    /// The rows of the positions that count, of `rows` \[n h w, m\] in the order (image, y, x).
    pub fn rows(&self, rows: &Array2<f32>) -> Array2<f32> {
        let (positions, all) = (self.positions(), self.inside.len());
        let of_image = |image: usize| positions.iter().map(move |position| image * all + position);
        let chosen: Vec<usize> = (0..rows.nrows() / all).flat_map(of_image).collect();
        rows.select(Axis(0), &chosen)
    }

    /// The values of a map \[h, w\] at the positions that count, as one row.
    pub fn values(&self, map: ArrayView2<f32>) -> Array2<f32> {
        let values = map.iter().zip(&self.inside).filter(|(_, inside)| **inside == 1.0);
        let values: Vec<f32> = values.map(|(value, _)| *value).collect();
        Array2::from_shape_fn((1, values.len()), |(_, i)| values[i])
    }

    /// Sets a map \[h, w\] to 0 at the positions that do not count, whatever it has there.
    pub fn limit(&self, map: ArrayViewMut2<f32>) {
        Zip::from(map).and(&self.inside).for_each(|value, inside| {
            if *inside == 0.0 {
                *value = 0.0;
            }
        });
    }

    /// The pixels of an image of `height` x `width` that count: those whose nearest position does, 1, else 0.
    pub fn on_image(&self, manifest: &Manifest, height: usize, width: usize) -> Array2<f32> {
        let (geometry, input) = (&manifest.features, &manifest.input);
        let cells = |pixels, side, positions| -> Vec<usize> {
            (0..pixels).map(|pixel| geometry.cell_of(pixel, pixels, side, positions)).collect()
        };
        let down = cells(height, input.height, geometry.height);
        let across = cells(width, input.width, geometry.width);
        Array2::from_shape_fn((height, width), |(y, x)| self.inside[(down[y], across[x])])
    }
}

/// Checks that a mask of this width and height can have been drawn on an image of that: their aspect ratios differ by 1 %
/// at most, as rounding to whole pixels makes them.
///
/// # Errors
/// They differ by more.
pub fn check_aspect_ratio(mask: (u32, u32), image: (u32, u32)) -> Result<(), RoiError> {
    let [a, b] = [u64::from(mask.0) * u64::from(image.1), u64::from(mask.1) * u64::from(image.0)];
    if a.abs_diff(b) * 100 <= a.max(b) { Ok(()) } else { Err(RoiError::AspectRatio { mask, image }) }
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use ndarray::array;
    use sparsight_schemas::{Config, FeatureGeometry, InputConfig, Provenance};

    use super::*;

    /// 64 x 48 pixels of input, a position every 8.
    fn manifest() -> Manifest {
        let config = Config::default();
        Manifest {
            schema_version: 1,
            name: String::new(),
            input: InputConfig { height: 64, width: 48, ..InputConfig::default() },
            features: FeatureGeometry { channels: 8, height: 8, width: 6, stride: 8 },
            sparse_coding: config.sparse_coding,
            scoring: config.scoring,
            tolerances: Default::default(),
            files: Default::default(),
            provenance: Provenance {
                version: String::new(),
                seed: 0,
                steps: 0,
                data_fingerprint: None,
                initial_weights: None,
                training: None,
                config,
            },
        }
    }

    fn mask(width: u32, height: u32, inside: impl Fn(u32, u32) -> bool) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| Rgb([if inside(x, y) { 255 } else { 0 }; 3]))
    }

    #[test]
    fn a_position_counts_if_half_of_its_cell_is_white() {
        // The cell of position 2 is pixels 12 to 19 of the input.
        for (from, expected) in [(12, vec![2, 3, 4, 5]), (16, vec![2, 3, 4, 5]), (17, vec![3, 4, 5])] {
            let roi = Roi::from_mask(&mask(48, 64, |x, y| x >= from && y < 4), &manifest()).unwrap();
            assert_eq!(roi.positions(), expected, "from {from}");
        }
    }

    #[test]
    fn masks_of_any_size_draw_the_same_region() {
        let of = |scale: u32| {
            let inside = |x, y| x >= 20 * scale && y >= 30 * scale;
            Roi::from_mask(&mask(48 * scale, 64 * scale, inside), &manifest()).unwrap()
        };
        assert_eq!(of(1), of(3));
        let coarse = Roi::from_mask(&mask(2, 2, |x, y| x == 1 && y == 1), &manifest()).unwrap();
        // Rows 4 to 7 and columns 3 to 5, but for the corner: a quarter of its cell is white.
        assert_eq!(coarse.positions()[..3], [4 * 6 + 4, 4 * 6 + 5, 5 * 6 + 3]);
        assert_eq!(coarse.count(), 4 * 3 - 1);
    }

    #[test]
    fn pixels_count_where_their_nearest_position_does() {
        let roi = Roi::from_mask(&mask(48, 64, |x, _| x >= 12), &manifest()).unwrap();
        // Pixel 24 of twice the size lies at 11.75 of the input, 25 at 12.25, and the cell begins at 12.
        let pixels = roi.on_image(&manifest(), 128, 96);
        for (x, inside) in pixels.row(77).iter().enumerate() {
            assert_eq!(*inside, f32::from(x >= 25), "column {x}");
        }
        let all = Roi::from_mask(&mask(1, 1, |_, _| true), &manifest()).unwrap();
        assert_eq!((all.count(), all.on_image(&manifest(), 31, 17).sum()), (48, 31.0 * 17.0));
    }

    #[test]
    fn rows_and_values_find_their_places() {
        let roi = Roi::from_inside(array![[0.0, 1.0], [1.0, 0.0]]).unwrap();
        let rows = Array2::from_shape_fn((8, 1), |(row, _)| row as f32);
        assert_eq!(roi.rows(&rows), array![[1.0], [2.0], [5.0], [6.0]]);
        let mut map = array![[f32::NAN, 7.0], [8.0, 1.0]];
        assert_eq!(roi.values(map.view()), array![[7.0, 8.0]]);
        roi.limit(map.view_mut());
        assert_eq!(map, array![[0.0, 7.0], [8.0, 0.0]]);
    }

    #[test]
    fn nothing_and_numbers_are_no_regions() {
        let black = mask(48, 64, |_, _| false);
        assert!(matches!(Roi::from_mask(&black, &manifest()), Err(RoiError::Empty)));
        assert!(matches!(Roi::from_inside(array![[0.5, 1.0]]), Err(RoiError::NotAMask)));
    }

    #[test]
    fn only_masks_of_the_images_shape_fit() {
        assert!(check_aspect_ratio((640, 480), (1280, 960)).is_ok());
        assert!(check_aspect_ratio((333, 250), (1000, 750)).is_ok());
        assert!(check_aspect_ratio((480, 640), (640, 480)).is_err());
        assert!(check_aspect_ratio((640, 480), (640, 512)).is_err());
    }
}
