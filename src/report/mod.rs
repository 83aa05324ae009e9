//! What a run did, for people and programs: `report.json`, `report.html`, the table at the end of a run.
//!
//! The engine hands over a [`RunSummary`]; this room adds what the run directory holds (samples of rejects,
//! clusters of duplicates, languages of the corpus) and makes one [`Report`] of both. The page and the
//! table show nothing that `report.json` does not hold, so they can be made again from it.

mod charts;
mod clusters;
mod contamination;
mod format;
mod html;
mod limits;
mod model;
mod page;
mod rates;
mod redecided;
pub mod rows;
mod samples;
mod summary;
mod terminal;
#[cfg(test)]
pub(crate) mod testing;

use std::path::Path;

use crate::error::Result;
use crate::io::{AtomicFile, write_json};

pub use clusters::{Cluster, Duplicates, duplicates};
pub use contamination::{FoundExample, FoundSet};
pub use format::{bytes as human_bytes, count as human_count, precise as human_measure};
pub use limits::{Limit, limits_of};
pub use model::{Corpus, Pass, Read, Report, Stage, Timing};
pub use rates::Uneven;
pub use redecided::{Redecided, RedecidedStage};
pub use samples::Sample;
pub use summary::{InputInfo, PassSummary, RunSummary, StageInfo};

/// Writes `report.json` and `report.html` into the run directory.
///
/// # Errors
/// Where the tables of the run cannot be read or the files cannot be written.
pub fn write(run_dir: &Path, summary: &RunSummary) -> Result<()> {
    let report = Report::collect(run_dir, summary)?;
    write_json(run_dir.join("report.json"), &report)?;
    AtomicFile::write_all(run_dir.join("report.html"), page::render(&report).as_bytes())
}

/// Writes `report.html` again from a finished run's `report.json`.
///
/// # Errors
/// Where `report.json` is absent or damaged, or the page cannot be written.
pub fn render_again(run_dir: &Path) -> Result<()> {
    let report: Report = crate::io::read_json(run_dir.join("report.json"))?;
    AtomicFile::write_all(run_dir.join("report.html"), page::render(&report).as_bytes())
}

/// The table for the terminal at the end of a run: a line per stage with what it kept and dropped.
#[must_use]
pub fn table(summary: &RunSummary) -> String {
    terminal::table(summary)
}
