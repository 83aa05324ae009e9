//! Parquet: one row per document, streamed in small batches, row group by row group.
//!
//! The record number and the offset are the row number. Damage costs the rest of its row group, as one
//! quarantine entry; reading goes on at the next one. The decoder of the `parquet` crate is not proof
//! against every damaged page: where it panics, the panic ends at this reader and counts as damage.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::RecordBatch;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::columns;
use super::fields::{Keys, column_name};
use super::warc_stream::{Files, Origin};
use crate::error::{Error, Result};
use crate::stage::{
    BuildContext, Built, FieldType, Item, Kind, OptionError, Position, Reader, RecordStream, StageSpec,
    parse_options, schema_of,
};

/// Endings by which files of a folder are taken.
const SUFFIXES: &[&str] = &[".parquet"];
/// Rows that are decoded at a time: pages of text are large, so few.
const BATCH_ROWS: usize = 64;
/// Name of the quarantine cause.
const CORRUPT: &str = "corrupt_parquet";

/// The `parquet` reader.
pub static SPEC: StageSpec = StageSpec {
    name: "parquet",
    kind: Kind::Read,
    needs_text: false,
    summary: "Reads text from Parquet files, one row per document.",
    source: "Apache Parquet, as Hugging Face data sets have it.",
    reasons: &[],
    scores: &[],
    limits: &[],
    schema: schema_of::<Config>,
    build,
};

/// Options of the `parquet` reader.
///
/// A column is named by its name or by a dotted path into nested columns (`metadata.url`); a column of
/// exactly that name comes first. Columns that are not used pass through to the output.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Files, folders (every file below that ends with `.parquet`), glob patterns, or `-` for a list of
    /// paths on standard input. At least one.
    #[schemars(length(min = 1))]
    pub paths: Vec<String>,
    /// Name of this input in the `source` column. Default `parquet`.
    pub source: String,
    /// Column of the text: strings, plain or dictionary-encoded, or bytes that are UTF-8. Default `text`. A
    /// null is quarantined as `missing_text`.
    #[schemars(length(min = 1))]
    pub text_field: String,
    /// Column of the document's own id, strings or numbers. Default: `id` where there is one; a row without
    /// it gets an id from file and row number.
    #[schemars(length(min = 1))]
    pub id_field: Option<String>,
    /// Column of the address. Default `url`; it may be absent.
    #[schemars(length(min = 1))]
    pub url_field: Option<String>,
    /// Column of the date, strings or timestamps. Default: `date`, else `timestamp`; both may be absent.
    #[schemars(length(min = 1))]
    pub date_field: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            source: "parquet".to_owned(),
            text_field: "text".to_owned(),
            id_field: None,
            url_field: None,
            date_field: None,
        }
    }
}

fn build(options: serde_json::Value, _: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    let config: Config = parse_options(options)?;
    Ok(Built::Reader(Box::new(ParquetReader {
        files: Files::new(config.paths, SUFFIXES),
        source: config.source,
        keys: Keys::new(config.text_field, config.id_field, config.url_field, config.date_field),
    })))
}

struct ParquetReader {
    files: Files,
    source: String,
    keys: Keys,
}

impl Reader for ParquetReader {
    fn files(&self) -> Result<Vec<String>, Vec<OptionError>> {
        self.files.list()
    }

    fn source(&self) -> &str {
        &self.source
    }

    fn passthrough(&self, file: &str) -> Result<Vec<(String, FieldType)>> {
        let Ok(table) = Table::open(file)? else { return Ok(Vec::new()) };
        let taken = |name: &str| {
            let keys = &self.keys;
            [&keys.text, &keys.id, &keys.url].into_iter().chain(&keys.dates).any(|key| key == name)
        };
        let fields = table.metadata.schema().fields().iter();
        let rest = fields.filter(|field| !taken(field.name()));
        Ok(rest.map(|field| (column_name(field.name()), columns::field_type(field.data_type()))).collect())
    }

    fn open(&self, split: u32, file: &str, at: Option<&Position>) -> Result<Box<dyn RecordStream>> {
        let mut stream = ParquetStream {
            table: None,
            group: 0,
            group_end: 0,
            rows: None,
            batch: None,
            next_in_batch: 0,
            record: at.map_or(0, |at| at.record),
            fault: None,
            origin: Origin::new(split, file, &self.source),
            keys: self.keys.clone(),
        };
        match Table::open(file)? {
            Ok(table) => stream.table = Some(table),
            // A file without readable metadata is one bad record, number 0.
            Err(fault) if stream.record == 0 => stream.fault = Some(fault),
            Err(_) => {}
        }
        Ok(Box::new(stream))
    }
}

/// An open file with its metadata.
pub(super) struct Table {
    pub file: crate::io::File,
    pub metadata: ArrowReaderMetadata,
}

