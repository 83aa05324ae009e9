//! `tamis dups RUN`: the largest clusters of copies that a run's dedup stages found.
//!
//! From `duplicates/` alone, grouped on disk: memory does not grow with the run.

use std::path::PathBuf;

use super::show::{check_run, clean, is_unfinished, print, put};
use crate::error::{Error, Result};
use crate::report::{Duplicates, duplicates, human_count, human_measure};

/// Which clusters to list.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run directory
    pub run: PathBuf,
    /// How many clusters to list, largest first
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub largest: u32,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the command. Returns 0 where there are clusters, else 1.
///
/// # Errors
/// Where the run directory is none or its tables cannot be read.
pub fn run(args: &Args) -> Result<u8> {
    check_run(&args.run)?;
    let found = duplicates(&args.run, args.largest as usize)?.unwrap_or_default();
    if args.json {
        let mut json =
            serde_json::to_string_pretty(&found).map_err(|error| Error::Failed(error.to_string()))?;
        json.push('\n');
        print(&json)?;
    } else {
        print(&describe(&found, is_unfinished(&args.run)?))?;
    }
    Ok(u8::from(found.clusters == 0))
}

fn describe(found: &Duplicates, unfinished: bool) -> String {
    let mut out = String::new();
    if found.clusters == 0 {
        out.push_str("no stage of this run removed a copy\n");
    } else {
        let (removed, clusters) = (human_count(found.removed), human_count(found.clusters));
        put(&mut out, format_args!("{removed} documents were removed as copies, from {clusters} clusters\n"));
    }
    for (number, cluster) in (1..).zip(&found.largest) {
        put(
            &mut out,
            format_args!(
                "\n{number}. {} documents, similarity to the kept one {} and more ({})\n   kept  {}\n",
                human_count(cluster.size),
                human_measure(cluster.min_similarity),
                clean(&cluster.stage),
                clean(&cluster.kept_id)
            ),
        );
        if let Some(url) = &cluster.kept_url {
            put(&mut out, format_args!("         {}\n", clean(url)));
        }
        let more = if cluster.size - 1 > cluster.sample_ids.len() as u64 { ", ..." } else { "" };
        put(&mut out, format_args!("   gone  {}{more}\n", clean(&cluster.sample_ids.join(", "))));
    }
    if unfinished {
        out.push_str("\nthis run is not finished: copies that are found later are missing\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing;

    #[test]
    fn the_largest_clusters_come_first_with_ids_that_went() {
        let dir = tempfile::tempdir().unwrap();
        let summary = testing::make_run(dir.path());
        crate::report::write(dir.path(), &summary).unwrap();
        let found = duplicates(dir.path(), 3).unwrap().unwrap();
        assert_eq!(found.largest.len(), 3);
        assert!(found.largest.is_sorted_by_key(|cluster| std::cmp::Reverse(cluster.size)));
        for cluster in &found.largest {
            assert!((cluster.diameter - (1.0 - cluster.min_similarity)).abs() < 1e-12);
            assert_eq!(cluster.sample_ids.len() as u64, (cluster.size - 1).min(5));
            for id in &cluster.sample_ids {
                assert_ne!(*id, cluster.kept_id);
            }
        }
        let text = describe(&found, false);
        assert!(text.contains(&found.largest[0].kept_id), "{text}");
        assert!(text.contains(&found.largest[2].sample_ids[0]), "{text}");
        for json in [false, true] {
            assert_eq!(run(&Args { run: dir.path().to_owned(), largest: 1, json }).unwrap(), 0);
        }
        let nowhere = Args { run: dir.path().join("corpus"), largest: 1, json: false };
        assert_eq!(run(&nowhere).unwrap_err().exit_code(), 2);
    }
}
