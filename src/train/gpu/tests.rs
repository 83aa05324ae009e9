use std::collections::BTreeMap;

use super::driver::{Buffer, Device};
use super::kernels::{self, NORM_BLOCKS, TILE};
use super::testkit::is_there;
use super::*;
use crate::train::model::{IGNORED, Shape, Worker};

fn shape(heads: usize, kv_heads: usize, head: usize, ffn: usize, vocab: usize, tied: bool) -> Shape {
    Shape {
        vocab,
        layers: 2,
        dim: heads * head,
        heads,
        kv_heads,
        ffn,
        context: 256,
        rope_theta: 10_000.0,
        norm_eps: 1e-5,
        tied,
    }
}

fn options() -> Options {
    Options { gpus: 1, micro_tokens: 256, recompute: false, choices: None }
}

/// Nearest of 16 bits.
fn rounded(x: f32) -> f32 {
    let bits = x.to_bits();
    f32::from_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000)
}

/// A model whose weights are numbers of 16 bits, larger than at the beginning of a training, so that every part has a say.
fn model(shape: &Shape, seed: u64) -> Model {
    let mut model = Model::new(shape.clone(), seed);
    for (at, parameter) in model.parameters_mut().iter_mut().enumerate() {
        let is_norm = (*parameter - 1.0).abs() < 1e-9;
        let change = (at * 7919 % 101) as f32 / 101.0 - 0.5;
        *parameter = rounded(if is_norm { 1.0 + 0.4 * change } else { *parameter * 4.0 });
    }
    model
}

struct Data {
    rows: usize,
    length: usize,
    inputs: Vec<u32>,
    targets: Vec<u32>,
    documents: Option<Vec<u32>>,
}

