//! Gradients against differences, masks against their meaning, the same bits for any number of threads.

use super::*;

fn shape() -> Shape {
    Shape {
        vocab: 37,
        layers: 2,
        dim: 24,
        heads: 4,
        kv_heads: 2,
        ffn: 20,
        context: 90,
        rope_theta: 10_000.0,
        norm_eps: 1e-5,
        tied: false,
    }
}

fn draws(seed: u64, below: u64) -> impl FnMut() -> u32 {
    let mut count = 0_u64;
    move || {
        count += 1;
        u32::try_from(xxh3_64_with_seed(&count.to_le_bytes(), seed) % below).unwrap()
    }
}

struct Owned {
    rows: usize,
    length: usize,
    inputs: Vec<u32>,
    targets: Vec<u32>,
    documents: Option<Vec<u32>>,
}

impl Owned {
    /// Random ids; a few targets do not count, a document ends at about every ninth token.
    fn new(shape: &Shape, rows: usize, length: usize, masked: bool, seed: u64) -> Self {
        let mut draw = draws(seed, shape.vocab as u64);
        let inputs: Vec<u32> = (0..rows * length).map(|_| draw()).collect();
        let targets = (0..rows * length).map(|at| if at % 7 == 3 { IGNORED } else { draw() }).collect();
        let mut number = 0;
        let documents = masked.then(|| {
            inputs
                .iter()
                .map(|id| {
                    number += u32::from(id % 9 == 0);
                    number
                })
                .collect()
        });
        Self { rows, length, inputs, targets, documents }
    }

    fn batch(&self) -> Batch<'_> {
        Batch {
            rows: self.rows,
            length: self.length,
            inputs: &self.inputs,
            targets: &self.targets,
            documents: self.documents.as_deref(),
        }
    }
}

/// Weights large enough that every part has a say.
fn lively(shape: Shape, seed: u64) -> Model {
    let mut model = Model::new(shape, seed);
    for tensor in model.tensors().to_vec() {
        for (number, parameter) in model.parameters_mut()[tensor.range()].iter_mut().enumerate() {
            *parameter = if tensor.decay { *parameter * 8.0 } else { 1.0 + (number % 5) as f32 * 0.1 };
        }
    }
    model
}

fn loss(worker: &mut Worker, model: &Model, batch: &Batch) -> f64 {
    worker.losses(model, batch).iter().map(|&loss| f64::from(loss)).sum()
}

#[test]
fn gradients_agree_with_differences() {
    for (tied, masked, kv_heads, length) in [(false, false, 4, 11), (true, true, 2, 70), (false, true, 1, 9)]
    {
        let shape = Shape { kv_heads, tied, ..shape() };
        let mut model = lively(shape.clone(), 3);
        let owned = Owned::new(&shape, 2, length, masked, 5);
        let mut worker = Worker::new(false);
        let mut gradients = vec![0.0; model.parameters().len()];
        let sum = worker.train(&model, &owned.batch(), 1.0, &mut gradients);
        assert!((sum - loss(&mut worker, &model, &owned.batch())).abs() < 1e-3 * sum);
        for tensor in model.tensors().to_vec() {
            // Along the gradient the loss must change by its square; a direction adds up what single numbers lose to rounding.
            let direction: Vec<f32> = gradients[tensor.range()].to_vec();
            let square: f64 = direction.iter().map(|&g| f64::from(g) * f64::from(g)).sum();
            assert!(square > 0.0, "{}", tensor.name);
            #[expect(clippy::cast_possible_truncation, reason = "a step")]
            let step = (0.02 / square.sqrt()) as f32;
            let mut sides = [0.0; 2];
            for (side, sign) in sides.iter_mut().zip([1.0, -1.0]) {
                let before = model.parameters().to_vec();
                for (parameter, d) in model.parameters_mut()[tensor.range()].iter_mut().zip(&direction) {
                    *parameter += sign * step * d;
                }
                *side = loss(&mut worker, &model, &owned.batch());
                model.parameters_mut().copy_from_slice(&before);
            }
            let measured = (sides[0] - sides[1]) / (2.0 * f64::from(step));
            assert!(
                (measured / square - 1.0).abs() < 0.02,
                "{}: {measured} and {square} (tied {tied}, masked {masked})",
                tensor.name
            );
        }
        // Single numbers of each tensor, the largest gradient first.
        for tensor in model.tensors().to_vec() {
            let largest =
                tensor.range().max_by(|&a, &b| gradients[a].abs().total_cmp(&gradients[b].abs())).unwrap();
            let step = 2e-3;
            let before = model.parameters()[largest];
            model.parameters_mut()[largest] = before + step;
            let above = loss(&mut worker, &model, &owned.batch());
            model.parameters_mut()[largest] = before - step;
            let below = loss(&mut worker, &model, &owned.batch());
            model.parameters_mut()[largest] = before;
            let measured = (above - below) / (2.0 * f64::from(step));
            let found = f64::from(gradients[largest]);
            assert!(
                (measured - found).abs() < 0.03 * found.abs() + 0.01,
                "{}: {measured} {found}",
                tensor.name
            );
        }
    }
}

#[test]
fn gradients_add_up_over_batches() {
    let shape = shape();
    let model = lively(shape.clone(), 1);
    let mut worker = Worker::new(false);
    let both = Owned::new(&shape, 2, 13, false, 8);
    let mut together = vec![0.0; model.parameters().len()];
    worker.train(&model, &both.batch(), 0.5, &mut together);
    let mut apart = vec![0.0; model.parameters().len()];
    for row in 0..2 {
        let range = row * 13..(row + 1) * 13;
        let batch = Batch {
            rows: 1,
            length: 13,
            inputs: &both.inputs[range.clone()],
            targets: &both.targets[range],
            documents: None,
        };
        worker.train(&model, &batch, 0.5, &mut apart);
    }
    assert!(together.iter().zip(&apart).all(|(a, b)| (a - b).abs() < 1e-4 * (1.0 + a.abs())));
}

