//! The trainer on GPUs: the same mathematics as [`model`](super::model), in 16-bit floats where products are made.
//!
//! Reading order: [`replica`] is the way through the model, launch by launch; [`kernels`] has our kernels (`kernels/*.cu`), [`multiply`] the
//! matrix products by cuBLASLt, [`nccl`] sums over GPUs, [`driver`] everything that a GPU is asked for. All libraries are looked for
//! when a run wants a GPU: nothing of CUDA is needed to build or to start.
//!
//! The kernels are in the common part of C and CUDA, so that `tests/emulator` can run them, launched by this code through an emulated driver,
//! on any machine with a C compiler: `tests.rs` compares everything with the CPU that way, or on a GPU where there is one.

mod driver;
pub mod kernels;
mod multiply;
mod nccl;
mod replica;
#[cfg(test)]
mod testkit;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use super::model::{Batch, Model};
use super::optimizer::AdamW;
use crate::error::{Error, Result};
use crate::io;
use multiply::Choices;
use nccl::Group;
use replica::Replica;

/// What stands in the way.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Trouble {
    /// A driver, a library or a fitting GPU is not there: the CPU can do it.
    #[error("{0}")]
    Missing(String),
    /// The kernels cannot do this shape.
    #[error("{0}")]
    Shape(String),
    /// The GPU's memory is full.
    #[error("the GPU has no room for {what}: {} MiB more are wanted, {} of {} MiB are free; lower `micro_batch_tokens`, or set `recompute: true`", bytes >> 20, free >> 20, total >> 20)]
    Memory {
        /// What it was for.
        what: &'static str,
        /// How much.
        bytes: usize,
        /// What is left.
        free: usize,
        /// What there is.
        total: usize,
    },
    /// A call that should have worked.
    #[error("{0}")]
    Failed(String),
}

impl Trouble {
    fn driver(what: &str, error: cudarc::driver::result::DriverError) -> Self {
        Self::Failed(format!("the CUDA driver cannot {what}: {}", driver::said(error)))
    }
}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Missing(_) | Trouble::Shape(_) | Trouble::Memory { .. } => {
                Self::User(trouble.to_string())
            }
            Trouble::Failed(_) => Self::Failed(trouble.to_string()),
        }
    }
}

/// How a run uses GPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// GPUs that share the batches of a step.
    pub gpus: usize,
    /// Most tokens that go through at once.
    pub micro_tokens: usize,
    /// Whether activations are computed again for the backward pass.
    pub recompute: bool,
    /// Where the choice of algorithms is kept, so that a run that goes on computes as before.
    pub choices: Option<PathBuf>,
}

/// GPUs with a copy of the model each.
#[derive(Debug)]
pub struct Machine {
    replicas: Vec<Replica>,
    group: Option<Group>,
    choices: Rc<RefCell<Choices>>,
    path: Option<PathBuf>,
    /// Choices that are on disk.
    written: usize,
}

/// How many GPUs there are.
///
/// # Errors
/// [`Trouble::Missing`] where there is no driver.
pub fn count() -> std::result::Result<usize, Trouble> {
    driver::count()
}

impl Machine {
    /// Copies a model and its optimizer to the GPUs.
    ///
    /// # Errors
    /// Any [`Trouble`].
    pub fn open(model: &Model, optimizer: &AdamW, options: &Options) -> std::result::Result<Self, Trouble> {
        let count = driver::count()?;
        if count < options.gpus {
            return Err(Trouble::Missing(format!(
                "{} GPUs are wanted (`gpus`), and there are {count}",
                options.gpus
            )));
        }
        let mut known = Choices::default();
        if let Some(path) = options.choices.as_ref().filter(|path| path.exists()) {
            known = io::read_json(path).map_err(|error| Trouble::Failed(error.to_string()))?;
        }
        let choices = Rc::new(RefCell::new(known));
        let replica = |number| Replica::new(number, model, options, Rc::clone(&choices));
        let replicas: Vec<Replica> = (0..options.gpus).map(replica).collect::<std::result::Result<_, _>>()?;
        let group = (options.gpus > 1).then(|| Group::new(options.gpus)).transpose()?;
        let written = choices.borrow().algorithms.len();
        let machine = Self { replicas, group, choices, path: options.choices.clone(), written };
        machine.replicas.iter().try_for_each(|replica| replica.upload(model, optimizer))?;
        Ok(machine)
    }

    /// What the GPUs are.
    #[must_use]
    pub fn name(&self) -> String {
        let name = &self.replicas[0].device.name;
        if self.replicas.len() == 1 { name.clone() } else { format!("{} x {name}", self.replicas.len()) }
    }

