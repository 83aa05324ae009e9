//! Stages of the read room: bytes of input files to documents. One file per format, and `cc` for whole crawls; what they share is
//! private: `records.rs` and `framing.rs` (WARC), `header.rs`, `http.rs`, `lines.rs`, `fields.rs`,
//! `columns.rs`.

pub mod cc;
mod columns;
mod fields;
mod framing;
mod header;
mod http;
pub mod jsonl;
pub(crate) mod lines;
pub mod parquet;
mod records;
#[cfg(test)]
mod rows_tests;
#[cfg(test)]
mod testing;
pub mod warc;
mod warc_stream;
#[cfg(test)]
mod warc_tests;
pub mod wet;

use crate::stage::StageSpec;

/// Every stage of this room, in the order of the reference.
pub static STAGES: &[&StageSpec] = &[&warc::SPEC, &wet::SPEC, &jsonl::SPEC, &parquet::SPEC, &cc::SPEC];
