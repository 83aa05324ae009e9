//! The trainer on a GPU: tokens per second of a size by name, and the time of each kernel beside its floor.
//!
//! `TAMIS_BENCH_SIZE` (10M, 30M, 124M, 350M, 1B; default 124M), `TAMIS_BENCH_STEPS` (10), `TAMIS_BENCH_ROWS` (sequences of 1,024 tokens in a step,
//! 512), `TAMIS_BENCH_MICRO` (of those at once, 32), `TAMIS_BENCH_DATA` (a folder of token shards instead of made-up tokens). With `TAMIS_BENCH_DUMP=DIR` the
//! weights before the first step, the tokens and the losses go there, so that `tests/tools/compare_pytorch.py --cuda` can take the same steps.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tamis::train::Config;
use tamis::train::config::{Data as Sets, Model as Named, Size};
use tamis::train::data::{Data, Position, Sampler};
use tamis::train::gpu::{self, Machine, Options};
use tamis::train::model::{Batch, Model, Shape};
use tamis::train::optimizer::AdamW;
use tamis::train::safetensors;

use super::train::tokens;

const RATE: f32 = 6e-4;

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

fn size() -> Size {
    let name = std::env::var("TAMIS_BENCH_SIZE").unwrap_or_else(|_| "124M".to_owned());
    serde_json::from_value(name.into()).expect("10M, 30M, 124M, 350M or 1B")
}

/// Inputs and targets of all steps, row after row, and the size of the vocabulary.
fn drawn(context: usize, rows: usize) -> (Vec<u32>, Vec<u32>, usize) {
    if let Ok(folder) = std::env::var("TAMIS_BENCH_DATA") {
        let config = Config { data: Sets::One(folder), context: 1024, ..Config::default() };
        let data = Arc::new(Data::open(&config).expect("token shards"));
        let vocab = data.vocabulary.size.expect("a vocabulary") as usize;
        let found = Sampler::new(data, 1, Position::default()).next(rows).expect("sequences");
        return (found.inputs, found.targets, vocab);
    }
    let all = tokens(50_257, rows * context + 1);
    (all[..rows * context].to_vec(), all[1..].to_vec(), 50_257)
}

pub(crate) fn run() {
    match gpu::count() {
        Ok(count) if count > 0 => {}
        Ok(_) => return println!("there is no GPU"),
        Err(trouble) => return println!("{trouble}"),
    }
    let (steps, rows) = (number("TAMIS_BENCH_STEPS", 10), number("TAMIS_BENCH_ROWS", 512));
    let (micro, context) = (number("TAMIS_BENCH_MICRO", 32).min(rows), 1024);
    let (inputs, targets, vocab) = drawn(context, steps * rows);
    let shape = Named::Named(size()).shape(vocab, context);
    let model = Model::new(shape.clone(), 1);
    let mut optimizer = AdamW::new(model.parameters().len());
    let options = Options { gpus: 1, micro_tokens: micro * context, recompute: false, choices: None };
    let mut machine = Machine::open(&model, &optimizer, &options).expect("a GPU");
    let dump = std::env::var_os("TAMIS_BENCH_DUMP");
    if let Some(dir) = &dump {
        dump_start(Path::new(dir), &model, (&inputs, &targets), [rows, micro, steps]);
    }
    let batch = |row: usize| Batch {
        rows: micro,
        length: context,
        inputs: &inputs[row * context..(row + micro) * context],
        targets: &targets[row * context..(row + micro) * context],
        documents: None,
    };
    let scale = 1.0 / (rows * context) as f32;
    let (mut losses, mut start) = (Vec::new(), Instant::now());
    let timed = steps - steps.min(3);
    for step in 0..steps {
        if step == steps - timed {
            // Before: algorithms are chosen, the step is recorded.
            start = Instant::now();
        }
        let batches: Vec<Batch> = (0..rows / micro).map(|part| batch(step * rows + part * micro)).collect();
        let (loss, norm) = machine.gradients(&batches, scale).expect("runs");
        losses.push(loss / (rows / micro * micro * context) as f64);
        #[expect(clippy::cast_possible_truncation, reason = "a factor")]
        let clip = (1.0 / norm).min(1.0) as f32;
        machine.update(&mut optimizer, RATE, clip).expect("runs");
    }
    // The norm of the last step was waited for; its update is one launch.
    let speed = (timed * rows * context) as f64 / start.elapsed().as_secs_f64();
    let share = machine.peak().map_or(String::new(), |peak| {
        format!(", {:.1} % MFU", 100.0 * speed * shape.flops_per_token() as f64 / peak)
    });
    println!(
        "{}: {} parameters, {rows} x {context} tokens a step, {micro} x {context} at once: {speed:.0} tokens/s{share}; loss {:.4} to {:.4}",
        machine.name(),
        model.parameters().len(),
        losses[0],
        losses[steps - 1]
    );
    table(&mut machine, &shape, &batch(0));
    if let Some(dir) = &dump {
        let json = serde_json::json!({ "losses": losses, "tokens_per_second": speed });
        tamis::io::write_json(Path::new(dir).join("ours.json"), &json).expect("the folder is writable");
    }
}

