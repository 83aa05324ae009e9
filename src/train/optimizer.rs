//! AdamW (Loshchilov and Hutter 2019) as PyTorch computes it, on flat buffers; and the norm of the gradient.

use rayon::prelude::*;

use super::model::Model;

/// Numbers that are worked on together.
const CHUNK: usize = 1 << 14;

/// The optimiser and its moments.
#[derive(Debug, Clone)]
pub struct AdamW {
    /// Decay rate of the mean.
    pub beta1: f32,
    /// Decay rate of the mean square.
    pub beta2: f32,
    /// What is added to the root of the mean square.
    pub eps: f32,
    /// Share of a matrix that goes at each step, times the learning rate.
    pub weight_decay: f32,
    mean: Vec<f32>,
    square: Vec<f32>,
    steps: u64,
}

/// Numbers of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Factors {
    /// What stays of a weight that decays.
    pub keep: f32,
    /// Learning rate over the correction of the mean.
    pub step: f32,
    /// Root of the correction of the mean square.
    pub root: f32,
}

impl AdamW {
    /// With the usual numbers: .9, .95, 1e-8, .1.
    #[must_use]
    pub fn new(parameters: usize) -> Self {
        let (mean, square) = (vec![0.0; parameters], vec![0.0; parameters]);
        Self { beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, mean, square, steps: 0 }
    }

    /// Means and mean squares of the gradients, one of each per parameter.
    #[must_use]
    pub fn moments(&self) -> (&[f32], &[f32]) {
        (&self.mean, &self.square)
    }

    /// Updates so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Goes on from moments that were kept.
    ///
    /// # Panics
    /// Where their number is another.
    pub fn restore(&mut self, mean: Vec<f32>, square: Vec<f32>, steps: u64) {
        assert_eq!(
            (mean.len(), square.len()),
            (self.mean.len(), self.square.len()),
            "one for each parameter"
        );
        (self.mean, self.square, self.steps) = (mean, square, steps);
    }

    /// Counts a step, and says what it takes.
    pub fn next(&mut self, learning_rate: f32) -> Factors {
        self.steps += 1;
        let power = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let correction = |beta: f32| 1.0 - f64::from(beta).powi(power);
        #[expect(clippy::cast_possible_truncation, reason = "the nearest float is meant")]
        let (step, root) = (
            (f64::from(learning_rate) / correction(self.beta1)) as f32,
            correction(self.beta2).sqrt() as f32,
        );
        Factors { keep: 1.0 - learning_rate * self.weight_decay, step, root }
    }

    /// One step: `gradients` times `gradient_scale` are the gradients.
    pub fn update(&mut self, model: &mut Model, gradients: &[f32], learning_rate: f32, gradient_scale: f32) {
        let Factors { keep, step, root } = self.next(learning_rate);
        let (beta1, beta2, eps) = (self.beta1, self.beta2, self.eps);
        for tensor in model.tensors().to_vec() {
            let keep = if tensor.decay { keep } else { 1.0 };
            let range = tensor.range();
            let parameters = model.parameters_mut()[range.clone()].par_chunks_mut(CHUNK);
            let moments = self.mean[range.clone()]
                .par_chunks_mut(CHUNK)
                .zip(self.square[range.clone()].par_chunks_mut(CHUNK));
            parameters.zip(gradients[range].par_chunks(CHUNK)).zip(moments).for_each(
                |((parameters, gradients), (mean, square))| {
                    let numbers = parameters.iter_mut().zip(gradients).zip(mean.iter_mut().zip(square));
                    for ((parameter, gradient), (mean, square)) in numbers {
                        let gradient = gradient * gradient_scale;
                        *mean = beta1 * *mean + (1.0 - beta1) * gradient;
                        *square = beta2 * *square + (1.0 - beta2) * gradient * gradient;
                        *parameter = *parameter * keep - step * *mean / (square.sqrt() / root + eps);
                    }
                },
            );
        }
    }
}

/// The Euclidean norm of all gradients; infinite or not a number where one of them is.
#[must_use]
pub fn norm(gradients: &[f32]) -> f64 {
    let sums: Vec<f64> = gradients
        .par_chunks(CHUNK)
        .map(|chunk| {
            let mut lanes = [0.0_f64; 8];
            for eight in chunk.chunks(8) {
                for (lane, &gradient) in lanes.iter_mut().zip(eight) {
                    *lane += f64::from(gradient) * f64::from(gradient);
                }
            }
            lanes.iter().sum()
        })
        .collect();
    sums.iter().sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::model::Shape;

    #[test]
    fn a_step_is_that_of_the_paper() {
        let shape = Shape {
            vocab: 5,
            layers: 1,
            dim: 4,
            heads: 1,
            kv_heads: 1,
            ffn: 3,
            context: 4,
            rope_theta: 1e4,
            norm_eps: 1e-5,
            tied: true,
        };
        let mut model = Model::new(shape, 1);
        let count = model.parameters().len();
        let mut optimizer = AdamW::new(count);
        let mut exact: Vec<[f64; 3]> = model.parameters().iter().map(|&p| [f64::from(p), 0.0, 0.0]).collect();
        let decays: Vec<bool> =
            model.tensors().iter().flat_map(|tensor| tensor.range().map(|_| tensor.decay)).collect();
        for step in 1..=20_i32 {
            let rate = 0.01 / f64::from(step);
            let gradients: Vec<f32> = (0..count)
                .map(|at| ((at * 37 + 11) % 101) as f32 / 50.0 - 1.0 + step as f32 * 0.01)
                .collect();
            #[expect(clippy::cast_possible_truncation, reason = "a rate")]
            optimizer.update(&mut model, &gradients, rate as f32, 0.5);
            for ((exact, gradient), decay) in exact.iter_mut().zip(&gradients).zip(&decays) {
                let gradient = f64::from(*gradient) * 0.5;
                let [parameter, mean, square] = exact;
                *parameter *= 1.0 - if *decay { rate * 0.1 } else { 0.0 };
                *mean = 0.9 * *mean + 0.1 * gradient;
                *square = 0.95 * *square + 0.05 * gradient * gradient;
                let (mean, square) =
                    (*mean / (1.0 - 0.9_f64.powi(step)), *square / (1.0 - 0.95_f64.powi(step)));
                *parameter -= rate * mean / (square.sqrt() + 1e-8);
            }
        }
        for (parameter, exact) in model.parameters().iter().zip(&exact) {
            assert!((f64::from(*parameter) - exact[0]).abs() < 2e-6, "{parameter} {}", exact[0]);
        }
        assert_eq!(optimizer.steps(), 20);
    }

    #[test]
    fn norms_are_exact_enough() {
        let gradients: Vec<f32> = (0..100_001).map(|n| if n % 2 == 0 { 3.0 } else { -4.0 }).collect();
        let exact = (50_001.0 * 9.0 + 50_000.0 * 16.0_f64).sqrt();
        assert!((norm(&gradients) - exact).abs() < 1e-9);
        assert!(norm(&[1.0, f32::NAN]).is_nan());
    }
}