impl Data {
    fn new(shape: &Shape, rows: usize, length: usize, masked: bool, seed: u32) -> Self {
        let vocab = u32::try_from(shape.vocab).expect("small");
        let mut state = seed.wrapping_mul(747_796_405).wrapping_add(1);
        let mut draw = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % below
        };
        let count = rows * length;
        // Some tokens are frequent, some targets do not count.
        let inputs = (0..count).map(|_| if draw(3) == 0 { 1 } else { draw(vocab) }).collect();
        let targets = (0..count).map(|_| if draw(9) == 0 { IGNORED } else { draw(vocab) }).collect();
        let mut document = 0;
        let documents = (0..count)
            .map(|_| {
                document += u32::from(draw(20) == 0);
                document
            })
            .collect();
        Self { rows, length, inputs, targets, documents: masked.then_some(documents) }
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

/// The gradients that lie on the GPU.
fn gradients_of(machine: &Machine) -> Vec<f32> {
    let replica = &machine.replicas[0];
    let mut gradients = vec![0.0; replica.parameter_count()];
    replica.device.choose().expect("chosen");
    replica.device.read(&mut gradients, &replica.gradients).expect("read");
    gradients
}

fn length_of(numbers: impl Iterator<Item = f32>) -> f64 {
    numbers.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt()
}

/// Loss and every tensor's gradient of one batch, beside the CPU's.
fn compare(shape: &Shape, data: &Data, options: &Options, seed: u64) {
    let model = model(shape, seed);
    let optimizer = AdamW::new(model.parameters().len());
    let scale = 1.0 / data.inputs.len() as f32;
    let mut exact = vec![0.0; model.parameters().len()];
    let mut worker = Worker::new(false);
    let loss = worker.train(&model, &data.batch(), scale, &mut exact);
    let mut machine = Machine::open(&model, &optimizer, options).expect("a GPU");
    let (found, norm) = machine.gradients(&[data.batch()], scale).expect("runs");
    assert!((found - loss).abs() < 5e-3 * loss, "loss {found}, the CPU's {loss}");
    let gradients = gradients_of(&machine);
    assert!((norm - length_of(gradients.iter().copied())).abs() < 1e-6 * norm, "norm {norm}");
    for tensor in model.tensors() {
        let pairs = gradients[tensor.range()].iter().zip(&exact[tensor.range()]);
        let (error, size) =
            (length_of(pairs.map(|(a, b)| a - b)), length_of(exact[tensor.range()].iter().copied()));
        assert!(error < 0.02 * size, "{}: off by {error:e} of {size:e} ({shape:?})", tensor.name);
    }
    let losses = machine.losses(&data.batch()).expect("runs");
    let exact = worker.losses(&model, &data.batch());
    for (found, exact) in losses.iter().zip(exact) {
        assert!((found - exact).abs() < 0.1, "{found}, the CPU's {exact}");
    }
}

#[test]
fn every_gradient_agrees_with_the_cpu() {
    if !is_there() {
        return;
    }
    // Heads narrow and wide, shared keys, widths that fill no warp, odd vocabularies, tied or not, masks, lengths around the tiles.
    let cases = [
        (shape(4, 2, 16, 88, 211, true), 2, 37, false),
        (shape(2, 2, 64, 96, 130, false), 1, 130, false),
        (shape(3, 1, 48, 200, 97, true), 2, 65, true),
        (shape(2, 1, 128, 264, 300, false), 1, 129, true),
    ];
    for (number, (shape, rows, length, masked)) in (1..).zip(cases) {
        let data = Data::new(&shape, rows, length, masked, number);
        compare(&shape, &data, &options(), u64::from(number));
    }
}

#[test]
fn recordings_and_recomputation_change_no_bit() {
    if !is_there() {
        return;
    }
    let shape = shape(4, 2, 16, 88, 211, true);
    let model = model(&shape, 5);
    let optimizer = AdamW::new(model.parameters().len());
    let data = Data::new(&shape, 2, 37, true, 3);
    // In a run the first batch also chooses algorithms, which two machines may do differently; so they share the choice.
    let dir = tempfile::tempdir().expect("a folder");
    let choices = Some(dir.path().join("gpu.json"));
    let mut seen: BTreeMap<Vec<u32>, usize> = BTreeMap::new();
    for recompute in [false, true] {
        let options = Options { recompute, choices: choices.clone(), ..options() };
        let mut machine = Machine::open(&model, &optimizer, &options).expect("a GPU");
        // Launched one by one, recorded, run again.
        for _ in 0..4 {
            let (loss, norm) = machine.gradients(&[data.batch()], 0.01).expect("runs");
            assert!(loss > 0.0 && norm > 0.0);
            let bits = gradients_of(&machine).iter().map(|x| x.to_bits()).collect();
            *seen.entry(bits).or_default() += 1;
        }
    }
    assert_eq!(seen.values().collect::<Vec<_>>(), [&8]);
    assert!(choices.is_some_and(|path| path.exists()));
}

#[test]
fn twenty_steps_go_the_way_of_the_cpu() {
    if !is_there() {
        return;
    }
    let shape = shape(2, 1, 32, 88, 97, true);
    let start = Model::new(shape.clone(), 3);
    let count = start.parameters().len();
    let data: Vec<Data> = (0..4).map(|seed| Data::new(&shape, 1, 33, seed % 2 == 1, seed)).collect();
    let batches: Vec<Batch> = data.iter().map(Data::batch).collect();
    let scale = 1.0 / (batches.len() * 33) as f32;
    let (mut model, mut optimizer) = (start.clone(), AdamW::new(count));
    let (mut worker, mut gradients) = (Worker::new(false), vec![0.0; count]);
    let mut losses = Vec::new();
    for step in 0..20 {
        gradients.fill(0.0);
        let sum: f64 = batches.iter().map(|batch| worker.train(&model, batch, scale, &mut gradients)).sum();
        losses.push(sum);
        optimizer.update(&mut model, &gradients, 0.003, if step % 2 == 0 { 1.0 } else { 0.5 });
    }
    assert!(losses[19] < 0.9 * losses[0], "{losses:?}");
    // On one GPU, and with the batches shared by three, of which two has less to do.
    for gpus in [1, 3] {
        if gpus > count_of_gpus() {
            continue;
        }
        let mut optimizer = AdamW::new(count);
        let options = Options { gpus, ..options() };
        let mut machine = Machine::open(&start, &optimizer, &options).expect("a GPU");
        for (step, exact) in losses.iter().enumerate() {
            let (loss, _) = machine.gradients(&batches, scale).expect("runs");
            assert!(
                (loss - exact).abs() < 0.01 * exact,
                "{gpus} GPUs, step {step}: {loss}, the CPU's {exact}"
            );
            machine.update(&mut optimizer, 0.003, if step % 2 == 0 { 1.0 } else { 0.5 }).expect("runs");
        }
        assert_eq!(optimizer.steps(), 20);
        let mut found = start.clone();
        machine.download(&mut found, &mut optimizer).expect("read");
        let pairs = found.parameters().iter().zip(model.parameters());
        let moved = start.parameters().iter().zip(model.parameters());
        let (error, way) = (length_of(pairs.map(|(a, b)| a - b)), length_of(moved.map(|(a, b)| a - b)));
        assert!(error < 0.2 * way, "{error} of {way}");
    }
}

fn count_of_gpus() -> usize {
    count().expect("there is a driver")
}

#[test]
fn shapes_and_counts_that_do_not_go_are_refused() {
    if !is_there() {
        return;
    }
    let refused = |shape: &Shape, options: &Options| {
        let model = Model::new(shape.clone(), 1);
        let optimizer = AdamW::new(model.parameters().len());
        Machine::open(&model, &optimizer, options).expect_err("refused").to_string()
    };
    assert!(refused(&shape(2, 1, 24, 88, 97, true), &options()).contains("`dim / heads` (24)"));
    assert!(refused(&shape(2, 1, 16, 90, 97, true), &options()).contains("`ffn` (90)"));
    let message = refused(&shape(2, 1, 16, 88, 97, true), &Options { gpus: 99, ..options() });
    assert!(message.contains("99 GPUs are wanted"), "{message}");
    let message = refused(&shape(2, 1, 16, 88, 97, true), &Options { micro_tokens: 1 << 30, ..options() });
    assert!(
        message.contains("no room for activations") && message.contains("`recompute: true`"),
        "{message}"
    );
}

// ---- one kernel after the other, beside sums in 64 bits ----

/// A GPU with the kernels for a shape.
struct Bench {
    device: Device,
    shape: Shape,
    state: u64,
}

impl Bench {
    fn new(shape: Shape, seed: u64) -> Self {
        let mut device = Device::open(0).expect("a GPU");
        let (image, _) = kernels::compile(&shape, device.capability).expect("compiles");
        device.load(&image).expect("loads");
        Self { device, shape, state: seed }
    }

