//! `cc` against the `warc` reader on the same files, and against lists, indexes and servers that are not what they should be.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;

use super::select::{Criteria, Select, Selection, may_hold};
use super::testing::{CRAWL, Crawl, Found, Layout, PAGES, Row, below, env, everything, found, walk};
use super::{BuildContext, index};
use crate::document::Document;
use crate::stage::{Position, Reader};
use crate::stages::read::testing::{gzip, reader, record, response};
use crate::stages::read::{warc, wet};

fn chosen(reader: &dyn Reader, crawl: &Crawl) -> Vec<String> {
    let base = format!("{}/", crawl.base());
    reader.files().unwrap().into_iter().map(|file| file.strip_prefix(&base).unwrap().to_owned()).collect()
}

/// What the `warc` reader makes of all files, with the ids that `cc` gives.
fn plainly(crawl: &Crawl) -> Vec<Found> {
    let mut all = Vec::new();
    for path in &crawl.files {
        let file = below(crawl.folder.path(), path);
        let warc = reader(&warc::SPEC, json!({}), &file);
        for item in found(warc.open(0, &file, None).unwrap().as_mut()) {
            all.push(match item {
                Found::Document { file, offset, url, content, .. } => {
                    Found::Document { id: Document::derived_id(path, offset, 0), file, offset, url, content }
                }
                bad @ Found::Bad { .. } => bad,
            });
        }
    }
    all.sort();
    all
}

fn sorted(mut items: Vec<Found>) -> Vec<Found> {
    items.sort();
    items
}

#[test]
fn whole_files_are_read_as_the_warc_and_wet_readers_read_them() {
    let crawl = Crawl::new(3);
    let cc = crawl.reader(json!({}));
    assert_eq!(sorted(everything(cc.as_ref())), plainly(&crawl));
    assert_eq!(plainly(&crawl).len(), 3 * PAGES);
    let file = &cc.files().unwrap()[1];
    let (items, positions) = walk(cc.as_ref(), file, None);
    assert_eq!(items, walk(reader(&warc::SPEC, json!({}), file).as_ref(), file, None).0);
    for (number, at) in positions.iter().enumerate() {
        assert_eq!(walk(cc.as_ref(), file, Some(at)).0, items[number..]);
    }
    assert_eq!(cc.bytes(file).unwrap(), Some(std::fs::metadata(file).unwrap().len()));
    assert!(cc.passthrough(file).unwrap().is_empty() && cc.passes("cc", crawl.folder.path()).is_empty());

    let texts = crawl.reader(json!({ "kind": "wet", "source": "texts" }));
    let file = &texts.files().unwrap()[0];
    let (items, _) = walk(texts.as_ref(), file, None);
    assert_eq!(items, walk(reader(&wet::SPEC, json!({}), file).as_ref(), file, None).0);
    assert_eq!((items.len(), texts.source()), (1, "texts"));
    // Without a look into the file, which has no such field.
    assert_eq!(texts.passthrough("nowhere").unwrap()[0].0, "cc_languages");
}

#[test]
fn files_and_samples_choose_by_number_and_by_hash() {
    let crawl = Crawl::new(9);
    let all: BTreeSet<String> = chosen(crawl.reader(json!({})).as_ref(), &crawl).into_iter().collect();
    assert_eq!(all, crawl.files.iter().cloned().collect());
    let mut some = crawl.files[2..5].to_vec();
    some.sort();
    assert_eq!(chosen(crawl.reader(json!({ "files": "2..5" })).as_ref(), &crawl), some);
    let sample = |ratio: f64, seed: u64| {
        crawl.build(json!({ "sample": ratio, "seed": seed })).map(|reader| chosen(reader.as_ref(), &crawl))
    };
    let half = sample(0.5, 1).unwrap();
    assert_eq!(half, sample(0.5, 1).unwrap());
    assert!(!half.is_empty() && half.len() < 9, "{half:?}");
    assert!(half.iter().all(|file| sample(0.8, 1).unwrap().contains(file)));
    assert!((2..20).any(|seed| sample(0.5, seed).unwrap() != half));
    assert_eq!(sample(1.0, 3).unwrap().len(), 9);
}

