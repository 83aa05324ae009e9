//! Weights: plain or product-quantised ("Product quantization for nearest neighbor search", Jégou et al.).

use super::format::{Cursor, Error};

/// Centroids per part of a vector; codes are bytes.
const CENTROIDS: usize = 256;
/// A quantised matrix is unpacked when it takes no more than this.
const MAX_UNPACKED_BYTES: usize = 64 << 20;

pub(super) enum Matrix {
    Dense { values: Vec<f32>, rows: usize, cols: usize },
    Quantised(Quantised),
}

pub(super) struct Quantised {
    rows: usize,
    cols: usize,
    codes: Vec<u8>,
    parts: Parts,
    norms: Option<Vec<f32>>,
}

impl Matrix {
    pub(super) fn read(cursor: &mut Cursor, quantised: bool, what: &'static str) -> Result<Self, Error> {
        if !quantised {
            let rows = cursor.count64(what)?;
            let cols = cursor.count64(what)?;
            let size = rows.checked_mul(cols).ok_or(Error::Truncated(what))?;
            return Ok(Self::Dense { values: cursor.floats(size, what)?, rows, cols });
        }
        let packed = Quantised::read(cursor, what)?;
        let unpacked_bytes = packed.rows.saturating_mul(packed.cols).saturating_mul(4);
        Ok(if unpacked_bytes <= MAX_UNPACKED_BYTES { packed.unpack() } else { Self::Quantised(packed) })
    }

    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Dense { rows, .. } => *rows,
            Self::Quantised(packed) => packed.rows,
        }
    }

    pub(super) fn cols(&self) -> usize {
        match self {
            Self::Dense { cols, .. } => *cols,
            Self::Quantised(packed) => packed.cols,
        }
    }

    /// Adds one row to `sum`.
    pub(super) fn add_row(&self, row: usize, sum: &mut [f32]) {
        match self {
            Self::Dense { values, cols, .. } => add(sum, &values[row * cols..(row + 1) * cols]),
            Self::Quantised(packed) => packed.add_row(row, sum),
        }
    }

    /// Scalar product of one row with `vector`; `scratch` has its length.
    pub(super) fn dot_row(&self, row: usize, vector: &[f32], scratch: &mut [f32]) -> f32 {
        match self {
            Self::Dense { values, cols, .. } => dot(vector, &values[row * cols..(row + 1) * cols]),
            Self::Quantised(packed) => {
                scratch.fill(0.0);
                packed.add_row(row, scratch);
                dot(vector, scratch)
            }
        }
    }
}

/// `sum += vector`.
pub(super) fn add(sum: &mut [f32], vector: &[f32]) {
    for (sum, value) in sum.iter_mut().zip(vector) {
        *sum += value;
    }
}

/// Scalar product in a fixed order of eight interleaved sums: the same bits on every machine.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 8];
    let (a_chunks, b_chunks) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..8 {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    lanes.iter().sum::<f32>() + tail
}

impl Quantised {
    fn read(cursor: &mut Cursor, what: &'static str) -> Result<Self, Error> {
        let with_norms = cursor.flag(what)?;
        let rows = cursor.count64(what)?;
        let cols = cursor.count64(what)?;
        let code_bytes = cursor.count32(what)?;
        let codes = cursor.take(code_bytes, what)?.to_vec();
        let parts = Parts::read(cursor, what)?;
        if parts.dim != cols || Some(codes.len()) != rows.checked_mul(parts.count) {
            return Err(Error::Invalid("a quantised matrix whose codes do not fit its size"));
        }
        let mut norms = None;
        if with_norms {
            let norm_codes = cursor.take(rows, what)?;
            let values = Parts::read(cursor, what)?;
            if values.dim != 1 {
                return Err(Error::Invalid("quantised lengths that are no single numbers"));
            }
            norms = Some(norm_codes.iter().map(|&code| values.centroids[usize::from(code)]).collect());
        }
        Ok(Self { rows, cols, codes, parts, norms })
    }