    /// Numbers of 16 bits around 0.
    fn draw(&mut self, count: usize) -> Vec<f32> {
        let mut next = || {
            self.state =
                self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            rounded((self.state >> 40) as f32 / (1 << 23) as f32 - 1.0)
        };
        (0..count).map(|_| next()).collect()
    }

    fn put<T: Copy>(&self, numbers: &[T]) -> Buffer {
        let buffer = self.device.allocate(size_of_val(numbers), "a test").expect("memory");
        self.device.write(&buffer, numbers).expect("written");
        buffer
    }

    fn put_halves(&self, numbers: &[f32]) -> Buffer {
        self.put(&numbers.iter().map(|x| (x.to_bits() >> 16) as u16).collect::<Vec<_>>())
    }

    fn floats(&self, buffer: &Buffer, count: usize) -> Vec<f32> {
        let mut numbers = vec![0.0_f32; count];
        self.device.read(&mut numbers, buffer).expect("read");
        numbers
    }

    fn halves(&self, buffer: &Buffer, count: usize) -> Vec<f32> {
        let mut numbers = vec![0_u16; count];
        self.device.read(&mut numbers, buffer).expect("read");
        numbers.into_iter().map(|x| f32::from_bits(u32::from(x) << 16)).collect()
    }

    fn empty(&self, count: usize) -> Buffer {
        self.device.allocate(count * 4, "a test").expect("memory")
    }

    fn each<T: Copy>(&self, name: &'static str, tasks: usize, arguments: &T) {
        self.device.launch(name, ([tasks.div_ceil(256), 1, 1], 256, 0), arguments).expect("runs");
    }
}

fn int(number: usize) -> i32 {
    i32::try_from(number).expect("small")
}

/// The length of the difference, as a share of that of what is right.
fn near(what: &str, found: &[f32], exact: &[f64], limit: f64) {
    assert_eq!(found.len(), exact.len(), "{what}");
    let error = found.iter().zip(exact).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>().sqrt();
    let size = exact.iter().map(|x| x * x).sum::<f64>().sqrt();
    assert!(error <= limit * size, "{what}: off by {error:e} of {size:e}");
}

/// Off by the rounding to 16 bits (2^-9 at most); sums that stay in 32 bits.
const HALF: f64 = 4e-3;
const SINGLE: f64 = 1e-5;

fn wide(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|&x| f64::from(x)).collect()
}

