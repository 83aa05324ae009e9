//! Stages of the rewrite room.

use crate::stage::StageSpec;

pub mod pii;

/// Every stage of this room, in the order of the reference.
pub static STAGES: &[&StageSpec] = &[&pii::SPEC];
