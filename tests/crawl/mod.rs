//! The fixture crawl: a generator of small invented pages in six languages, and the tests that the files
//! in `fixtures/crawl` are what it makes.
//!
//! Every text is put together from sentences written for this project (`banks/`), every site and person is
//! invented. To write the files after a change: `TAMIS_BLESS=1 cargo test --release fixture_crawl`.
//! The same is needed when an update of the gzip or Parquet crate packs the same content differently.

mod broken;
mod files;
mod grammar;
mod index;
mod page;
mod rng;
mod similar;
mod site;
mod spam;
mod warc;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use files::{Crawl, crawl};
use page::Kind;
use similar::{jaccard, shingles};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/crawl")
}

#[test]
fn fixture_crawl_is_what_the_generator_makes() {
    let Crawl { files, .. } = crawl();
    let folder = folder();
    if std::env::var_os("TAMIS_BLESS").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in &files {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
    let mut total_bytes = 0;
    for (name, bytes) in &files {
        let committed = std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(
            committed == *bytes,
            "fixtures/crawl/{name} is not what the generator makes; see the top of this file"
        );
        total_bytes += bytes.len();
    }
    assert!(total_bytes < 2_000_000, "the fixture crawl has grown to {total_bytes} bytes");
}

#[test]
fn fixture_crawl_has_the_promised_share_of_everything() {
    let Crawl { pages, .. } = crawl();
    let mut articles = BTreeMap::new();
    let mut kinds = BTreeMap::new();
    for page in &pages {
        *kinds.entry(page.kind).or_insert(0) += 1;
        if page.kind == Kind::Article {
            *articles.entry(page.language).or_insert(0) += 1;
        }
    }
    assert!(articles["en"] >= 180, "{articles:?}");
    for language in ["ar", "de", "es", "ja", "zh"] {
        assert!(articles[language] >= 25, "{articles:?}");
    }
    for (kind, least) in [
        (Kind::ExactDup, 12),
        (Kind::NearDup, 20),
        (Kind::Spam, 30),
        (Kind::Pii, 10),
        (Kind::Keyword, 2),
        (Kind::BannedUrl, 2),
    ] {
        assert!(kinds[&kind] >= least, "{kinds:?}");
    }
    let mut urls: Vec<&str> = pages.iter().map(|page| page.url.as_str()).collect();
    urls.sort_unstable();
    urls.dedup();
    assert_eq!(urls.len(), pages.len(), "two pages share an address");
}

#[test]
fn fixture_articles_are_long_clean_and_free_of_grammar() {
    let Crawl { pages, .. } = crawl();
    for page in pages.iter().filter(|page| page.kind == Kind::Article) {
        let text = page.text();
        assert!(!text.contains(['{', '}', '<', '>', '|']), "{}: grammar shows:\n{text}", page.url);
        assert!(!text.contains("  "), "{}: double space", page.url);
        for line in text.lines() {
            assert!(line.ends_with(['.', '?', '!', '。']), "{}: no full stop: {line}", page.url);
        }
        let words = text.split_whitespace().count();
        match page.language {
            "en" => assert!((250..=900).contains(&words), "{}: {words} words", page.url),
            "de" | "es" | "ar" => assert!((120..=900).contains(&words), "{}: {words} words", page.url),
            _ => {
                let chars = text.chars().count();
                assert!((300..=2000).contains(&chars), "{}: {chars} characters", page.url);
            }
        }
    }
}

#[test]
fn fixture_pages_are_similar_only_where_the_manifest_says_so() {
    let Crawl { pages, .. } = crawl();
    let sets: Vec<Vec<u64>> = pages.iter().map(|page| shingles(&page.text())).collect();
    let root = |at: usize| if pages[at].dup_of.is_empty() { &pages[at].url } else { &pages[at].dup_of };
    let mut most: f64 = 0.0;
    for left in 0..pages.len() {
        for right in left + 1..pages.len() {
            let similarity = jaccard(&sets[left], &sets[right]);
            let (a, b) = (&pages[left], &pages[right]);
            if root(left) == root(right) {
                let both_edited = a.kind == Kind::NearDup && b.kind == Kind::NearDup;
                assert!(both_edited || similarity >= 0.8, "{} {} {similarity}", a.url, b.url);
            } else if a.kind != Kind::Spam && b.kind != Kind::Spam {
                most = most.max(similarity);
                assert!(similarity < 0.4, "{} {} {similarity}", a.url, b.url);
            }
        }
    }
    println!("most similar unrelated pages: {most:.3}");
}
