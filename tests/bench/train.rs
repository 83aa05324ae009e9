//! The trainer on the CPU: twenty steps of a model of seven million parameters.
//!
//! With `TAMIS_BENCH_DUMP=DIR` the weights before the first step and the losses go there, so that `tests/tools/compare_pytorch.py` can take
//! the same steps.

use std::path::Path;

use cpu_time::ProcessTime;
use tamis::train::model::{Batch, Model, Shape, Worker};
use tamis::train::optimizer::{AdamW, norm};
use tamis::train::safetensors::{self, Named};

const ROWS: usize = 8;
const STEPS: usize = 20;
const RATE: f32 = 1e-3;

/// Tokens with something to learn: small ids are frequent, and one in four follows from the two before it.
pub(crate) fn tokens(vocab: u32, count: usize) -> Vec<u32> {
    let mut state = 7_u64;
    let mut tokens: Vec<u32> = vec![1, 2];
    while tokens.len() < count {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let draw = u32::try_from(state >> 33).expect("31 bits");
        let [a, b] = [tokens[tokens.len() - 2], tokens[tokens.len() - 1]];
        let skewed = ((draw >> 2) % vocab) * ((draw >> 14) % vocab) / vocab / 8;
        tokens.push(if draw % 4 == 0 { (a * 31 + b * 7 + 3) % vocab } else { skewed });
    }
    tokens
}

pub(crate) fn run() {
    let shape = Shape {
        vocab: 4096,
        layers: 6,
        dim: 256,
        heads: 8,
        kv_heads: 8,
        ffn: 688,
        context: 256,
        rope_theta: 10_000.0,
        norm_eps: 1e-5,
        tied: true,
    };
    let mut model = Model::new(shape.clone(), 1);
    let mut optimizer = AdamW::new(model.parameters().len());
    let batch_tokens = ROWS * shape.context;
    let all = tokens(4096, STEPS * batch_tokens + 1);
    let dump = std::env::var_os("TAMIS_BENCH_DUMP");
    if let Some(dir) = &dump {
        let tensors: Vec<Named> = model
            .tensors()
            .iter()
            .map(|tensor| (tensor.name.as_str(), tensor.dims.as_slice(), &model.parameters()[tensor.range()]))
            .collect();
        safetensors::write(&Path::new(dir).join("start.safetensors"), &tensors)
            .expect("the folder is writable");
        let json = serde_json::json!({ "tokens": all, "rows": ROWS, "steps": STEPS, "rate": RATE });
        tamis::io::write_json(Path::new(dir).join("tokens.json"), &json).expect("the folder is writable");
    }
    let mut worker = Worker::new(false);
    let mut gradients = vec![0.0; model.parameters().len()];
    let mut losses = Vec::new();
    let (mut start, wall) = (ProcessTime::now(), std::time::Instant::now());
    for step in 0..STEPS {
        if step == 2 {
            // The first steps make the buffers.
            start = ProcessTime::now();
        }
        let from = step * batch_tokens;
        let batch = Batch {
            rows: ROWS,
            length: shape.context,
            inputs: &all[from..from + batch_tokens],
            targets: &all[from + 1..=from + batch_tokens],
            documents: None,
        };
        gradients.fill(0.0);
        let scale = 1.0 / batch_tokens as f32;
        losses.push(worker.train(&model, &batch, scale, &mut gradients) / batch_tokens as f64);
        #[expect(clippy::cast_possible_truncation, reason = "a factor")]
        let clip = (1.0 / norm(&gradients)).min(1.0) as f32;
        optimizer.update(&mut model, &gradients, RATE, clip);
    }
    let cpu = start.elapsed().as_secs_f64();
    assert!((losses[0] - 4096_f64.ln()).abs() < 0.1 && losses[STEPS - 1] < losses[0] - 0.3, "{losses:?}");
    let speed = ((STEPS - 2) * batch_tokens) as f64 / cpu;
    println!(
        "{} parameters, {batch_tokens} tokens a step: {speed:.0} tokens per CPU second, {:.1} GFLOP per CPU second, {:.2} s in all",
        model.parameters().len(),
        speed * shape.flops_per_token() as f64 / 1e9,
        wall.elapsed().as_secs_f64()
    );
    if let Some(dir) = &dump {
        let json = serde_json::json!({ "losses": losses, "tokens_per_cpu_second": speed });
        tamis::io::write_json(Path::new(dir).join("ours.json"), &json).expect("the folder is writable");
    }
}
