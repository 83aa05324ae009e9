//! The recipe step by step: how many sequences, which learning rate, and what is done about spikes.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::config::{Config, Spikes};

/// Sizes and rates of all steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Sequences of a full step.
    rows: u64,
    /// Sequences of the first step, and steps until it is full.
    ramp: Option<(u64, u64)>,
    /// Steps of the run.
    pub steps: u64,
    /// Steps of the warm-up.
    pub warmup: u64,
    highest: f64,
    lowest: f64,
}

impl Schedule {
    /// For a budget of `tokens`, of which the last step may draw a few more.
    #[must_use]
    pub fn new(config: &Config, tokens: u64) -> Self {
        let context = u64::from(config.context);
        let rows = (config.batch_tokens / context).max(1);
        let ramp = config.batch_ramp.map(|ramp| ((ramp.from_tokens / context).max(1), ramp.steps));
        let mut schedule = Self {
            rows,
            ramp,
            steps: 0,
            warmup: 0,
            highest: config.learning_rate,
            lowest: config.learning_rate * config.min_learning_rate_ratio,
        };
        let (mut steps, mut left) = (0, tokens.div_ceil(context));
        while left > 0 && ramp.is_some_and(|(_, until)| steps < until) {
            left = left.saturating_sub(schedule.rows_at(steps));
            steps += 1;
        }
        schedule.steps = steps + left.div_ceil(rows);
        // A two-hundredth of the steps, and 200 at least where that is no more than a tenth.
        let usual = (schedule.steps / 200).max(200).min(schedule.steps / 10);
        schedule.warmup = config.warmup_steps.unwrap_or(usual).min(schedule.steps);
        schedule
    }

    /// Sequences of a step, counted from 0.
    #[must_use]
    pub fn rows_at(&self, step: u64) -> u64 {
        match self.ramp {
            Some((from, until)) if step < until => from + (self.rows - from) * step / until,
            _ => self.rows,
        }
    }

    /// Learning rate of a step, counted from 0: a line up to the highest, then half a cosine down to the lowest, which the last step has.
    #[must_use]
    pub fn rate_at(&self, step: u64) -> f64 {
        let done = step + 1;
        if done <= self.warmup {
            return self.highest * done as f64 / self.warmup as f64;
        }
        let share = (done - self.warmup) as f64 / (self.steps - self.warmup).max(1) as f64;
        self.lowest
            + (self.highest - self.lowest) * 0.5 * (1.0 + (std::f64::consts::PI * share.min(1.0)).cos())
    }
}

/// Losses and gradient norms of the last steps that were taken.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    losses: VecDeque<f64>,
    norms: VecDeque<f64>,
    /// Steps in a row that were skipped.
    pub skipped: u32,
}

impl Watch {
    /// Whether a step stands out; it is remembered where it does not.
    pub fn is_spike(&mut self, spikes: &Spikes, loss: f64, norm: f64) -> bool {
        let window = spikes.window as usize;
        let is_full = self.losses.len() >= window;
        let beyond = |past: &VecDeque<f64>, now: f64, limit: f64| {
            let mean = past.iter().sum::<f64>() / past.len() as f64;
            let variance = past.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / past.len() as f64;
            // Where nothing moves, rounding is no spike.
            now > mean + limit * variance.sqrt().max(1e-4 * mean.abs())
        };
        let spike = spikes.max_z_score.is_some_and(|limit| {
            is_full && (beyond(&self.losses, loss, limit) || beyond(&self.norms, norm, limit))
        });
        if spike {
            self.skipped += 1;
            return true;
        }
        self.skipped = 0;
        if is_full {
            self.losses.pop_front();
            self.norms.pop_front();
        }
        self.losses.push_back(loss);
        self.norms.push_back(norm);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::BatchRamp;
    use super::*;

    fn config() -> Config {
        Config { context: 10, batch_tokens: 100, learning_rate: 1.0, ..Config::default() }
    }

    #[test]
    fn rates_rise_and_fall() {
        let schedule = Schedule::new(&Config { warmup_steps: Some(10), ..config() }, 11_000);
        assert_eq!((schedule.steps, schedule.warmup), (110, 10));
        let near = |step, rate: f64| assert!((schedule.rate_at(step) - rate).abs() < 1e-9, "{step}");
        near(0, 0.1);
        near(9, 1.0);
        near(59, 0.55);
        near(109, 0.1);
        assert!((10..109).all(|step| schedule.rate_at(step) > schedule.rate_at(step + 1)));
        // By default: 200 steps, but a tenth of a short run.
        assert_eq!(Schedule::new(&config(), 10_000).warmup, 10);
        assert_eq!(Schedule::new(&config(), 1_000_000).warmup, 200);
        assert_eq!(Schedule::new(&config(), 10_000_000).warmup, 500);
    }

    #[test]
    fn steps_grow() {
        let ramp = Some(BatchRamp { from_tokens: 20, steps: 4 });
        let schedule = Schedule::new(&Config { batch_ramp: ramp, ..config() }, 1000);
        assert_eq!((0..6).map(|step| schedule.rows_at(step)).collect::<Vec<_>>(), [2, 4, 6, 8, 10, 10]);
        // 20 rows in the ramp, 80 after it.
        assert_eq!(schedule.steps, 12);
        assert_eq!(Schedule::new(&Config { batch_ramp: ramp, ..config() }, 55).steps, 2);
    }

    #[test]
    fn spikes_stand_out_and_are_not_remembered() {
        let spikes = Spikes { window: 16, ..Spikes::default() };
        let mut watch = Watch::default();
        for step in 0..40 {
            assert!(
                !watch.is_spike(&spikes, 3.0 + 0.1 * f64::from(step % 3), 1.0 + 0.1 * f64::from(step % 2)),
                "{step}"
            );
        }
        assert!(watch.is_spike(&spikes, 9.0, 1.0) && watch.is_spike(&spikes, 3.0, 8.0));
        assert_eq!(watch.skipped, 2);
        assert!(!watch.is_spike(&spikes, 3.1, 1.0));
        assert_eq!(watch.skipped, 0);
        let off = Spikes { max_z_score: None, ..spikes };
        assert!(!watch.is_spike(&off, 1e9, 1e9));
    }
}
