//! Products of a matrix that is packed once with panels of columns: the hot loop of sparse coding. One plain body,
//! compiled for the instructions of the machine; no caller knows which they are.

/// Columns that are computed together: those of a panel.
pub(crate) const LANES: usize = 16;

/// One value for every column of a panel.
pub(crate) type Lanes = [f32; LANES];

/// Rows that are computed together. Six rows of a panel's sums fill the registers of AVX2 and NEON, of two
/// panels enough of AVX-512's.
const ROWS: usize = 6;

/// Panels that pass through a product together: the packed matrix comes from memory once for all of them. With 2,560 atoms
/// fewer panels, or the matrix in parts that stay in the first level of cache, were slower.
pub(crate) const BLOCK: usize = 16;

/// A matrix \[rows, inner\], packed for products with panels on its right.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    rows: usize,
    inner: usize,
    /// Six rows side by side: \[ceil(rows / 6), inner\], zeros for the rows that are not there.
    values: Vec<[f32; ROWS]>,
}

impl Packed {
    /// Packs the matrix of `value(row, column)`.
    pub(crate) fn new(rows: usize, inner: usize, value: impl Fn(usize, usize) -> f32) -> Self {
        let mut values = Vec::with_capacity(rows.div_ceil(ROWS) * inner);
        for first in (0..rows).step_by(ROWS) {
            values.extend((0..inner).map(|column| {
                std::array::from_fn(|i| if first + i < rows { value(first + i, column) } else { 0.0 })
            }));
        }
        Self { rows, inner, values }
    }

    /// Rows of the matrix.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Its columns, which are the rows of what it is multiplied with.
    pub(crate) fn inner(&self) -> usize {
        self.inner
    }

    /// `out <- start + self right`, or without a start, `out <- self right`, for any number of panels: `right` is
    /// \[panels, inner\], `out` and `start` are \[panels, rows\]. Of every panel only the first `rows` rows are computed.
    pub(crate) fn multiply(&self, right: &[Lanes], start: Option<&[Lanes]>, out: &mut [Lanes], rows: usize) {
        let panels = out.len() / self.rows.max(1);
        assert!(right.len() == panels * self.inner && rows <= self.rows, "sides of a product of panels");
        assert!(
            out.len() == panels * self.rows && start.is_none_or(|start| start.len() == out.len()),
            "panels"
        );
        multiply(self, right, start, out, rows);
    }
}

/// What functions of [`for_the_machine`] are compiled for.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Instructions {
    Any,
    Avx2,
    Avx512,
}

#[cfg(target_arch = "x86_64")]
impl Instructions {
    #[inline(never)] // small, and a little code in many places otherwise
    pub(crate) fn of_the_machine() -> Self {
        #[cfg(test)]
        return AT_MOST.get().min(Self::detected());
        #[cfg(not(test))]
        Self::detected()
    }

