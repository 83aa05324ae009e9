//! Arrow columns as JSON values.
//!
//! Strings, numbers, booleans, lists, structs and maps become what they are in JSON; points in time become
//! ISO 8601 text, decimals text, durations their number of units. Bytes become text where they are UTF-8,
//! else hexadecimal digits. Infinities and NaN, which JSON lacks, become null, and so do values of the few
//! types that have no natural form (intervals, unions, run-end encoded columns).

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, ArrowTemporalType, Date32Type, Date64Type, Decimal128Type, Decimal256Type,
    DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType,
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Time32MillisecondType,
    Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use serde_json::{Map, Value};

use crate::stage::FieldType;

/// One row of a batch as an object, in column order; nulls included.
pub(super) fn row(batch: &RecordBatch, row: usize) -> Map<String, Value> {
    let schema = batch.schema_ref();
    let fields = schema.fields().iter().zip(batch.columns());
    fields.map(|(field, column)| (field.name().clone(), value(column.as_ref(), row))).collect()
}

/// Type under which a column passes through.
pub(super) fn field_type(data_type: &DataType) -> FieldType {
    match data_type {
        DataType::Boolean => FieldType::Boolean,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => FieldType::Number,
        DataType::Dictionary(_, values) => field_type(values),
        data_type if data_type.is_integer() => FieldType::Integer,
        DataType::Duration(_) => FieldType::Integer,
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_)
        | DataType::Date32
        | DataType::Date64
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Timestamp(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => FieldType::String,
        _ => FieldType::Json,
    }
}

fn value(column: &dyn Array, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Boolean => Value::Bool(column.as_boolean().value(row)),
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::LargeUtf8 => column.as_string::<i64>().value(row).into(),
        DataType::Utf8View => column.as_string_view().value(row).into(),
        DataType::Binary => bytes(column.as_binary::<i32>().value(row)),
        DataType::LargeBinary => bytes(column.as_binary::<i64>().value(row)),
        DataType::BinaryView => bytes(column.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => bytes(column.as_fixed_size_binary().value(row)),
        DataType::Int8 => primitive::<Int8Type>(column, row).into(),
        DataType::Int16 => primitive::<Int16Type>(column, row).into(),
        DataType::Int32 => primitive::<Int32Type>(column, row).into(),
        DataType::Int64 => primitive::<Int64Type>(column, row).into(),
        DataType::UInt8 => primitive::<UInt8Type>(column, row).into(),
        DataType::UInt16 => primitive::<UInt16Type>(column, row).into(),
        DataType::UInt32 => primitive::<UInt32Type>(column, row).into(),
        DataType::UInt64 => primitive::<UInt64Type>(column, row).into(),
        DataType::Float16 => primitive::<Float16Type>(column, row).to_f64().into(),
        DataType::Float32 => primitive::<Float32Type>(column, row).into(),
        DataType::Float64 => primitive::<Float64Type>(column, row).into(),
        DataType::Decimal128(..) => column.as_primitive::<Decimal128Type>().value_as_string(row).into(),
        DataType::Decimal256(..) => column.as_primitive::<Decimal256Type>().value_as_string(row).into(),
        DataType::Dictionary(..) => dictionary(column, row),
        DataType::List(_) => list(&column.as_list::<i32>().value(row)),
        DataType::LargeList(_) => list(&column.as_list::<i64>().value(row)),
        DataType::ListView(_) => list(&column.as_list_view::<i32>().value(row)),
        DataType::LargeListView(_) => list(&column.as_list_view::<i64>().value(row)),
        DataType::FixedSizeList(..) => list(&column.as_fixed_size_list().value(row)),
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(column.as_struct().columns());
            Value::Object(columns.map(|(field, part)| (field.name().clone(), value(part, row))).collect())
        }
        DataType::Map(..) => map(column, row),
        other => moment(other, column, row),
    }
}

/// Dates, times and durations.
fn moment(data_type: &DataType, column: &dyn Array, row: usize) -> Value {
    let zone = if matches!(data_type, DataType::Timestamp(_, Some(_))) { "Z" } else { "" };
    match data_type {
        DataType::Date32 => date::<Date32Type>(column, row),
        DataType::Date64 => date::<Date64Type>(column, row),
        DataType::Time32(TimeUnit::Second) => time::<Time32SecondType>(column, row),
        DataType::Time32(_) => time::<Time32MillisecondType>(column, row),
        DataType::Time64(TimeUnit::Microsecond) => time::<Time64MicrosecondType>(column, row),
        DataType::Time64(_) => time::<Time64NanosecondType>(column, row),
        DataType::Timestamp(TimeUnit::Second, _) => timestamp::<TimestampSecondType>(column, row, zone),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            timestamp::<TimestampMillisecondType>(column, row, zone)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            timestamp::<TimestampMicrosecondType>(column, row, zone)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            timestamp::<TimestampNanosecondType>(column, row, zone)
        }
        DataType::Duration(TimeUnit::Second) => primitive::<DurationSecondType>(column, row).into(),
        DataType::Duration(TimeUnit::Millisecond) => primitive::<DurationMillisecondType>(column, row).into(),
        DataType::Duration(TimeUnit::Microsecond) => primitive::<DurationMicrosecondType>(column, row).into(),
        DataType::Duration(TimeUnit::Nanosecond) => primitive::<DurationNanosecondType>(column, row).into(),
        _ => Value::Null,
    }
}

fn primitive<T: ArrowPrimitiveType>(column: &dyn Array, row: usize) -> T::Native {
    column.as_primitive::<T>().value(row)
}

fn date<T: ArrowTemporalType>(column: &dyn Array, row: usize) -> Value
where
    i64: From<T::Native>,
{
    column.as_primitive::<T>().value_as_date(row).map(|date| date.to_string()).into()
}

fn time<T: ArrowTemporalType>(column: &dyn Array, row: usize) -> Value
where
    i64: From<T::Native>,
{
    column.as_primitive::<T>().value_as_time(row).map(|time| time.to_string()).into()
}

fn timestamp<T: ArrowTemporalType>(column: &dyn Array, row: usize, zone: &str) -> Value
where
    i64: From<T::Native>,
{
    let moment = column.as_primitive::<T>().value_as_datetime(row);
    moment.map(|moment| format!("{}{zone}", moment.format("%Y-%m-%dT%H:%M:%S%.f"))).into()
}

fn bytes(bytes: &[u8]) -> Value {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.into();
    }
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    let digits = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    digits.collect::<String>().into()
}

fn dictionary(column: &dyn Array, row: usize) -> Value {
    let Some(column) = column.as_any_dictionary_opt() else { return Value::Null };
    match column.normalized_keys().get(row) {
        Some(&key) if key < column.values().len() => value(column.values(), key),
        _ => Value::Null,
    }
}

fn list(items: &ArrayRef) -> Value {
    (0..items.len()).map(|item| value(items, item)).collect()
}

/// An object where the keys are text, else a list of pairs.
fn map(column: &dyn Array, row: usize) -> Value {
    let entries = column.as_map().value(row);
    let (keys, values) = (entries.column(0), entries.column(1));
    let pairs: Vec<(Value, Value)> =
        (0..entries.len()).map(|entry| (value(keys, entry), value(values, entry))).collect();
    if pairs.iter().all(|(key, _)| key.is_string()) {
        let named = pairs.into_iter().filter_map(|(key, value)| match key {
            Value::String(key) => Some((key, value)),
            _ => None,
        });
        return Value::Object(named.collect());
    }
    pairs.into_iter().map(|(key, value)| Value::Array(vec![key, value])).collect()
}
