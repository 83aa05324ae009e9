//! The whole way through the model and back.
//!
//! Forward keeps, per block and token, what backward needs: the residual stream before each half, queries, keys and values after rotation, the
//! attention's output and log-sum-exps, gate and up; that is `4 dim + qkv + 2 ffn` numbers. Norms and SwiGLU are computed again. The
//! logits are made in pieces of [`LOGIT_ROWS`] tokens and turned into their own gradient, so there are never more.

use std::ops::Range;

use rayon::prelude::*;

use super::attention::{self, Kept, Sizes};
use super::layout::Block;
use super::matmul::{Into, View, product};
use super::{Batch, IGNORED, Model, Shape, kernel};

/// Tokens whose logits are held at once.
const LOGIT_ROWS: usize = 1024;
/// Tokens whose part of a norm's gradient is added up together.
const NORM_ROWS: usize = 128;

/// What forward keeps of a block.
#[derive(Debug, Default)]
struct Activations {
    /// The residual stream before attention, `[tokens, dim]`.
    input: Vec<f32>,
    input_factors: Vec<f32>,
    /// `[rows, heads, length, head]`
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    attended: Vec<f32>,
    log_sums: Vec<f32>,
    /// The residual stream before the feed-forward part.
    middle: Vec<f32>,
    middle_factors: Vec<f32>,
    /// `[tokens, 2 ffn]`
    gate_up: Vec<f32>,
}

/// Working memory: grows to what a batch needs and is used again. What it holds never changes a result.
#[derive(Debug, Default)]
pub struct Worker {
    /// Whether only the stream before each block is kept, in `inputs`, and the rest computed again.
    recompute: bool,
    inputs: Vec<Vec<f32>>,
    blocks: Vec<Activations>,
    /// The residual stream, `[tokens, dim]`, and its gradient.
    stream: Vec<f32>,
    to_stream: Vec<f32>,
    normed: Vec<f32>,
    to_normed: Vec<f32>,
    qkv: Vec<f32>,
    hidden: Vec<f32>,
    factors: Vec<f32>,
    logits: Vec<f32>,
    losses: Vec<f32>,
    to_query: Vec<f32>,
    to_key: Vec<f32>,
    to_value: Vec<f32>,
    heads: Vec<f32>,
    partial: Vec<f32>,
    cosines: Vec<f32>,
    sines: Vec<f32>,
    /// Shape that the angles were made for.
    angles: Option<(usize, usize, u32)>,
}

/// A buffer of this size, of which all will be written.
fn sized(buffer: &mut Vec<f32>, size: usize) -> &mut [f32] {
    if buffer.len() < size {
        buffer.resize(size, 0.0);
    }
    &mut buffer[..size]
}

fn norm_rows(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32], factors: &mut [f32]) {
    let dim = weight.len();
    let rows = out.par_chunks_mut(NORM_ROWS * dim).zip(x.par_chunks(NORM_ROWS * dim));
    rows.zip(factors.par_chunks_mut(NORM_ROWS)).for_each(|((out, x), factors)| {
        for ((out, x), factor) in out.chunks_mut(dim).zip(x.chunks(dim)).zip(factors) {
            *factor = kernel::norm(x, weight, eps, out);
        }
    });
}

/// Adds the norm's gradient to `to_x` and to `to_weight`.
fn norm_rows_backward(
    x: &[f32],
    weight: &[f32],
    factors: &[f32],
    gradient: &[f32],
    to_x: &mut [f32],
    to_weight: &mut [f32],
    partial: &mut Vec<f32>,
) {
    let dim = weight.len();
    let chunk = NORM_ROWS * dim;
    let partial = sized(partial, x.len().div_ceil(chunk) * dim);
    let rows = to_x.par_chunks_mut(chunk).zip(x.par_chunks(chunk)).zip(gradient.par_chunks(chunk));
    rows.zip(factors.par_chunks(NORM_ROWS)).zip(partial.par_chunks_mut(dim)).for_each(
        |((((to_x, x), gradient), factors), partial)| {
            partial.fill(0.0);
            let rows = to_x.chunks_mut(dim).zip(x.chunks(dim)).zip(gradient.chunks(dim)).zip(factors);
            for (((to_x, x), gradient), &factor) in rows {
                kernel::norm_backward(x, weight, factor, gradient, to_x, partial);
            }
        },
    );
    for partial in partial.chunks(dim) {
        kernel::add(to_weight, partial);
    }
}

