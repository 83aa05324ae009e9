//! Stochastic gradient descent whose result does not depend on the number of threads.
//!
//! The weights are cut by columns: each thread owns some blocks of 16 columns of both matrices and nobody else
//! touches them, so there are no races and nothing to lock. What the threads must share for one document are the
//! scalar products of its vector with the labels' vectors. Each thread puts down the sums of its blocks, waits for
//! the others, and adds up all blocks in their order: the same additions for one thread and for many. This is
//! plain descent, one document at a time; the official library lets threads overwrite each other instead (Recht et
//! al., "Hogwild!", 2011).

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use super::arithmetic::exp;
use super::examples::Rows;
use super::train::Settings;

/// Columns that are summed up together: a cache line.
const BLOCK: usize = 16;
/// How often a waiting thread looks before it lets others run.
const SPINS: u32 = 2_000;
/// Documents between two reports of progress.
const REPORT_DOCS: usize = 256;

/// Some columns of both matrices.
pub(super) struct Shard {
    /// Number of its first block.
    first_block: usize,
    pub(super) cols: usize,
    /// Input rows, one after the other.
    pub(super) input: Vec<f32>,
    /// Rows of the labels.
    pub(super) output: Vec<f32>,
}

impl Shard {
    pub(super) fn is_finite(&self) -> bool {
        self.input.iter().chain(&self.output).all(|value| value.is_finite())
    }
}

/// Trains; returns the matrices, cut by columns.
pub(super) fn run(
    examples: &Rows,
    settings: &Settings,
    rows: usize,
    threads: usize,
    progress: &(dyn Fn(f64) + Sync),
) -> Vec<Shard> {
    let blocks = settings.dim.div_ceil(BLOCK);
    let threads = threads.clamp(1, blocks);
    let exchange = Exchange::new(threads, blocks, examples.label_count());
    let mut shards: Vec<Shard> = (0..threads)
        .map(|thread| {
            let first_block = blocks * thread / threads;
            let end = (blocks * (thread + 1) / threads * BLOCK).min(settings.dim);
            let cols = end - first_block * BLOCK;
            Shard { first_block, cols, input: Vec::new(), output: Vec::new() }
        })
        .collect();
    std::thread::scope(|scope| {
        for shard in &mut shards {
            let exchange = &exchange;
            scope.spawn(move || {
                first_weights(shard, settings, rows, examples.label_count());
                descend(shard, examples, settings, exchange, progress);
            });
        }
    });
    shards
}

/// Input rows at random between -1/dim and 1/dim, each by its place; labels at 0.
fn first_weights(shard: &mut Shard, settings: &Settings, rows: usize, labels: usize) {
    let scale = 1.0 / settings.dim as f32;
    let mut input = Vec::with_capacity(rows * shard.cols);
    for row in 0..rows {
        let start = row * settings.dim + shard.first_block * BLOCK;
        input.extend((start..start + shard.cols).map(|place| {
            let bits = scramble(settings.seed ^ scramble(place as u64)) >> 40;
            (bits as f32 / (1_u32 << 23) as f32 - 1.0) * scale
        }));
    }
    shard.input = input;
    shard.output = vec![0.0; labels * shard.cols];
}

