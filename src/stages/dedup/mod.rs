//! Stages of the dedup room: whole-corpus steps that name the documents that go, mostly because they are copies
//! ([`top_ratio`] keeps the best by a score instead).
//!
//! The way of a document in search of its copies: `signature` turns it into keys (a hash of its text, a hash per band) and, for
//! near duplicates, its shingle set; [`observe`] writes them per part; [`catalog`] lists the parts;
//! [`groups`] brings equal keys together, one task per range of keys; [`verify`] measures the pairs that
//! came together; [`clusters`] decides who stays (by [`ranking`] where that is not the first); [`removals`] answers for each document. [`keep`] writes what a later
//! run needs of the documents that stay, and [`earlier`] brings it back there.
//!
//! [`line_dedup`] and [`sentence_dedup`] cut pieces out instead: [`span_rows`] has what they write down, [`span_passes`] how repeated
//! pieces are found, [`span_removals`] what of each document goes. [`substring_dedup`] does so without pieces: any stretch
//! of bytes that stands in the corpus before.

mod buckets;
mod catalog;
mod clusters;
mod components;
mod counts;
mod datatrove_hashes;
mod docs;
mod earlier;
pub mod exact_dedup;
mod fold;
mod groups;
mod jaccard;
mod keep;
pub mod line_dedup;
pub mod minhash_dedup;
mod minwise;
#[cfg(test)]
mod neardup;
mod observe;
mod ranking;
mod records;
mod removals;
mod removed;
mod scope;
pub mod sentence_dedup;
mod shingles;
mod span_passes;
mod span_removals;
mod span_rows;
#[cfg(test)]
mod span_tests;
pub mod substring_dedup;
mod survivor;
#[cfg(test)]
mod testkit;
pub mod top_ratio;
mod verify;

use std::path::Path;

use crate::stage::StageSpec;

/// Every stage of this room, in the order of the reference.
pub static STAGES: &[&StageSpec] = &[
    &exact_dedup::SPEC,
    &minhash_dedup::SPEC,
    &line_dedup::SPEC,
    &sentence_dedup::SPEC,
    &substring_dedup::SPEC,
    &top_ratio::SPEC,
];

/// Name of a pass: unique in a run because the barrier's folder is.
fn pass_name(dir: &Path, pass: &str) -> String {
    let barrier = dir.file_name().unwrap_or_default().to_string_lossy();
    format!("{barrier}-{pass}")
}