impl Worker {
    /// Working memory for any model. With `recompute` backward computes again what happens inside the blocks: less memory, more work, the same
    /// result.
    #[must_use]
    pub fn new(recompute: bool) -> Self {
        Self { recompute, ..Self::default() }
    }

    /// Adds to `gradients` (as many as the model has parameters) the gradient of the sum of the losses times `scale`; returns that sum, in nats.
    ///
    /// # Panics
    /// Where the batch's slices do not have `rows * length` entries, or an id is not in the vocabulary.
    pub fn train(&mut self, model: &Model, batch: &Batch, scale: f32, gradients: &mut [f32]) -> f64 {
        assert_eq!(gradients.len(), model.parameters.len(), "one gradient for each parameter");
        let tokens = batch.rows * batch.length;
        let first = attention::first_seen(batch.rows, batch.length, batch.documents);
        self.forward(model, batch, &first, true);
        let loss = self.head(model, batch.targets, tokens, Some((scale, &mut *gradients)));
        self.backward(model, batch, &first, gradients);
        loss
    }

    /// The loss of each position in nats, 0 where the target is [`IGNORED`].
    ///
    /// # Panics
    /// As [`Worker::train`].
    pub fn losses(&mut self, model: &Model, batch: &Batch) -> &[f32] {
        let tokens = batch.rows * batch.length;
        let first = attention::first_seen(batch.rows, batch.length, batch.documents);
        self.forward(model, batch, &first, false);
        self.head(model, batch.targets, tokens, None);
        &self.losses[..tokens]
    }

    /// The logits `[length, vocab]` behind each token of one row.
    ///
    /// # Panics
    /// Where an id is not in the vocabulary.
    pub fn logits(&mut self, model: &Model, tokens: &[u32]) -> &[f32] {
        self.logits_from(model, tokens, 0)
    }

    /// The logits behind the last token of one row.
    ///
    /// # Panics
    /// Where there is none, or an id is not in the vocabulary.
    pub fn last_logits(&mut self, model: &Model, tokens: &[u32]) -> &[f32] {
        self.logits_from(model, tokens, tokens.len() - 1)
    }

    fn logits_from(&mut self, model: &Model, tokens: &[u32], from: usize) -> &[f32] {
        let batch = Batch { rows: 1, length: tokens.len(), inputs: tokens, targets: &[], documents: None };
        let first = attention::first_seen(1, tokens.len(), None);
        self.forward(model, &batch, &first, false);
        let (vocab, dim) = (model.shape.vocab, model.shape.dim);
        let count = tokens.len() - from;
        let size = tokens.len() * dim;
        let weight = &model.parameters[model.layout.norm.clone()];
        let normed = sized(&mut self.normed, size);
        let factors = sized(&mut self.factors, tokens.len());
        norm_rows(&self.stream[..size], weight, model.shape.norm_eps, normed, factors);
        let head = &model.parameters[model.layout.head.clone()];
        let logits = sized(&mut self.logits, count * vocab);
        product(
            (count, vocab, dim),
            View::rows(&normed[from * dim..], dim),
            View::columns(head, dim),
            logits,
            Into::Replace,
        );
        &self.logits[..count * vocab]
    }

    /// Cosines and sines of all positions.
    fn angles(&mut self, shape: &Shape, length: usize) {
        let key = (length, shape.head(), shape.rope_theta.to_bits());
        if self.angles == Some(key) {
            return;
        }
        (self.cosines, self.sines) = shape.angles(length);
        self.angles = Some(key);
    }

