//! Where each tensor lies in the flat buffer of parameters.
//!
//! Queries, keys and values of a block stand side by side, and so do gate and up: each group is one matrix to multiply with. Names and
//! shapes are those of Hugging Face's Llama: matrices are `[out, in]`.

use std::ops::Range;

use super::Shape;

/// One named tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Name in Hugging Face's Llama.
    pub name: String,
    /// `[out, in]`, or `[width]`.
    pub dims: Vec<usize>,
    /// Its first number in the flat buffer.
    pub offset: usize,
    /// Whether weight decay applies: to matrices.
    pub decay: bool,
}

impl Tensor {
    /// Its numbers in the flat buffer.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.dims.iter().product::<usize>()
    }
}

/// Places of one block.
#[derive(Debug, Clone)]
pub(in crate::train) struct Block {
    pub(in crate::train) attention_norm: Range<usize>,
    /// `[qkv, dim]`
    pub(in crate::train) qkv: Range<usize>,
    /// `[dim, dim]`
    pub(in crate::train) output: Range<usize>,
    pub(in crate::train) ffn_norm: Range<usize>,
    /// `[2 ffn, dim]`
    pub(in crate::train) gate_up: Range<usize>,
    /// `[dim, ffn]`
    pub(in crate::train) down: Range<usize>,
}

/// Places of everything.
#[derive(Debug, Clone)]
pub(in crate::train) struct Layout {
    /// `[vocab, dim]`
    pub(in crate::train) embedding: Range<usize>,
    pub(in crate::train) blocks: Vec<Block>,
    pub(in crate::train) norm: Range<usize>,
    /// `[vocab, dim]`; the embedding where they are tied.
    pub(in crate::train) head: Range<usize>,
    pub(in crate::train) tensors: Vec<Tensor>,
    pub(in crate::train) size: usize,
}

impl Layout {
    pub(super) fn new(shape: &Shape) -> Self {
        let mut tensors: Vec<Tensor> = Vec::new();
        let mut size = 0;
        let mut add = |name: String, dims: &[usize]| {
            let tensor = Tensor { name, dims: dims.to_vec(), offset: size, decay: dims.len() > 1 };
            let range = tensor.range();
            size = range.end;
            tensors.push(tensor);
            range
        };
        let (dim, ffn) = (shape.dim, shape.ffn);
        let (queries, keys) = (shape.heads * shape.head(), shape.kv_heads * shape.head());
        let embedding = add("model.embed_tokens.weight".to_owned(), &[shape.vocab, dim]);
        let mut blocks = Vec::new();
        for layer in 0..shape.layers {
            let mut part =
                |name: &str, dims: &[usize]| add(format!("model.layers.{layer}.{name}.weight"), dims);
            let attention_norm = part("input_layernorm", &[dim]);
            let q = part("self_attn.q_proj", &[queries, dim]);
            part("self_attn.k_proj", &[keys, dim]);
            let v = part("self_attn.v_proj", &[keys, dim]);
            let output = part("self_attn.o_proj", &[dim, queries]);
            let ffn_norm = part("post_attention_layernorm", &[dim]);
            let gate = part("mlp.gate_proj", &[ffn, dim]);
            let up = part("mlp.up_proj", &[ffn, dim]);
            let down = part("mlp.down_proj", &[dim, ffn]);
            blocks.push(Block {
                attention_norm,
                qkv: q.start..v.end,
                output,
                ffn_norm,
                gate_up: gate.start..up.end,
                down,
            });
        }
        let norm = add("model.norm.weight".to_owned(), &[dim]);
        let head = if shape.tied {
            embedding.clone()
        } else {
            add("lm_head.weight".to_owned(), &[shape.vocab, dim])
        };
        Self { embedding, blocks, norm, head, tensors, size }
    }
}
