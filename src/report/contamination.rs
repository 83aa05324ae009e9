//! From `hits/`: which examples of which evaluation sets stand in documents, and the text around them.
//!
//! Memory grows with the examples that were found, of which there are at most as many as the sets have.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rows::{RowTable, floats, integers, tables, texts};
use super::summary::StageInfo;
use crate::error::Result;

/// Examples of a set that the report names.
const MOST_FOUND: usize = 10;

/// What a stage found of a set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FoundSet {
    /// The stage.
    pub stage: String,
    /// The set.
    pub set: String,
    /// Examples in it.
    pub examples: u64,
    /// Examples that were too short to be looked for.
    pub too_short: u64,
    /// Examples that were found.
    pub found: u64,
    /// Documents that hold any.
    pub documents: u64,
    /// The examples that the most documents hold, most frequent first.
    pub most_found: Vec<FoundExample>,
}

/// An example that was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FoundExample {
    /// Its number in the set, from 1.
    pub example: u64,
    /// Its name, where the set has names.
    pub example_id: Option<String>,
    /// Documents that hold it.
    pub documents: u64,
    /// Of these the one with the largest share of its n-grams.
    pub id: String,
    /// Address of that document.
    pub url: Option<String>,
    /// The field that it holds.
    pub field: String,
    /// Different n-grams of the field in it.
    pub ngrams: u64,
    /// Different n-grams of the field.
    pub all_ngrams: u64,
    /// What stands in front of the longest common stretch, where texts were kept.
    pub before: Option<String>,
    /// That stretch, or its beginning.
    pub text: Option<String>,
    /// What stands behind it.
    pub after: Option<String>,
}

#[derive(Clone, Copy)]
struct Tally {
    documents: u64,
    /// Number of the last document that was counted.
    last: u64,
    ratio: f64,
    part: usize,
    row: u64,
}

#[derive(Default)]
struct SetTally {
    documents: u64,
    last: u64,
    examples: BTreeMap<i64, Tally>,
}

/// An entry for every set that a stage looked for, in pipeline order.
///
/// # Errors
/// Where a table of the run cannot be read.
pub(super) fn collect(run: &Path, stages: &[StageInfo]) -> Result<Vec<FoundSet>> {
    let paths = tables(run, "hits")?;
    let mut tallies = tally(&paths)?;
    let mut sets = Vec::new();
    for stage in stages {
        for set in &stage.sets {
            let tally = tallies.remove(&(stage.name.clone(), set.name.clone())).unwrap_or_default();
            let mut ranked: Vec<(i64, Tally)> = tally.examples.into_iter().collect();
            let found = ranked.len() as u64;
            ranked.sort_by(|a, b| b.1.documents.cmp(&a.1.documents).then(a.0.cmp(&b.0)));
            ranked.truncate(MOST_FOUND);
            let most_found =
                ranked.iter().map(|(_, tally)| describe(&paths, tally)).collect::<Result<_>>()?;
            sets.push(FoundSet {
                stage: stage.name.clone(),
                set: set.name.clone(),
                examples: set.examples,
                too_short: set.too_short,
                found,
                documents: tally.documents,
                most_found,
            });
        }
    }
    Ok(sets)
}

