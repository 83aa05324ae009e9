//! From `duplicates/`: how many clusters there are, how large, and the largest ones.
//!
//! Clusters grow with the corpus, so their members are grouped on disk ([`RunSorter`]).

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rows::{RowTable, floats, tables, texts};
use crate::error::Result;
use crate::io::runs::{Record, RunSorter};

/// Clusters that the report names.
const LARGEST: usize = 10;
/// Memory for grouping.
const SORT_BYTES: u64 = 32 << 20;

/// What was found twice.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Duplicates {
    /// Documents that were removed.
    pub removed: u64,
    /// Clusters, each with one document that stayed.
    pub clusters: u64,
    /// Clusters by size: 2, 3 to 4, 5 to 8, 9 to 16, ...
    pub sizes: Vec<SizeClass>,
    /// The largest clusters, largest first.
    pub largest: Vec<Cluster>,
}

/// Clusters of similar size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeClass {
    /// Smallest size.
    pub min: u64,
    /// Largest size.
    pub max: u64,
    /// How many there are.
    pub clusters: u64,
}

/// A document that stayed and those that were removed for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// The stage that found it.
    pub stage: String,
    /// Members, with the one that stayed.
    pub size: u64,
    /// Smallest similarity of a removed document to the one that stayed.
    pub min_similarity: f64,
    /// The document that stayed.
    pub kept_id: String,
    /// Its address, where it has one.
    pub kept_url: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Member {
    cluster: u128,
    part: u32,
    row: u64,
    similarity: u64,
}

impl Record for Member {
    const BYTES: usize = 36;

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.cluster.to_be_bytes());
        out.extend_from_slice(&self.part.to_be_bytes());
        out.extend_from_slice(&self.row.to_be_bytes());
        out.extend_from_slice(&self.similarity.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Self {
        let number = |from: usize, to: usize| {
            bytes[from..to].iter().fold(0_u128, |number, &byte| number << 8 | u128::from(byte))
        };
        let word = |from: usize| u64::try_from(number(from, from + 8)).unwrap_or(u64::MAX);
        let part = u32::try_from(number(16, 20)).unwrap_or(u32::MAX);
        Self { cluster: number(0, 16), part, row: word(20), similarity: word(28) }
    }
}

#[derive(Clone, Copy)]
struct Group {
    removed: u64,
    part: u32,
    row: u64,
    min_similarity: f64,
}

/// Reads the duplicates of a run; `None` where nothing was removed.
pub(super) fn collect(run: &Path) -> Result<Option<Duplicates>> {
    let paths = tables(run, "duplicates")?;
    let scratch = run.join("report-scratch");
    let mut members = RunSorter::new(&scratch, SORT_BYTES);
    let mut key = Vec::new();
    for (part, path) in (0..).zip(&paths) {
        for batch in RowTable::open(path)?.scan(&["cluster", "stage", "similarity"])? {
            let (first, batch) = batch?;
            let (clusters, stages) = (texts(&batch, "cluster", path)?, texts(&batch, "stage", path)?);
            let similarities = floats(&batch, "similarity", path)?;
            for row in 0..batch.num_rows() {
                key.clear();
                key.extend_from_slice(stages.value(row).as_bytes());
                key.push(0);
                key.extend_from_slice(clusters.value(row).as_bytes());
                members.push(Member {
                    cluster: xxhash_rust::xxh3::xxh3_128(&key),
                    part,
                    row: first + row as u64,
                    similarity: similarities.value(row).to_bits(),
                })?;
            }
        }
    }
    let mut found = Duplicates::default();
    let mut largest: Vec<Group> = Vec::new();
    let mut current: Option<(u128, Group)> = None;
    for member in members.finish()? {
        let member = member?;
        found.removed += 1;
        let similarity = f64::from_bits(member.similarity);
        match &mut current {
            Some((cluster, group)) if *cluster == member.cluster => {
                group.removed += 1;
                group.min_similarity = group.min_similarity.min(similarity);
            }
            _ => {
                let fresh =
                    Group { removed: 1, part: member.part, row: member.row, min_similarity: similarity };
                if let Some((_, group)) = current.replace((member.cluster, fresh)) {
                    found.close(group, &mut largest);
                }
            }
        }
    }
    if let Some((_, group)) = current {
        found.close(group, &mut largest);
    }
    for group in largest {
        if let Some(cluster) = describe(&paths, group)? {
            found.largest.push(cluster);
        }
    }
    add_urls(run, &mut found.largest)?;
    crate::io::remove_empty_dir(&scratch)?;
    Ok((found.removed > 0).then_some(found))
}

impl Duplicates {
    fn close(&mut self, group: Group, largest: &mut Vec<Group>) {
        self.clusters += 1;
        let size = group.removed + 1;
        let max = size.next_power_of_two();
        match self.sizes.binary_search_by_key(&max, |class| class.max) {
            Ok(at) => self.sizes[at].clusters += 1,
            Err(at) => self.sizes.insert(at, SizeClass { min: max / 2 + 1, max, clusters: 1 }),
        }
        let rank = |group: &Group| (std::cmp::Reverse(group.removed), group.part, group.row);
        let at = largest.partition_point(|other| rank(other) < rank(&group));
        if at < LARGEST {
            largest.insert(at, group);
            largest.truncate(LARGEST);
        }
    }
}

fn describe(paths: &[std::path::PathBuf], group: Group) -> Result<Option<Cluster>> {
    let Some(path) = paths.get(group.part as usize) else { return Ok(None) };
    let rows = RowTable::open(path)?.rows_at(&[group.row])?;
    let text = |name: &str| {
        rows.first().and_then(|row| row.get(name)).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    Ok(Some(Cluster {
        name: text("cluster"),
        stage: text("stage"),
        size: group.removed + 1,
        min_similarity: group.min_similarity,
        kept_id: text("kept_id"),
        kept_url: None,
    }))
}

/// Looks the kept documents up in the corpus, or in the rejects where a later stage dropped them.
fn add_urls(run: &Path, clusters: &mut [Cluster]) -> Result<()> {
    for folder in ["corpus", "rejects"] {
        for path in tables(run, folder)? {
            let wanted: Vec<usize> =
                (0..clusters.len()).filter(|&n| clusters[n].kept_url.is_none()).collect();
            if wanted.is_empty() {
                return Ok(());
            }
            let ids: Vec<String> = wanted.iter().map(|&n| clusters[n].kept_id.clone()).collect();
            let needles: Vec<&str> = ids.iter().map(String::as_str).collect();
            let table = RowTable::open(&path)?;
            for (row, _) in table.find("id", &needles)? {
                for found in table.rows_at(&[row])? {
                    let text = |name: &str| found.get(name).and_then(Value::as_str);
                    for cluster in clusters.iter_mut().filter(|cluster| text("id") == Some(&cluster.kept_id))
                    {
                        cluster.kept_url = cluster.kept_url.take().or(text("url").map(str::to_owned));
                    }
                }
            }
        }
    }
    Ok(())
}
