//! A model on one GPU: weights, moments, gradients, activations, and the way forward and back.
//!
//! Products read weights that are rounded to 16 bits; the weights themselves, gradients and moments have 32. Forward keeps, per block and token,
//! the residual stream before each half and what the products of the backward pass read: `5 dim + qkv + 3 ffn` numbers of 16 bits. With
//! `recompute` it keeps only the stream before each block and computes the rest again. Logits are made in pieces of [`LOGIT_ROWS`]
//! tokens and turned into their own gradient.
//!
//! The first batch of a size runs launch by launch, the second is recorded, from then on the recording runs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use super::driver::{Buffer, Device, Graph, Times};
use super::kernels::{self, NORM_BLOCKS, SQUARE_BLOCKS, TILE};
use super::multiply::{Choices, Kind, Multiplier, Places, Product};
use super::{Options, Trouble};
use crate::train::model::{Batch, Model, Shape, first_seen};
use crate::train::optimizer::{AdamW, Factors};

/// Tokens whose logits are held at once.
const LOGIT_ROWS: usize = 8192;
/// Blocks that add up the embedding's gradient.
const EMBED_BLOCKS: usize = 1056;
const LOG2_E: f32 = std::f32::consts::LOG2_E;

/// What backward reads of a block.
#[derive(Debug)]
struct Kept {
    normed: Buffer,
    factors: Buffer,
    qkv: Buffer,
    attended: Buffer,
    log_sums: Buffer,
    /// The residual stream before the feed-forward part.
    middle: Buffer,
    middle_normed: Buffer,
    middle_factors: Buffer,
    gate_up: Buffer,
    hidden: Buffer,
}

/// The batch on the GPU.
#[derive(Debug)]
struct Inputs {
    tokens: Buffer,
    targets: Buffer,
    first: Buffer,
    order: Buffer,
    starts: Buffer,
    different: Buffer,
    count: Buffer,
    scale: Buffer,
}

/// Sizes of a batch, which a recording is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Size {
    sequences: usize,
    length: usize,
    masked: bool,
    /// Whether algorithms are timed: for training, where sizes repeat.
    timed: bool,
}

impl Size {
    fn tokens(self) -> usize {
        self.sequences * self.length
    }
}

/// Fields are dropped from the first to the last.
#[derive(Debug)]
pub(super) struct Replica {
    /// None: it ran once.
    graphs: RefCell<BTreeMap<Size, Option<Graph>>>,
    multiplier: Multiplier,
    shape: Shape,
    places: crate::train::model::Layout,
    recompute: bool,
    /// Tokens that fit.
    capacity: usize,
    parameters: Buffer,
    rounded: Buffer,
    pub(super) gradients: Buffer,
    mean: Buffer,
    square: Buffer,
    decays: Buffer,
    /// The residual stream before each block, and behind the last.
    streams: Vec<Buffer>,
    kept: Vec<Kept>,
    inputs: Inputs,
    delta: Buffer,
    normed: Buffer,
    factors: Buffer,
    to_stream: Buffer,
    to_normed: Buffer,
    to_hidden: Buffer,
    to_qkv: Buffer,
    dots: Buffer,
    logits: Buffer,
    losses: Buffer,
    partial: Buffer,
    squares: Buffer,
    cosines: Buffer,
    sines: Buffer,
    /// Sum of the losses, and of the squares of the gradient.
    pub(super) total: Buffer,
    pub(super) device: Device,
}

