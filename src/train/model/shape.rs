//! The numbers of a model, and what follows from them.

use serde::{Deserialize, Serialize};

/// A decoder-only transformer as Llama's: RMSNorm first, rotary positions, SwiGLU, no biases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// Tokens that it knows.
    pub vocab: usize,
    /// Blocks.
    pub layers: usize,
    /// Width.
    pub dim: usize,
    /// Attention heads.
    pub heads: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Width inside the feed-forward block.
    pub ffn: usize,
    /// Longest sequence.
    pub context: usize,
    /// Base of the rotary positions.
    pub rope_theta: f32,
    /// What is added to a mean square before its root.
    pub norm_eps: f32,
    /// Whether the output layer is the input embedding.
    pub tied: bool,
}

impl Shape {
    /// Width of a head.
    #[must_use]
    pub fn head(&self) -> usize {
        self.dim / self.heads
    }

    /// Width of queries, keys and values together.
    #[must_use]
    pub fn qkv(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head()
    }

    /// Number of parameters.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        let layer = self.dim * (self.qkv() + self.dim + 3 * self.ffn + 2);
        let embeddings = if self.tied { 1 } else { 2 };
        (self.layers * layer + self.dim + embeddings * self.vocab * self.dim) as u64
    }

    /// Floating-point operations per token of a forward and a backward pass: 6 N + 12 L d T, where N leaves out an input embedding that
    /// is only looked up.
    #[must_use]
    pub fn flops_per_token(&self) -> u64 {
        let looked_up = if self.tied { 0 } else { self.vocab * self.dim };
        6 * (self.parameters() - looked_up as u64) + (12 * self.layers * self.dim * self.context) as u64
    }

    /// Cosines and sines of the rotation at each of `length` positions, `[length, head / 2]`.
    pub(in crate::train) fn angles(&self, length: usize) -> (Vec<f32>, Vec<f32>) {
        let half = self.head() / 2;
        let angle = |place: usize| {
            // As Hugging Face computes them: the frequency in 32 bits.
            let frequency = 1.0 / self.rope_theta.powf(2.0 * (place % half) as f32 / self.head() as f32);
            (place / half) as f32 * frequency
        };
        (0..length * half).map(angle).map(|angle| (angle.cos(), angle.sin())).unzip()
    }

    /// Whether the numbers go together.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        let numbers = [
            ("vocab", self.vocab),
            ("layers", self.layers),
            ("dim", self.dim),
            ("heads", self.heads),
            ("kv_heads", self.kv_heads),
            ("ffn", self.ffn),
            ("context", self.context),
        ];
        if let Some((name, _)) = numbers.iter().find(|(_, number)| *number == 0) {
            return Err(format!("`{name}` must not be 0"));
        }
        if !self.dim.is_multiple_of(self.heads) || !(self.dim / self.heads).is_multiple_of(2) {
            return Err(format!("`dim` ({}) must be an even multiple of `heads` ({})", self.dim, self.heads));
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(format!(
                "`heads` ({}) must be a multiple of `kv_heads` ({})",
                self.heads, self.kv_heads
            ));
        }
        if !(self.rope_theta > 0.0 && self.norm_eps > 0.0) {
            return Err("`rope_theta` and `norm_eps` must be above 0".to_owned());
        }
        Ok(())
    }
}
