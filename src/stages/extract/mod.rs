//! Stages of the extract room.

use crate::stage::StageSpec;

mod engines;
#[expect(clippy::module_inception, reason = "the stage is named after its room")]
pub mod extract;
mod meta;
mod render;
mod scan;
mod slim;
mod tags;

/// Every stage of this room, in the order of the reference.
pub static STAGES: &[&StageSpec] = &[&extract::SPEC];