#[test]
fn norms() {
    if !is_there() {
        return;
    }
    for (heads, head, rows) in [(3, 16, 13), (5, 64, 300), (17, 32, 9)] {
        let shape = shape(heads, 1, head, 88, 97, true);
        let mut bench = Bench::new(shape, 7 + rows as u64);
        let dim = bench.shape.dim;
        let (stream, delta, before) =
            (bench.draw(rows * dim), bench.draw(rows * dim), bench.draw(rows * dim));
        let (weight, gradient) = (bench.draw(dim), bench.draw(rows * dim));
        let [on_stream, on_delta, on_before, on_gradient] =
            [&stream, &delta, &before, &gradient].map(|numbers| bench.put_halves(numbers));
        let on_weight = bench.put(&weight);
        let [sum, normed, to_stream, to_first] = [(); 4].map(|()| bench.put_halves(&vec![0.0; rows * dim]));
        let (factors, partial) = (bench.empty(rows), bench.empty(NORM_BLOCKS * dim));
        let arguments = kernels::NormForward {
            stream: on_stream.address(),
            delta: on_delta.address(),
            sum: sum.address(),
            weight: on_weight.address(),
            normed: normed.address(),
            factors: factors.address(),
            rows: int(rows),
            eps: 1e-5,
        };
        bench.each("norm_forward", rows * 32, &arguments);
        let sums: Vec<f32> = stream.iter().zip(&delta).map(|(a, b)| rounded(a + b)).collect();
        assert_eq!(bench.halves(&sum, rows * dim), sums);
        let (mut exact, mut to_sum, mut to_weight) = (Vec::new(), Vec::new(), vec![0.0; dim]);
        for (x, gradient) in sums.chunks(dim).zip(gradient.chunks(dim)) {
            let (x, gradient) = (wide(x), wide(gradient));
            let factor = 1.0 / (x.iter().map(|x| x * x).sum::<f64>() / dim as f64 + 1e-5).sqrt();
            let pull: Vec<f64> = gradient.iter().zip(&weight).map(|(g, &w)| g * f64::from(w)).collect();
            let dot = pull.iter().zip(&x).map(|(p, x)| p * x * factor).sum::<f64>() / dim as f64;
            for at in 0..dim {
                let n = x[at] * factor;
                exact.push(n * f64::from(weight[at]));
                to_sum.push(factor * (pull[at] - n * dot));
                to_weight[at] += gradient[at] * n;
            }
        }
        near("normed", &bench.halves(&normed, rows * dim), &exact, HALF);
        let mut arguments = kernels::NormBackward {
            stream: sum.address(),
            factors: factors.address(),
            weight: on_weight.address(),
            gradient: on_gradient.address(),
            before: on_before.address(),
            to_stream: to_stream.address(),
            partial: partial.address(),
            rows: int(rows),
        };
        let grid = ([NORM_BLOCKS, 1, 1], 256, 0);
        bench.device.launch("norm_backward", grid, &arguments).expect("runs");
        let both: Vec<f64> = to_sum.iter().zip(wide(&before)).map(|(a, b)| a + b).collect();
        near("to the stream", &bench.halves(&to_stream, rows * dim), &both, HALF);
        (arguments.before, arguments.to_stream) = (0, to_first.address());
        bench.device.launch("norm_backward", grid, &arguments).expect("runs");
        near("to the first", &bench.halves(&to_first, rows * dim), &to_sum, HALF);
        let start = bench.draw(dim);
        let gradient = bench.put(&start);
        let arguments = kernels::NormWeight {
            partial: partial.address(),
            gradient: gradient.address(),
            parts: int(NORM_BLOCKS),
        };
        bench.device.launch("norm_weight", ([dim.div_ceil(32), 1, 1], 256, 0), &arguments).expect("runs");
        let exact: Vec<f64> = to_weight.iter().zip(wide(&start)).map(|(a, b)| a + b).collect();
        near("to the weight", &bench.floats(&gradient, dim), &exact, SINGLE);
    }
}

#[test]
fn rotations_there_and_back() {
    if !is_there() {
        return;
    }
    for (heads, kv_heads, head, length) in [(3, 1, 16, 7), (2, 2, 96, 31)] {
        let mut bench = Bench::new(shape(heads, kv_heads, head, 88, 97, true), 11);
        let (tokens, width, half) = (2 * length, bench.shape.qkv(), head / 2);
        let start = bench.draw(tokens * width);
        let (cosines, sines) = bench.shape.angles(length);
        let (qkv, on_cosines, on_sines) = (bench.put_halves(&start), bench.put(&cosines), bench.put(&sines));
        let arguments = kernels::Rope {
            qkv: qkv.address(),
            cosines: on_cosines.address(),
            sines: on_sines.address(),
            tokens: int(tokens),
            length: int(length),
            direction: 1.0,
        };
        let tasks = tokens * (heads + kv_heads) * head / 16;
        bench.each("rope", tasks, &arguments);
        let mut exact = wide(&start);
        for (token, row) in exact.chunks_mut(width).enumerate() {
            for head_of in row[..(heads + kv_heads) * head].chunks_mut(head) {
                for at in 0..half {
                    let angle = token % length * half + at;
                    let (cosine, sine) = (f64::from(cosines[angle]), f64::from(sines[angle]));
                    let (x, y) = (head_of[at], head_of[at + half]);
                    (head_of[at], head_of[at + half]) = (x * cosine - y * sine, y * cosine + x * sine);
                }
            }
        }
        near("rotated", &bench.halves(&qkv, tokens * width), &exact, HALF);
        bench.each("rope", tasks, &kernels::Rope { direction: -1.0, ..arguments });
        near("rotated back", &bench.halves(&qkv, tokens * width), &wide(&start), 2.0 * HALF);
    }
}

