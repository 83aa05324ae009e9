//! Stages that judge one document.

#[cfg(test)]
mod agreement;
pub mod c4_quality;
#[cfg(test)]
mod case_files;
pub mod classifier;
pub mod fineweb_quality;
pub mod gopher_quality;
pub mod gopher_repetition;
pub mod keywords;
pub mod language;
mod lists;
#[cfg(test)]
mod testing;
pub mod url;

use crate::stage::StageSpec;

/// Every stage of this room, in the order of the reference.
pub static STAGES: &[&StageSpec] = &[
    &url::SPEC,
    &language::SPEC,
    &gopher_repetition::SPEC,
    &gopher_quality::SPEC,
    &c4_quality::SPEC,
    &fineweb_quality::SPEC,
    &keywords::SPEC,
    &classifier::SPEC,
];
