//! Recall and precision on 2,300 real texts with made near duplicates of known similarity (test only).
//!
//! The data is not part of the project; without it these tests say so and pass. With `--nocapture` they
//! print the tables of docs/dedup.md.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Arc;

use super::jaccard::overlap;
use super::minhash_dedup::{Config, Stage};
use super::shingles::{shingle_set, simplified};
use super::testkit::{Setup, run_barrier, survivors};
use crate::document::{Document, Ordinal};
use crate::text::words::Splitter;

/// A document, the index of the document that it was made from, and the similarity that its maker measured
/// (on lower-cased words between white space).
struct Made {
    docs: Vec<Document>,
    pairs: Vec<(usize, usize, f64)>,
}

fn made() -> Option<Made> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/neardup-made.jsonl.zst");
    if !path.exists() {
        println!("skipped: `{}` is absent", path.display());
        return None;
    }
    let mut text = String::new();
    let file = crate::io::open(&path).unwrap();
    zstd::Decoder::new(file).unwrap().read_to_string(&mut text).unwrap();
    let mut made = Made { docs: Vec::new(), pairs: Vec::new() };
    let mut originals = BTreeMap::new();
    for (record, line) in (0_u64..).zip(text.lines()) {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let index = made.docs.len();
        // Several splits, so that parts and look-ups are not trivial.
        let ordinal = Ordinal { split: u32::try_from(record / 500).unwrap(), record: record % 500 };
        let id = value["id"].as_str().unwrap().to_owned();
        made.docs.push(Document::new(ordinal, id, value["text"].as_str().unwrap().to_owned()));
        let cluster = value["cluster"].as_u64().unwrap();
        if value["edit"] == "original" {
            originals.insert(cluster, index);
        } else {
            made.pairs.push((originals[&cluster], index, value["jaccard5w_to_original"].as_f64().unwrap()));
        }
    }
    Some(made)
}

/// Band of width .1, by its lower end; 1 alone.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10")]
fn band(similarity: f64) -> usize {
    (similarity * 10.0 + 1e-9) as usize
}

#[test]
fn candidates_are_as_frequent_as_theory_says() {
    let Some(Made { docs, pairs }) = made() else { return };
    let sets: Vec<Vec<u32>> = docs.iter().map(|doc| shingle_set(&doc.text, 5)).collect();
    // (pairs, those that share a band, those that theory expects), over all seeds.
    let mut bands = vec![(0.0, 0.0, 0.0); 11];
    let seeds = 40;
    for seed in 1..=seeds {
        let stage = Stage::new(Config { seed, ..Config::default() });
        let hashes: Vec<Vec<u8>> = sets.iter().map(|set| stage.signature_of("", set, None)).collect();
        for &(a, b, _) in &pairs {
            let similarity = overlap(&sets[a], &sets[b]).jaccard();
            let (a, b) = (hashes[a].chunks_exact(8), hashes[b].chunks_exact(8));
            let shares = a.zip(b).take(14).any(|(a, b)| a == b);
            let row = &mut bands[band(similarity)];
            row.0 += 1.0;
            row.1 += f64::from(u8::from(shares));
            row.2 += 1.0 - (1.0 - similarity.powi(8)).powi(14);
        }
    }
    for (number, (count, shared, expected)) in bands.into_iter().enumerate() {
        let (shared, expected, pairs) = (shared / count, expected / count, count / seeds as f64);
        println!("| .{number} | {pairs} | {:.1} % | {:.1} % |", shared * 100.0, expected * 100.0);
        assert!((shared - expected).abs() < 0.02, "{number}: {shared} for {expected}");
    }
}

fn shingles(text: &str) -> BTreeSet<Vec<String>> {
    let text = simplified(text);
    let mut words = Vec::new();
    Splitter::default().split(&text, |word| words.push(word.of(&text).to_owned()));
    words.windows(5).map(<[String]>::to_vec).collect()
}