#[test]
fn swiglu_and_its_gradient() {
    if !is_there() {
        return;
    }
    for (ffn, rows) in [(8, 3), (344, 29)] {
        let mut bench = Bench::new(shape(2, 1, 16, ffn, 97, true), 13);
        let mut both = bench.draw(rows * 2 * ffn);
        for x in &mut both {
            *x *= 8.0;
        }
        let gradient = bench.draw(rows * ffn);
        let (gate_up, hidden) = (bench.put_halves(&both), bench.put_halves(&vec![0.0; rows * ffn]));
        let arguments = |hidden: &Buffer| kernels::Swiglu {
            gate_up: gate_up.address(),
            hidden: hidden.address(),
            rows: int(rows),
        };
        bench.each("swiglu_forward", rows * ffn / 8, &arguments(&hidden));
        let (mut exact, mut to_both) = (Vec::new(), Vec::new());
        for (row, gradient) in both.chunks(2 * ffn).zip(gradient.chunks(ffn)) {
            let (gate, up) = row.split_at(ffn);
            let share = |at: usize| 1.0 / (1.0 + (-f64::from(gate[at])).exp());
            let silu = |at: usize| f64::from(gate[at]) * share(at);
            let slope = |at: usize| share(at) * (1.0 + f64::from(gate[at]) * (1.0 - share(at)));
            exact.extend((0..ffn).map(|at| silu(at) * f64::from(up[at])));
            to_both.extend((0..ffn).map(|at| f64::from(gradient[at]) * f64::from(up[at]) * slope(at)));
            to_both.extend((0..ffn).map(|at| f64::from(gradient[at]) * silu(at)));
        }
        near("hidden", &bench.halves(&hidden, rows * ffn), &exact, HALF);
        let hidden = bench.put_halves(&gradient);
        bench.each("swiglu_backward", rows * ffn / 8, &arguments(&hidden));
        near("to gate and up", &bench.halves(&gate_up, rows * 2 * ffn), &to_both, HALF);
    }
}

/// Attention of one head in 64 bits: the output, and the gradients of queries, keys and values.
struct Plain {
    output: Vec<f64>,
    to: [Vec<f64>; 3],
}

fn plain(head: usize, first: &[i32], [query, key, value, gradient]: [&[f64]; 4]) -> Plain {
    let (length, scale) = (first.len(), 1.0 / (head as f64).sqrt());
    let row = |numbers: &[f64], at: usize| numbers[at * head..(at + 1) * head].to_vec();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut found =
        Plain { output: vec![0.0; length * head], to: [(); 3].map(|()| vec![0.0; length * head]) };
    for at in 0..length {
        let seen = usize::try_from(first[at]).expect("a position")..at + 1;
        let scores: Vec<f64> =
            seen.clone().map(|key_at| scale * dot(&row(query, at), &row(key, key_at))).collect();
        let most = scores.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = scores.iter().map(|score| (score - most).exp()).sum();
        let weights: Vec<f64> = scores.iter().map(|score| (score - most).exp() / sum).collect();
        for (key_at, weight) in seen.clone().zip(&weights) {
            for i in 0..head {
                found.output[at * head + i] += weight * value[key_at * head + i];
            }
        }
        let own = dot(&row(&found.output, at), &row(gradient, at));
        for (key_at, weight) in seen.zip(&weights) {
            let pull = weight * (dot(&row(gradient, at), &row(value, key_at)) - own) * scale;
            for i in 0..head {
                found.to[0][at * head + i] += pull * key[key_at * head + i];
                found.to[1][key_at * head + i] += pull * query[at * head + i];
                found.to[2][key_at * head + i] += weight * gradient[at * head + i];
            }
        }
    }
    found
}