#[test]
fn mistakes_are_told_at_the_option() {
    let crawl = Crawl::new(4);
    let refused = |options: serde_json::Value| {
        let errors = crawl.build(options).err().unwrap();
        let told = |error: &crate::stage::OptionError| {
            format!("{}: {} ({})", error.key, error.message, error.hint.as_deref().unwrap_or("-"))
        };
        errors.iter().map(told).collect::<Vec<_>>().join("\n")
    };
    for (options, words) in [
        (json!({ "crawl": "2026-40" }), "crawl: must be a name like `CC-MAIN-2024-33`, found `2026-40`"),
        (
            json!({ "crawl": "CC-MAIN-2013-01" }),
            "crawl: there is no list of files for crawl `CC-MAIN-2013-01`",
        ),
        (json!({ "files": "3" }), "files: must be like `0..100`, found `3`"),
        (json!({ "files": "-1..3" }), "files: must be like"),
        (json!({ "files": "2..2" }), "files: `2..2` holds no file"),
        (json!({ "files": "3..2" }), "files: `3..2` holds no file"),
        (json!({ "files": "2..5" }), "files: ends at 5, but the crawl has 4 files (all of them are `0..4`)"),
        (json!({ "files": "0..1", "sample": 0.5 }), "sample: stands beside `files`"),
        (json!({ "sample": 0.0 }), "sample: must be above 0 and at most 1, found 0"),
        (json!({ "sample": 1e-9 }), "sample: takes none of the 4 files"),
        (json!({ "select": {} }), "select: names nothing"),
        (json!({ "kind": "wet", "select": { "statuses": [200] } }), "select: goes through the index"),
        (
            json!({ "select": { "languages": ["zh"] } }),
            "select.languages.0: must be an ISO 639-3 code like `zho`, found `zh` (did you mean `zho`?)",
        ),
        (
            json!({ "select": { "languages": ["deu", "cmn"] } }),
            "select.languages.1: the index does not have `cmn` (did you mean `zho`?)",
        ),
        (json!({ "select": { "languages": ["deu", "German"] } }), "select.languages.1: must be"),
        (
            json!({ "select": { "domains": ["https://a.example/"] } }),
            "select.domains.0: must be a host or domain",
        ),
        (json!({ "select": { "statuses": [99] } }), "select.statuses.0: must be an HTTP status"),
        (json!({ "select": { "mime_types": ["html"] } }), "select.mime_types.0: must be a media type"),
    ] {
        let told = refused(options);
        assert!(told.contains(words), "{told}");
    }
    assert!(refused(json!({ "crawl": "x", "files": "1", "select": {} })).lines().count() >= 3);

    std::fs::remove_file(crawl.path(&crawl.files[1])).unwrap();
    let errors = crawl.reader(json!({})).files().unwrap_err();
    assert!(errors[0].message.contains("1 of the 4 files are not there"), "{errors:?}");
    for (bytes, words) in [
        (b"<html>no".to_vec(), "should be a gzip file, but begins with \"<html>no\""),
        (gzip(b""), "names no file"),
        (gzip(b"a\n../../etc/passwd\n"), "no path below `base`"),
        (gzip(b"a\n")[..8].to_vec(), "ends too early"),
    ] {
        crawl.write(&format!("crawl-data/{CRAWL}/warc.paths.gz"), &bytes);
        let told = refused(json!({}));
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn a_changed_list_changes_what_the_plan_holds() {
    let crawl = Crawl::new(2);
    let hashes = || {
        let mut cx = crate::stage::BuildContext::default();
        let options = json!({ "crawl": CRAWL, "base": crawl.base(), "select": { "statuses": [200] } });
        (super::SPEC.build)(options, &mut cx).unwrap();
        cx.files
    };
    let before = hashes();
    assert_eq!((before.len(), before == hashes()), (2, true));
    crawl.write_list("warc", &crawl.files[..1]);
    assert!(before != hashes());
}

#[test]
fn the_pace_is_for_web_servers_only() {
    for base in ["/data/crawls", "s3://commoncrawl"] {
        let options = json!({ "crawl": CRAWL, "base": base, "max_requests_per_sec": 4.0 });
        let errors = (super::SPEC.build)(options, &mut BuildContext::default()).err().unwrap();
        assert_eq!((errors.len(), errors[0].key.as_str()), (1, "max_requests_per_sec"));
        assert!(errors[0].message.contains("is for web servers"), "{}", errors[0].message);
    }
}

/// What the rows that fit name, read the plain way.
fn expected(crawl: &Crawl, fits: impl Fn(&Row) -> bool) -> Vec<Found> {
    let wanted: BTreeSet<(String, u64)> = (crawl.rows.iter().filter(|row| fits(row)))
        .map(|row| (below(crawl.folder.path(), &row.file), u64::try_from(row.offset).unwrap()))
        .collect();
    let of_wanted = |item: &Found| match item {
        Found::Document { file, offset, .. } => wanted.contains(&(file.clone(), *offset)),
        Found::Bad { .. } => true,
    };
    plainly(crawl).into_iter().filter(of_wanted).collect()
}

type Fits<'f> = &'f dyn Fn(&Row) -> bool;
/// A change to a row, and words of what is told of it.
type Wrong<'f> = (&'f dyn Fn(&mut Row), &'f str);

#[test]
fn a_selection_reads_what_a_plain_read_filtered_afterwards_has() {
    let crawl = Crawl::new(3);
    let languages = |row: &Row| row.languages.clone().unwrap_or_default();
    let below_b = |row: &Row| row.host == "www.b.example" || row.host == "news.b.example";
    let cases: [(serde_json::Value, Fits); 9] = [
        (json!({ "languages": ["zho"] }), &|row| languages(row).starts_with("zho")),
        (json!({ "languages": ["zho"], "first_language_only": false }), &|row| {
            languages(row).contains("zho")
        }),
        (json!({ "languages": ["zho", "deu"] }), &|row| languages(row).starts_with(['z', 'd'])),
        (json!({ "domains": ["b.example"] }), &below_b),
        (json!({ "domains": ["www.b.example", "C.test."] }), &|row| {
            row.host == "www.b.example" || row.host == "c.test"
        }),
        (json!({ "domains": ["example"] }), &|row| row.host != "c.test"),
        (json!({ "statuses": [206, 404] }), &|row| row.status == 206),
        (json!({ "mime_types": ["Text/HTML"], "domains": ["b.example"], "languages": ["eng"] }), &|row| {
            below_b(row) && row.mime == "text/html" && languages(row).starts_with("eng")
        }),
        (json!({ "domains": ["nowhere.example"] }), &|_| false),
    ];
    let layouts = [
        Layout::default(),
        Layout { wide: true, group_rows: 7, page_rows: 1000, parts: 1 },
        Layout { wide: false, group_rows: 1000, page_rows: 3, parts: 3 },
    ];
    for layout in layouts {
        crawl.write_index(&crawl.rows, layout);
        for (select, fits) in &cases {
            let selecting = crawl.selecting(json!({ "select": select }));
            let items = sorted(everything(selecting.reader.as_ref()));
            assert_eq!(items, expected(&crawl, fits), "{select}");
        }
    }
    let some = crawl.selecting(json!({ "select": { "statuses": [200] }, "files": "1..2" }));
    let items = sorted(everything(some.reader.as_ref()));
    assert_eq!(items, expected(&crawl, |row| row.status == 200 && row.file == crawl.files[1]));
    let file = below(crawl.folder.path(), &crawl.files[1]);
    assert_eq!(some.reader.bytes(&file).unwrap(), None);
}

#[test]
fn a_selection_goes_on_from_every_record() {
    let crawl = Crawl::new(2);
    let selecting = crawl.selecting(json!({ "select": { "domains": ["b.example", "c.test"] } }));
    let reader = selecting.reader.as_ref();
    let files = reader.files().unwrap();
    for file in &files {
        let (items, positions) = walk(reader, file, None);
        assert_eq!(items.len(), PAGES * 3 / 4);
        assert_eq!(positions.last().unwrap().record, items.len() as u64);
        for (number, at) in positions.iter().enumerate() {
            let (rest, places) = walk(reader, file, Some(at));
            assert_eq!((rest, places), (items[number..].to_vec(), positions[number..].to_vec()));
        }
    }
    let wrong = Position { offset: 12, record: 1 };
    assert!(reader.open(0, &files[0], Some(&wrong)).err().unwrap().to_string().contains("was changed"));
    let unready = crawl.reader(json!({ "select": { "statuses": [200] } }));
    assert!(unready.open(0, &files[0], None).err().unwrap().to_string().contains("needs passes"));
}

#[test]
fn a_file_without_chosen_records_is_not_opened() {
    let crawl = Crawl::new(2);
    let rows: Vec<Row> = crawl.rows.iter().filter(|row| row.file == crawl.files[0]).cloned().collect();
    crawl.write_index(&rows, Layout::default());
    let selecting = crawl.selecting(json!({ "select": { "statuses": [200] } }));
    let second = below(crawl.folder.path(), &crawl.files[1]);
    std::fs::remove_file(&second).unwrap();
    assert!(walk(selecting.reader.as_ref(), &second, None).0.is_empty());
}

#[test]
fn wrong_index_entries_are_quarantined_and_the_others_read() {
    let crawl = Crawl::new(1);
    let file_bytes = i64::try_from(std::fs::metadata(crawl.path(&crawl.files[0])).unwrap().len()).unwrap();
    let right = crawl.rows.clone();
    let with = |change: &dyn Fn(&mut Row)| {
        let mut row = right[4].clone();
        change(&mut row);
        let mut rows = right.clone();
        rows[4] = row;
        crawl.write_index(&rows, Layout { wide: true, ..Layout::default() });
        let selecting = crawl.selecting(json!({ "select": { "statuses": [200, 206] } }));
        let file = below(crawl.folder.path(), &crawl.files[0]);
        let (items, positions) = walk(selecting.reader.as_ref(), &file, None);
        for (number, at) in positions.iter().enumerate() {
            let (rest, places) = walk(selecting.reader.as_ref(), &file, Some(at));
            assert_eq!((rest, places), (items[number..].to_vec(), positions[number..].to_vec()), "{items:?}");
        }
        everything(selecting.reader.as_ref())
    };
    let request = right[4].offset - (right[5].offset - right[4].offset - right[4].length);
    let cases: [Wrong; 14] = [
        (&|row| row.offset = file_bytes + 1000, "the file ends before"),
        (&|row| row.offset = file_bytes, "the file ends before"),
        (&|row| row.offset += 1, "no gzip member begins there"),
        (&|row| row.offset -= 1, "no gzip member begins there"),
        (&|row| row.length -= 1, "does not end there"),
        (&|row| row.length = 2, "no gzip member begins there"),
        (&|row| row.length = 30, "does not end there"),
        (&|row| row.length += 1, "ends before"),
        (&|row| row.length += 4000, "ends before"),
        (&|row| row.length = 1 << 40, "ends before"),
        (&|row| row.length = 0, "no file has such a place"),
        (&|row| row.offset = -1, "no file has such a place"),
        (&|row| row.offset = i64::MAX, "no file has such a place"),
        (
            &|row| (row.offset, row.length) = (request, right[4].offset - request),
            "a record of type `request`",
        ),
    ];
    for (change, words) in cases {
        let items = with(change);
        let bad: Vec<&Found> = items.iter().filter(|item| matches!(item, Found::Bad { .. })).collect();
        let told = format!("{bad:?}");
        assert!(told.contains("\"wrong_index_entry\"") && told.contains(words), "{words}: {told}");
        let left = expected(&crawl, |row| row.offset != right[4].offset);
        let documents = items.iter().filter(|item| matches!(item, Found::Document { .. })).cloned().collect();
        assert_eq!((bad.len(), sorted(documents)), (1, left), "{words}");
    }
    // Twice the same entry is one record; of two for one place the longer counts.
    let mut rows = right.clone();
    rows.extend([right[3].clone(), Row { length: 40, ..right[7].clone() }]);
    crawl.write_index(&rows, Layout::default());
    let selecting = crawl.selecting(json!({ "select": { "statuses": [200, 206] } }));
    assert_eq!(sorted(everything(selecting.reader.as_ref())), plainly(&crawl));
}

#[test]
fn damage_inside_a_record_is_what_it_is_elsewhere() {
    let crawl = Crawl::new(1);
    let path = crawl.path(&crawl.files[0]);
    let whole = std::fs::read(&path).unwrap();
    let row = &crawl.rows[6];
    let (start, length) = (usize::try_from(row.offset).unwrap(), usize::try_from(row.length).unwrap());
    for at in [start + 20, start + length / 2, start + length - 6] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        std::fs::write(&path, &bytes).unwrap();
        let selecting = crawl.selecting(json!({ "select": { "statuses": [200, 206] } }));
        let items = everything(selecting.reader.as_ref());
        let bad: Vec<String> = items
            .iter()
            .filter(|item| matches!(item, Found::Bad { .. }))
            .map(|item| format!("{item:?}"))
            .collect();
        assert_eq!((items.len(), bad.len()), (PAGES, 1), "{bad:?}");
        assert!(bad[0].contains("corrupt_gzip_member") || bad[0].contains("wrong_index_entry"), "{bad:?}");
    }
    // Damage and a length beyond the end of the file at once.
    let last = &crawl.rows[PAGES - 1];
    let mut bytes = whole.clone();
    bytes[usize::try_from(last.offset).unwrap() + 300] ^= 0x55;
    std::fs::write(&path, &bytes).unwrap();
    let mut rows = crawl.rows.clone();
    rows[PAGES - 1].length += 100_000;
    crawl.write_index(&rows, Layout::default());
    let selecting = crawl.selecting(json!({ "select": { "statuses": [200, 206] } }));
    let items = everything(selecting.reader.as_ref());
    assert_eq!(items.iter().filter(|item| matches!(item, Found::Document { .. })).count(), PAGES - 1);
    assert_eq!(items.len(), PAGES);
    // A record that is longer than its member, and two records in one.
    let long =
        String::from_utf8(record("response", "application/http", 1, b"HTTP/1.1 200 OK\r\n\r\nx")).unwrap();
    let long = gzip(long.replace("Content-Length: 20", "Content-Length: 90").as_bytes());
    let two = gzip(&[response(1), response(2)].concat());
    for (member, cause) in [(long, "truncated_record"), (two, "wrong_index_entry")] {
        std::fs::write(&path, [member.clone(), whole.clone()].concat()).unwrap();
        let row = Row { offset: 0, length: i64::try_from(member.len()).unwrap(), ..row.clone() };
        crawl.write_index(&[row], Layout { parts: 1, ..Layout::default() });
        let selecting = crawl.selecting(json!({ "select": { "statuses": [200, 206] } }));
        let items = everything(selecting.reader.as_ref());
        let [Found::Bad { cause: found, .. }] = &items[..] else { panic!("{items:?}") };
        assert_eq!(found, cause);
    }
}

#[test]
fn what_a_server_sends_instead_is_an_error() {
    let crawl = Crawl::new(1);
    let path = crawl.path(&crawl.files[0]);
    let file = below(crawl.folder.path(), &crawl.files[0]);
    let plain = crawl.reader(json!({}));
    let selecting = crawl.selecting(json!({ "select": { "statuses": [200] } }));
    let page = [b"<!DOCTYPE html>\n<p>slow\x1b down</p>".to_vec(), vec![b' '; 1 << 17]].concat();
    for (bytes, words) in [
        (&page[..], "begins with \"<!DOCTYPE html>\\n<p>slow\\u{1b} down</p>"),
        (b"WARC/1.0\r\n", "begins with \"WARC/1.0\\r\\n\""),
        (b"", "is empty"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let told = plain.open(0, &file, None).err().unwrap().to_string();
        assert!(told.contains(words) && told.contains("the server sent something else"), "{told}");
    }
    let whole_of_pages = page.repeat(3);
    std::fs::write(&path, &whole_of_pages).unwrap();
    let mut rows = crawl.rows.clone();
    rows.truncate(1);
    rows[0].offset = 0;
    crawl.write_index(&rows, Layout { parts: 1, ..Layout::default() });
    let answer = crawl.selecting(json!({ "select": { "statuses": [200] } }));
    let told = answer.reader.open(0, &file, None).unwrap().next().err().unwrap().to_string();
    assert!(told.contains("the server sent something else"), "{told}");
    drop(selecting);
}

#[test]
fn an_index_that_is_none_stops_the_run() {
    let crawl = Crawl::new(1);
    let part = crawl
        .path(&format!("cc-index/table/cc-main/warc/crawl={CRAWL}/subset=warc/part-00000-x.c000.gz.parquet"));
    let whole = std::fs::read(&part).unwrap();
    let other = {
        let path = crawl.path("other.parquet");
        crate::io::columns::tests::write_corpus(&path, &[("id".to_owned(), "text".to_owned())]);
        std::fs::read(path).unwrap()
    };
    let reader = crawl.reader(json!({ "select": { "statuses": [200] } }));
    let dir = tempfile::tempdir().unwrap();
    for (bytes, words) in [
        (&whole[..whole.len() / 2], "is damaged"),
        (b"".as_slice(), "holds nothing"),
        (&other, "no index of a crawl: it has no column `fetch_status`"),
    ] {
        std::fs::write(&part, bytes).unwrap();
        let pass = &reader.passes("cc", dir.path())[0];
        let told = pass.run(0, &env()).unwrap_err().to_string();
        assert!(told.contains(words), "{told}");
    }
    std::fs::write(&part, &whole).unwrap();
    let stopped = env();
    stopped.cancel.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(matches!(
        reader.passes("cc", dir.path())[0].run(0, &stopped),
        Err(crate::error::Error::Interrupted)
    ));
}

#[test]
fn domains_are_looked_for_in_few_pages() {
    let crawl = Crawl::new(8);
    crawl.write_index(&crawl.rows, Layout { wide: false, group_rows: 40, page_rows: 4, parts: 1 });
    let mut paths = crawl.files.clone();
    paths.sort();
    let rows_for = |domains: &[&str]| {
        let select =
            Select { domains: domains.iter().map(|name| (*name).to_owned()).collect(), ..Select::default() };
        let selection =
            Selection { criteria: select.check().unwrap(), paths: paths.clone().into(), parts: Vec::new() };
        let part = crawl.path(&format!(
            "cc-index/table/cc-main/warc/crawl={CRAWL}/subset=warc/part-00000-x.c000.gz.parquet"
        ));
        let mut found = 0;
        let take = &mut |_| {
            found += 1;
            Ok(())
        };
        let rows = index::places(&part.to_string_lossy(), &Arc::new(selection), &env(), take).unwrap();
        (found, rows)
    };
    let all = crawl.rows.len() as u64;
    assert_eq!(all, 96);
    for (domains, found) in [(&["c.test"][..], 24), (&["news.b.example"], 24), (&["a.example"], 24)] {
        let (places, rows) = rows_for(domains);
        assert!(places == found && rows <= found + 8, "{domains:?}: {places} of {rows} rows");
    }
    assert_eq!(rows_for(&["absent.zz"]), (0, 0));
    // Keys of addresses are not turned round.
    assert_eq!(rows_for(&["10.0.0.1"]), (0, all));
}

#[test]
fn bounds_of_keys_never_hide_a_page() {
    let select = |domains: &[&str]| -> Criteria {
        let domains = domains.iter().map(|name| (*name).to_owned()).collect();
        Select { domains, ..Select::default() }.check().unwrap()
    };
    let criteria = select(&["www.example.org", "b.test", "例え.jp"]);
    let prefixes = criteria.key_prefixes().unwrap();
    assert_eq!(prefixes, ["jp,xn--r8jz45g", "org,example", "test,b"]);
    let holds = |min: &str, max: &str| may_hold(&prefixes, min.as_bytes(), max.as_bytes());
    assert!(holds("org,example)/a", "org,example)/z"));
    assert!(holds("org,example,news)/", "org,zzz"));
    assert!(holds("org,example:8080)/", "org,example:8080)/"));
    assert!(holds("org,ex", "org,example)/"));
    assert!(holds("a", "z"));
    assert!(!holds("org,f)/", "test,a)/"));
    assert!(!holds("test,c)/", "z"));
    assert!(!holds("org,example-two)/", "org,zzz)/"));
    assert!(!holds("a", "b"));
    assert!(criteria.fits_domains(b"www.example.org") && criteria.fits_domains(b"a.www.example.org"));
    assert!(!criteria.fits_domains(b"example.org") && !criteria.fits_domains(b"xwww.example.org"));
    assert!(select(&["10.0.0.1", "a.test"]).key_prefixes().is_none());
}