/// Cause and particulars of a quarantine entry.
pub(super) type Fault = (&'static str, String);

impl Table {
    fn open(path: &str) -> Result<std::result::Result<Self, Fault>> {
        Self::open_with(path, ArrowReaderOptions::new())
    }

    pub(super) fn open_with(
        path: &str,
        options: ArrowReaderOptions,
    ) -> Result<std::result::Result<Self, Fault>> {
        let file = crate::io::open(path)?;
        let file_bytes = file.size().map_err(Error::io("look at", path))?;
        if file_bytes == 0 {
            return Ok(Err(("empty_file", "the file holds nothing".to_owned())));
        }
        let load = || ArrowReaderMetadata::load(&file, options);
        let metadata = match guarded(load) {
            Ok(metadata) => metadata,
            Err(detail) => return file.take_fault().map_or(Ok(Err((CORRUPT, detail))), Err),
        };
        let mut rows = 0_u64;
        for group in metadata.metadata().row_groups() {
            let Ok(group_rows) = u64::try_from(group.num_rows()) else {
                return Ok(Err((CORRUPT, "a row group has a negative number of rows".to_owned())));
            };
            rows = rows.saturating_add(group_rows);
            for column in group.columns() {
                let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
                let end = start.checked_add(column.compressed_size());
                let inside = start >= 0
                    && column.compressed_size() >= 0
                    && end.and_then(|end| u64::try_from(end).ok()).is_some_and(|end| end <= file_bytes);
                if !inside {
                    return Ok(Err((CORRUPT, "a column lies outside the file".to_owned())));
                }
            }
        }
        Ok(Ok(Self { file, metadata }))
    }

    pub(super) fn group_rows(&self, group: usize) -> u64 {
        u64::try_from(self.metadata.metadata().row_group(group).num_rows()).unwrap_or(0)
    }

    pub(super) fn take_fault(&self) -> Option<Error> {
        self.file.take_fault()
    }

    pub(super) fn groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }
}

/// Runs the decoder so that an error and a panic look alike.
pub(super) fn guarded<T, E: std::fmt::Display>(work: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the Parquet decoder gave up on the page".to_owned()),
    }
}

struct ParquetStream {
    table: Option<Table>,
    /// Number of the next row group to open.
    group: usize,
    /// Row after the last one of the open row group.
    group_end: u64,
    rows: Option<ParquetRecordBatchReader>,
    batch: Option<RecordBatch>,
    next_in_batch: usize,
    record: u64,
    fault: Option<Fault>,
    origin: Origin,
    keys: Keys,
}

impl RecordStream for ParquetStream {
    fn next(&mut self) -> Result<Option<Item>> {
        if let Some((cause, detail)) = self.fault.take() {
            self.record += 1;
            return Ok(Some(self.origin.bad(0, 0, cause, detail)));
        }
        loop {
            if let Some(batch) = self.batch.as_ref().filter(|batch| self.next_in_batch < batch.num_rows()) {
                let (record, row) = (self.record, self.next_in_batch);
                self.record += 1;
                self.next_in_batch += 1;
                return Ok(Some(match guarded(|| Ok::<_, Error>(columns::row(batch, row))) {
                    Ok(row) => self.keys.item(row, record, record, &self.origin),
                    Err(detail) => self.origin.bad(record, record, CORRUPT, detail),
                }));
            }
            self.batch = None;
            match self.next_batch() {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(detail) => {
                    // A store that fails says nothing about the rows.
                    if let Some(fault) = self.table.as_ref().and_then(Table::take_fault) {
                        return Err(fault);
                    }
                    let record = self.record;
                    let lost = self.group_end.saturating_sub(record);
                    self.rows = None;
                    self.record = self.group_end.max(record + 1);
                    let detail = format!("{lost} rows of row group {} are lost: {detail}", self.group - 1);
                    return Ok(Some(self.origin.bad(record, record, CORRUPT, detail)));
                }
            }
        }
    }

    fn position(&self) -> Position {
        Position { offset: self.record, record: self.record }
    }
}

impl ParquetStream {
    /// Decodes the next batch; false at the end of the file.
    fn next_batch(&mut self) -> Result<bool, String> {
        let Some(table) = &self.table else { return Ok(false) };
        loop {
            if let Some(rows) = &mut self.rows {
                let next = guarded(|| rows.next().transpose())?;
                if let Some(batch) = next {
                    self.batch = Some(batch);
                    self.next_in_batch = 0;
                    return Ok(true);
                }
                self.rows = None;
                if self.record < self.group_end {
                    return Err("the row group ends too early".to_owned());
                }
            }
            if self.group >= table.groups() {
                return Ok(false);
            }
            let group = self.group;
            let group_start = self.group_end;
            self.group += 1;
            self.group_end = group_start.saturating_add(table.group_rows(group));
            if self.record >= self.group_end {
                continue;
            }
            let skip = usize::try_from(self.record - group_start).unwrap_or(usize::MAX);
            let open = || {
                let file = table.file.try_clone().map_err(|error| error.to_string())?;
                ParquetRecordBatchReaderBuilder::new_with_metadata(file, table.metadata.clone())
                    .with_row_groups(vec![group])
                    .with_offset(skip)
                    .with_batch_size(BATCH_ROWS)
                    .build()
                    .map_err(|error| error.to_string())
            };
            self.rows = Some(guarded(open)?);
        }
    }
}