#[test]
fn attention_and_its_gradients() {
    if !is_there() {
        return;
    }
    let cases = [
        (4, 2, 16, 1, false),
        (2, 1, 64, 129, true),
        (1, 1, 96, 70, false),
        (2, 2, 128, 65, true),
        (3, 1, 32, 257, false),
    ];
    for (heads, kv_heads, head, length, masked) in cases {
        let mut bench = Bench::new(shape(heads, kv_heads, head, 88, 97, true), length as u64);
        let (sequences, width, dim) = (2, bench.shape.qkv(), bench.shape.dim);
        let tokens = sequences * length;
        let mut qkv = bench.draw(tokens * width);
        // Scores that differ.
        for x in &mut qkv {
            *x *= 2.0;
        }
        let gradient = bench.draw(tokens * dim);
        // Documents of odd lengths.
        let first: Vec<i32> = (0..tokens).map(|token| int(token % length / 23 * 23)).collect();
        let first = if masked { first } else { vec![0; tokens] };
        let (on_qkv, on_first, on_gradient) =
            (bench.put_halves(&qkv), bench.put(&first), bench.put_halves(&gradient));
        let (attended, to_qkv) =
            (bench.put_halves(&vec![0.0; tokens * dim]), bench.put_halves(&vec![0.0; tokens * width]));
        let (log_sums, dots) = (bench.empty(tokens * heads), bench.empty(tokens * heads));
        let first_address = if masked { on_first.address() } else { 0 };
        let plain_scale = 1.0 / (head as f32).sqrt();
        let scale = plain_scale * std::f32::consts::LOG2_E;
        let arguments = kernels::Attention {
            qkv: on_qkv.address(),
            attended: attended.address(),
            log_sums: log_sums.address(),
            first: first_address,
            length: int(length),
            scale,
        };
        let tile = kernels::query_tile(&bench.shape);
        let grid = [length.div_ceil(tile), heads, sequences];
        let shared = kernels::tile_bytes(&bench.shape, tile + 4 * TILE);
        bench.device.launch("attention_forward", (grid, 128, shared), &arguments).expect("runs");
        let arguments = kernels::AttentionDots {
            attended: attended.address(),
            to_attended: on_gradient.address(),
            dots: dots.address(),
            tokens: int(tokens),
            length: int(length),
        };
        bench.each("attention_dots", tokens * heads, &arguments);
        let arguments = kernels::AttentionBackward {
            qkv: on_qkv.address(),
            to_attended: on_gradient.address(),
            log_sums: log_sums.address(),
            dots: dots.address(),
            first: first_address,
            to_qkv: to_qkv.address(),
            length: int(length),
            scale,
            plain_scale,
        };
        let (tiles, shared) = (length.div_ceil(TILE), kernels::tile_bytes(&bench.shape, 6 * TILE));
        for (name, heads) in [("attention_to_queries", heads), ("attention_to_keys", kv_heads)] {
            bench.device.launch(name, ([tiles, heads, sequences], 128, shared), &arguments).expect("runs");
        }
        let (mut output, mut to) = (vec![0.0; tokens * dim], vec![0.0; tokens * width]);
        let part = |numbers: &[f32], width: usize, sequence: usize, column: usize| -> Vec<f64> {
            let rows = numbers[sequence * length * width..(sequence + 1) * length * width].chunks(width);
            rows.flat_map(|row| wide(&row[column..column + head])).collect()
        };
        for sequence in 0..sequences {
            for number in 0..heads {
                let columns =
                    [number, heads + number * kv_heads / heads, heads + kv_heads + number * kv_heads / heads];
                let columns = columns.map(|column| column * head);
                let [query, key, value] = columns.map(|column| part(&qkv, width, sequence, column));
                let gradient = part(&gradient, dim, sequence, number * head);
                let first = &first[sequence * length..(sequence + 1) * length];
                let found = plain(head, first, [&query, &key, &value, &gradient]);
                for at in 0..length {
                    for i in 0..head {
                        let token = sequence * length + at;
                        output[token * dim + number * head + i] = found.output[at * head + i];
                        for (to_part, column) in found.to.iter().zip(columns) {
                            to[token * width + column + i] += to_part[at * head + i];
                        }
                    }
                }
            }
        }
        // Weights are rounded to 16 bits before they meet the values.
        near("attended", &bench.halves(&attended, tokens * dim), &output, 1e-2);
        near("to queries, keys and values", &bench.halves(&to_qkv, tokens * width), &to, 1.5e-2);
    }
}

