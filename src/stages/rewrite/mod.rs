//! Stages of the rewrite room.

use crate::stage::StageSpec;

pub mod boilerplate;
pub mod pii;

/// Every stage of this room, in the order of the reference.
pub static STAGES: &[&StageSpec] = &[&boilerplate::SPEC, &pii::SPEC];