    /// Operations per second of the matrix units, dense, for 16-bit floats, of all GPUs, where the kind is known (makers' data sheets).
    #[must_use]
    pub fn peak(&self) -> Option<f64> {
        let name = &self.replicas[0].device.name;
        let known = [
            ("H100 PCIe", 756e12),
            ("H100 NVL", 835e12),
            ("H100", 989e12),
            ("H200", 989e12),
            ("GH200", 989e12),
            ("B200", 2250e12),
            ("A100", 312e12),
            ("L40S", 362e12),
            ("A10", 125e12),
        ];
        let peak = known.iter().find(|(part, _)| name.contains(part));
        peak.map(|(_, peak)| peak * self.replicas.len() as f64)
    }

    /// Takes weights and moments from the host.
    ///
    /// # Errors
    /// [`Trouble::Failed`].
    pub fn upload(&self, model: &Model, optimizer: &AdamW) -> Result<()> {
        Ok(self.replicas.iter().try_for_each(|replica| replica.upload(model, optimizer))?)
    }

    /// Brings weights and moments to the host.
    ///
    /// # Errors
    /// [`Trouble::Failed`].
    pub fn download(&self, model: &mut Model, optimizer: &mut AdamW) -> Result<()> {
        Ok(self.replicas[0].download(model, optimizer)?)
    }

    /// The gradient of the sum of the losses times `scale`, kept on the GPUs; the sum of the losses in nats, and the gradient's norm.
    ///
    /// # Errors
    /// [`Trouble::Failed`], [`Trouble::Memory`].
    pub fn gradients(&mut self, batches: &[Batch], scale: f32) -> Result<(f64, f64)> {
        self.replicas.iter().try_for_each(|replica| replica.begin(scale))?;
        for (batch, replica) in batches.iter().zip(self.replicas.iter().cycle()) {
            replica.train(batch)?;
        }
        if let Some(group) = &self.group {
            let parts: Vec<_> =
                self.replicas.iter().map(|replica| (&replica.device, &replica.gradients)).collect();
            group.sum(&parts, self.replicas[0].parameter_count(), false)?;
            let parts: Vec<_> =
                self.replicas.iter().map(|replica| (&replica.device, &replica.total)).collect();
            group.sum(&parts, 1, true)?;
        }
        self.replicas[0].square_sum()?;
        let mut total = [0.0_f64; 2];
        self.replicas[0].device.read(&mut total, &self.replicas[0].total)?;
        self.keep_choices()?;
        Ok((total[0], total[1].sqrt()))
    }

    fn keep_choices(&mut self) -> Result<()> {
        let known = self.choices.borrow();
        if let Some(path) = self.path.as_ref().filter(|_| known.algorithms.len() != self.written) {
            io::write_json(path, &*known)?;
        }
        self.written = known.algorithms.len();
        Ok(())
    }

    /// Milliseconds of everything that a batch puts on the first GPU, forward and backward: by name, how often and how long in all.
    /// Products are named by their kind and their two sizes.
    ///
    /// # Errors
    /// As [`Machine::gradients`].
    pub fn profile(&mut self, batch: &Batch) -> Result<BTreeMap<String, (u32, f32)>> {
        // Once before, so that everything is chosen and warm.
        self.gradients(&[*batch], 0.0)?;
        Ok(self.replicas[0].profile(batch)?)
    }

    /// Bytes that the first GPU reads and writes per second while it copies its memory.
    ///
    /// # Errors
    /// [`Trouble::Memory`] where half a gigabyte is not free.
    pub fn copy_speed(&self) -> Result<f64> {
        const BYTES: usize = 256 << 20;
        let device = &self.replicas[0].device;
        let [from, to] = [device.allocate(BYTES, "a copy")?, device.allocate(BYTES, "a copy")?];
        device.clear(&from)?;
        device.copy(&to, &from)?;
        let time = device.time(|| (0..4).try_for_each(|_| device.copy(&to, &from)))?;
        Ok(8.0 * BYTES as f64 / f64::from(time.max(1e-6)) * 1e3)
    }

    /// Changes the weights by the gradient that was computed last, times `scale`.
    ///
    /// # Errors
    /// [`Trouble::Failed`].
    pub fn update(&self, optimizer: &mut AdamW, learning_rate: f32, scale: f32) -> Result<()> {
        let factors = optimizer.next(learning_rate);
        Ok(self.replicas.iter().try_for_each(|replica| replica.update(&factors, optimizer, scale))?)
    }

    /// The loss of each position in nats, 0 where the target does not count.
    ///
    /// # Errors
    /// [`Trouble::Failed`].
    pub fn losses(&self, batch: &Batch) -> Result<Vec<f32>> {
        Ok(self.replicas[0].losses(batch)?)
    }
}