#[test]
fn cross_entropy_and_its_sum() {
    if !is_there() {
        return;
    }
    for (vocab, rows) in [(97, 5), (2049, 11), (5000, 3)] {
        let mut bench = Bench::new(shape(2, 1, 16, 88, vocab, true), vocab as u64);
        let stride = kernels::logit_stride(&bench.shape);
        let mut logits = bench.draw(rows * stride);
        for x in &mut logits {
            *x *= 16.0;
        }
        let targets: Vec<u32> = (0..rows)
            .map(|row| if row == 1 { IGNORED } else { u32::try_from(row * 31 % vocab).expect("small") })
            .collect();
        let (on_logits, on_targets) = (bench.put_halves(&logits), bench.put(&targets));
        let (losses, scale, total) = (bench.empty(rows), bench.put(&[0.25_f32]), bench.put(&[100.0_f64]));
        let mut arguments = kernels::CrossEntropy {
            logits: on_logits.address(),
            targets: on_targets.address(),
            losses: losses.address(),
            scale: 0,
        };
        let (mut exact, mut gradients) = (Vec::new(), Vec::new());
        for (row, &target) in logits.chunks(stride).zip(&targets) {
            let row = wide(&row[..vocab]);
            let most = row.iter().copied().fold(f64::MIN, f64::max);
            let log_sum = most + row.iter().map(|x| (x - most).exp()).sum::<f64>().ln();
            let counts = target != IGNORED;
            exact.push(if counts { log_sum - row[target as usize] } else { 0.0 });
            gradients.extend(row.iter().zip(0..).map(|(x, id)| {
                let share = (x - log_sum).exp() - if id == target { 1.0 } else { 0.0 };
                if counts { 0.25 * share } else { 0.0 }
            }));
        }
        let grid = ([rows, 1, 1], 256, 0);
        bench.device.launch("cross_entropy", grid, &arguments).expect("runs");
        near("losses", &bench.floats(&losses, rows), &exact, SINGLE);
        assert_eq!(bench.halves(&on_logits, rows * stride), logits, "measuring leaves logits as they are");
        arguments.scale = scale.address();
        bench.device.launch("cross_entropy", grid, &arguments).expect("runs");
        near("losses", &bench.floats(&losses, rows), &exact, SINGLE);
        let found = bench.halves(&on_logits, rows * stride);
        let found: Vec<f32> = found.chunks(stride).flat_map(|row| row[..vocab].to_vec()).collect();
        near("to the logits", &found, &gradients, HALF);
        let arguments =
            kernels::SumLosses { losses: losses.address(), total: total.address(), count: int(rows) };
        bench.device.launch("sum_losses", ([1, 1, 1], 256, 0), &arguments).expect("runs");
        let mut sum = [0.0_f64];
        bench.device.read(&mut sum, &total).expect("read");
        let exact = 100.0 + wide(&bench.floats(&losses, rows)).iter().sum::<f64>();
        assert!((sum[0] - exact).abs() < 1e-9, "{} {exact}", sum[0]);
    }
}

#[test]
fn embeddings_and_their_gradient() {
    if !is_there() {
        return;
    }
    for (heads, head, rows) in [(3, 16, 50), (9, 32, 130)] {
        let shape = shape(heads, 1, head, 88, 40, true);
        let mut bench = Bench::new(shape.clone(), 17);
        let dim = shape.dim;
        let (table, to_stream, start) = (bench.draw(40 * dim), bench.draw(rows * dim), bench.draw(40 * dim));
        let tokens = Data::new(&shape, 1, rows, false, 9).inputs;
        let (on_tokens, on_table) = (bench.put(&tokens), bench.put_halves(&table));
        let stream = bench.put_halves(&vec![0.0; rows * dim]);
        let arguments = kernels::EmbedForward {
            tokens: on_tokens.address(),
            table: on_table.address(),
            stream: stream.address(),
            rows: int(rows),
        };
        bench.each("embed_forward", rows * 32, &arguments);
        let row = |id: &u32| table[*id as usize * dim..(*id as usize + 1) * dim].to_vec();
        assert_eq!(bench.halves(&stream, rows * dim), tokens.iter().flat_map(row).collect::<Vec<f32>>());

        let mut order: Vec<u32> = (0..).take(rows).collect();
        order.sort_by_key(|&at| (tokens[at as usize], at));
        let mut different = tokens.clone();
        different.sort_unstable();
        different.dedup();
        let before =
            |id: u32| u32::try_from(tokens.iter().filter(|&&token| token < id).count()).expect("small");
        let starts: Vec<u32> =
            different.iter().map(|&id| before(id)).chain([u32::try_from(rows).expect("small")]).collect();
        let count = bench.put(&[u32::try_from(different.len()).expect("small")]);
        let [on_order, on_starts, on_different] =
            [&order, &starts, &different].map(|numbers| bench.put(numbers));
        let (on_gradient, gradients) = (bench.put_halves(&to_stream), bench.put(&start));
        let arguments = kernels::EmbedBackward {
            order: on_order.address(),
            starts: on_starts.address(),
            tokens: on_different.address(),
            count: count.address(),
            to_stream: on_gradient.address(),
            gradients: gradients.address(),
        };
        // Fewer warps than tasks, so that they take several.
        bench.device.launch("embed_backward", ([2, 1, 1], 256, 0), &arguments).expect("runs");
        let mut exact = wide(&start);
        for (gradient, &id) in to_stream.chunks(dim).zip(&tokens) {
            for (at, &x) in gradient.iter().enumerate() {
                exact[id as usize * dim + at] += f64::from(x);
            }
        }
        near("to the table", &bench.floats(&gradients, 40 * dim), &exact, SINGLE);
    }
}

