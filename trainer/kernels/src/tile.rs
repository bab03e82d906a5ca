//! The product of eight rows and thirty-two columns that all convolutions are made of, by the widest vectors of this
//! processor.

/// Rows of a tile.
pub const ROWS: usize = 8;
/// Columns of a tile.
pub const COLUMNS: usize = 32;

/// A tile of results.
pub type Tile = [[f32; COLUMNS]; ROWS];

/// Where blocks of [`COLUMNS`] values begin.
#[derive(Clone, Copy)]
pub struct Starts<'a> {
    starts: &'a [usize],
    last: usize,
}

impl<'a> Starts<'a> {
    /// Starts in any order.
    pub fn new(starts: &'a [usize]) -> Self {
        Self { starts, last: starts.iter().copied().max().unwrap_or(0) }
    }
}

/// Adds a_t b_t' to the tile for every t: a_t are the [`ROWS`] values of `a` from t * ROWS on, b_t the [`COLUMNS`] values
/// of `b` from the t-th start on. Rows from `used` on need not be computed.
pub fn add_product(tile: &mut Tile, used: usize, a: &[f32], b: &[f32], Starts { starts, last }: Starts) {
    assert!(a.len() >= starts.len() * ROWS, "rows for every start");
    assert!(last + COLUMNS <= b.len(), "columns from every start");
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has AVX-512, and the slices hold all that is read, as was asserted.
            return unsafe {
                match used {
                    ..=4 => x86::with_avx512::<4>(tile, used, a.as_ptr(), b.as_ptr(), starts),
                    _ => x86::with_avx512::<8>(tile, used, a.as_ptr(), b.as_ptr(), starts),
                }
            };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: as above, with AVX2 and FMA.
            return unsafe { x86::with_avx2::<2>(tile, used, a.as_ptr(), b.as_ptr(), starts) };
        }
    }
    for (a, start) in a.as_chunks::<ROWS>().0.iter().zip(starts) {
        for (sums, a) in tile.iter_mut().zip(a).take(used) {
            for (sum, b) in sums.iter_mut().zip(&b[*start..start + COLUMNS]) {
                *sum += a * b;
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{COLUMNS, ROWS, Tile};

    /// `R` rows at a time, so that their sums stay in registers; R divides ROWS.
    macro_rules! add_product {
        ($name:ident, $features:literal, $lanes:literal, $load:ident, $store:ident, $fill:ident, $fma:ident) => {
            #[target_feature(enable = $features)]
            pub unsafe fn $name<const R: usize>(
                tile: &mut Tile,
                used: usize,
                a: *const f32,
                b: *const f32,
                starts: &[usize],
            ) {
                const VECTORS: usize = COLUMNS / $lanes;
                for first in (0..used.min(ROWS)).step_by(R) {
                    // SAFETY: the caller vouches for ROWS values of a and COLUMNS of b at every start.
                    unsafe {
                        let mut sums = [[$fill(0.0); VECTORS]; R];
                        for (t, start) in starts.iter().enumerate() {
                            let mut columns = [$fill(0.0); VECTORS];
                            for (v, vector) in columns.iter_mut().enumerate() {
                                *vector = $load(b.add(start + v * $lanes));
                            }
                            for (row, sums) in sums.iter_mut().enumerate() {
                                let a = $fill(*a.add(t * ROWS + first + row));
                                for (sum, b) in sums.iter_mut().zip(columns) {
                                    *sum = $fma(a, b, *sum);
                                }
                            }
                        }
                        for (row, sums) in sums.iter().enumerate() {
                            let out = tile[first + row].as_mut_ptr();
                            for (v, sum) in sums.iter().enumerate() {
                                let place = out.add(v * $lanes);
                                $store(place, $fma($fill(1.0), $load(place), *sum));
                            }
                        }
                    }
                }
            }
        };
    }

    add_product!(
        with_avx512,
        "avx512f",
        16,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_set1_ps,
        _mm512_fmadd_ps
    );
    add_product!(
        with_avx2,
        "avx2,fma",
        8,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_set1_ps,
        _mm256_fmadd_ps
    );
}
