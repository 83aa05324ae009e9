//! One file of the columnar index: the places of the rows that fit.
//!
//! Only columns that are asked about and the three of the place are read; the address never is. The index is sorted by its SURT key,
//! so that with `domains` the statistics of that column tell which row groups and which pages can hold one of them, from the footer
//! alone. The columns of the place are decoded for fitting rows only.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type};
use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_schema::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowPredicate, ArrowPredicateFn, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder, RowFilter, RowSelection, RowSelector,
};
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::page_index::column_index::ColumnIndexMetaData;

use super::passes::Place;
use super::select::{Criteria, Selection, may_hold};
use crate::error::{Error, Result};
use crate::stage::TaskEnv;
use crate::stages::read::parquet::{Table, guarded};

/// Rows that are decoded at a time: they are short.
const BATCH_ROWS: usize = 8192;

const KEY: &str = "url_surtkey";
const FILE: &str = "warc_filename";
const OFFSET: &str = "warc_record_offset";
const LENGTH: &str = "warc_record_length";

/// A question to one column.
type Question = (&'static str, fn(&Criteria, &dyn Array, usize) -> bool);

const DOMAINS: Question = ("url_host_name", |criteria, column, row| {
    text(column, row).is_some_and(|host| criteria.fits_domains(host))
});
const STATUSES: Question = ("fetch_status", |criteria, column, row| {
    integer(column, row).is_some_and(|status| criteria.statuses.binary_search(&status).is_ok())
});
const MIME_TYPES: Question = ("content_mime_detected", |criteria, column, row| {
    text(column, row).is_some_and(|found| criteria.fits_mime_type(found))
});
const LANGUAGES: Question = ("content_languages", |criteria, column, row| {
    text(column, row).is_some_and(|found| criteria.fits_languages(found))
});

/// The questions that are asked, those first that let the fewest rows through.
fn questions(criteria: &Criteria) -> Vec<Question> {
    let asked = [
        (DOMAINS, !criteria.domains.is_empty()),
        (STATUSES, !criteria.statuses.is_empty()),
        (MIME_TYPES, !criteria.mime_types.is_empty()),
        (LANGUAGES, !criteria.languages.is_empty()),
    ];
    asked.into_iter().filter(|(_, asked)| *asked).map(|(question, _)| question).collect()
}

/// Hands out the places of all rows that fit, in the order of the index; returns the number of rows that were looked at.
pub(super) fn places(
    path: &str,
    selection: &Arc<Selection>,
    env: &TaskEnv,
    take: &mut dyn FnMut(Place) -> Result<()>,
) -> Result<u64> {
    let part = Part::open(path, selection)?;
    let mut rows = 0;
    for group in 0..part.table.groups() {
        env.check_cancel()?;
        let Some((pages, looked_at)) = part.pages(group) else { continue };
        rows += looked_at;
        let mut batches = part.read(group, pages)?;
        while let Some(batch) = guarded(|| batches.next().transpose()).map_err(|what| part.fault(what))? {
            env.check_cancel()?;
            part.places(&batch, take)?;
        }
    }
    Ok(rows)
}

/// An open index file.
struct Part<'s> {
    path: &'s str,
    table: Table,
    selection: &'s Arc<Selection>,
    /// Column of the key, where there is one and domains are asked for: with what keys of those begin.
    key: Option<(usize, Vec<String>)>,
}

impl<'s> Part<'s> {
    fn open(path: &'s str, selection: &'s Arc<Selection>) -> Result<Self> {
        let options = ArrowReaderOptions::new()
            .with_skip_arrow_metadata(true)
            .with_page_index_policy(PageIndexPolicy::Optional);
        let table = Table::open_with(path, options)?.map_err(|(_, what)| Error::damaged(path, what))?;
        let column = |name: &str| {
            let columns = table.metadata.parquet_schema().columns();
            columns.iter().position(|column| column.path().string() == name)
        };
        let asked = questions(&selection.criteria);
        for name in asked.iter().map(|(name, _)| *name).chain([FILE, OFFSET, LENGTH]) {
            if column(name).is_none() {
                return Err(Error::damaged(
                    path,
                    format!("it is no index of a crawl: it has no column `{name}`"),
                ));
            }
        }
        let key = column(KEY).zip(selection.criteria.key_prefixes());
        Ok(Self { path, table, selection, key })
    }