fn int(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

impl Replica {
    /// The model on GPU `number`.
    pub(super) fn new(
        number: usize,
        model: &Model,
        options: &Options,
        choices: Rc<RefCell<Choices>>,
    ) -> Result<Self, Trouble> {
        let shape = model.shape().clone();
        let mut device = Device::open(number)?;
        kernels::check(&shape, usize::try_from(device.shared).unwrap_or(0))?;
        let (image, _) = kernels::compile(&shape, device.capability)?;
        device.load(&image)?;
        let multiplier = Multiplier::new(&device, choices)?;
        let capacity = options.micro_tokens.max(shape.context);
        let (dim, ffn, layers) = (shape.dim, shape.ffn, shape.layers);
        let count = model.parameters().len();
        let weights = |bytes: usize| device.allocate(bytes, "weights, gradients and moments");
        // 16-bit numbers per token.
        let halves = |width: usize| device.allocate(capacity * width * 2, "activations");
        let singles = |width: usize| device.allocate(capacity * width * 4, "activations");
        let kept = || -> Result<Kept, Trouble> {
            Ok(Kept {
                normed: halves(dim)?,
                factors: singles(1)?,
                qkv: halves(shape.qkv())?,
                attended: halves(dim)?,
                log_sums: singles(shape.heads)?,
                middle: halves(dim)?,
                middle_normed: halves(dim)?,
                middle_factors: singles(1)?,
                gate_up: halves(2 * ffn)?,
                hidden: halves(ffn)?,
            })
        };
        let replica = Self {
            graphs: RefCell::default(),
            recompute: options.recompute,
            capacity,
            parameters: weights(count * 4)?,
            rounded: weights(count * 2)?,
            gradients: weights(count * 4)?,
            mean: weights(count * 4)?,
            square: weights(count * 4)?,
            decays: weights(count / dim)?,
            streams: (0..=layers).map(|_| halves(dim)).collect::<Result<_, _>>()?,
            kept: (0..if options.recompute { 1 } else { layers })
                .map(|_| kept())
                .collect::<Result<_, _>>()?,
            inputs: Inputs {
                tokens: singles(1)?,
                targets: singles(1)?,
                first: singles(1)?,
                order: singles(1)?,
                starts: device.allocate((capacity + 1) * 4, "activations")?,
                different: singles(1)?,
                count: device.allocate(4, "activations")?,
                scale: device.allocate(4, "activations")?,
            },
            delta: halves(dim)?,
            normed: halves(dim)?,
            factors: singles(1)?,
            to_stream: halves(dim)?,
            to_normed: halves(dim)?,
            to_hidden: halves(ffn)?,
            to_qkv: halves(shape.qkv())?,
            dots: singles(shape.heads)?,
            logits: device
                .allocate(LOGIT_ROWS.min(capacity) * kernels::logit_stride(&shape) * 2, "logits")?,
            losses: singles(1)?,
            partial: device.allocate(NORM_BLOCKS * dim * 4, "activations")?,
            squares: device.allocate(SQUARE_BLOCKS * 8, "activations")?,
            cosines: device.allocate(capacity * shape.head() * 2, "activations")?,
            sines: device.allocate(capacity * shape.head() * 2, "activations")?,
            total: device.allocate(16, "activations")?,
            places: model.layout().clone(),
            multiplier,
            shape,
            device,
        };
        let decays = model
            .tensors()
            .iter()
            .flat_map(|tensor| std::iter::repeat_n(u8::from(tensor.decay), tensor.range().len() / dim));
        replica.device.write(&replica.decays, &decays.collect::<Vec<u8>>())?;
        let (cosines, sines) = replica.shape.angles(replica.shape.context);
        replica.device.write(&replica.cosines, &cosines)?;
        replica.device.write(&replica.sines, &sines)?;
        Ok(replica)
    }

    /// Takes weights and moments from the host.
    pub(super) fn upload(&self, model: &Model, optimizer: &AdamW) -> Result<(), Trouble> {
        self.device.choose()?;
        let (mean, square) = optimizer.moments();
        self.device.write(&self.parameters, model.parameters())?;
        self.device.write(&self.mean, mean)?;
        self.device.write(&self.square, square)?;
        let count = model.parameters().len();
        let arguments = kernels::Round {
            from: self.parameters.address(),
            to: self.rounded.address(),
            count: count as u64,
        };
        self.device.launch("round_weights", ([count.div_ceil(2048), 1, 1], 256, 0), &arguments)?;
        self.device.wait()
    }

    /// Brings weights and moments to the host.
    pub(super) fn download(&self, model: &mut Model, optimizer: &mut AdamW) -> Result<(), Trouble> {
        self.device.choose()?;
        let count = model.parameters().len();
        let (mut mean, mut square) = (vec![0.0_f32; count], vec![0.0_f32; count]);
        self.device.read(model.parameters_mut(), &self.parameters)?;
        self.device.read(&mut mean, &self.mean)?;
        self.device.read(&mut square, &self.square)?;
        optimizer.restore(mean, square, optimizer.steps());
        Ok(())
    }

    /// Empties gradients and sums: a step begins, in which each loss counts `scale`.
    pub(super) fn begin(&self, scale: f32) -> Result<(), Trouble> {
        self.device.choose()?;
        self.device.clear(&self.gradients)?;
        self.device.clear(&self.total)?;
        self.device.write(&self.inputs.scale, &[scale])
    }

    /// Adds the gradient of a batch, and its losses.
    pub(super) fn train(&self, batch: &Batch) -> Result<(), Trouble> {
        self.device.choose()?;
        let size = self.bring(batch, true)?;
        let mut graphs = self.graphs.borrow_mut();
        match graphs.get(&size) {
            None => {
                self.forward(size)?;
                self.head(size, true)?;
                self.backward(size)?;
                graphs.insert(size, None);
            }
            Some(None) => {
                let graph = self.device.record(|| {
                    self.forward(size)?;
                    self.head(size, true)?;
                    self.backward(size)
                })?;
                self.device.replay(&graph)?;
                graphs.insert(size, Some(graph));
            }
            Some(Some(graph)) => self.device.replay(graph)?,
        }
        Ok(())
    }

    /// Adds the gradient of a batch, launch by launch, each timed.
    pub(super) fn profile(&self, batch: &Batch) -> Result<Times, Trouble> {
        self.device.choose()?;
        let size = self.bring(batch, true)?;
        self.device.profile(|| {
            self.forward(size)?;
            self.head(size, true)?;
            self.backward(size)
        })
    }

    /// The loss of each position in nats.
    pub(super) fn losses(&self, batch: &Batch) -> Result<Vec<f32>, Trouble> {
        self.device.choose()?;
        let mut losses = Vec::with_capacity(batch.inputs.len());
        let fit = self.capacity / batch.length;
        for row in (0..batch.rows).step_by(fit.max(1)) {
            let rows = fit.min(batch.rows - row);
            let range = row * batch.length..(row + rows) * batch.length;
            let part = Batch {
                rows,
                length: batch.length,
                inputs: &batch.inputs[range.clone()],
                targets: &batch.targets[range.clone()],
                documents: batch.documents.map(|documents| &documents[range.clone()]),
            };
            let size = self.bring(&part, false)?;
            self.forward(size)?;
            self.head(size, false)?;
            let mut found = vec![0.0_f32; range.len()];
            self.device.read(&mut found, &self.losses)?;
            losses.extend(found);
        }
        Ok(losses)
    }

    /// Leaves the sum of the squares of the gradient behind the sum of the losses.
    pub(super) fn square_sum(&self) -> Result<(), Trouble> {
        self.device.choose()?;
        let count = self.places.size as u64;
        let blocks = SQUARE_BLOCKS.min(self.places.size.div_ceil(1024));
        let (gradients, partial) = (self.gradients.address(), self.squares.address());
        let arguments = kernels::Squares { gradients, partial, count };
        self.device.launch("squares", ([blocks, 1, 1], 256, 0), &arguments)?;
        let arguments = kernels::SumSquares { partial, total: self.total.at(8), count: int(blocks) };
        self.device.launch("sum_squares", ([1, 1, 1], 256, 0), &arguments)
    }

    /// Numbers in the model.
    pub(super) fn parameter_count(&self) -> usize {
        self.places.size
    }

    /// Changes the weights.
    pub(super) fn update(&self, factors: &Factors, optimizer: &AdamW, scale: f32) -> Result<(), Trouble> {
        self.device.choose()?;
        let arguments = kernels::Adamw {
            parameters: self.parameters.address(),
            rounded: self.rounded.address(),
            gradients: self.gradients.address(),
            mean: self.mean.address(),
            square: self.square.address(),
            decays: self.decays.address(),
            count: self.places.size as u64,
            keep: factors.keep,
            step: factors.step,
            root: factors.root,
            beta1: optimizer.beta1,
            beta2: optimizer.beta2,
            eps: optimizer.eps,
            scale,
        };
        self.device.launch("adamw", ([self.places.size.div_ceil(1024), 1, 1], 256, 0), &arguments)
    }

    /// Copies a batch to the GPU.
    fn bring(&self, batch: &Batch, timed: bool) -> Result<Size, Trouble> {
        let tokens = batch.rows * batch.length;
        assert!(tokens <= self.capacity && batch.length <= self.shape.context, "the batch fits");
        assert!(batch.inputs.iter().all(|&id| (id as usize) < self.shape.vocab), "ids are in the vocabulary");
        let inputs = &self.inputs;
        self.device.write(&inputs.tokens, batch.inputs)?;
        self.device.write(&inputs.targets, batch.targets)?;
        if batch.documents.is_some() {
            let first = first_seen(batch.rows, batch.length, batch.documents);
            self.device.write(&inputs.first, &first.into_iter().map(int).collect::<Vec<i32>>())?;
        }
        if timed {
            let mut order: Vec<(u32, u32)> = batch.inputs.iter().copied().zip(0..).collect();
            order.sort_unstable();
            let (mut starts, mut different) = (Vec::new(), Vec::new());
            for (&(token, _), at) in order.iter().zip(0_u32..) {
                if different.last() != Some(&token) {
                    different.push(token);
                    starts.push(at);
                }
            }
            starts.push(u32::try_from(order.len()).unwrap_or(u32::MAX));
            let positions: Vec<u32> = order.into_iter().map(|(_, position)| position).collect();
            self.device.write(&inputs.order, &positions)?;
            self.device.write(&inputs.starts, &starts)?;
            self.device.write(&inputs.different, &different)?;
            self.device.write(&inputs.count, &[u32::try_from(different.len()).unwrap_or(u32::MAX)])?;
        }
        let masked = batch.documents.is_some();
        Ok(Size { sequences: batch.rows, length: batch.length, masked, timed })
    }

    fn weight(&self, range: &Range<usize>) -> u64 {
        self.rounded.at(range.start * 2)
    }

    fn gradient(&self, range: &Range<usize>) -> u64 {
        self.gradients.at(range.start * 4)
    }

    fn product(
        &self,
        size: Size,
        kind: Kind,
        (out, input): (usize, usize),
        places: Places,
    ) -> Result<(), Trouble> {
        let product = Product { kind, rows: size.tokens(), out, input, y_stride: out };
        self.multiply(size, product, places)
    }

    fn multiply(&self, size: Size, product: Product, places: Places) -> Result<(), Trouble> {
        self.multiplier.multiply(&self.device, (product, size.timed), places)
    }

    /// One kernel, as many threads as tasks.
    fn each<T: Copy>(&self, name: &'static str, tasks: usize, arguments: &T) -> Result<(), Trouble> {
        self.device.launch(name, ([tasks.div_ceil(256), 1, 1], 256, 0), arguments)
    }

    /// The norm of `stream`, or of the sum of `stream` and `delta`, which is left in `sum`.
    fn norm(
        &self,
        size: Size,
        (stream, delta): (&Buffer, Option<(&Buffer, &Buffer)>),
        weight: &Range<usize>,
        (normed, factors): (&Buffer, &Buffer),
    ) -> Result<(), Trouble> {
        let arguments = kernels::NormForward {
            stream: stream.address(),
            delta: delta.map_or(0, |(delta, _)| delta.address()),
            sum: delta.map_or(0, |(_, sum)| sum.address()),
            weight: self.parameters.at(weight.start * 4),
            normed: normed.address(),
            factors: factors.address(),
            rows: int(size.tokens()),
            eps: self.shape.norm_eps,
        };
        // A warp for each row.
        self.each("norm_forward", size.tokens() * 32, &arguments)
    }

    /// From the gradient of the norm's output to that of the stream, added to what `before` says.
    fn norm_backward(
        &self,
        size: Size,
        (stream, factors): (&Buffer, &Buffer),
        weight: &Range<usize>,
        before: Option<&Buffer>,
    ) -> Result<(), Trouble> {
        let arguments = kernels::NormBackward {
            stream: stream.address(),
            factors: factors.address(),
            weight: self.parameters.at(weight.start * 4),
            gradient: self.to_normed.address(),
            before: before.map_or(0, Buffer::address),
            to_stream: self.to_stream.address(),
            partial: self.partial.address(),
            rows: int(size.tokens()),
        };
        let blocks = NORM_BLOCKS.min(size.tokens().div_ceil(8));
        self.device.launch("norm_backward", ([blocks, 1, 1], 256, 0), &arguments)?;
        let arguments = kernels::NormWeight {
            partial: self.partial.address(),
            gradient: self.gradient(weight),
            parts: int(blocks),
        };
        self.device.launch("norm_weight", ([self.shape.dim.div_ceil(32), 1, 1], 256, 0), &arguments)
    }

    fn rope(&self, size: Size, qkv: &Buffer, direction: f32) -> Result<(), Trouble> {
        let shape = &self.shape;
        let arguments = kernels::Rope {
            qkv: qkv.address(),
            cosines: self.cosines.address(),
            sines: self.sines.address(),
            tokens: int(size.tokens()),
            length: int(size.length),
            direction,
        };
        let vectors = (shape.heads + shape.kv_heads) * shape.head() / 16;
        self.each("rope", size.tokens() * vectors, &arguments)
    }

    fn swiglu(
        &self,
        name: &'static str,
        size: Size,
        gate_up: &Buffer,
        hidden: &Buffer,
    ) -> Result<(), Trouble> {
        let (gate_up, hidden) = (gate_up.address(), hidden.address());
        let arguments = kernels::Swiglu { gate_up, hidden, rows: int(size.tokens()) };
        self.each(name, size.tokens() * self.shape.ffn / 8, &arguments)
    }

    fn first(&self, size: Size) -> u64 {
        if size.masked { self.inputs.first.address() } else { 0 }
    }

    /// Of the scores.
    fn scale(&self) -> f32 {
        1.0 / (self.shape.head() as f32).sqrt()
    }

    fn kept(&self, layer: usize) -> &Kept {
        &self.kept[if self.recompute { 0 } else { layer }]
    }

    fn forward(&self, size: Size) -> Result<(), Trouble> {
        let arguments = kernels::EmbedForward {
            tokens: self.inputs.tokens.address(),
            table: self.weight(&self.places.embedding),
            stream: self.streams[0].address(),
            rows: int(size.tokens()),
        };
        self.each("embed_forward", size.tokens() * 32, &arguments)?;
        for layer in 0..self.shape.layers {
            let delta = (layer > 0).then(|| self.kept(layer - 1));
            self.block(size, layer, delta)?;
            let (kept, places) = (self.kept(layer), &self.places.blocks[layer]);
            let (x, y) = (kept.hidden.address(), self.delta.address());
            let places = Places { x, w: self.weight(&places.down), y };
            self.product(size, Kind::Forward, (self.shape.dim, self.shape.ffn), places)?;
        }
        Ok(())
    }

    /// A block up to what goes into its last product. `before`: what the block before it kept, whose output is still to be added.
    fn block(&self, size: Size, layer: usize, before: Option<&Kept>) -> Result<(), Trouble> {
        let (shape, places, kept) = (&self.shape, &self.places.blocks[layer], self.kept(layer));
        let (dim, ffn, qkv) = (shape.dim, shape.ffn, shape.qkv());
        let stream = &self.streams[layer];
        let source = before.map_or((stream, None), |before| (&before.middle, Some((&self.delta, stream))));
        self.norm(size, source, &places.attention_norm, (&kept.normed, &kept.factors))?;
        let product = Places { x: kept.normed.address(), w: self.weight(&places.qkv), y: kept.qkv.address() };
        self.product(size, Kind::Forward, (qkv, dim), product)?;
        self.rope(size, &kept.qkv, 1.0)?;
        let arguments = kernels::Attention {
            qkv: kept.qkv.address(),
            attended: kept.attended.address(),
            log_sums: kept.log_sums.address(),
            first: self.first(size),
            length: int(size.length),
            scale: self.scale() * LOG2_E,
        };
        let tile = kernels::query_tile(shape);
        let grid = [size.length.div_ceil(tile), shape.heads, size.sequences];
        let shared = kernels::tile_bytes(shape, tile + 4 * TILE);
        self.device.launch("attention_forward", (grid, 128, shared), &arguments)?;
        let product =
            Places { x: kept.attended.address(), w: self.weight(&places.output), y: self.delta.address() };
        self.product(size, Kind::Forward, (dim, dim), product)?;
        let source = (stream, Some((&self.delta, &kept.middle)));
        self.norm(size, source, &places.ffn_norm, (&kept.middle_normed, &kept.middle_factors))?;
        let product = Places {
            x: kept.middle_normed.address(),
            w: self.weight(&places.gate_up),
            y: kept.gate_up.address(),
        };
        self.product(size, Kind::Forward, (2 * ffn, dim), product)?;
        self.swiglu("swiglu_forward", size, &kept.gate_up, &kept.hidden)
    }

    /// Final norm, logits and losses; where it trains also their gradient down to the stream.
    fn head(&self, size: Size, trains: bool) -> Result<(), Trouble> {
        let (shape, tokens) = (&self.shape, size.tokens());
        let (dim, vocab, stride) = (shape.dim, shape.vocab, kernels::logit_stride(shape));
        let (last, stream) = (self.kept(shape.layers - 1), &self.streams[shape.layers]);
        let source = (&last.middle, Some((&self.delta, stream)));
        self.norm(size, source, &self.places.norm, (&self.normed, &self.factors))?;
        for from in (0..tokens).step_by(LOGIT_ROWS) {
            let rows = LOGIT_ROWS.min(tokens - from);
            let product = |kind| Product { kind, rows, out: vocab, input: dim, y_stride: stride };
            let (normed, logits) = (self.normed.at(from * dim * 2), self.logits.address());
            let places = Places { x: normed, w: self.weight(&self.places.head), y: logits };
            self.multiply(size, product(Kind::Forward), places)?;
            let arguments = kernels::CrossEntropy {
                logits,
                targets: self.inputs.targets.at(from * 4),
                losses: self.losses.at(from * 4),
                scale: if trains { self.inputs.scale.address() } else { 0 },
            };
            self.device.launch("cross_entropy", ([rows, 1, 1], 256, 0), &arguments)?;
            if trains {
                let to_normed = Places { x: self.to_normed.at(from * dim * 2), ..places };
                self.multiply(size, product(Kind::ToInput), to_normed)?;
                let to_weight = Places { w: self.gradient(&self.places.head), ..places };
                self.multiply(size, product(Kind::ToWeight), to_weight)?;
            }
        }
        if trains {
            let (losses, total) = (self.losses.address(), self.total.address());
            let arguments = kernels::SumLosses { losses, total, count: int(tokens) };
            self.device.launch("sum_losses", ([1, 1, 1], 256, 0), &arguments)?;
            self.norm_backward(size, (stream, &self.factors), &self.places.norm, None)?;
        }
        Ok(())
    }

    fn backward(&self, size: Size) -> Result<(), Trouble> {
        let (shape, to_stream) = (&self.shape, self.to_stream.address());
        let (dim, ffn, qkv) = (shape.dim, shape.ffn, shape.qkv());
        for layer in (0..shape.layers).rev() {
            // What the last block kept is still there.
            if self.recompute && layer + 1 < shape.layers {
                self.block(size, layer, None)?;
            }
            let (places, kept) = (&self.places.blocks[layer], self.kept(layer));
            // Both gradients of a product, whose input was `x` and whose output's gradient is `y`.
            let both = |sizes, x: &Buffer, y: u64, weight: &Range<usize>, to_x: &Buffer| {
                let to_weight = Places { x: x.address(), w: self.gradient(weight), y };
                self.product(size, Kind::ToWeight, sizes, to_weight)?;
                let to_input = Places { x: to_x.address(), w: self.weight(weight), y };
                self.product(size, Kind::ToInput, sizes, to_input)
            };
            both((dim, ffn), &kept.hidden, to_stream, &places.down, &self.to_hidden)?;
            self.swiglu("swiglu_backward", size, &kept.gate_up, &self.to_hidden)?;
            let to_gate_up = kept.gate_up.address();
            both((2 * ffn, dim), &kept.middle_normed, to_gate_up, &places.gate_up, &self.to_normed)?;
            let source = (&kept.middle, &kept.middle_factors);
            self.norm_backward(size, source, &places.ffn_norm, Some(&self.to_stream))?;
            both((dim, dim), &kept.attended, to_stream, &places.output, &self.to_normed)?;
            self.attention_backward(size, kept)?;
            self.rope(size, &self.to_qkv, -1.0)?;
            both((qkv, dim), &kept.normed, self.to_qkv.address(), &places.qkv, &self.to_normed)?;
            let source = (&self.streams[layer], &kept.factors);
            self.norm_backward(size, source, &places.attention_norm, Some(&self.to_stream))?;
        }
        let inputs = &self.inputs;
        let arguments = kernels::EmbedBackward {
            order: inputs.order.address(),
            starts: inputs.starts.address(),
            tokens: inputs.different.address(),
            count: inputs.count.address(),
            to_stream,
            gradients: self.gradient(&self.places.embedding),
        };
        let blocks = EMBED_BLOCKS.min(size.tokens() * dim.div_ceil(256));
        self.device.launch("embed_backward", ([blocks, 1, 1], 256, 0), &arguments)
    }

    /// From the gradient of the attention's output, in `to_normed`, to that of queries, keys and values.
    fn attention_backward(&self, size: Size, kept: &Kept) -> Result<(), Trouble> {
        let shape = &self.shape;
        let arguments = kernels::AttentionDots {
            attended: kept.attended.address(),
            to_attended: self.to_normed.address(),
            dots: self.dots.address(),
            tokens: int(size.tokens()),
            length: int(size.length),
        };
        self.each("attention_dots", size.tokens() * shape.heads, &arguments)?;
        let arguments = kernels::AttentionBackward {
            qkv: kept.qkv.address(),
            to_attended: self.to_normed.address(),
            log_sums: kept.log_sums.address(),
            dots: self.dots.address(),
            first: self.first(size),
            to_qkv: self.to_qkv.address(),
            length: int(size.length),
            scale: self.scale() * LOG2_E,
            plain_scale: self.scale(),
        };
        let (tiles, shared) = (size.length.div_ceil(TILE), kernels::tile_bytes(shape, 6 * TILE));
        let queries = [tiles, shape.heads, size.sequences];
        self.device.launch("attention_to_queries", (queries, 128, shared), &arguments)?;
        let keys = [tiles, shape.kv_heads, size.sequences];
        self.device.launch("attention_to_keys", (keys, 128, shared), &arguments)
    }
}
