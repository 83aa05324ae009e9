//! Stages that judge one document.

#[cfg(test)]
mod agreement;
pub mod c4_paragraph;
pub mod c4_quality;
#[cfg(test)]
mod case_files;
pub mod classifier;
pub mod dclm_quality;
pub mod dclm_repetition;
mod dclm_words;
pub mod decontaminate;
pub mod fineweb_quality;
pub mod gopher_quality;
pub mod gopher_repetition;
pub mod keywords;
pub mod language;
mod lists;
pub mod perplexity;
pub mod refinedweb_lines;
mod rules;
mod stop_words;
#[cfg(test)]
mod testing;
pub mod text_ratios;
pub mod url;

use crate::stage::StageSpec;

/// Every stage of this room, in the order of the reference.
pub static STAGES: &[&StageSpec] = &[
    &url::SPEC,
    &language::SPEC,
    &gopher_repetition::SPEC,
    &gopher_quality::SPEC,
    &c4_quality::SPEC,
    &c4_paragraph::SPEC,
    &fineweb_quality::SPEC,
    &refinedweb_lines::SPEC,
    &dclm_quality::SPEC,
    &dclm_repetition::SPEC,
    &text_ratios::SPEC,
    &keywords::SPEC,
    &classifier::SPEC,
    &perplexity::SPEC,
    &decontaminate::SPEC,
];