    fn detected() -> Self {
        if !is_x86_feature_detected!("avx2") || !is_x86_feature_detected!("fma") {
            return Self::Any;
        }
        let parts = [
            is_x86_feature_detected!("avx512f"),
            is_x86_feature_detected!("avx512bw"),
            is_x86_feature_detected!("avx512cd"),
            is_x86_feature_detected!("avx512dq"),
            is_x86_feature_detected!("avx512vl"),
        ];
        if parts == [true; 5] { Self::Avx512 } else { Self::Avx2 }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
std::thread_local! {
    static AT_MOST: std::cell::Cell<Instructions> = const { std::cell::Cell::new(Instructions::Avx512) };
}

/// Does the same with each kind of instructions that the machine has, on this thread: a test of one would say nothing of what other
/// machines run.
#[cfg(test)]
pub(crate) fn with_each_kind_of_instructions(test: impl Fn()) {
    #[cfg(target_arch = "x86_64")]
    for kind in [Instructions::Any, Instructions::Avx2] {
        if kind < Instructions::detected() {
            AT_MOST.set(kind);
            test();
        }
    }
    #[cfg(target_arch = "x86_64")]
    AT_MOST.set(Instructions::Avx512);
    test();
}

/// Compiles a function three times, for any machine of this architecture, for AVX2 with fused multiply-add and for AVX-512, and
/// calls what the machine has. Of the body's constants FUSED says whether `f32::mul_add` is one instruction, PANELS how many
/// panels the registers hold sums of.
macro_rules! for_the_machine {
    ($(#[$attribute:meta])* $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$attribute])*
        $visibility fn $name($($argument: $type),*) {
            #[inline(always)]
            fn body<const FUSED: bool, const PANELS: usize>($($argument: $type),*) $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn wide($($argument: $type),*) {
                    body::<true, 1>($($argument),*);
                }
                #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,fma")]
                fn widest($($argument: $type),*) {
                    body::<true, 2>($($argument),*);
                }
                use $crate::matrix::packed::Instructions;
                match Instructions::of_the_machine() {
                    // SAFETY: the machine has what the function is compiled for.
                    Instructions::Avx512 => return unsafe { widest($($argument),*) },
                    // SAFETY: the same.
                    Instructions::Avx2 => return unsafe { wide($($argument),*) },
                    Instructions::Any => {}
                }
            }
            body::<{ cfg!(any(target_feature = "fma", target_arch = "aarch64")) }, 1>($($argument),*);
        }
    };
}
pub(crate) use for_the_machine;

/// `a b + c`, in one instruction where there is one.
#[inline(always)]
pub(crate) fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

for_the_machine! {
    fn multiply(left: &Packed, right: &[Lanes], start: Option<&[Lanes]>, out: &mut [Lanes], rows: usize) {
        let panels = out.len() / left.rows.max(1);
        for block in (0..panels).step_by(BLOCK) {
            for first in (0..rows).step_by(ROWS) {
                let packed = &left.values[first / ROWS * left.inner..][..left.inner];
                let end = (block + BLOCK).min(panels);
                let mut panel = block;
                // Rows that are not there are left to what takes one panel at a time.
                while PANELS > 1 && panel + PANELS <= end && first + ROWS <= left.rows {
                    let at = |i: usize| (panel + i) * left.rows + first..(panel + i) * left.rows + first + ROWS;
                    let right = std::array::from_fn(|i| &right[(panel + i) * left.inner..][..left.inner]);
                    let mut sums = [[[0.0; LANES]; ROWS]; PANELS];
                    if let Some(start) = start {
                        (0..PANELS).for_each(|i| sums[i].copy_from_slice(&start[at(i)]));
                    }
                    add_products::<FUSED, PANELS>(&mut sums, packed, right);
                    (0..PANELS).for_each(|i| out[at(i)].copy_from_slice(&sums[i]));
                    panel += PANELS;
                }
                for panel in panel..end {
                    let at = panel * left.rows + first..panel * left.rows + (first + ROWS).min(left.rows);
                    let mut sums = [[[0.0; LANES]; ROWS]];
                    if let Some(start) = start {
                        sums[0][..at.len()].copy_from_slice(&start[at.clone()]);
                    }
                    let right = &right[panel * left.inner..][..left.inner];
                    add_products::<FUSED, 1>(&mut sums, packed, [right]);
                    out[at.clone()].copy_from_slice(&sums[0][..at.len()]);
                }
            }
        }
    }
}

/// Adds the products of six rows and the columns of panels, each of which has a row for each of `left`.
#[inline(always)]
fn add_products<const FUSED: bool, const PANELS: usize>(
    sums: &mut [[Lanes; ROWS]; PANELS],
    left: &[[f32; ROWS]],
    right: [&[Lanes]; PANELS],
) {
    let mut local = *sums; // in registers
    let right = right.map(|panel| &panel[..left.len()]);
    for (k, left) in left.iter().enumerate() {
        for (sums, right) in local.iter_mut().zip(right) {
            for (sums, &left) in sums.iter_mut().zip(left) {
                for (sum, &right) in sums.iter_mut().zip(&right[k]) {
                    *sum = multiply_add::<FUSED>(left, right, *sum);
                }
            }
        }
    }
    *sums = local;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of both signs that differ from place to place.
    fn value(i: usize) -> f32 {
        ((i * 7919) % 1009) as f32 / 504.5 - 1.0
    }

    #[test]
    fn panels_at_once_have_the_sums_that_each_has_alone() {
        let left: Vec<[f32; ROWS]> = (0..37).map(|k| std::array::from_fn(|i| value(k * ROWS + i))).collect();
        let panel = |p: usize| -> Vec<Lanes> {
            (0..37).map(|k| std::array::from_fn(|lane| value(p * 601 + k * LANES + lane))).collect()
        };
        let panels = [panel(1), panel(2)];
        let start: [[Lanes; ROWS]; 2] =
            std::array::from_fn(|p| [std::array::from_fn(|lane| value(p + lane)); ROWS]);
        let mut together = start;
        add_products::<true, 2>(&mut together, &left, [&panels[0], &panels[1]]);
        for (i, panel) in panels.iter().enumerate() {
            let mut alone = [start[i]];
            add_products::<true, 1>(&mut alone, &left, [panel]);
            assert_eq!(alone[0], together[i]);
        }
    }

    /// Rows that are no multiple of six, panels that are none of two or of a block, and fewer rows than there are.
    #[test]
    fn products_are_those_of_float64_whatever_is_left_over() {
        with_each_kind_of_instructions(compare_products);
    }

    fn compare_products() {
        for (rows, inner, panels) in [(1, 1, 1), (6, 5, 2), (13, 9, 3), (20, 31, 17), (128, 96, 33)] {
            let packed = Packed::new(rows, inner, |row, column| value(row * inner + column));
            let right: Vec<Lanes> = (0..panels * inner)
                .map(|i| std::array::from_fn(|lane| value(i * LANES + lane + 5)))
                .collect();
            let start: Vec<Lanes> =
                (0..panels * rows).map(|i| std::array::from_fn(|lane| value(i * 3 + lane))).collect();
            for computed in [rows, rows.div_ceil(2)] {
                let mut out = vec![[0.0; LANES]; panels * rows];
                packed.multiply(&right, Some(&start), &mut out, computed);
                for (panel, row, lane) in (0..panels)
                    .flat_map(|p| (0..computed).flat_map(move |r| (0..LANES).map(move |lane| (p, r, lane))))
                {
                    let term = |k: usize| {
                        f64::from(value(row * inner + k)) * f64::from(right[panel * inner + k][lane])
                    };
                    let expected =
                        f64::from(start[panel * rows + row][lane]) + (0..inner).map(term).sum::<f64>();
                    let difference = (f64::from(out[panel * rows + row][lane]) - expected).abs();
                    assert!(
                        difference < 1e-5,
                        "{rows} {inner} {panels}: {panel} {row} {lane} {difference:e}"
                    );
                }
            }
        }
    }
}
