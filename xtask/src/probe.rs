//! Compares two probes: another CPU's last bits may differ, but by no more than the manifest allows.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use sparsight_schemas::Tolerances;

/// The tensors of a safetensors file, all of 32-bit floats: name to shape and values.
type Tensors = BTreeMap<String, (Vec<u64>, Vec<f32>)>;

/// Whether `actual` holds what `expected` does.
///
/// # Errors
/// The first tensor that differs, or what is wrong with a file.
pub fn compare(expected: &[u8], actual: &[u8], tolerances: &Tolerances) -> Result<()> {
    let (expected, actual) = (tensors(expected)?, tensors(actual)?);
    let names = |tensors: &Tensors| tensors.keys().cloned().collect::<Vec<_>>().join(", ");
    ensure!(expected.keys().eq(actual.keys()), "holds {}, not {}", names(&actual), names(&expected));
    for (name, (shape, values)) in &expected {
        let (found_shape, found) = &actual[name];
        ensure!(shape == found_shape, "{name} has shape {found_shape:?}, not {shape:?}");
        let tolerance = tolerance(name, tolerances);
        let scale = values.iter().fold(0.0f32, |scale, value| scale.max(value.abs()));
        let difference = values.iter().zip(found).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max);
        // Not `>`: a NaN must not pass, and max ignores it.
        let finite = found.iter().all(|value| value.is_finite());
        ensure!(
            finite && difference <= tolerance * scale,
            "{name} differs by {:e} of its scale; {tolerance:e} is allowed",
            difference / scale
        );
    }
    Ok(())
}

/// Images are made without floating point and must be equal.
fn tolerance(tensor: &str, tolerances: &Tolerances) -> f32 {
    match tensor {
        "support" | "query" => 0.0,
        name if name.ends_with("gradient") => tolerances.gradient,
        name if name.ends_with("features") => tolerances.features,
        _ => tolerances.energy,
    }
}

/// The layout: 8 bytes little-endian length, a JSON header of that length, then the data that it points into.
fn tensors(bytes: &[u8]) -> Result<Tensors> {
    let (length, rest) = bytes.split_first_chunk::<8>().context("is shorter than a safetensors file")?;
    let length = usize::try_from(u64::from_le_bytes(*length))?;
    let (header, data) = rest.split_at_checked(length).context("is cut off in its header")?;
    let header: BTreeMap<String, Value> = serde_json::from_slice(header).context("has no JSON header")?;
    let tensors = header.into_iter().filter(|(name, _)| name != "__metadata__");
    tensors.map(|(name, entry)| Ok((name.clone(), tensor(&entry, data).with_context(|| name)?))).collect()
}

fn tensor(entry: &Value, data: &[u8]) -> Result<(Vec<u64>, Vec<f32>)> {
    if entry["dtype"] != "F32" {
        bail!("is of type {}, not F32", entry["dtype"]);
    }
    let shape: Vec<u64> = serde_json::from_value(entry["shape"].clone()).context("has no shape")?;
    let [start, end]: [usize; 2] =
        serde_json::from_value(entry["data_offsets"].clone()).context("has no offsets")?;
    let (values, rest) = data.get(start..end).context("lies outside of the file")?.as_chunks::<4>();
    let count: u64 = shape.iter().product();
    ensure!(rest.is_empty() && values.len() as u64 == count, "has {} values for {shape:?}", values.len());
    Ok((shape, values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with one tensor.
    fn file(name: &str, values: &[f32]) -> Vec<u8> {
        let end = 4 * values.len();
        let header = format!(
            r#"{{"__metadata__":{{"a":"b"}},"{name}":{{"dtype":"F32","shape":[{}],"data_offsets":[0,{end}]}}}}"#,
            values.len()
        );
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.bytes());
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        bytes
    }

    fn same(name: &str, expected: &[f32], actual: &[f32]) -> Result<()> {
        compare(&file(name, expected), &file(name, actual), &Tolerances::default())
    }

    #[test]
    fn a_difference_within_the_tolerance_is_none() {
        same("energy", &[1.0, 10.0], &[1.0, 10.0009]).unwrap();
        same("image_gradient", &[1.0, 10.0], &[1.0, 10.009]).unwrap();
    }

    #[test]
    fn a_difference_beyond_the_tolerance_is_one() {
        let said = same("energy", &[1.0, 10.0], &[1.0, 10.0011]).unwrap_err().to_string();
        assert!(said.starts_with("energy differs by 1.") && said.ends_with("; 1e-4 is allowed"), "{said}");
        same("image_gradient", &[1.0, 10.0], &[1.0, 10.011]).unwrap_err();
        same("query", &[1.0, 10.0], &[1.0, 10.000001]).unwrap_err();
        same("energy", &[1.0], &[f32::NAN]).unwrap_err();
    }

    #[test]
    fn other_tensors_are_a_difference() {
        same("energy", &[1.0], &[1.0, 1.0]).unwrap_err();
        let tolerances = Tolerances::default();
        compare(&file("energy", &[1.0]), &file("codes", &[1.0]), &tolerances).unwrap_err();
    }

    #[test]
    fn a_file_that_is_cut_off_is_an_error_wherever_it_ends() {
        let whole = file("energy", &[1.0, 2.0]);
        for length in 0..whole.len() {
            compare(&whole, &whole[..length], &Tolerances::default()).unwrap_err();
        }
    }
}
