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
pub(super) const LARGEST: usize = 10;
/// Removed documents of a cluster that are named.
const SAMPLES: usize = 5;
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
    /// Largest distance of a removed document from the one that stayed: 1 less `min_similarity`.
    #[serde(default)]
    pub diameter: f64,
    /// The document that stayed.
    pub kept_id: String,
    /// Its address, where it has one.
    pub kept_url: Option<String>,
    /// Ids of the first documents that were removed, up to five.
    #[serde(default)]
    pub sample_ids: Vec<String>,
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
    /// Parts and rows of the first ones, in order.
    first: [(u32, u64); SAMPLES],
    min_similarity: f64,
}

impl Group {
    fn of(member: &Member) -> Self {
        let first = [(member.part, member.row); SAMPLES];
        Self { removed: 1, first, min_similarity: f64::from_bits(member.similarity) }
    }

    fn add(&mut self, member: &Member) {
        if let Some(place) = usize::try_from(self.removed).ok().and_then(|n| self.first.get_mut(n)) {
            *place = (member.part, member.row);
        }
        self.removed += 1;
        self.min_similarity = self.min_similarity.min(f64::from_bits(member.similarity));
    }
}

/// Reads the duplicates of a run and names its largest clusters; `None` where nothing was removed.
///
/// # Errors
/// Where a table of the run cannot be read.
pub fn duplicates(run: &Path, largest: usize) -> Result<Option<Duplicates>> {
    let wanted = largest;
    let paths = tables(run, "duplicates")?;
    let scratch = run.join("report-scratch").join(std::process::id().to_string());
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
        match &mut current {
            Some((cluster, group)) if *cluster == member.cluster => group.add(&member),
            _ => {
                if let Some((_, group)) = current.replace((member.cluster, Group::of(&member))) {
                    found.close(group, &mut largest, wanted);
                }
            }
        }
    }
    if let Some((_, group)) = current {
        found.close(group, &mut largest, wanted);
    }
    for group in largest {
        if let Some(cluster) = describe(&paths, group)? {
            found.largest.push(cluster);
        }
    }
    add_urls(run, &mut found.largest)?;
    crate::io::remove_empty_dir(&scratch)?;
    crate::io::remove_empty_dir(run.join("report-scratch"))?;
    Ok((found.removed > 0).then_some(found))
}

impl Duplicates {
    fn close(&mut self, group: Group, largest: &mut Vec<Group>, wanted: usize) {
        self.clusters += 1;
        let size = group.removed + 1;
        let max = size.next_power_of_two();
        match self.sizes.binary_search_by_key(&max, |class| class.max) {
            Ok(at) => self.sizes[at].clusters += 1,
            Err(at) => self.sizes.insert(at, SizeClass { min: max / 2 + 1, max, clusters: 1 }),
        }
        let rank = |group: &Group| (std::cmp::Reverse(group.removed), group.first[0]);
        let at = largest.partition_point(|other| rank(other) < rank(&group));
        if at < wanted {
            largest.insert(at, group);
            largest.truncate(wanted);
        }
    }
}

fn describe(paths: &[std::path::PathBuf], group: Group) -> Result<Option<Cluster>> {
    let mut rows = Vec::new();
    let named = usize::try_from(group.removed).unwrap_or(SAMPLES).min(SAMPLES);
    for (part, row) in &group.first[..named] {
        let Some(path) = paths.get(*part as usize) else { return Ok(None) };
        rows.extend(RowTable::open(path)?.rows_at(&[*row])?);
    }
    let text = |row: Option<&serde_json::Map<String, Value>>, name: &str| {
        row.and_then(|row| row.get(name)).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    Ok(Some(Cluster {
        name: text(rows.first(), "cluster"),
        stage: text(rows.first(), "stage"),
        size: group.removed + 1,
        min_similarity: group.min_similarity,
        diameter: 1.0 - group.min_similarity,
        kept_id: text(rows.first(), "kept_id"),
        kept_url: None,
        sample_ids: rows.iter().map(|row| text(Some(row), "removed_id")).collect(),
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