fn descend(
    shard: &mut Shard,
    examples: &Rows,
    settings: &Settings,
    exchange: &Exchange,
    progress: &(dyn Fn(f64) + Sync),
) {
    let labels = examples.label_count();
    let mut hidden = vec![0.0_f32; shard.cols];
    let mut gradient = vec![0.0_f32; shard.cols];
    let mut steps = vec![0.0_f32; labels];
    let mut order: Vec<u32> = (0..u32::try_from(examples.docs()).unwrap_or(u32::MAX)).collect();
    let epoch_tokens: u64 = (0..examples.docs()).map(|doc| u64::from(examples.tokens(doc))).sum();
    let all_tokens = (epoch_tokens * u64::from(settings.epoch)) as f64;
    let (mut tokens, mut round) = (0_u64, 0_usize);
    for epoch in 0..settings.epoch {
        shuffle(&mut order, settings.seed, epoch);
        for (place, &doc) in order.iter().enumerate() {
            let doc = doc as usize;
            let share = tokens as f64 / all_tokens;
            tokens += u64::from(examples.tokens(doc));
            if shard.first_block == 0 && place % REPORT_DOCS == 0 {
                progress(share);
            }
            let (cols, input) = (shard.cols, &mut shard.input);
            hidden.fill(0.0);
            let rows = examples.for_each(doc, |row, count| {
                add_scaled(&mut hidden, &input[row * cols..(row + 1) * cols], count);
            });
            if rows == 0 {
                continue;
            }
            let mean = 1.0 / rows as f32;
            for value in &mut hidden {
                *value *= mean;
            }
            for (label, weights) in shard.output.chunks_exact(cols).enumerate() {
                for (block, (x, y)) in hidden.chunks(BLOCK).zip(weights.chunks(BLOCK)).enumerate() {
                    exchange.put(round, label, shard.first_block + block, dot(x, y));
                }
            }
            exchange.meet(round);
            exchange.sums(round, &mut steps);
            round += 1;
            softmax(&mut steps);
            #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
            let rate = (settings.lr * (1.0 - share)) as f32;
            for (label, step) in steps.iter_mut().enumerate() {
                let target = if label == examples.label(doc) { 1.0 } else { 0.0 };
                *step = rate * (target - *step);
            }
            gradient.fill(0.0);
            for (weights, &step) in shard.output.chunks_exact_mut(cols).zip(&steps) {
                add_scaled(&mut gradient, weights, step);
                add_scaled(weights, &hidden, step);
            }
            for value in &mut gradient {
                *value *= mean;
            }
            examples.for_each(doc, |row, count| {
                add_scaled(&mut input[row * cols..(row + 1) * cols], &gradient, count);
            });
        }
    }
    if shard.first_block == 0 {
        progress(1.0);
    }
}

/// `sum += factor * vector`.
fn add_scaled(sum: &mut [f32], vector: &[f32], factor: f32) {
    for (sum, value) in sum.iter_mut().zip(vector) {
        *sum += factor * value;
    }
}

/// Scalar product of a block, in order.
fn dot(x: &[f32], y: &[f32]) -> f32 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

fn softmax(sums: &mut [f32]) {
    let max = sums.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for sum in sums.iter_mut() {
        *sum = exp(*sum - max);
    }
    let total: f32 = sums.iter().sum();
    for sum in sums {
        *sum /= total;
    }
}

/// A permutation that seed and epoch determine (Fisher and Yates).
fn shuffle(order: &mut [u32], seed: u64, epoch: u32) {
    let mut state = scramble(seed ^ (u64::from(epoch) << 32 | 0x5EED));
    for last in (1..order.len()).rev() {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let product = u128::from(scramble(state)) * (last as u128 + 1);
        order.swap(last, usize::try_from(product >> 64).unwrap_or(last));
    }
}

/// A bijection that spreads all bits (the finaliser of SplitMix64: Steele et al. 2014).
fn scramble(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// Where threads put their blocks' sums and wait for each other.
///
/// There are two sets of places, taken in turn: nobody can come to the round after next before all have read this
/// one, because the next meeting lies between.
struct Exchange {
    threads: usize,
    blocks: usize,
    labels: usize,
    sums: Vec<AtomicU32>,
    arrived: AtomicUsize,
    /// Rounds in which all have arrived.
    met: AtomicUsize,
}

impl Exchange {
    fn new(threads: usize, blocks: usize, labels: usize) -> Self {
        let sums = (0..2 * blocks * labels).map(|_| AtomicU32::new(0)).collect();
        Self { threads, blocks, labels, sums, arrived: AtomicUsize::new(0), met: AtomicUsize::new(0) }
    }

    fn place(&self, round: usize, label: usize, block: usize) -> &AtomicU32 {
        &self.sums[((round % 2) * self.labels + label) * self.blocks + block]
    }

    fn put(&self, round: usize, label: usize, block: usize, sum: f32) {
        self.place(round, label, block).store(sum.to_bits(), Ordering::Relaxed);
    }

    /// Waits until all threads have put down this round's sums.
    fn meet(&self, round: usize) {
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.threads {
            self.arrived.store(0, Ordering::Relaxed);
            self.met.store(round + 1, Ordering::Release);
            return;
        }
        let mut looks = 0;
        while self.met.load(Ordering::Acquire) <= round {
            looks += 1;
            if looks < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
    }

    /// The scalar product of every label: its blocks, added in their order.
    fn sums(&self, round: usize, sums: &mut [f32]) {
        for (label, sum) in sums.iter_mut().enumerate() {
            *sum = (0..self.blocks)
                .map(|block| f32::from_bits(self.place(round, label, block).load(Ordering::Relaxed)))
                .sum();
        }
    }
}
