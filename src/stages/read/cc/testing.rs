//! Makes a small crawl with Common Crawl's layout in a folder: WARC and WET files, lists, index.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, Int16Array, Int32Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use crate::stage::{
    BuildContext, Built, Item, OptionError, Pass, Position, Progress, Reader, RecordStream, TaskEnv,
};
use crate::stages::read::testing::{crawl, gzip, record};

pub(super) const CRAWL: &str = "CC-MAIN-2026-40";
/// Pages of each WARC file.
pub(super) const PAGES: usize = 12;

/// A row of the index.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub key: String,
    pub host: String,
    pub languages: Option<String>,
    pub status: i16,
    pub mime: String,
    pub file: String,
    pub offset: i64,
    pub length: i64,
}

/// How the index is written.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// Whether places are 64-bit.
    pub wide: bool,
    pub group_rows: usize,
    pub page_rows: usize,
    /// Index files.
    pub parts: usize,
}

impl Default for Layout {
    fn default() -> Self {
        Self { wide: false, group_rows: 1000, page_rows: 1000, parts: 2 }
    }
}

/// A crawl in a folder of its own that goes away with the value.
pub(super) struct Crawl {
    pub folder: tempfile::TempDir,
    /// Paths of the WARC files below the folder.
    pub files: Vec<String>,
    /// A row of the index for each page, in the order of the files.
    pub rows: Vec<Row>,
}

impl Crawl {
    /// A crawl of so many WARC files, and as many WET files.
    pub(super) fn new(files: usize) -> Self {
        let mut made = Self { folder: tempfile::tempdir().unwrap(), files: Vec::new(), rows: Vec::new() };
        let mut texts = Vec::new();
        for number in 0..files {
            let path = |kind: &str, end: &str| {
                format!("crawl-data/{CRAWL}/segments/{}.7/{kind}/CC-MAIN-{number:05}.{end}", number % 2)
            };
            let file = path("warc", "warc.gz");
            let mut bytes = Vec::new();
            for (at, part) in crawl(PAGES).into_iter().enumerate() {
                let member = gzip(&part);
                // Information first, then request and response of each page.
                if at > 0 && at % 2 == 0 {
                    made.rows.push(row(made.rows.len(), &file, bytes.len(), member.len()));
                }
                bytes.extend(member);
            }
            made.write(&file, &bytes);
            made.files.push(file);
            texts.push(path("wet", "warc.wet.gz"));
            let text = record("conversion", "text/plain", number, b"a text of some words");
            made.write(&texts[number], &gzip(&text));
        }
        made.write_list("warc", &made.files);
        made.write_list("wet", &texts);
        made.write_index(&made.rows, Layout::default());
        made
    }

    pub(super) fn base(&self) -> String {
        self.folder.path().to_string_lossy().into_owned()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub(super) fn write_list(&self, name: &str, paths: &[String]) {
        let text = paths.join("\n") + "\n";
        self.write(&format!("crawl-data/{CRAWL}/{name}.paths.gz"), &gzip(text.as_bytes()));
    }

    /// Writes the index with these rows, sorted by key as the real one is.
    pub(super) fn write_index(&self, rows: &[Row], layout: Layout) {
        let folder = format!("cc-index/table/cc-main/warc/crawl={CRAWL}");
        // Fetches that failed have index files of their own.
        let mut paths = vec![format!("{folder}/subset=crawldiagnostics/part-00000-x.c000.gz.parquet")];
        let mut rows = rows.to_vec();
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        for (number, rows) in rows.chunks(rows.len().div_ceil(layout.parts)).enumerate() {
            let path = format!("{folder}/subset=warc/part-{number:05}-x.c000.gz.parquet");
            self.write(&path, &index_file(rows, layout));
            paths.push(path);
        }
        self.write_list("cc-index-table", &paths);
    }

    /// The `cc` reader of this crawl with some more options.
    pub(super) fn reader(&self, options: serde_json::Value) -> Box<dyn Reader> {
        self.build(options).unwrap_or_else(|errors| panic!("{errors:?}"))
    }

    pub(super) fn build(&self, mut options: serde_json::Value) -> Result<Box<dyn Reader>, Vec<OptionError>> {
        for (key, value) in [("crawl", CRAWL), ("base", &self.base())] {
            if options.get(key).is_none() {
                options[key] = value.into();
            }
        }
        match (super::SPEC.build)(options, &mut BuildContext::default())? {
            Built::Reader(reader) => Ok(reader),
            _ => panic!("`cc` is no reader"),
        }
    }

    /// The same after its passes.
    pub(super) fn selecting(&self, options: serde_json::Value) -> Selecting {
        let reader = self.reader(options);
        let dir = tempfile::tempdir().unwrap();
        for pass in reader.passes("cc", dir.path()) {
            run_backwards(pass.as_ref());
        }
        reader.ready(dir.path()).unwrap();
        Selecting { reader, _dir: dir }
    }
}

/// Documents and bad records of all files in order.
pub(super) fn everything(reader: &dyn Reader) -> Vec<Found> {
    let files = reader.files().unwrap();
    files.iter().flat_map(|file| found(reader.open(0, file, None).unwrap().as_mut())).collect()
}

pub(super) struct Selecting {
    pub reader: Box<dyn Reader>,
    _dir: tempfile::TempDir,
}

/// What a stream handed out, without the numbers of records.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Found {
    Document { id: String, file: String, offset: u64, url: String, content: u64 },
    Bad { file: String, offset: u64, cause: String, detail: String },
}