#[test]
fn adamw_norm_and_rounding() {
    if !is_there() {
        return;
    }
    let shape = shape(3, 1, 16, 88, 43, false);
    let mut model = Model::new(shape.clone(), 3);
    let count = model.parameters().len();
    let mut bench = Bench::new(shape, 19);
    let gradients = bench.draw(count);
    let decays: Vec<u8> = model
        .tensors()
        .iter()
        .flat_map(|tensor| std::iter::repeat_n(u8::from(tensor.decay), tensor.range().len() / 48))
        .collect();
    let (parameters, on_gradients) = (bench.put(model.parameters()), bench.put(&gradients));
    let (mean, square) = (bench.put(&vec![0.0_f32; count]), bench.put(&vec![0.0_f32; count]));
    let (rounded_too, on_decays) = (bench.put_halves(&vec![0.0; count]), bench.put(&decays));
    let (mut optimizer, mut other) = (AdamW::new(count), AdamW::new(count));
    for step in 0..3 {
        let factors = other.next(0.1);
        let arguments = kernels::Adamw {
            parameters: parameters.address(),
            rounded: rounded_too.address(),
            gradients: on_gradients.address(),
            mean: mean.address(),
            square: square.address(),
            decays: on_decays.address(),
            count: count as u64,
            keep: factors.keep,
            step: factors.step,
            root: factors.root,
            beta1: 0.9,
            beta2: 0.95,
            eps: 1e-8,
            scale: 0.5,
        };
        bench.device.launch("adamw", ([count.div_ceil(1024), 1, 1], 256, 0), &arguments).expect("runs");
        optimizer.update(&mut model, &gradients, 0.1, 0.5);
        let found = bench.floats(&parameters, count);
        near("weights", &found, &wide(model.parameters()), 1e-6 * f64::from(step + 1));
        let copy = bench.halves(&rounded_too, count);
        assert!(
            found.iter().zip(copy).all(|(&x, copy)| rounded(x).to_bits() == copy.to_bits()),
            "the copy is the rounded weight"
        );
    }
    near("means", &bench.floats(&mean, count), &wide(optimizer.moments().0), 1e-6);
    near("mean squares", &bench.floats(&square, count), &wide(optimizer.moments().1), 1e-6);
    let arguments =
        kernels::Round { from: on_gradients.address(), to: rounded_too.address(), count: count as u64 };
    bench.device.launch("round_weights", ([count.div_ceil(2048), 1, 1], 256, 0), &arguments).expect("runs");
    assert_eq!(bench.halves(&rounded_too, count), gradients);
    let (partial, total) = (bench.put(&[0.0_f64; 7]), bench.put(&[0.0_f64]));
    let arguments = kernels::Squares {
        gradients: on_gradients.address(),
        partial: partial.address(),
        count: count as u64,
    };
    bench.device.launch("squares", ([7, 1, 1], 256, 0), &arguments).expect("runs");
    let arguments = kernels::SumSquares { partial: partial.address(), total: total.address(), count: 7 };
    bench.device.launch("sum_squares", ([1, 1, 1], 256, 0), &arguments).expect("runs");
    let mut sum = [0.0_f64];
    bench.device.read(&mut sum, &total).expect("read");
    let exact: f64 = wide(&gradients).iter().map(|x| x * x).sum();
    assert!((sum[0] - exact).abs() < 1e-9 * exact, "{} {exact}", sum[0]);
}
