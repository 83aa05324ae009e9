//! The model on the CPU: every operation forward and backward in 32-bit floats, by hand.
//!
//! Architecture: Llama's (Touvron et al. 2023), so that what is trained here can be loaded by anything that reads it: RMSNorm before each
//! part, rotary positions in rotate-half order, SwiGLU, no biases, grouped-query attention and tied embeddings on request.
//! Reading order: [`shape`], [`layout`], then [`pass`] (the whole way through), which stands on [`matmul`], [`kernel`] and [`attention`].
//!
//! The same numbers come out for any number of threads: work is divided by shapes alone.

mod attention;
mod kernel;
mod layout;
mod matmul;
mod pass;
mod shape;
#[cfg(test)]
mod tests;

use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64_with_seed;

pub(in crate::train) use attention::first_seen;
pub(in crate::train) use layout::Layout;
pub use layout::Tensor;
pub use pass::Worker;
pub use shape::Shape;

/// A target that does not count.
pub const IGNORED: u32 = u32::MAX;

/// Numbers that share a key of the generator.
const DRAWN_TOGETHER: usize = 1 << 14;

/// Parameters and where they lie.
#[derive(Debug, Clone)]
pub struct Model {
    shape: Shape,
    layout: layout::Layout,
    parameters: Vec<f32>,
}

impl Model {
    /// New weights: normal with deviation .02, the matrices that write to the residual stream that over the root of twice the number of
    /// blocks (Radford et al. 2019), norms 1. The same for the same seed, on any machine with the same floating-point logarithm.
    ///
    /// # Panics
    /// Where [`Shape::check`] finds a mistake.
    #[must_use]
    pub fn new(shape: Shape, seed: u64) -> Self {
        assert_eq!(shape.check(), Ok(()), "the shape was checked");
        let layout = layout::Layout::new(&shape);
        let mut parameters = vec![1.0; layout.size];
        for tensor in layout.tensors.iter().filter(|tensor| tensor.decay) {
            let writes = tensor.name.ends_with("o_proj.weight") || tensor.name.ends_with("down_proj.weight");
            let deviation = if writes { 0.02 / (2.0 * shape.layers as f32).sqrt() } else { 0.02 };
            let key = xxh3_64_with_seed(tensor.name.as_bytes(), seed);
            let chunks = parameters[tensor.range()].par_chunks_mut(DRAWN_TOGETHER);
            chunks.enumerate().for_each(|(chunk, numbers)| normal(numbers, key, chunk as u64, deviation));
        }
        Self { shape, layout, parameters }
    }

    /// Weights that were trained before.
    ///
    /// # Errors
    /// What is wrong with their number.
    pub fn from_parameters(shape: Shape, parameters: Vec<f32>) -> Result<Self, String> {
        shape.check()?;
        let layout = layout::Layout::new(&shape);
        if parameters.len() != layout.size {
            return Err(format!("there are {} parameters, the shape has {}", parameters.len(), layout.size));
        }
        Ok(Self { shape, layout, parameters })
    }

    /// The numbers of the model.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Every tensor, in the order of the flat buffer.
    #[must_use]
    pub fn tensors(&self) -> &[Tensor] {
        &self.layout.tensors
    }

    /// Where they lie.
    pub(in crate::train) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// All parameters.
    #[must_use]
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// All parameters, to change.
    pub fn parameters_mut(&mut self) -> &mut [f32] {
        &mut self.parameters
    }
}

/// Some sequences.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// Sequences.
    pub rows: usize,
    /// Tokens in each.
    pub length: usize,
    /// `rows * length` ids, row after row.
    pub inputs: &'a [u32],
    /// The id that follows each, or [`IGNORED`].
    pub targets: &'a [u32],
    /// Where attention stops at the borders of documents: numbers that are equal for neighbours in one document and differ at a border.
    pub documents: Option<&'a [u32]>,
}

/// Normal numbers (Box and Muller 1958) from a counter.
fn normal(out: &mut [f32], key: u64, chunk: u64, deviation: f32) {
    for (pair, numbers) in (0_u64..).zip(out.chunks_mut(2)) {
        let place = chunk << 32 | pair;
        let bits = xxh3_64_with_seed(&place.to_le_bytes(), key);
        // Two uniform numbers above 0 and up to 1, of 32 bits each.
        let uniform = |bits: u64| ((bits & 0xffff_ffff) + 1) as f64 / 4_294_967_296.0;
        let radius = (-2.0 * uniform(bits).ln()).sqrt();
        let (sine, cosine) = (std::f64::consts::TAU * uniform(bits >> 32)).sin_cos();
        for (number, value) in numbers.iter_mut().zip([cosine, sine]) {
            #[expect(clippy::cast_possible_truncation, reason = "the nearest float is meant")]
            let value = (radius * value) as f32;
            *number = value * deviation;
        }
    }
}
