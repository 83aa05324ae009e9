//! Causal softmax attention by blocks of queries, forward and backward; no matrix of all scores is ever held.
//!
//! Queries, keys, values and outputs lie as `[rows, heads, length, head]`. Backward computes the weights of a block again from the
//! log-sum-exp that forward kept per query (Dao et al. 2022, "FlashAttention"). A task is a head, or a head of keys with its
//! queries: no two write to the same place.

use rayon::prelude::*;

use super::kernel;
use super::matmul::{Into, View, product_here};

/// Queries of a block.
const BLOCK: usize = 64;

/// Sizes of a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) length: usize,
    pub(super) head: usize,
}

impl Sizes {
    fn scale(&self) -> f32 {
        1.0 / (self.head as f32).sqrt()
    }

    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }
}

/// First position that each position sees, row after row.
pub(in crate::train) fn first_seen(rows: usize, length: usize, documents: Option<&[u32]>) -> Vec<usize> {
    let mut first = vec![0; rows * length];
    if let Some(documents) = documents {
        for (first, documents) in first.chunks_mut(length).zip(documents.chunks(length)) {
            for at in 1..length {
                first[at] = if documents[at] == documents[at - 1] { first[at - 1] } else { at };
            }
        }
    }
    first
}

/// Scores of the queries `from..to` with the keys they may see, the others at minus infinity: the keys' range, `scores` filled.
fn scores(
    sizes: Sizes,
    (from, to): (usize, usize),
    first: &[usize],
    query: &[f32],
    key: &[f32],
    scores: &mut Vec<f32>,
) -> (usize, usize) {
    let (start, width) = (first[from], to - first[from]);
    scores.resize((to - from) * width, 0.0);
    let head = sizes.head;
    let queries = View::rows(&query[from * head..to * head], head);
    let keys = View::columns(&key[start * head..to * head], head);
    product_here((to - from, width, head), queries, keys, scores, width, Into::Replace);
    for (row, position) in scores.chunks_mut(width).zip(from..to) {
        row[..first[position] - start].fill(f32::NEG_INFINITY);
        row[position + 1 - start..].fill(f32::NEG_INFINITY);
    }
    (start, width)
}

/// Outputs and, per head and query, the log-sum-exp of its scores.
pub(super) fn forward(
    sizes: Sizes,
    first: &[usize],
    (query, key, value): (&[f32], &[f32], &[f32]),
    output: &mut [f32],
    log_sums: &mut [f32],
) {
    let (length, head) = (sizes.length, sizes.head);
    let size = length * head;
    output.par_chunks_mut(size).zip(log_sums.par_chunks_mut(length)).enumerate().for_each(
        |(task, (output, log_sums))| {
            let row = task / sizes.heads;
            let kv = row * sizes.kv_heads + task % sizes.heads / sizes.group();
            let first = &first[row * length..(row + 1) * length];
            let query = &query[task * size..(task + 1) * size];
            let (key, value) = (&key[kv * size..(kv + 1) * size], &value[kv * size..(kv + 1) * size]);
            let mut block = Vec::new();
            for from in (0..length).step_by(BLOCK) {
                let to = (from + BLOCK).min(length);
                let (start, width) = scores(sizes, (from, to), first, query, key, &mut block);
                for (row, log_sum) in block.chunks_mut(width).zip(&mut log_sums[from..to]) {
                    *log_sum = kernel::softmax(row, sizes.scale());
                }
                product_here(
                    (to - from, head, width),
                    View::rows(&block, width),
                    View::rows(&value[start * head..to * head], head),
                    &mut output[from * head..to * head],
                    head,
                    Into::Replace,
                );
            }
        },
    );
}

/// What forward used and made.
#[derive(Clone, Copy)]
pub(super) struct Kept<'a> {
    pub(super) query: &'a [f32],
    pub(super) key: &'a [f32],
    pub(super) value: &'a [f32],
    pub(super) output: &'a [f32],
    pub(super) log_sums: &'a [f32],
}

/// Gradients of queries, keys and values from that of the output.
pub(super) fn backward(
    sizes: Sizes,
    first: &[usize],
    kept: Kept,
    gradient: &[f32],
    (to_query, to_key, to_value): (&mut [f32], &mut [f32], &mut [f32]),
) {
    let size = sizes.length * sizes.head;
    let group = sizes.group();
    to_query
        .par_chunks_mut(group * size)
        .zip(to_key.par_chunks_mut(size).zip(to_value.par_chunks_mut(size)))
        .enumerate()
        .for_each(|(kv, (to_query, (to_key, to_value)))| {
            let row = kv / sizes.kv_heads;
            let first = &first[row * sizes.length..(row + 1) * sizes.length];
            to_key.fill(0.0);
            to_value.fill(0.0);
            for (number, to_query) in to_query.chunks_mut(size).enumerate() {
                let task = kv * group + number;
                let of_head = |all: &'_ [f32]| task * size..((task + 1) * size).min(all.len());
                let kept = Kept {
                    query: &kept.query[of_head(kept.query)],
                    key: &kept.key[kv * size..(kv + 1) * size],
                    value: &kept.value[kv * size..(kv + 1) * size],
                    output: &kept.output[of_head(kept.output)],
                    log_sums: &kept.log_sums[task * sizes.length..(task + 1) * sizes.length],
                };
                backward_head(sizes, first, kept, &gradient[of_head(gradient)], to_query, to_key, to_value);
            }
        });
}

fn backward_head(
    sizes: Sizes,
    first: &[usize],
    kept: Kept,
    gradient: &[f32],
    to_query: &mut [f32],
    to_key: &mut [f32],
    to_value: &mut [f32],
) {
    let (length, head) = (sizes.length, sizes.head);
    let (mut weights, mut to_scores) = (Vec::new(), Vec::new());
    for from in (0..length).step_by(BLOCK) {
        let to = (from + BLOCK).min(length);
        let count = to - from;
        let (start, width) = scores(sizes, (from, to), first, kept.query, kept.key, &mut weights);
        for (row, &log_sum) in weights.chunks_mut(width).zip(&kept.log_sums[from..to]) {
            kernel::weights(row, sizes.scale(), log_sum);
        }
        let queries = from * head..to * head;
        let keys = start * head..to * head;
        let gradient = &gradient[queries.clone()];
        product_here(
            (width, head, count),
            View::columns(&weights, width),
            View::rows(gradient, head),
            &mut to_value[keys.clone()],
            head,
            Into::Add,
        );
        to_scores.resize(count * width, 0.0);
        product_here(
            (count, width, head),
            View::rows(gradient, head),
            View::columns(&kept.value[keys.clone()], head),
            &mut to_scores,
            width,
            Into::Replace,
        );
        let outputs = kept.output[queries.clone()].chunks(head).zip(gradient.chunks(head));
        for ((row, weights), (output, gradient)) in
            to_scores.chunks_mut(width).zip(weights.chunks(width)).zip(outputs)
        {
            kernel::softmax_backward(row, weights, kernel::dot(output, gradient), sizes.scale());
        }
        product_here(
            (count, head, width),
            View::rows(&to_scores, width),
            View::rows(&kept.key[keys.clone()], head),
            &mut to_query[queries.clone()],
            head,
            Into::Replace,
        );
        product_here(
            (width, head, count),
            View::columns(&to_scores, width),
            View::rows(&kept.query[queries], head),
            &mut to_key[keys],
            head,
            Into::Add,
        );
    }
}