    /// Pages of a row group that may hold what is asked for, and how many rows they have; `None` where the whole group cannot.
    fn pages(&self, group: usize) -> Option<(Option<RowSelection>, u64)> {
        let metadata = self.table.metadata.metadata();
        let rows = self.table.group_rows(group);
        let Some((key, prefixes)) = &self.key else { return Some((None, rows)) };
        let statistics = metadata.row_group(group).column(*key).statistics();
        let bounds = statistics
            .filter(|statistics| !statistics.is_min_max_deprecated())
            .and_then(|statistics| statistics.min_bytes_opt().zip(statistics.max_bytes_opt()));
        if bounds.is_some_and(|(min, max)| !may_hold(prefixes, min, max)) {
            return None;
        }
        let index = metadata.page_index_for_row_group(group);
        let (Some(ColumnIndexMetaData::BYTE_ARRAY(pages)), Some(places)) =
            (index.column_index(*key), index.page_locations(*key))
        else {
            return Some((None, rows));
        };
        let (mut selectors, mut looked_at) = (Vec::new(), 0);
        for (number, place) in places.iter().enumerate() {
            let first = u64::try_from(place.first_row_index).ok()?;
            let behind = match places.get(number + 1) {
                Some(next) => u64::try_from(next.first_row_index).ok()?,
                None => rows,
            };
            let count = usize::try_from(behind.checked_sub(first)?).ok()?;
            let bounds = pages.min_value(number).zip(pages.max_value(number));
            if bounds.is_some_and(|(min, max)| may_hold(prefixes, min, max)) {
                looked_at += count as u64;
                selectors.push(RowSelector::select(count));
            } else {
                selectors.push(RowSelector::skip(count));
            }
        }
        (looked_at > 0).then(|| (Some(RowSelection::from(selectors)), looked_at))
    }

    fn read(&self, group: usize, pages: Option<RowSelection>) -> Result<ParquetRecordBatchReader> {
        let schema = self.table.metadata.parquet_schema();
        let predicates = questions(&self.selection.criteria).into_iter().map(|(name, fits)| {
            let selection = Arc::clone(self.selection);
            let ask = move |batch: RecordBatch| {
                let column = batch.column(0);
                Ok((0..column.len())
                    .map(|row| Some(fits(&selection.criteria, column, row)))
                    .collect::<BooleanArray>())
            };
            Box::new(ArrowPredicateFn::new(ProjectionMask::columns(schema, [name]), ask))
                as Box<dyn ArrowPredicate>
        });
        let predicates: Vec<_> = predicates.collect();
        let open = || {
            let file = self.table.file.try_clone().map_err(|error| error.to_string())?;
            let mut builder =
                ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.table.metadata.clone())
                    .with_row_groups(vec![group])
                    .with_projection(ProjectionMask::columns(schema, [FILE, OFFSET, LENGTH]))
                    .with_row_filter(RowFilter::new(predicates))
                    .with_max_predicate_cache_size(0)
                    .with_batch_size(BATCH_ROWS);
            if let Some(pages) = pages {
                builder = builder.with_row_selection(pages);
            }
            builder.build().map_err(|error| error.to_string())
        };
        guarded(open).map_err(|what| self.fault(what))
    }

    /// A store that failed, or else damage.
    fn fault(&self, what: String) -> Error {
        self.table.take_fault().unwrap_or_else(|| Error::damaged(self.path, what))
    }

    fn places(&self, batch: &RecordBatch, take: &mut dyn FnMut(Place) -> Result<()>) -> Result<()> {
        let column = |name: &str| {
            let absent = || Error::damaged(self.path, format!("it has no column `{name}`"));
            batch.column_by_name(name).ok_or_else(absent)
        };
        let (files, offsets, lengths) = (column(FILE)?, column(OFFSET)?, column(LENGTH)?);
        for row in 0..batch.num_rows() {
            let Some(file) = text(files, row).and_then(|path| self.selection.number_of(path)) else {
                continue;
            };
            // What is no place stays one that no file has, so that reading tells of it.
            let number = |column: &dyn Array| {
                integer(column, row).and_then(|number| u64::try_from(number).ok()).unwrap_or(u64::MAX)
            };
            take(Place { file, offset: number(offsets), length: number(lengths) })?;
        }
        Ok(())
    }
}

/// A value of a column of strings or bytes.
fn text(column: &dyn Array, row: usize) -> Option<&[u8]> {
    if column.is_null(row) {
        return None;
    }
    match column.data_type() {
        DataType::Utf8 => Some(column.as_string::<i32>().value(row).as_bytes()),
        DataType::Binary => Some(column.as_binary::<i32>().value(row)),
        _ => None,
    }
}

/// A value of a column of whole numbers.
fn integer(column: &dyn Array, row: usize) -> Option<i64> {
    if column.is_null(row) {
        return None;
    }
    match column.data_type() {
        DataType::Int8 => Some(column.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => Some(column.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => Some(column.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Some(column.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => Some(column.as_primitive::<UInt8Type>().value(row).into()),
        DataType::UInt16 => Some(column.as_primitive::<UInt16Type>().value(row).into()),
        DataType::UInt32 => Some(column.as_primitive::<UInt32Type>().value(row).into()),
        _ => None,
    }
}
