//! Writers: the tables of a run directory, which other tools rely on.
//!
//! | file | one row per |
//! |---|---|
//! | `corpus/*.parquet` | document that was kept ([`CorpusWriter`]) |
//! | `rejects/*.parquet` | document that a stage dropped ([`RejectsWriter`]) |
//! | `duplicates/*.parquet` | document that a dedup stage removed ([`DuplicatesWriter`]) |
//! | `cuts/*.parquet` | piece that a dedup stage took out of a text ([`CutsWriter`]) |
//! | `hits/*.parquet` | text of an evaluation set that was found in a document ([`HitsWriter`]) |
//! | `quarantine.jsonl` | record that could not be read ([`QuarantineWriter`]) |
//!
//! Each writer makes one part file, which appears whole when it is finished, or not at all. A part
//! without rows leaves no file. The same rows give the same bytes on any machine: no time, no host name,
//! no random number goes in.

pub mod corpus;
pub mod cuts;
pub mod duplicates;
pub mod hits;
pub mod quarantine;
pub mod rejects;
mod table;

pub use corpus::{CorpusSchema, CorpusWriter};
pub use cuts::CutsWriter;
pub use duplicates::DuplicatesWriter;
pub use hits::HitsWriter;
pub use quarantine::QuarantineWriter;
pub use rejects::RejectsWriter;
