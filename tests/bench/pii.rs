//! What the `pii` stage finds in presidio-research's labelled sentences, and how fast it is on real text.
//!
//! A labelled span is found where a replaced stretch of the same kind overlaps it; a replacement that
//! overlaps no span of its kind is wrong. For e-mail and IPv4 the rules of datatrove's PIIFormatter, put
//! into regular expressions here, run beside ours. The set's people are made up.

use std::collections::BTreeMap;

use cpu_time::ThreadTime;
use regex::Regex;
use serde_json::Value;
use tamis::stages::rewrite::pii::{Config, Entity, Found, Pii};

use crate::data;

/// Our kinds and the set's.
const KINDS: [(Entity, &str); 6] = [
    (Entity::Email, "EMAIL_ADDRESS"),
    (Entity::Ipv4, "IP_ADDRESS"),
    (Entity::Ipv6, "IP_ADDRESS"),
    (Entity::Phone, "PHONE_NUMBER"),
    (Entity::CreditCard, "CREDIT_CARD"),
    (Entity::Iban, "IBAN_CODE"),
];

struct Sentence {
    text: String,
    /// Kind, first byte, byte after the last.
    spans: Vec<(String, usize, usize)>,
}

/// Scores, then speed on the documents of `reference/c4` where they are there.
pub(crate) fn run() {
    let Some(files) = data::load("pii") else {
        println!("pii: skipped, neither TAMIS_DATA nor ../shared/data/pii.tar.zst is there");
        return;
    };
    let sentences = sentences(&files);
    let countries = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect::<Vec<_>>();
    let many = countries(&[
        "US", "GB", "DE", "FR", "IT", "ES", "CH", "SE", "NO", "DK", "FI", "PL", "AU", "CA", "BE", "NL", "AT",
    ]);
    for (name, phone_regions) in
        [("default", countries(&["US"])), ("no regions", Vec::new()), ("17 regions", many)]
    {
        let config = Config { public_ips_only: false, phone_regions, ..Config::default() };
        let stage = Pii::new(config).expect("valid options");
        report(name, &sentences, &|text| stage.find(text));
    }
    report("datatrove's rules", &sentences, &datatrove());
    speed();
}

fn report(name: &str, sentences: &[Sentence], find: &dyn Fn(&str) -> Vec<Found>) {
    println!("{name}: kind, labelled, found, missed, wrong, precision, recall");
    let mut rows: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    let show = std::env::var_os("TAMIS_SHOW").is_some();
    for sentence in sentences {
        let found = find(&sentence.text);
        let kind_of = |hit: &Found| {
            KINDS.iter().find(|(entity, _)| *entity == hit.entity).map_or("", |(_, kind)| *kind)
        };
        for (kind, start, end) in &sentence.spans {
            let Some((_, kind)) = KINDS.iter().find(|(_, k)| k == kind) else { continue };
            let hit = found.iter().any(|hit| kind_of(hit) == *kind && hit.start < *end && *start < hit.end);
            rows.entry(kind).or_default()[usize::from(!hit)] += 1;
            if show && !hit {
                println!("  missed {kind} {:?}", &sentence.text[*start..*end]);
            }
        }
        for hit in &found {
            let kind = kind_of(hit);
            if !sentence.spans.iter().any(|(k, start, end)| k == kind && hit.start < *end && *start < hit.end)
            {
                rows.entry(kind).or_default()[2] += 1;
                if show {
                    println!(
                        "  wrong {kind} {:?} in {:?}",
                        &sentence.text[hit.start..hit.end],
                        sentence.text
                    );
                }
            }
        }
    }
    for (kind, [found, missed, wrong]) in rows {
        let ratio = |part: usize, whole: usize| if whole == 0 { 1.0 } else { part as f64 / whole as f64 };
        println!(
            "  {kind:14} {:5} {found:5} {missed:5} {wrong:5}   {:.3}   {:.3}",
            found + missed,
            ratio(found, found + wrong),
            ratio(found, found + missed)
        );
    }
}

/// datatrove's two patterns: dotted atoms before the `@`, dotted labels behind it; four octets anywhere.
fn datatrove() -> impl Fn(&str) -> Vec<Found> {
    let atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
    let label = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?";
    let email =
        Regex::new(&format!(r"(?-u:\b){atom}(?:\.{atom})*@(?:{label}\.)+{label}")).expect("a pattern");
    let octet = "(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]?[0-9])";
    let ip = Regex::new(&format!(r"{octet}\.{octet}\.{octet}\.{octet}")).expect("a pattern");
    move |text| {
        let hits = |pattern: &Regex, entity| {
            pattern
                .find_iter(text)
                .map(|m| Found { start: m.start(), end: m.end(), entity })
                .collect::<Vec<_>>()
        };
        let mut found = hits(&email, Entity::Email);
        found.extend(hits(&ip, Entity::Ipv4));
        found
    }
}

/// Labels count characters; ours count bytes.
fn sentences(files: &data::Files) -> Vec<Sentence> {
    let bytes = &files["pii/presidio-research/synth_dataset_v2.json"];
    let entries: Vec<Value> = serde_json::from_slice(bytes).expect("valid JSON");
    let read = |entry: &Value| {
        let text = entry["full_text"].as_str()?.to_owned();
        let byte = |value: &Value| -> Option<usize> {
            let chars = usize::try_from(value.as_u64()?).ok()?;
            Some(text.char_indices().nth(chars).map_or(text.len(), |(at, _)| at))
        };
        let spans = entry["spans"].as_array()?.iter().filter_map(|span| {
            Some((
                span["entity_type"].as_str()?.to_owned(),
                byte(&span["start_position"])?,
                byte(&span["end_position"])?,
            ))
        });
        let spans = spans.collect();
        Some(Sentence { text, spans })
    };
    entries.iter().filter_map(read).collect()
}

fn speed() {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/reference/c4/documents.jsonl");
    let Ok(lines) = std::fs::read_to_string(path) else {
        println!("speed: skipped, ../shared/reference/c4/documents.jsonl is not there");
        return;
    };
    let texts: Vec<String> = lines
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok()?["text"].as_str().map(str::to_owned))
        .collect();
    let bytes: usize = texts.iter().map(String::len).sum();
    let stage = Pii::new(Config::default()).expect("valid options");
    let show = std::env::var_os("TAMIS_SHOW").is_some();
    let time = |find: &dyn Fn(&str) -> Vec<Found>| {
        let start = ThreadTime::now();
        let mut counts: BTreeMap<Entity, usize> = BTreeMap::new();
        for text in &texts {
            for hit in find(text) {
                *counts.entry(hit.entity).or_default() += 1;
                if show {
                    println!("  {:?} {:?}", hit.entity, &text[hit.start..hit.end]);
                }
            }
        }
        (bytes as f64 / 1e6 / start.elapsed().as_secs_f64(), counts)
    };
    let letters: String =
        texts.concat().chars().filter(|c| !c.is_ascii_digit() && !matches!(c, '@' | ':')).collect();
    let start = ThreadTime::now();
    assert!(stage.find(&letters).is_empty(), "no candidates, no matches");
    let clean = letters.len() as f64 / 1e6 / start.elapsed().as_secs_f64();
    println!("clean text: {clean:.0} MB per CPU second");
    println!("reference/c4: {:?}", time(&|text| stage.find(text)));
    println!("reference/c4, datatrove's rules as regular expressions: {:?}", time(&datatrove()));
}