#[test]
fn recomputation_changes_no_bit() {
    let shape = shape();
    let model = lively(shape.clone(), 1);
    let owned = [Owned::new(&shape, 2, 13, false, 8), Owned::new(&shape, 3, 70, true, 9)];
    let [kept, again] = [false, true].map(|recompute| {
        let mut worker = Worker::new(recompute);
        let mut gradients = vec![0.0; model.parameters().len()];
        let losses = [0, 1, 0].map(|batch: usize| {
            let loss = worker.train(&model, &owned[batch].batch(), 0.5, &mut gradients);
            (loss.to_bits(), worker.losses(&model, &owned[1 - batch].batch()).to_vec())
        });
        (losses, gradients)
    });
    assert!(kept == again);
}

#[test]
fn nothing_is_seen_before_its_time() {
    let shape = shape();
    let model = lively(shape.clone(), 2);
    let mut worker = Worker::new(false);
    let owned = Owned::new(&shape, 1, 80, false, 3);
    let before = worker.logits(&model, &owned.inputs).to_vec();
    for changed in [79, 64, 63, 40, 1] {
        let mut inputs = owned.inputs.clone();
        inputs[changed] = (inputs[changed] + 1) % 37;
        let after = worker.logits(&model, &inputs);
        let (start, rest) = before.split_at(changed * shape.vocab);
        assert!(start.iter().zip(after).all(|(a, b)| (a - b).abs() < 1e-4), "{changed}");
        assert!(
            rest[..shape.vocab]
                .iter()
                .zip(&after[changed * shape.vocab..])
                .any(|(a, b)| (a - b).abs() > 1e-3)
        );
    }
    let last = worker.last_logits(&model, &owned.inputs).to_vec();
    assert!(last.iter().zip(&before[79 * shape.vocab..]).all(|(a, b)| (a - b).abs() < 1e-4));
}

#[test]
fn a_masked_document_is_as_alone() {
    let shape = shape();
    let model = lively(shape.clone(), 4);
    let mut worker = Worker::new(false);
    let mut owned = Owned::new(&shape, 1, 85, true, 9);
    owned.documents = Some((0..85).map(|at| u32::from(at >= 30) + u32::from(at >= 70)).collect());
    let whole = worker.losses(&model, &owned.batch()).to_vec();
    for range in [0..30, 30..70, 70..85] {
        let batch = Batch {
            rows: 1,
            length: range.len(),
            inputs: &owned.inputs[range.clone()],
            targets: &owned.targets[range.clone()],
            documents: None,
        };
        // Rotary positions count from the row's beginning, but only differences matter.
        let alone = worker.losses(&model, &batch);
        assert!(whole[range.clone()].iter().zip(alone).all(|(a, b)| (a - b).abs() < 2e-3), "{range:?}");
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let shape = Shape { vocab: 300, dim: 64, ffn: 100, context: 150, ..shape() };
    let model = lively(shape.clone(), 4);
    let owned = Owned::new(&shape, 3, 150, true, 9);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut gradients = vec![0.0; model.parameters().len()];
            let loss = Worker::new(false).train(&model, &owned.batch(), 0.1, &mut gradients);
            (loss.to_bits(), gradients.iter().map(|g| g.to_bits()).collect::<Vec<_>>())
        })
    };
    let one = run(1);
    for threads in [2, 3, 5] {
        assert!(run(threads) == one, "{threads}");
    }
}

#[test]
fn a_new_model_knows_nothing() {
    let shape = Shape { vocab: 500, tied: true, ..shape() };
    let model = Model::new(shape.clone(), 1);
    assert_eq!(model.parameters().len() as u64, shape.parameters());
    assert!(model.parameters() == Model::new(shape.clone(), 1).parameters());
    assert!(model.parameters() != Model::new(shape.clone(), 2).parameters());
    let owned = Owned::new(&shape, 4, 80, false, 2);
    let counted = owned.targets.iter().filter(|&&target| target != IGNORED).count();
    let mean = loss(&mut Worker::new(false), &model, &owned.batch()) / counted as f64;
    assert!((mean - 500_f64.ln()).abs() < 0.05, "{mean}");
    let matrix = &model.parameters()[model.tensors()[0].range()];
    let deviation =
        (matrix.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() / matrix.len() as f64).sqrt();
    assert!((deviation - 0.02).abs() < 0.001, "{deviation}");
}

#[test]
fn sizes_are_those_of_the_names() {
    let shape = Shape {
        vocab: 50_257,
        layers: 12,
        dim: 768,
        heads: 12,
        kv_heads: 12,
        ffn: 2048,
        tied: true,
        ..shape()
    };
    assert_eq!(shape.parameters(), 50_257 * 768 + 12 * (4 * 768 * 768 + 3 * 768 * 2048 + 2 * 768) + 768);
    let shape = Shape { context: 1024, ..shape };
    assert_eq!(shape.flops_per_token(), 6 * shape.parameters() + 12 * 12 * 768 * 1024);
    for (wrong, name) in [
        (Shape { heads: 5, ..shape.clone() }, "`dim`"),
        (Shape { kv_heads: 5, ..shape.clone() }, "`kv_heads`"),
        (Shape { ffn: 0, ..shape.clone() }, "`ffn`"),
    ] {
        assert!(wrong.check().unwrap_err().contains(name));
    }
}
