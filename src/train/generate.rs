//! Text from a model, for a look: the likeliest tokens, drawn by a seed.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::model::{Model, Worker};

/// How the next token is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    /// What the logits are divided by; 0 takes the likeliest.
    pub temperature: f32,
    /// Only so many of the likeliest are drawn from; 0: all.
    pub top_k: usize,
    /// Chooses the draws.
    pub seed: u64,
}

/// Appends up to `count` tokens, ends behind `eos`. Only the last `context` tokens are seen.
pub fn generate(model: &Model, tokens: &mut Vec<u32>, count: usize, eos: Option<u32>, draw: Draw) {
    let mut worker = Worker::new(false);
    for number in 0..count as u64 {
        let seen = &tokens[tokens.len().saturating_sub(model.shape().context)..];
        let logits = worker.last_logits(model, seen);
        let bits = xxh3_64_with_seed(&number.to_le_bytes(), draw.seed) >> 11;
        let next = drawn(logits, draw, bits as f64 / (1_u64 << 53) as f64);
        tokens.push(next);
        if eos == Some(next) {
            return;
        }
    }
}

/// The token at `place` (0 to 1) of the distribution.
fn drawn(logits: &[f32], draw: Draw, place: f64) -> u32 {
    let mut order: Vec<(f32, u32)> = logits.iter().copied().zip(0..).collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let kept = if draw.temperature <= 0.0 {
        1
    } else if draw.top_k == 0 {
        order.len()
    } else {
        draw.top_k
    };
    order.truncate(kept.max(1));
    let weight = |logit: f32| f64::from((logit - order[0].0) / draw.temperature.max(1e-6)).exp();
    let total: f64 = order.iter().map(|&(logit, _)| weight(logit)).sum();
    let mut left = place * total;
    for &(logit, id) in &order {
        left -= weight(logit);
        if left < 0.0 {
            return id;
        }
    }
    order.last().map_or(0, |&(_, id)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_the_weights() {
        let logits = [0.0, 3.0_f32.ln(), -50.0, 6.0_f32.ln()];
        let draw = Draw { temperature: 1.0, top_k: 0, seed: 0 };
        assert_eq!([0.0, 0.59, 0.61, 0.89, 0.91].map(|place| drawn(&logits, draw, place)), [3, 3, 1, 1, 0]);
        let two = Draw { top_k: 2, ..draw };
        assert_eq!([0.0, 0.65, 0.67, 0.999].map(|place| drawn(&logits, two, place)), [3, 3, 1, 1]);
        assert_eq!(drawn(&logits, Draw { temperature: 0.0, ..draw }, 0.999), 3);
    }
}