fn dump_start(
    dir: &Path,
    model: &Model,
    (inputs, targets): (&[u32], &[u32]),
    [rows, micro, steps]: [usize; 3],
) {
    let tensors: Vec<safetensors::Named> = model
        .tensors()
        .iter()
        .map(|tensor| (tensor.name.as_str(), tensor.dims.as_slice(), &model.parameters()[tensor.range()]))
        .collect();
    safetensors::write(&dir.join("start.safetensors"), &tensors).expect("the folder is writable");
    for (name, ids) in [("inputs", inputs), ("targets", targets)] {
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        std::fs::write(dir.join(format!("{name}.u32")), bytes).expect("the folder is writable");
    }
    let shape = model.shape();
    let json = serde_json::json!({
        "rows": rows, "micro": micro, "steps": steps, "rate": RATE, "context": shape.context, "dim": shape.dim,
        "heads": shape.heads, "layers": shape.layers, "eps": shape.norm_eps, "theta": shape.rope_theta, "tied": shape.tied,
    });
    tamis::io::write_json(dir.join("plan.json"), &json).expect("the folder is writable");
}

/// Floating-point operations and bytes that one launch cannot do without, for `n` tokens.
fn floor(name: &str, shape: &Shape, n: f64) -> (f64, f64) {
    let [dim, ffn, qkv] = [shape.dim, shape.ffn, shape.qkv()].map(|width| width as f64);
    // Scores of all heads that causal attention needs.
    let scores = n * shape.context as f64 / 2.0 * dim;
    let mut words = name.split([' ', 'x']).filter(|word| !word.is_empty());
    if let (Some(kind), Some(Ok(out)), Some(Ok(input))) =
        (words.next(), words.next().map(str::parse::<f64>), words.next().map(str::parse::<f64>))
    {
        let weights = if kind == "ToWeight" { 8.0 } else { 2.0 };
        return (2.0 * n * out * input, 2.0 * n * (out + input) + weights * out * input);
    }
    match name {
        "embed_forward" | "attention_dots" => (0.0, 4.0 * n * dim),
        "embed_backward" => (0.0, 2.0 * n * dim + 8.0 * dim * (shape.vocab as f64).min(n)),
        "norm_forward" | "norm_backward" => (0.0, 8.0 * n * dim),
        "rope" => (0.0, 4.0 * n * qkv),
        "swiglu_forward" => (0.0, 6.0 * n * ffn),
        "swiglu_backward" => (0.0, 10.0 * n * ffn),
        "attention_forward" => (4.0 * scores, 2.0 * n * (qkv + dim)),
        "attention_to_queries" => (6.0 * scores, 2.0 * n * (qkv + 2.0 * dim)),
        "attention_to_keys" => (8.0 * scores, 2.0 * n * (qkv + 3.0 * dim)),
        "cross_entropy" => (0.0, 4.0 * n.min(8192.0) * shape.vocab as f64),
        _ => (0.0, 0.0),
    }
}

/// Time of each kernel in one batch, beside the least that its operations (at the peak) and its bytes (at the speed of a copy) take.
fn table(machine: &mut Machine, shape: &Shape, batch: &Batch) {
    let times = machine.profile(batch).expect("runs");
    let all: f32 = times.values().map(|(_, time)| time).sum();
    let tokens = (batch.rows * batch.length) as f64;
    let (peak, bandwidth) = (machine.peak().unwrap_or(f64::INFINITY), machine.copy_speed().expect("copies"));
    println!("{:.2} TB/s copying; one batch takes {all:.2} ms", bandwidth / 1e12);
    println!("{:<28} {:>6} {:>9} {:>6} {:>9}", "kernel", "times", "ms", "share", "floor ms");
    let mut rows: Vec<_> = times.into_iter().collect();
    rows.sort_by(|(_, (_, a)), (_, (_, b))| b.total_cmp(a));
    for (name, (count, time)) in rows {
        // The vocabulary's products come in pieces.
        let pieces = name.contains(&format!(" {} x", shape.vocab));
        let (operations, bytes) = floor(&name, shape, if pieces { tokens.min(8192.0) } else { tokens });
        let least = f64::from(count) * (operations / peak).max(bytes / bandwidth) * 1e3;
        println!("{name:<28} {count:>6} {time:>9.3} {:>5.1}% {least:>9.3}", 100.0 * time / all);
    }
}