    fn forward(&mut self, model: &Model, batch: &Batch, first: &[usize], keep: bool) {
        let shape = &model.shape;
        let (dim, tokens) = (shape.dim, batch.rows * batch.length);
        assert_eq!(batch.inputs.len(), tokens, "one id for each position");
        self.angles(shape, batch.length);
        let wanted = if keep && !self.recompute { shape.layers } else { 1 };
        if self.blocks.len() < wanted {
            self.blocks.resize_with(wanted, Activations::default);
        }
        let embedding = &model.parameters[model.layout.embedding.clone()];
        let stream = sized(&mut self.stream, tokens * dim);
        for (row, &id) in stream.chunks_mut(dim).zip(batch.inputs) {
            row.copy_from_slice(&embedding[id as usize * dim..(id as usize + 1) * dim]);
        }
        let saves = keep && self.recompute;
        self.inputs.resize_with(if saves { shape.layers } else { self.inputs.len() }, Vec::new);
        for (number, places) in model.layout.blocks.iter().enumerate() {
            if saves {
                let input = sized(&mut self.inputs[number], tokens * dim);
                input.copy_from_slice(&self.stream[..tokens * dim]);
            }
            self.block(model, places, if keep && !saves { number } else { 0 }, batch, first);
        }
    }

    fn block(&mut self, model: &Model, places: &Block, number: usize, batch: &Batch, first: &[usize]) {
        let shape = &model.shape;
        let (dim, ffn, qkv_width, tokens) = (shape.dim, shape.ffn, shape.qkv(), batch.rows * batch.length);
        let parameters = |range: &Range<usize>| &model.parameters[range.clone()];
        let kept = &mut self.blocks[number];
        let stream = &mut self.stream[..tokens * dim];
        let normed = sized(&mut self.normed, tokens * dim);

        sized(&mut kept.input, tokens * dim).copy_from_slice(stream);
        let factors = sized(&mut kept.input_factors, tokens);
        norm_rows(stream, parameters(&places.attention_norm), shape.norm_eps, normed, factors);
        let qkv = sized(&mut self.qkv, tokens * qkv_width);
        let weight = View::columns(parameters(&places.qkv), dim);
        product((tokens, qkv_width, dim), View::rows(normed, dim), weight, qkv, Into::Replace);

        let (head, heads, kv_heads) = (shape.head(), shape.heads, shape.kv_heads);
        let sizes = Sizes { heads, kv_heads, length: batch.length, head };
        let angles = (&self.cosines[..], &self.sines[..]);
        let query = sized(&mut kept.query, tokens * heads * head);
        apart(qkv, sizes, (qkv_width, 0, heads), Some(angles), query);
        let key = sized(&mut kept.key, tokens * kv_heads * head);
        apart(qkv, sizes, (qkv_width, heads * head, kv_heads), Some(angles), key);
        let value = sized(&mut kept.value, tokens * kv_heads * head);
        apart(qkv, sizes, (qkv_width, (heads + kv_heads) * head, kv_heads), None, value);
        let attended = sized(&mut kept.attended, tokens * dim);
        let log_sums = sized(&mut kept.log_sums, tokens * heads);
        attention::forward(sizes, first, (query, key, value), attended, log_sums);
        // The place of the norm's output is free again.
        together(attended, sizes, (dim, 0, heads), None, normed);
        let weight = View::columns(parameters(&places.output), dim);
        product((tokens, dim, dim), View::rows(normed, dim), weight, stream, Into::Add);

        sized(&mut kept.middle, tokens * dim).copy_from_slice(stream);
        let factors = sized(&mut kept.middle_factors, tokens);
        norm_rows(stream, parameters(&places.ffn_norm), shape.norm_eps, normed, factors);
        let gate_up = sized(&mut kept.gate_up, tokens * 2 * ffn);
        let weight = View::columns(parameters(&places.gate_up), dim);
        product((tokens, 2 * ffn, dim), View::rows(normed, dim), weight, gate_up, Into::Replace);
        let hidden = sized(&mut self.hidden, tokens * ffn);
        swiglu(gate_up, ffn, hidden);
        let weight = View::columns(parameters(&places.down), ffn);
        product((tokens, dim, ffn), View::rows(hidden, ffn), weight, stream, Into::Add);
    }