    fn add_row(&self, row: usize, sum: &mut [f32]) {
        let norm = self.norms.as_ref().map_or(1.0, |norms| norms[row]);
        let codes = &self.codes[row * self.parts.count..(row + 1) * self.parts.count];
        for ((part, &code), sum) in codes.iter().enumerate().zip(sum.chunks_mut(self.parts.width)) {
            for (sum, value) in sum.iter_mut().zip(self.parts.centroid(part, code)) {
                *sum += norm * value;
            }
        }
    }

    fn unpack(&self) -> Matrix {
        let mut values = vec![0.0; self.rows * self.cols];
        for (row, sum) in values.chunks_exact_mut(self.cols.max(1)).enumerate() {
            self.add_row(row, sum);
        }
        Matrix::Dense { values, rows: self.rows, cols: self.cols }
    }
}

/// The centroids of each part of a vector.
struct Parts {
    dim: usize,
    count: usize,
    /// Values per part; the last part may be shorter.
    width: usize,
    last_width: usize,
    centroids: Vec<f32>,
}

impl Parts {
    fn read(cursor: &mut Cursor, what: &'static str) -> Result<Self, Error> {
        let dim = cursor.count32(what)?;
        let count = cursor.count32(what)?;
        let width = cursor.count32(what)?;
        let last_width = cursor.count32(what)?;
        let fits = count > 0
            && (1..=width).contains(&last_width)
            && (count - 1).checked_mul(width).and_then(|before| before.checked_add(last_width)) == Some(dim);
        if !fits {
            return Err(Error::Invalid("a product quantiser whose parts do not add up"));
        }
        let size = dim.checked_mul(CENTROIDS).ok_or(Error::Truncated(what))?;
        Ok(Self { dim, count, width, last_width, centroids: cursor.floats(size, what)? })
    }

    fn centroid(&self, part: usize, code: u8) -> &[f32] {
        let width = if part + 1 == self.count { self.last_width } else { self.width };
        let start = part * CENTROIDS * self.width + usize::from(code) * width;
        &self.centroids[start..start + width]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two rows of three values in two parts (two values, then one), with lengths.
    fn packed() -> Vec<u8> {
        let mut bytes = vec![1];
        bytes.extend(2_i64.to_le_bytes());
        bytes.extend(3_i64.to_le_bytes());
        bytes.extend(4_i32.to_le_bytes());
        bytes.extend([1, 2, 255, 0]);
        for (dim, parts, width, last_width) in [(3_i32, 2_i32, 2_i32, 1_i32), (1, 1, 1, 1)] {
            if dim == 1 {
                bytes.extend([10, 20]);
            }
            for number in [dim, parts, width, last_width] {
                bytes.extend(number.to_le_bytes());
            }
            for value in 0..dim * 256 {
                bytes.extend((value as f32).to_le_bytes());
            }
        }
        bytes
    }

    #[test]
    fn codes_are_looked_up_and_scaled() {
        let matrix = Quantised::read(&mut Cursor::new(&packed()), "test").unwrap();
        let mut row = vec![0.0; 3];
        matrix.add_row(0, &mut row);
        assert_eq!(row, [20.0, 30.0, 5140.0]);
        let mut row = vec![0.0; 3];
        matrix.add_row(1, &mut row);
        assert_eq!(row, [10_200.0, 10_220.0, 10_240.0]);
    }

    #[test]
    fn packed_and_unpacked_are_the_same() {
        let packed = Quantised::read(&mut Cursor::new(&packed()), "test").unwrap();
        let unpacked = packed.unpack();
        let packed = Matrix::Quantised(packed);
        let (vector, mut scratch) = ([0.5, -1.0, 0.25], [9.0; 3]);
        for row in 0..2 {
            let products =
                [&packed, &unpacked].map(|matrix| matrix.dot_row(row, &vector, &mut scratch).to_bits());
            assert_eq!(products[0], products[1]);
        }
    }
}