#[test]
fn what_goes_is_alike_to_what_stays() {
    let Some(Made { docs, pairs }) = made() else { return };
    let config = Config::default();
    let gone = run_barrier(Arc::new(Stage::new(config.clone())), &docs, &Setup::default());
    let by_id: BTreeMap<&str, &Document> = docs.iter().map(|doc| (doc.id.as_str(), doc)).collect();
    // How many fall below the limit if words are what stands between white space, in lower case.
    let by_space = |text: &str| -> BTreeSet<Vec<String>> {
        let words: Vec<String> = text.to_lowercase().split_whitespace().map(str::to_owned).collect();
        words.windows(5).map(<[String]>::to_vec).collect()
    };
    let mut below: Vec<f64> = Vec::new();
    for (id, removal) in &gone {
        let (a, b) = (by_space(&by_id[id.as_str()].text), by_space(&by_id[removal.kept_id.as_str()].text));
        let similarity = a.intersection(&b).count() as f64 / a.union(&b).count() as f64;
        below.extend((similarity < 0.8).then_some(similarity));
    }
    below.sort_by(f64::total_cmp);
    println!(
        "{} go, {} of them alike by less than .8 between white space: {below:.3?}",
        gone.len(),
        below.len()
    );
    let stay: BTreeSet<String> = survivors(&docs, &gone).into_iter().map(|doc| doc.id).collect();
    for (id, removal) in &gone {
        let (a, b) = (shingles(&by_id[id.as_str()].text), shingles(&by_id[removal.kept_id.as_str()].text));
        let exact = a.intersection(&b).count() as f64 / a.union(&b).count() as f64;
        assert!((exact - removal.similarity).abs() < 1e-9 && exact >= 0.8, "{id}: {exact}");
        assert!(stay.contains(&removal.kept_id), "{id} goes for one that goes");
    }
    let gone: BTreeMap<&str, f64> = gone.iter().map(|(id, gone)| (id.as_str(), gone.similarity)).collect();
    let mut bands = vec![(0, 0); 11];
    for (_, edited, similarity) in &pairs {
        let row = &mut bands[band(*similarity)];
        row.0 += 1;
        row.1 += usize::from(gone.contains_key(docs[*edited].id.as_str()));
    }
    for (number, (count, removed)) in bands.iter().enumerate() {
        println!("| .{number} | {count} | {removed} |");
    }
    let missed = pairs.iter().filter(|(_, edited, similarity)| {
        *similarity >= 0.8 && !gone.contains_key(docs[*edited].id.as_str())
    });
    let missed: Vec<f64> = missed
        .map(|&(a, b, _)| overlap(&shingle_set(&docs[a].text, 5), &shingle_set(&docs[b].text, 5)).jaccard())
        .collect();
    println!("labelled .8 or more and kept; our similarity: {missed:.3?}");
    let far: usize = bands[..6].iter().map(|row| row.1).sum();
    assert_eq!(far, 0, "documents unlike their original by any measure go");
    assert!(bands[9].1 * 100 >= bands[9].0 * 98 && bands[10].0 == bands[10].1, "{bands:?}");

    let setup = Setup { order: 7, part_docs: 250, memory_bytes: 1 << 21 };
    let again = run_barrier(Arc::new(Stage::new(config)), &docs, &setup);
    let again: BTreeMap<&str, f64> = again.iter().map(|(id, gone)| (id.as_str(), gone.similarity)).collect();
    assert_eq!(gone, again);
}