    /// Final norm, logits and losses; with `train` (scale, gradients) also the gradients of head, norm and stream.
    fn head(
        &mut self,
        model: &Model,
        targets: &[u32],
        tokens: usize,
        mut train: Option<(f32, &mut [f32])>,
    ) -> f64 {
        let (vocab, dim) = (model.shape.vocab, model.shape.dim);
        assert_eq!(targets.len(), tokens, "one target for each position");
        let stream = &self.stream[..tokens * dim];
        let weight = &model.parameters[model.layout.norm.clone()];
        let normed = sized(&mut self.normed, tokens * dim);
        let factors = sized(&mut self.factors, tokens);
        norm_rows(stream, weight, model.shape.norm_eps, normed, factors);
        let head = &model.parameters[model.layout.head.clone()];
        let losses = sized(&mut self.losses, tokens);
        let to_normed = sized(&mut self.to_normed, if train.is_some() { tokens * dim } else { 0 });
        for from in (0..tokens).step_by(LOGIT_ROWS) {
            let count = LOGIT_ROWS.min(tokens - from);
            let logits = sized(&mut self.logits, count * vocab);
            let normed = &normed[from * dim..(from + count) * dim];
            product(
                (count, vocab, dim),
                View::rows(normed, dim),
                View::columns(head, dim),
                logits,
                Into::Replace,
            );
            let scale = train.as_ref().map(|(scale, _)| *scale);
            let rows = logits.par_chunks_mut(vocab).zip(&targets[from..from + count]);
            rows.zip(&mut losses[from..from + count]).for_each(|((logits, &target), loss)| {
                *loss = loss_of(logits, target, scale);
            });
            if let Some((_, gradients)) = &mut train {
                let to_normed = &mut to_normed[from * dim..(from + count) * dim];
                product(
                    (count, dim, vocab),
                    View::rows(logits, vocab),
                    View::rows(head, dim),
                    to_normed,
                    Into::Replace,
                );
                let to_head = &mut gradients[model.layout.head.clone()];
                product(
                    (vocab, dim, count),
                    View::columns(logits, vocab),
                    View::rows(normed, dim),
                    to_head,
                    Into::Add,
                );
            }
        }
        if let Some((_, gradients)) = train {
            let to_stream = sized(&mut self.to_stream, tokens * dim);
            to_stream.fill(0.0);
            let to_weight = &mut gradients[model.layout.norm.clone()];
            norm_rows_backward(stream, weight, factors, to_normed, to_stream, to_weight, &mut self.partial);
        }
        losses.iter().map(|&loss| f64::from(loss)).sum()
    }

    /// From the gradient of the last block's output to all parameters.
    fn backward(&mut self, model: &Model, batch: &Batch, first: &[usize], gradients: &mut [f32]) {
        for (number, places) in model.layout.blocks.iter().enumerate().rev() {
            if self.recompute {
                let size = batch.rows * batch.length * model.shape.dim;
                self.stream[..size].copy_from_slice(&self.inputs[number][..size]);
                self.block(model, places, 0, batch, first);
            }
            self.block_backward(
                model,
                places,
                if self.recompute { 0 } else { number },
                batch,
                first,
                gradients,
            );
        }
        let dim = model.shape.dim;
        let to_embedding = &mut gradients[model.layout.embedding.clone()];
        for (gradient, &id) in self.to_stream.chunks(dim).zip(batch.inputs) {
            kernel::add(&mut to_embedding[id as usize * dim..(id as usize + 1) * dim], gradient);
        }
    }