pub(super) fn found(stream: &mut dyn RecordStream) -> Vec<Found> {
    let mut all = Vec::new();
    while let Some(item) = stream.next().unwrap() {
        match item {
            Item::Document(doc) => all.push(Found::Document {
                id: doc.id.clone(),
                file: doc.file.to_string(),
                offset: doc.offset,
                url: doc.url.clone().unwrap_or_default(),
                content: xxhash_rust::xxh3::xxh3_64(&doc.raw.map_or(doc.text.into_bytes(), |raw| raw.bytes)),
            }),
            Item::Bad(bad) => all.push(Found::Bad {
                file: bad.file,
                offset: bad.offset,
                cause: bad.cause,
                detail: bad.detail,
            }),
            Item::Skipped(_) => {}
        }
    }
    all
}

/// All items of a file from a position on, in words, and the position before each and at the end.
pub(super) fn walk(reader: &dyn Reader, file: &str, at: Option<&Position>) -> (Vec<String>, Vec<Position>) {
    let mut stream = reader.open(0, file, at).unwrap();
    let (mut items, mut positions) = (Vec::new(), vec![stream.position()]);
    while let Some(item) = stream.next().unwrap() {
        items.push(crate::stages::read::testing::shown(&item));
        positions.push(stream.position());
    }
    (items, positions)
}

pub(super) fn env() -> TaskEnv {
    // So little that sorting spills where there is much.
    TaskEnv { memory_bytes: 1 << 16, cancel: Arc::default(), progress: Arc::new(Silent) }
}

struct Silent;

impl Progress for Silent {
    fn advance(&self, _: u64, _: u64) {}
}

fn run_backwards(pass: &dyn Pass) {
    for task in (0..pass.tasks().unwrap()).rev() {
        pass.run(task, &env()).unwrap();
    }
}

fn row(number: usize, file: &str, offset: usize, length: usize) -> Row {
    let (host, key) = [
        ("a.example", "example,a)"),
        ("www.b.example", "example,b)"),
        ("news.b.example", "example,b,news)"),
        ("c.test", "test,c)"),
    ][number % 4];
    let languages = [Some("zho,eng"), Some("eng"), None, Some("eng,zho,deu"), Some("deu")][number % 5];
    Row {
        key: format!("{key}/{number}"),
        host: host.to_owned(),
        languages: languages.map(str::to_owned),
        status: if number % 7 == 3 { 206 } else { 200 },
        mime: if number % 6 == 5 { "application/xhtml+xml" } else { "text/html" }.to_owned(),
        file: file.to_owned(),
        offset: i64::try_from(offset).unwrap(),
        length: i64::try_from(length).unwrap(),
    }
}

/// An index file with the columns of the real one that matter, and one that must not be needed.
fn index_file(rows: &[Row], layout: Layout) -> Vec<u8> {
    let texts = |of: &dyn Fn(&Row) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<StringArray>())
    };
    let numbers = |of: &dyn Fn(&Row) -> i64| -> ArrayRef {
        if layout.wide {
            return Arc::new(Int64Array::from_iter_values(rows.iter().map(of)));
        }
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| i32::try_from(of(row)).unwrap())))
    };
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("url_surtkey", texts(&|row| Some(row.key.clone())), true),
        ("url", texts(&|row| Some(format!("https://{}/", row.host))), true),
        ("url_host_name", texts(&|row| Some(row.host.clone())), true),
        (
            "fetch_status",
            Arc::new(Int16Array::from_iter_values(rows.iter().map(|row| row.status))) as ArrayRef,
            true,
        ),
        ("content_mime_detected", texts(&|row| Some(row.mime.clone())), true),
        ("content_languages", texts(&|row| row.languages.clone()), true),
        ("warc_filename", texts(&|row| Some(row.file.clone())), true),
        ("warc_record_offset", numbers(&|row| row.offset), true),
        ("warc_record_length", numbers(&|row| row.length), true),
        ("warc_segment", texts(&|_| Some("1.7".to_owned())), true),
    ])
    .unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(layout.group_rows))
        .set_data_page_row_count_limit(layout.page_rows)
        .set_write_batch_size(layout.page_rows)
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

/// The path of a file as the reader names it.
pub(super) fn below(base: &Path, path: &str) -> String {
    format!("{}/{path}", base.display())
}
