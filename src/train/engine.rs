//! What computes: the CPU or GPUs, behind one interface.
//!
//! The model and its optimizer live on the host; on GPUs that copy is behind until [`Engine::fetch`] brings it up to date.

use std::path::PathBuf;

use super::config::Device;
use super::gpu::{self, Machine, Trouble};
use super::model::{Batch, Model, Worker};
use super::optimizer::{self, AdamW};
use crate::error::Result;

/// Where a run wants to compute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// On what.
    pub device: Device,
    /// GPUs that share a step.
    pub gpus: usize,
    /// Most tokens that go through at once; none: what suits the device.
    pub micro_tokens: Option<usize>,
    /// Whether activations are computed again for the backward pass.
    pub recompute: bool,
    /// Where GPUs keep their choice of algorithms.
    pub choices: Option<PathBuf>,
}

impl Wanted {
    /// For measuring only.
    #[must_use]
    pub fn to_judge(device: Device) -> Self {
        Self { device, gpus: 1, micro_tokens: Some(8192), recompute: true, choices: None }
    }
}

/// Tokens that go through at once, where nothing is said.
const CPU_TOKENS: usize = 8192;
const GPU_TOKENS: usize = 32_768;

/// A model with what computes it.
#[derive(Debug)]
pub struct Engine {
    /// The model, as of the last [`Engine::fetch`].
    pub model: Model,
    /// Its optimizer, likewise; the count of steps is always true.
    pub optimizer: AdamW,
    /// What it runs on, in words.
    pub name: String,
    /// Most tokens that go through at once.
    pub micro_tokens: usize,
    side: Side,
}

#[derive(Debug)]
enum Side {
    Cpu { worker: Box<Worker>, gradients: Vec<f32> },
    Gpu(Box<Machine>),
}

impl Engine {
    /// A model where `wanted` says. `auto` takes the CPU where there is no GPU, or none that can do it.
    ///
    /// # Errors
    /// [`Error::User`](crate::error::Error::User) where a GPU is asked for and cannot be had, or has too little memory; [`Error::Failed`](crate::error::Error::Failed) where it does not work.
    pub fn open(model: Model, optimizer: AdamW, wanted: &Wanted) -> Result<Self> {
        let options = gpu::Options {
            gpus: wanted.gpus,
            micro_tokens: wanted.micro_tokens.unwrap_or(GPU_TOKENS),
            recompute: wanted.recompute,
            choices: wanted.choices.clone(),
        };
        let reason = match wanted.device {
            Device::Cpu => None,
            Device::Auto | Device::Cuda => match Machine::open(&model, &optimizer, &options) {
                Ok(machine) => {
                    let (name, micro_tokens) = (machine.name(), options.micro_tokens);
                    return Ok(Self {
                        model,
                        optimizer,
                        name,
                        micro_tokens,
                        side: Side::Gpu(Box::new(machine)),
                    });
                }
                Err(Trouble::Missing(reason) | Trouble::Shape(reason)) if wanted.device == Device::Auto => {
                    Some(reason)
                }
                Err(trouble) => return Err(trouble.into()),
            },
        };
        let name = reason.map_or_else(|| "CPU".to_owned(), |reason| format!("CPU ({reason})"));
        let gradients = vec![0.0; model.parameters().len()];
        let side = Side::Cpu { worker: Box::new(Worker::new(wanted.recompute)), gradients };
        Ok(Self { model, optimizer, name, micro_tokens: wanted.micro_tokens.unwrap_or(CPU_TOKENS), side })
    }

    /// A model to be measured.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn to_judge(model: Model, device: Device) -> Result<Self> {
        let optimizer = AdamW::new(model.parameters().len());
        Self::open(model, optimizer, &Wanted::to_judge(device))
    }

    /// Operations per second that the device could do at most, where that is known.
    #[must_use]
    pub fn peak(&self) -> Option<f64> {
        match &self.side {
            Side::Cpu { .. } => None,
            Side::Gpu(machine) => machine.peak(),
        }
    }

    /// Computes the gradient of the sum of all losses times `scale`; returns that sum in nats, and the gradient's norm.
    ///
    /// # Errors
    /// [`Error::Failed`](crate::error::Error::Failed) where a GPU fails.
    pub fn gradients(&mut self, batches: &[Batch], scale: f32) -> Result<(f64, f64)> {
        match &mut self.side {
            Side::Cpu { worker, gradients } => {
                gradients.fill(0.0);
                let loss =
                    batches.iter().map(|batch| worker.train(&self.model, batch, scale, gradients)).sum();
                Ok((loss, optimizer::norm(gradients)))
            }
            Side::Gpu(machine) => machine.gradients(batches, scale),
        }
    }

    /// Changes the weights by that gradient times `scale`.
    ///
    /// # Errors
    /// [`Error::Failed`](crate::error::Error::Failed) where a GPU fails.
    pub fn update(&mut self, learning_rate: f32, scale: f32) -> Result<()> {
        match &mut self.side {
            Side::Cpu { gradients, .. } => {
                self.optimizer.update(&mut self.model, gradients, learning_rate, scale);
                Ok(())
            }
            Side::Gpu(machine) => machine.update(&mut self.optimizer, learning_rate, scale),
        }
    }

    /// The loss of each position in nats, 0 where the target does not count.
    ///
    /// # Errors
    /// [`Error::Failed`](crate::error::Error::Failed) where a GPU fails.
    pub fn losses(&mut self, batch: &Batch) -> Result<Vec<f32>> {
        match &mut self.side {
            Side::Cpu { worker, .. } => Ok(worker.losses(&self.model, batch).to_vec()),
            Side::Gpu(machine) => machine.losses(batch),
        }
    }

    /// Brings model and optimizer up to date.
    ///
    /// # Errors
    /// [`Error::Failed`](crate::error::Error::Failed) where a GPU fails.
    pub fn fetch(&mut self) -> Result<()> {
        match &self.side {
            Side::Cpu { .. } => Ok(()),
            Side::Gpu(machine) => machine.download(&mut self.model, &mut self.optimizer),
        }
    }

    /// Goes on from model and optimizer as they are here now.
    ///
    /// # Errors
    /// [`Error::Failed`](crate::error::Error::Failed) where a GPU fails.
    pub fn put(&mut self) -> Result<()> {
        match &self.side {
            Side::Cpu { .. } => Ok(()),
            Side::Gpu(machine) => machine.upload(&self.model, &self.optimizer),
        }
    }
}
