//! Matrix products: the `gemm` crate on one thread for each block of rows, rayon over the blocks.
//!
//! Blocks follow from the shapes alone, so any number of threads gives the same bits.

#![expect(unsafe_code, reason = "`gemm` takes pointers; this file is the only one that calls it")]

use rayon::prelude::*;

/// A matrix to read: element (i, j) is `data[i * row_stride + j * column_stride]`.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    data: &'a [f32],
    row_stride: usize,
    column_stride: usize,
}

impl<'a> View<'a> {
    /// Row-major with `width` numbers a row.
    pub(super) fn rows(data: &'a [f32], width: usize) -> Self {
        Self { data, row_stride: width, column_stride: 1 }
    }

    /// The transpose of a row-major matrix with `width` numbers a row.
    pub(super) fn columns(data: &'a [f32], width: usize) -> Self {
        Self { data, row_stride: 1, column_stride: width }
    }

    /// From row `row` on.
    fn skip(self, row: usize) -> Self {
        Self { data: &self.data[row * self.row_stride..], ..self }
    }

    /// Panics unless a matrix of this size lies inside the data.
    fn check(&self, rows: usize, columns: usize) {
        if rows > 0 && columns > 0 {
            let last = (rows - 1) * self.row_stride + (columns - 1) * self.column_stride;
            assert!(last < self.data.len(), "a matrix lies outside of its data");
        }
    }
}

/// What becomes of what the result held before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Into {
    /// It is replaced.
    Replace,
    /// It is added to.
    Add,
}

/// `out [m, n] = left [m, k] * right [k, n]`, or `+=`, on this thread; `out` is row-major with `width` numbers a row (`n` at least).
pub(super) fn product_here(
    (m, n, k): (usize, usize, usize),
    left: View,
    right: View,
    out: &mut [f32],
    width: usize,
    into: Into,
) {
    left.check(m, k);
    right.check(k, n);
    assert!(n <= width && (m == 0 || (m - 1) * width + n <= out.len()), "the result does not fit");
    let stride = |stride: usize| isize::try_from(stride).unwrap_or(isize::MAX);
    // SAFETY: the checks above show that every element that the three strides reach lies inside its slice; `out` is borrowed
    // exclusively, so nothing overlaps it. With `Into::Replace` it is only written.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            stride(width),
            into == Into::Add,
            left.data.as_ptr(),
            stride(left.column_stride),
            stride(left.row_stride),
            right.data.as_ptr(),
            stride(right.column_stride),
            stride(right.row_stride),
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Rows of a block: a function of the shape alone.
fn block_rows(m: usize) -> usize {
    m.div_ceil(16).next_multiple_of(16).clamp(64, 512)
}

/// The same on all threads; `out` has `n` numbers a row.
pub(super) fn product(
    (m, n, k): (usize, usize, usize),
    left: View,
    right: View,
    out: &mut [f32],
    into: Into,
) {
    let rows = block_rows(m);
    out[..m * n].par_chunks_mut(rows * n).enumerate().for_each(|(block, out)| {
        let size = (out.len() / n, n, k);
        product_here(size, left.skip(block * rows), right, out, n, into);
    });
}