fn tally(paths: &[PathBuf]) -> Result<BTreeMap<(String, String), SetTally>> {
    let mut tallies: BTreeMap<(String, String), SetTally> = BTreeMap::new();
    let (mut document, mut last) = (0, (String::new(), String::new()));
    for (part, path) in paths.iter().enumerate() {
        for batch in RowTable::open(path)?.scan(&["id", "stage", "set", "example", "overlap_ratio"])? {
            let (first, batch) = batch?;
            let (ids, stages) = (texts(&batch, "id", path)?, texts(&batch, "stage", path)?);
            let (sets, examples) = (texts(&batch, "set", path)?, integers(&batch, "example", path)?);
            let ratios = floats(&batch, "overlap_ratio", path)?;
            for row in 0..batch.num_rows() {
                // The rows of a document stand together.
                if document == 0 || ids.value(row) != last.0 || stages.value(row) != last.1 {
                    document += 1;
                    last = (ids.value(row).to_owned(), stages.value(row).to_owned());
                }
                let key = (stages.value(row).to_owned(), sets.value(row).to_owned());
                let set = tallies.entry(key).or_default();
                set.documents += u64::from(set.last != document);
                set.last = document;
                let (ratio, row_number) = (ratios.value(row), first + row as u64);
                let fresh = Tally { documents: 0, last: 0, ratio: -1.0, part, row: row_number };
                let example = set.examples.entry(examples.value(row)).or_insert(fresh);
                example.documents += u64::from(example.last != document);
                example.last = document;
                if ratio > example.ratio {
                    (example.ratio, example.part, example.row) = (ratio, part, row_number);
                }
            }
        }
    }
    Ok(tallies)
}

fn describe(paths: &[PathBuf], tally: &Tally) -> Result<FoundExample> {
    let mut rows = RowTable::open(&paths[tally.part])?.rows_at(&[tally.row])?;
    let row: Map<String, Value> = rows.pop().unwrap_or_default();
    let text = |name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
    let number = |name: &str| row.get(name).and_then(Value::as_u64).unwrap_or(0);
    Ok(FoundExample {
        example: number("example"),
        example_id: text("example_id"),
        documents: tally.documents,
        id: text("id").unwrap_or_default(),
        url: text("url"),
        field: text("field").unwrap_or_default(),
        ngrams: number("ngrams"),
        all_ngrams: number("all_ngrams"),
        before: text("before"),
        text: text("text"),
        after: text("after"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Document, Ordinal};
    use crate::stage::{Hit, SearchedSet};
    use crate::stages::write::HitsWriter;

    fn hit(set: &str, example: u64, ngrams: u64) -> Hit {
        Hit {
            set: set.into(),
            example,
            example_id: None,
            field: "question".into(),
            ngrams,
            all_ngrams: 10,
            range: 0..4,
            context: [String::new(), "text".to_owned(), " of it".to_owned()],
        }
    }

    #[test]
    fn documents_count_once_per_example_and_the_fullest_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        let page = |id: &str| Document::new(Ordinal { split: 0, record: 0 }, id.to_owned(), String::new());
        for (part, pages) in [("a", [("p1", 3), ("p2", 9)]), ("b", [("p3", 5), ("p4", 9)])] {
            let mut writer =
                HitsWriter::create(dir.path().join(format!("hits/{part}.parquet")), true).unwrap();
            for (id, ngrams) in pages {
                writer.write(&page(id), "stage", &hit("sums", 7, ngrams)).unwrap();
                writer.write(&page(id), "stage", &hit("sums", 7, 1)).unwrap();
            }
            writer.write(&page("last"), "stage", &hit("sums", 2, 1)).unwrap();
            writer.finish().unwrap();
        }
        let set = |name: &str| SearchedSet { name: name.to_owned(), examples: 8, too_short: 1 };
        let info = StageInfo {
            name: "stage".to_owned(),
            sets: vec![set("none"), set("sums")],
            ..StageInfo::default()
        };
        let found = collect(dir.path(), &[info]).unwrap();
        assert_eq!((found[0].set.as_str(), found[0].found, found[0].documents), ("none", 0, 0));
        let sums = &found[1];
        // The last page of one part and that of the other are two documents with one id.
        assert_eq!((sums.found, sums.documents, sums.examples, sums.too_short), (2, 6, 8, 1));
        let most = &sums.most_found[0];
        assert_eq!((most.example, most.documents, most.id.as_str(), most.ngrams), (7, 4, "p2", 9));
        assert_eq!(most.text.as_deref(), Some("text"));
        assert_eq!((sums.most_found[1].example, sums.most_found[1].documents), (2, 2));
    }
}
