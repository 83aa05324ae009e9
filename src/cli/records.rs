//! `tamis records`: what a reader finds in files, without running a pipeline.
//!
//! Per file: records, documents, skipped records by kind, quarantined ones by cause. With `--list` one line
//! per record, for comparing with other tools.

#![expect(clippy::print_stdout, reason = "the command line prints")]

use std::collections::BTreeMap;

use serde_json::json;

use crate::error::{Error, Result};
use crate::stage::{BuildContext, Built, Item, Reader};
use crate::stages::read::STAGES;

/// Options of `tamis records`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Reader: `warc`, `wet`, `jsonl`, `parquet`.
    pub reader: String,
    /// Files, folders, glob patterns, or `-` for a list of paths on standard input.
    #[arg(required = true)]
    pub paths: Vec<String>,
    /// One tab-separated line per record instead of counts: file, record, offset, kind, url, payload bytes,
    /// xxh3 of the payload. Kinds: `document`, `skipped:KIND`, `bad:CAUSE`. A skipped record has no offset.
    #[arg(long)]
    pub list: bool,
}

/// Counts of one file.
#[derive(Debug, Default)]
struct Counts {
    documents: u64,
    payload_bytes: u64,
    skipped: BTreeMap<&'static str, u64>,
    bad: BTreeMap<String, u64>,
}

impl Counts {
    fn records(&self) -> u64 {
        self.documents + self.skipped.values().sum::<u64>() + self.bad.values().sum::<u64>()
    }
}

/// Reads all files and prints what is in them. The exit code is 3 where something was quarantined.
///
/// # Errors
/// [`Error::User`] for an unknown reader or paths that name nothing; otherwise where the machine fails.
pub fn run(args: &Args) -> Result<u8> {
    let reader = build(args)?;
    let files = reader.files().map_err(|errors| {
        let lines: Vec<String> = errors.into_iter().map(|error| error.message).collect();
        Error::User(lines.join("\n"))
    })?;
    let mut any_bad = false;
    for (split, file) in files.iter().enumerate() {
        let split = u32::try_from(split).map_err(|_| Error::User("too many files".to_owned()))?;
        let counts = read_file(reader.as_ref(), split, file, args.list)?;
        any_bad |= !counts.bad.is_empty();
        if !args.list {
            print_counts(file, &counts);
        }
    }
    Ok(if any_bad { 3 } else { 0 })
}

fn build(args: &Args) -> Result<Box<dyn Reader>> {
    let Some(spec) = STAGES.iter().find(|spec| spec.name == args.reader) else {
        let names: Vec<String> = STAGES.iter().map(|spec| format!("`{}`", spec.name)).collect();
        return Err(Error::User(format!("no reader `{}`; there are {}", args.reader, names.join(", "))));
    };
    match (spec.build)(json!({ "paths": args.paths }), &mut BuildContext::default()) {
        Ok(Built::Reader(reader)) => Ok(reader),
        Ok(_) => Err(Error::Failed(format!("`{}` is no reader", spec.name))),
        Err(errors) => {
            let lines: Vec<String> = errors.into_iter().map(|error| error.message).collect();
            Err(Error::User(lines.join("\n")))
        }
    }
}

fn read_file(reader: &dyn Reader, split: u32, file: &str, list: bool) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut stream = reader.open(split, file, None)?;
    loop {
        let record = stream.position().record;
        let Some(item) = stream.next()? else { return Ok(counts) };
        match item {
            Item::Document(doc) => {
                let payload = doc.raw.as_ref().map_or(doc.text.as_bytes(), |raw| &raw.bytes);
                counts.documents += 1;
                counts.payload_bytes += payload.len() as u64;
                if list {
                    let url = doc.url.as_deref().unwrap_or_default();
                    let hash = xxhash_rust::xxh3::xxh3_64(payload);
                    let place = (doc.ordinal.record, doc.offset.to_string());
                    print_line(file, &place, "document", url, &format!("{}\t{hash:016x}", payload.len()));
                }
            }
            Item::Skipped(kind) => {
                *counts.skipped.entry(kind).or_default() += 1;
                if list {
                    print_line(file, &(record, String::new()), &format!("skipped:{kind}"), "", "\t");
                }
            }
            Item::Bad(bad) => {
                if list {
                    let place = (bad.record, bad.offset.to_string());
                    print_line(file, &place, &format!("bad:{}", bad.cause), "", "\t");
                }
                *counts.bad.entry(bad.cause).or_default() += 1;
            }
        }
    }
}

fn print_line(file: &str, place: &(u64, String), kind: &str, url: &str, payload: &str) {
    let url = url.replace(['\t', '\n', '\r'], " ");
    println!("{file}\t{}\t{}\t{kind}\t{url}\t{payload}", place.0, place.1);
}

fn print_counts(file: &str, counts: &Counts) {
    println!(
        "{file}: {} records, {} documents ({} bytes){}{}",
        counts.records(),
        counts.documents,
        counts.payload_bytes,
        shown("skipped", counts.skipped.iter()),
        shown("quarantined", counts.bad.iter()),
    );
}

fn shown<'c, N: std::fmt::Display + 'c>(what: &str, counts: impl Iterator<Item = (N, &'c u64)>) -> String {
    let parts: Vec<String> = counts.map(|(name, count)| format!("{name} {count}")).collect();
    if parts.is_empty() { String::new() } else { format!("; {what}: {}", parts.join(", ")) }
}