    fn block_backward(
        &mut self,
        model: &Model,
        places: &Block,
        number: usize,
        batch: &Batch,
        first: &[usize],
        gradients: &mut [f32],
    ) {
        let shape = &model.shape;
        let (dim, ffn, qkv_width, tokens) = (shape.dim, shape.ffn, shape.qkv(), batch.rows * batch.length);
        let parameters = |range: &Range<usize>| &model.parameters[range.clone()];
        let kept = &mut self.blocks[number];
        let to_stream = &mut self.to_stream[..tokens * dim];
        let normed = sized(&mut self.normed, tokens * dim);
        let to_normed = sized(&mut self.to_normed, tokens * dim);

        // The feed-forward half: down, SwiGLU, gate and up, norm.
        let gate_up = &mut kept.gate_up[..tokens * 2 * ffn];
        let hidden = sized(&mut self.hidden, tokens * ffn);
        swiglu(gate_up, ffn, hidden);
        let to_down = &mut gradients[places.down.clone()];
        product(
            (dim, ffn, tokens),
            View::columns(to_stream, dim),
            View::rows(hidden, ffn),
            to_down,
            Into::Add,
        );
        let down = View::rows(parameters(&places.down), ffn);
        product((tokens, ffn, dim), View::rows(to_stream, dim), down, hidden, Into::Replace);
        let rows = gate_up.par_chunks_mut(2 * ffn).zip(hidden.par_chunks(ffn));
        rows.with_min_len(16).for_each(|(gate_up, gradient)| {
            let (gate, up) = gate_up.split_at_mut(ffn);
            kernel::swiglu_backward(gate, up, gradient);
        });
        let (middle, factors) = (&kept.middle[..tokens * dim], &kept.middle_factors[..tokens]);
        let weight = parameters(&places.ffn_norm);
        normed_again(middle, weight, factors, normed);
        let to_gate_up = &mut gradients[places.gate_up.clone()];
        product(
            (2 * ffn, dim, tokens),
            View::columns(gate_up, 2 * ffn),
            View::rows(normed, dim),
            to_gate_up,
            Into::Add,
        );
        let gate_up_weight = View::rows(parameters(&places.gate_up), dim);
        product(
            (tokens, dim, 2 * ffn),
            View::rows(gate_up, 2 * ffn),
            gate_up_weight,
            to_normed,
            Into::Replace,
        );
        let to_weight = &mut gradients[places.ffn_norm.clone()];
        norm_rows_backward(middle, weight, factors, to_normed, to_stream, to_weight, &mut self.partial);

        // The attention half: output, attention, queries, keys and values, norm.
        let (head, heads, kv_heads) = (shape.head(), shape.heads, shape.kv_heads);
        let sizes = Sizes { heads, kv_heads, length: batch.length, head };
        let attended = &kept.attended[..tokens * dim];
        together(attended, sizes, (dim, 0, heads), None, normed);
        let to_output = &mut gradients[places.output.clone()];
        product(
            (dim, dim, tokens),
            View::columns(to_stream, dim),
            View::rows(normed, dim),
            to_output,
            Into::Add,
        );
        let output = View::rows(parameters(&places.output), dim);
        product((tokens, dim, dim), View::rows(to_stream, dim), output, to_normed, Into::Replace);
        let to_heads = sized(&mut self.heads, tokens * dim);
        apart(to_normed, sizes, (dim, 0, heads), None, to_heads);
        let kept_heads = Kept {
            query: &kept.query[..tokens * heads * head],
            key: &kept.key[..tokens * kv_heads * head],
            value: &kept.value[..tokens * kv_heads * head],
            output: attended,
            log_sums: &kept.log_sums[..tokens * heads],
        };
        let to_query = sized(&mut self.to_query, tokens * heads * head);
        let to_key = sized(&mut self.to_key, tokens * kv_heads * head);
        let to_value = sized(&mut self.to_value, tokens * kv_heads * head);
        attention::backward(sizes, first, kept_heads, to_heads, (to_query, to_key, to_value));
        let angles = (&self.cosines[..], &self.sines[..]);
        let to_qkv = sized(&mut self.qkv, tokens * qkv_width);
        together(to_query, sizes, (qkv_width, 0, heads), Some(angles), to_qkv);
        together(to_key, sizes, (qkv_width, heads * head, kv_heads), Some(angles), to_qkv);
        together(to_value, sizes, (qkv_width, (heads + kv_heads) * head, kv_heads), None, to_qkv);
        let (input, factors) = (&kept.input[..tokens * dim], &kept.input_factors[..tokens]);
        let weight = parameters(&places.attention_norm);
        normed_again(input, weight, factors, normed);
        let to_weights = &mut gradients[places.qkv.clone()];
        product(
            (qkv_width, dim, tokens),
            View::columns(to_qkv, qkv_width),
            View::rows(normed, dim),
            to_weights,
            Into::Add,
        );
        let qkv = View::rows(parameters(&places.qkv), dim);
        product((tokens, dim, qkv_width), View::rows(to_qkv, qkv_width), qkv, to_normed, Into::Replace);
        let to_weight = &mut gradients[places.attention_norm.clone()];
        norm_rows_backward(input, weight, factors, to_normed, to_stream, to_weight, &mut self.partial);
    }
}

