//! Common Crawl's lists and columnar index for the WARC and WET files of the fixture crawl.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int16Array, Int32Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, GzipLevel};
use parquet::file::properties::WriterProperties;

use super::files::three_letters;
use super::page::Page;
use super::warc::gzip;

const CRAWL: &str = "CC-MAIN-2026-40";

struct Row {
    key: String,
    url: String,
    host: String,
    mime: String,
    languages: Option<&'static str>,
    file: String,
    offset: usize,
    length: usize,
}

/// The lists and the index, by name.
pub(super) fn files(warcs: &[(String, Vec<u8>)], pages: &[Page]) -> Vec<(String, Vec<u8>)> {
    let part =
        format!("cc-index/table/cc-main/warc/crawl={CRAWL}/subset=warc/part-00000-fixture.c000.gz.parquet");
    let list = |name: &str, paths: &[&str]| {
        let text = paths.join("\n") + "\n";
        (format!("crawl-data/{CRAWL}/{name}.paths.gz"), gzip(text.as_bytes()))
    };
    let names: Vec<&str> = warcs.iter().map(|(name, _)| name.as_str()).collect();
    let languages = pages.iter().map(|page| (page.url.as_str(), three_letters(page.language))).collect();
    let mut rows: Vec<Row> = warcs.iter().flat_map(|(name, bytes)| rows(name, bytes, &languages)).collect();
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    vec![
        list("warc", &names),
        list("wet", &["text-00000.warc.wet.gz"]),
        list("cc-index-table", &[&part]),
        (part, table(&rows)),
    ]
}

/// A row for each response with status 200.
fn rows(file: &str, bytes: &[u8], languages: &BTreeMap<&str, &'static str>) -> Vec<Row> {
    let (mut rows, mut offset) = (Vec::new(), 0);
    while offset < bytes.len() {
        let mut member = flate2::bufread::GzDecoder::new(&bytes[offset..]);
        let mut record = Vec::new();
        member.read_to_end(&mut record).expect("our own gzip");
        let length = bytes.len() - offset - member.into_inner().len();
        let text = String::from_utf8_lossy(&record);
        let field = |name: &str| {
            let start = text.find(&format!("\r\n{name}: "))? + name.len() + 4;
            text[start..].split("\r\n").next()
        };
        if field("WARC-Type") == Some("response") && text.contains("\r\nHTTP/1.1 200 ") {
            let url = field("WARC-Target-URI").expect("an address");
            let (host, path) = url
                .split_once("://")
                .and_then(|(_, rest)| rest.split_once('/'))
                .expect("an address with a path");
            let head = text.split("\r\nHTTP/1.1").nth(1).expect("a response");
            let media =
                head.split("\r\nContent-Type: ").nth(1).and_then(|rest| rest.split(['\r', ';']).next());
            let labels: Vec<&str> = host.strip_prefix("www.").unwrap_or(host).rsplit('.').collect();
            rows.push(Row {
                key: format!("{})/{path}", labels.join(",")),
                url: url.to_owned(),
                host: host.to_owned(),
                mime: media.expect("a media type").to_owned(),
                languages: languages.get(url).copied(),
                file: file.to_owned(),
                offset,
                length,
            });
        }
        offset += length;
    }
    rows
}

/// The columns of the real index that tell one page from another.
fn table(rows: &[Row]) -> Vec<u8> {
    let texts = |of: &dyn Fn(&Row) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<StringArray>())
    };
    let numbers = |of: &dyn Fn(&Row) -> usize| -> ArrayRef {
        Arc::new(Int32Array::from_iter_values(
            rows.iter().map(|row| i32::try_from(of(row)).expect("small files")),
        ))
    };
    let domain = |row: &Row| {
        row.host.rsplitn(3, '.').take(2).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join(".")
    };
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("url_surtkey", texts(&|row| Some(row.key.clone())), true),
        ("url", texts(&|row| Some(row.url.clone())), true),
        ("url_host_name", texts(&|row| Some(row.host.clone())), true),
        ("url_host_registered_domain", texts(&|row| Some(domain(row))), true),
        ("fetch_status", Arc::new(Int16Array::from(vec![200; rows.len()])) as ArrayRef, true),
        ("content_mime_detected", texts(&|row| Some(row.mime.clone())), true),
        ("content_languages", texts(&|row| row.languages.map(str::to_owned)), true),
        ("warc_filename", texts(&|row| Some(row.file.clone())), true),
        ("warc_record_offset", numbers(&|row| row.offset), true),
        ("warc_record_length", numbers(&|row| row.length), true),
    ])
    .expect("columns of one length");
    let properties = WriterProperties::builder()
        .set_compression(Compression::GZIP(GzipLevel::default()))
        .set_max_row_group_row_count(Some(128))
        .set_created_by("tamis fixture generator".to_owned())
        .build();
    let mut writer =
        ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).expect("a plain schema");
    writer.write(&batch).expect("writing to memory");
    writer.into_inner().expect("writing to memory")
}
