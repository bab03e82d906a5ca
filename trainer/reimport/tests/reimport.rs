//! The export is proved by a reader that shares no code with it.

use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use safetensors::SafeTensors;
use sparsight_reimport::backbone::Model;

#[test]
fn the_exported_backbone_read_by_burn_import_gives_the_features_of_the_probe() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/bundles/tiny/probe.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let probe = SafeTensors::deserialize(&bytes).unwrap();
    let floats = |name: &str| -> (Vec<usize>, Vec<f32>) {
        let view = probe.tensor(name).unwrap();
        (view.shape().to_vec(), view.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
    };
    let device = Default::default();
    let model: Model<Flex> = Model::default();
    for (images, features) in [("support", "support_features"), ("query", "query_features")] {
        let (shape, values) = floats(images);
        let image = Tensor::<Flex, 4>::from_data(TensorData::new(values, shape), &device);
        let actual: Vec<f32> = model.forward(image).into_data().iter::<f32>().collect();
        let (_, expected) = floats(features);
        assert_eq!(actual.len(), expected.len());
        let scale = expected.iter().fold(0.0f32, |max, v| max.max(v.abs()));
        let worst = actual.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4 * scale, "{features}: {worst:e} of {scale}");
    }
}
