//! The output layer: from the mean vector to a probability per label.

use super::arithmetic::exp;
use super::format::{Error, Loss};
use super::matrix::Matrix;

/// What the official library adds to a probability before it takes a logarithm; its results carry it.
const LOG_GUARD: f32 = 1e-5;
/// Larger than any count: marks tree nodes that are not built yet.
const UNBUILT: i64 = 1_000_000_000_000_000;
/// The official sigmoid is a table with this many steps over -8..8.
const SIGMOID_STEPS: f32 = 512.0;
const MAX_SIGMOID: f32 = 8.0;

pub(super) struct Output {
    loss: Loss,
    matrix: Matrix,
    /// Children of the inner nodes of the Huffman tree, in building order (the root is the last). Leaf `i`
    /// is label `i`, inner node `labels + i` is entry `i`.
    tree: Vec<(usize, usize)>,
}

impl Output {
    pub(super) fn new(loss: Loss, matrix: Matrix, label_counts: &[i64]) -> Result<Self, Error> {
        let tree = if loss == Loss::HierarchicalSoftmax { huffman(label_counts)? } else { Vec::new() };
        Ok(Self { loss, matrix, tree })
    }

    pub(super) fn probabilities(&self, hidden: &[f32]) -> Vec<f32> {
        let mut scratch = vec![0.0; hidden.len()];
        let labels = self.matrix.rows();
        if self.loss == Loss::HierarchicalSoftmax {
            return self.walk(hidden, &mut scratch);
        }
        let mut sums: Vec<f32> =
            (0..labels).map(|label| self.matrix.dot_row(label, hidden, &mut scratch)).collect();
        if self.loss == Loss::Softmax {
            let max = sums.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            for sum in &mut sums {
                *sum = exp(*sum - max);
            }
            let total: f32 = sums.iter().sum();
            for sum in &mut sums {
                *sum /= total;
            }
        } else {
            for sum in &mut sums {
                *sum = stepped_sigmoid(*sum);
            }
        }
        for sum in &mut sums {
            *sum += LOG_GUARD;
        }
        sums
    }

    /// Every path from the root to a label. Children have smaller numbers than their parent, so one pass
    /// from the last node down is enough, however deep the tree.
    fn walk(&self, hidden: &[f32], scratch: &mut [f32]) -> Vec<f32> {
        let labels = self.matrix.rows();
        let mut nodes = vec![1.0_f32; labels + self.tree.len()];
        for (inner, &(left, right)) in self.tree.iter().enumerate().rev() {
            let right_share = 1.0 / (1.0 + exp(-self.matrix.dot_row(inner, hidden, scratch)));
            let here = nodes[labels + inner];
            nodes[left] = here * (1.0 - right_share + LOG_GUARD);
            nodes[right] = here * (right_share + LOG_GUARD);
        }
        nodes.truncate(labels);
        nodes
    }
}

/// The tree as the official library builds it: labels come by falling count, inner nodes by rising.
fn huffman(label_counts: &[i64]) -> Result<Vec<(usize, usize)>, Error> {
    let labels = label_counts.len();
    if label_counts.iter().any(|count| !(0..UNBUILT).contains(count)) {
        return Err(Error::Invalid("an impossible label count"));
    }
    let mut counts = label_counts.to_vec();
    counts.resize(2 * labels - 1, UNBUILT);
    let mut unused_labels = labels;
    let mut inner = labels;
    let mut tree = Vec::with_capacity(labels - 1);
    for built in labels..2 * labels - 1 {
        let mut smallest = || {
            if unused_labels > 0 && counts[unused_labels - 1] < counts[inner] {
                unused_labels -= 1;
                unused_labels
            } else {
                inner += 1;
                inner - 1
            }
        };
        let (left, right) = (smallest(), smallest());
        if left >= built || right >= built {
            return Err(Error::Invalid("label counts that make no tree"));
        }
        counts[built] = counts[left].saturating_add(counts[right]);
        tree.push((left, right));
    }
    Ok(tree)
}

#[expect(clippy::cast_possible_truncation, reason = "the official library rounds to a table entry")]
fn stepped_sigmoid(x: f32) -> f32 {
    if x < -MAX_SIGMOID {
        return 0.0;
    }
    if x > MAX_SIGMOID {
        return 1.0;
    }
    let step = ((x + MAX_SIGMOID) * SIGMOID_STEPS / MAX_SIGMOID / 2.0) as i32;
    let place = step as f32 * 2.0 * MAX_SIGMOID / SIGMOID_STEPS - MAX_SIGMOID;
    1.0 / (1.0 + exp(-place))
}
