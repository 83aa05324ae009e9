//! What a run needs to go on: weights, moments, place in the data, what the last steps were like.
//!
//! `checkpoints/<step>.safetensors` has the numbers and `<step>.json`, written last, the rest: a step without it does not exist.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::data::Position;
use super::model::Model;
use super::optimizer::AdamW;
use super::recipe::Watch;
use super::safetensors::{self, Named, Tensors};
use crate::error::Result;
use crate::io;

/// Names of the moments among the tensors.
const MOMENTS: [&str; 2] = ["optimizer.mean", "optimizer.square"];

/// All but the large arrays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Steps that are done.
    pub step: u64,
    /// Tokens that they drew.
    pub tokens: u64,
    /// Updates of the weights: steps less those that were skipped.
    pub updates: u64,
    /// What comes next.
    pub position: Position,
    /// The last steps.
    pub watch: Watch,
    /// Times that the run went back to a checkpoint.
    pub rollbacks: u32,
}

fn path(dir: &Path, step: u64, ending: &str) -> PathBuf {
    dir.join(format!("{step:010}.{ending}"))
}

/// Writes a checkpoint and removes all but the last `keep`.
///
/// # Errors
/// [`Error::Io`](crate::error::Error::Io) where it cannot be written; earlier ones stay.
pub fn write(dir: &Path, state: &State, model: &Model, optimizer: &AdamW, keep: u32) -> Result<()> {
    let (mean, square) = optimizer.moments();
    let mut tensors: Vec<Named> = model
        .tensors()
        .iter()
        .map(|tensor| (tensor.name.as_str(), tensor.dims.as_slice(), &model.parameters()[tensor.range()]))
        .collect();
    let size = [mean.len()];
    tensors.extend([(MOMENTS[0], &size[..], mean), (MOMENTS[1], &size[..], square)]);
    safetensors::write(&path(dir, state.step, "safetensors"), &tensors)?;
    write_state(dir, state)?;
    let steps = list(dir)?;
    for &step in steps.iter().rev().skip(keep as usize) {
        io::remove_files(&[path(dir, step, "json"), path(dir, step, "safetensors")])?;
    }
    Ok(())
}

/// Writes the state of a checkpoint whose numbers are there.
///
/// # Errors
/// [`Error::Io`](crate::error::Error::Io) where it cannot be written.
pub fn write_state(dir: &Path, state: &State) -> Result<()> {
    io::write_json(path(dir, state.step, "json"), state)
}

/// Steps that have a checkpoint, rising.
///
/// # Errors
/// [`Error::Io`](crate::error::Error::Io) where the folder cannot be read.
pub fn list(dir: &Path) -> Result<Vec<u64>> {
    if !io::folders::is_dir(dir) {
        return Ok(Vec::new());
    }
    let step = |path: &PathBuf| path.file_stem()?.to_str()?.parse().ok();
    Ok(io::list(dir, ".json")?.iter().filter_map(step).collect())
}

/// Reads a checkpoint into a model and its optimiser.
///
/// # Errors
/// [`Error::Damaged`](crate::error::Error::Damaged) where it is of another model, or damaged.
pub fn read(dir: &Path, step: u64, model: &mut Model, optimizer: &mut AdamW) -> Result<State> {
    let state: State = io::read_json(path(dir, step, "json"))?;
    let tensors = Tensors::open(&path(dir, step, "safetensors"))?;
    read_weights(&tensors, model)?;
    let count = model.parameters().len();
    let [mean, square] = MOMENTS.map(|name| tensors.read(name, count));
    optimizer.restore(mean?, square?, state.updates);
    Ok(state)
}

/// Reads the weights of a checkpoint or an exported model.
///
/// # Errors
/// As [`read`].
pub fn read_weights(tensors: &Tensors, model: &mut Model) -> Result<()> {
    for tensor in model.tensors().to_vec() {
        let range = tensor.range();
        let numbers = tensors.read(&tensor.name, range.len())?;
        model.parameters_mut()[range].copy_from_slice(&numbers);
    }
    Ok(())
}
