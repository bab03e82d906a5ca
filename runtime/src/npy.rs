//! Maps as NumPy's `.npy` files, format version 1.0. What the numbers mean lives elsewhere.

use std::path::Path;

use ndarray::ArrayView2;

use crate::replace::{ReplaceError, replace_file};

/// Writes a matrix as float32 in row order.
///
/// # Errors
/// The file can't be written.
pub fn write_npy(path: &Path, matrix: ArrayView2<f32>) -> Result<(), ReplaceError> {
    replace_file(path, &npy_bytes(matrix))
}

fn npy_bytes(matrix: ArrayView2<f32>) -> Vec<u8> {
    let (rows, columns) = matrix.dim();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    // The data starts at a multiple of 64 bytes: 6 of magic, 2 of version, 2 of length, the header, a line feed.
    let padding = 64 - (10 + header.len() + 1) % 64;
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    let mut bytes = Vec::with_capacity(10 + header.len() + 4 * matrix.len());
    bytes.extend(b"\x93NUMPY\x01\x00");
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    for value in matrix {
        bytes.extend(value.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use ndarray::array;

    use super::*;

    #[test]
    fn the_header_says_what_the_data_is() {
        let bytes = npy_bytes(array![[1.0, 2.0, 3.0], [4.0, 5.0, f32::MAX]].view());
        assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
        let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        assert_eq!((10 + length) % 64, 0);
        let header = std::str::from_utf8(&bytes[10..10 + length]).unwrap();
        assert!(
            header.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"),
            "{header}"
        );
        assert!(header.ends_with('\n'));
        let data: Vec<f32> =
            bytes[10 + length..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        assert_eq!(data, [1.0, 2.0, 3.0, 4.0, 5.0, f32::MAX]);
    }

    #[test]
    fn rows_stay_rows_when_the_memory_is_in_column_order() {
        let matrix = array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]];
        assert_eq!(npy_bytes(matrix.t()), npy_bytes(array![[1.0, 3.0, 5.0], [2.0, 4.0, 6.0]].view()));
    }

    #[test]
    fn numpy_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map.npy");
        write_npy(&path, array![[0.5, -1.0], [2.0, 3.0], [4.0, 5.0]].view()).unwrap();
        let script = "import sys, numpy; a = numpy.load(sys.argv[1]); print(a.dtype, a.shape, a.tolist())";
        let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
        let output = Command::new(python).args(["-c", script]).arg(&path).output();
        match output {
            Ok(output) if output.status.success() => {
                let read = String::from_utf8(output.stdout).unwrap();
                assert_eq!(read.trim(), "float32 (3, 2) [[0.5, -1.0], [2.0, 3.0], [4.0, 5.0]]");
            }
            Ok(output) if String::from_utf8_lossy(&output.stderr).contains("No module named 'numpy'") => {
                eprintln!("skipped: python3 has no numpy");
            }
            Err(_) => eprintln!("skipped: no python3"),
            Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        }
    }
}
