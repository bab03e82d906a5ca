//! Pictures of what a config trains on: episodes, negatives with their masks, and the sampler's steps, as sheets of
//! images. What is shown is drawn by `episodes` and computed by `langevin`; here it is only laid out.

use burn::tensor::backend::Backend;
use image::{Rgb, RgbImage};
use ndarray::{Array4, ArrayView3, Axis, ShapeError};
use sparsight_schemas::{Config, FeatureGeometry};

use crate::{
    arrays::to_array,
    energy::EnergyModel,
    episodes::Episode,
    langevin::{langevin, step_size},
    objective::EpisodeTensors,
    weights::Weights,
};

/// White pixels between the images of a sheet.
const GAP: u32 = 2;

/// A sheet of rows of images \[3,H,W\] in \[0,1\], all of one size.
fn sheet(rows: &[Vec<ArrayView3<f32>>]) -> RgbImage {
    let (_, height, width) = rows.iter().flatten().next().map_or((3, 1, 1), |image| image.dim());
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let extent = |count: usize, side: usize| count as u32 * (side as u32 + GAP) + GAP;
    let white = Rgb([255; 3]);
    let mut sheet = RgbImage::from_pixel(extent(columns, width), extent(rows.len(), height), white);
    for (row, images) in rows.iter().enumerate() {
        for (column, image) in images.iter().enumerate() {
            let (left, top) = (extent(column, width), extent(row, height));
            for y in 0..height {
                for x in 0..width {
                    let value = |c: usize| (image[[c, y, x]].clamp(0.0, 1.0) * 255.0).round() as u8;
                    sheet.put_pixel(left + x as u32, top + y as u32, Rgb([value(0), value(1), value(2)]));
                }
            }
        }
    }
    sheet
}

fn images(batch: &Array4<f32>) -> impl Iterator<Item = ArrayView3<'_, f32>> {
    batch.outer_iter()
}

/// A row for each episode: its support, then its queries.
pub fn episodes_sheet(episodes: &[Episode]) -> RgbImage {
    let rows: Vec<_> =
        episodes.iter().map(|e| images(&e.support).chain(images(&e.positives)).collect()).collect();
    sheet(&rows)
}

/// Three rows for each episode: its queries, the negatives made of them, and the masks.
pub fn negatives_sheet(episodes: &[Episode]) -> RgbImage {
    let masks: Vec<Array4<f32>> = episodes
        .iter()
        .map(|episode| {
            let (count, height, width) = episode.masks.dim();
            let grey = episode.masks.view().insert_axis(Axis(1));
            Array4::from_shape_fn((count, 3, height, width), |(i, _, y, x)| grey[[i, 0, y, x]])
        })
        .collect();
    let rows: Vec<_> = episodes
        .iter()
        .zip(&masks)
        .flat_map(|(e, masks)| [&e.positives, &e.negatives, masks].map(|batch| images(batch).collect()))
        .collect();
    sheet(&rows)
}

/// A row for each query of an episode: the original, the negative, and where each of the sampler's steps leads.
///
/// # Errors
/// None that a valid config allows.
pub fn langevin_sheet<B: Backend>(
    config: &Config,
    weights: &Weights<B>,
    episode: &Episode,
    device: &B::Device,
) -> Result<RgbImage, ShapeError> {
    let sparse_coding = config.trained_sparse_coding();
    let model = EnergyModel::new(&config.input, &config.backbone, &sparse_coding, weights);
    let geometry = FeatureGeometry::new(&config.input, &config.backbone);
    let tensors = EpisodeTensors::new(episode, &geometry, &sparse_coding, device);
    let atoms = model.adapt(tensors.support, tensors.atoms);
    let mut states = vec![episode.positives.clone(), episode.negatives.clone()];
    let step_size = step_size(model.energy(tensors.positives, &atoms), weights, &config.langevin);
    let (mut x, atoms) = (tensors.negatives, [atoms]);
    for eps in tensors.noise {
        x = langevin(&model, &atoms, x, vec![eps], vec![step_size.clone()], config.langevin.noise_std);
        states.push(to_array(x.clone())?);
    }
    let queries = episode.positives.dim().0;
    let rows: Vec<Vec<ArrayView3<f32>>> =
        (0..queries).map(|i| states.iter().map(|state| state.index_axis(Axis(0), i)).collect()).collect();
    Ok(sheet(&rows))
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    #[test]
    fn a_sheet_has_every_image_at_its_place() {
        let image = |value: f32| Array3::from_elem((3, 4, 6), value);
        let (dark, bright) = (image(0.2), image(0.8));
        let sheet = sheet(&[vec![dark.view(), bright.view()], vec![bright.view()]]);
        assert_eq!(sheet.dimensions(), (2 + 8 + 8, 2 + 6 + 6));
        let at = |x: u32, y: u32| sheet.get_pixel(x, y).0[0];
        assert_eq!((at(2, 2), at(7, 5), at(10, 2), at(15, 5)), (51, 51, 204, 204));
        assert_eq!((at(2, 8), at(10, 8)), (204, 255));
        assert_eq!((at(0, 0), at(8, 3), at(2, 6)), (255, 255, 255));
    }
}