/// The pages of the shared crawl shard as text, and the sha1 of each page and of the one it copies.
fn crawl() -> Option<(Vec<Document>, Vec<[String; 3]>)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/bench-crawl");
    let wet = folder.join("BENCH-20261123-shared-00000.warc.wet.gz");
    if !wet.exists() {
        println!("skipped: `{}` is absent", wet.display());
        return None;
    }
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(crate::io::open(&wet).unwrap()).read_to_end(&mut bytes).unwrap();
    let mut docs = Vec::new();
    let mut rest = &bytes[..];
    while let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = std::str::from_utf8(&rest[..end]).unwrap();
        let field = |name: &str| {
            head.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
        };
        let length: usize = field("Content-Length:").unwrap().parse().unwrap();
        let body = &rest[end + 4..end + 4 + length];
        // A record ends with two line ends of its own.
        rest = rest.get(end + 8 + length..).unwrap_or_default();
        if field("WARC-Type:").unwrap() == "conversion" {
            let ordinal = Ordinal { split: 0, record: docs.len() as u64 };
            let text = String::from_utf8(body.to_vec()).unwrap();
            docs.push(Document::new(ordinal, field("WARC-Target-URI:").unwrap(), text));
        }
    }
    let mut manifest = String::new();
    let file = crate::io::open(folder.join("manifest.tsv.zst")).unwrap();
    zstd::Decoder::new(file).unwrap().read_to_string(&mut manifest).unwrap();
    let mut labels = Vec::new();
    for (line, doc) in manifest.lines().skip(1).zip(&mut docs) {
        let cells: Vec<&str> = line.split('\t').collect();
        assert_eq!(cells[3], doc.id, "the manifest and the shard run alike");
        labels.push([cells[9].to_owned(), cells[10].to_owned(), cells[11].to_owned()]);
        doc.id = format!("page-{}", doc.ordinal.record);
    }
    assert_eq!(labels.len(), docs.len());
    Some((docs, labels))
}

#[test]
fn injected_copies_in_a_crawl_are_found() {
    let Some((docs, labels)) = crawl() else { return };
    let index: BTreeMap<&str, usize> =
        (0..docs.len()).rev().map(|number| (labels[number][0].as_str(), number)).collect();
    let pairs = |kind: &str| -> Vec<(usize, usize)> {
        let labelled = (0..docs.len()).filter(|&number| labels[number][1] == kind);
        labelled.filter_map(|number| index.get(labels[number][2].as_str()).map(|&of| (number, of))).collect()
    };
    let gone_in = |gone: &[(String, crate::stage::Duplicate)]| -> BTreeSet<String> {
        gone.iter().map(|(id, _)| id.clone()).collect()
    };

    // An exact copy has the sha1 of its source, so the index gives the first of all that are equal. The
    // sources of some lie in other shards.
    let exact = super::exact_dedup::Stage::new(super::exact_dedup::Config::default());
    let gone = gone_in(&run_barrier(Arc::new(exact), &docs, &Setup::default()));
    let first: BTreeSet<&usize> = index.values().collect();
    let copies: Vec<usize> = (0..docs.len()).filter(|number| !first.contains(number)).collect();
    assert!(copies.iter().all(|&number| gone.contains(&docs[number].id)));
    println!("{} exact copies, all gone; {} pages gone", copies.len(), gone.len());

    let near = run_barrier(Arc::new(Stage::new(Config::default())), &docs, &Setup::default());
    assert!(near.iter().all(|(_, removal)| removal.similarity >= 0.8));
    let near_gone = gone_in(&near);
    let (mut alike, mut found) = (0, 0);
    for (copy, of) in pairs("near") {
        let sets = [copy, of].map(|number| shingle_set(&docs[number].text, 5));
        let similarity = overlap(&sets[0], &sets[1]).jaccard();
        let either = near_gone.contains(&docs[copy].id) || near_gone.contains(&docs[of].id);
        println!("near copy: similarity {similarity:.3}, found {either}");
        alike += usize::from(similarity >= 0.8);
        found += usize::from(similarity >= 0.8 && either);
    }
    println!("{alike} near copies of .8 or more, {found} found; {} pages gone", near_gone.len());
    assert!(found * 100 >= alike * 92, "{found} of {alike}");
}