/// The norm's output where its factors are known.
fn normed_again(x: &[f32], weight: &[f32], factors: &[f32], out: &mut [f32]) {
    let dim = weight.len();
    let rows = out.par_chunks_mut(dim).zip(x.par_chunks(dim)).zip(factors);
    rows.with_min_len(NORM_ROWS).for_each(|((out, x), &factor)| {
        for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
            *out = *x * factor * *weight;
        }
    });
}

fn swiglu(gate_up: &[f32], ffn: usize, hidden: &mut [f32]) {
    let rows = hidden.par_chunks_mut(ffn).zip(gate_up.par_chunks(2 * ffn)).with_min_len(16);
    rows.for_each(|(hidden, gate_up)| {
        let (gate, up) = gate_up.split_at(ffn);
        kernel::swiglu(gate, up, hidden);
    });
}

/// The loss of a row of logits; with a scale the row becomes its gradient.
fn loss_of(logits: &mut [f32], target: u32, scale: Option<f32>) -> f32 {
    if target == IGNORED {
        logits.fill(0.0);
        return 0.0;
    }
    let score = logits[target as usize];
    let log_sum = kernel::softmax(logits, 1.0);
    if let Some(scale) = scale {
        logits[target as usize] -= 1.0;
        kernel::scale(logits, scale);
    }
    log_sum - score
}

/// From `[tokens, width]` (of which `heads` heads from column `column` on) to `[rows, heads, length, head]`, rotated where there are angles.
fn apart(
    wide: &[f32],
    sizes: Sizes,
    (width, column, heads): (usize, usize, usize),
    angles: Option<(&[f32], &[f32])>,
    out: &mut [f32],
) {
    let (length, head) = (sizes.length, sizes.head);
    out.par_chunks_mut(length * head).enumerate().for_each(|(task, out)| {
        let (row, number) = (task / heads, task % heads);
        for (position, out) in out.chunks_mut(head).enumerate() {
            let start = (row * length + position) * width + column + number * head;
            let from = &wide[start..start + head];
            match angles {
                None => out.copy_from_slice(from),
                Some((cosines, sines)) => {
                    let half = position * head / 2..(position + 1) * head / 2;
                    kernel::rotate(from, &cosines[half.clone()], &sines[half], out);
                }
            }
        }
    });
}

/// The other way, rotated back where there are angles.
fn together(
    apart: &[f32],
    sizes: Sizes,
    (width, column, heads): (usize, usize, usize),
    angles: Option<(&[f32], &[f32])>,
    wide: &mut [f32],
) {
    let (length, head) = (sizes.length, sizes.head);
    wide.par_chunks_mut(width).with_min_len(16).enumerate().for_each(|(token, out)| {
        let (row, position) = (token / length, token % length);
        for (number, out) in out[column..column + heads * head].chunks_mut(head).enumerate() {
            let start = ((row * heads + number) * length + position) * head;
            let from = &apart[start..start + head];
            match angles {
                None => out.copy_from_slice(from),
                Some((cosines, sines)) => {
                    let half = position * head / 2..(position + 1) * head / 2;
                    kernel::rotate_back(from, &cosines[half.clone()], &sines[half], out);
                }
            }
        }
    });
}
