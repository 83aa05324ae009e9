//! Tests of the `jsonl` and `parquet` readers on files made in memory.

use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::file::properties::WriterProperties;
use arrow_array::builder::{ListBuilder, StringBuilder, StringDictionaryBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BinaryArray, Float64Array, Int64Array, LargeStringArray, RecordBatch, StringArray,
    StringViewArray, StructArray, TimestampMicrosecondArray,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::testing::{Scratch, assert_resumes, gzip, items, members, reader, walk, zstd};
use super::{jsonl, parquet};
use crate::document::Document;
use crate::stage::{FieldType, Item, StageSpec};

/// Documents by their text, everything else by cause and record number.
fn outcome(spec: &StageSpec, options: &Value, bytes: &[u8]) -> Vec<String> {
    let file = Scratch::new(bytes);
    let mut stream = reader(spec, options.clone(), file.name()).open(0, file.name(), None).unwrap();
    let mut found = Vec::new();
    while let Some(item) = stream.next().unwrap() {
        found.push(match item {
            Item::Document(doc) => doc.text,
            Item::Skipped(kind) => kind.to_owned(),
            Item::Bad(bad) => format!("{} {} at {}", bad.cause, bad.record, bad.offset),
        });
    }
    found
}

fn lines(bytes: &[u8]) -> Vec<String> {
    outcome(&jsonl::SPEC, &json!({}), bytes)
}

fn first(spec: &StageSpec, options: Value, bytes: &[u8]) -> Box<Document> {
    let file = Scratch::new(bytes);
    let mut stream = reader(spec, options, file.name()).open(3, file.name(), None).unwrap();
    match stream.next().unwrap() {
        Some(Item::Document(doc)) => doc,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_kind_of_line() {
    let bytes = b"\xef\xbb\xbf{\"text\":\"a\"}\r\n\n  \r\n{\"text\":\"\"}\n[1]\n{\"text\":3}\n{\"x\":1}\n{\"text\":null}\n\
        {\"text\":\"b\"\n{\"text\":\"\xff\"}\n{\"text\":\"c\"}";
    let expected = [
        "a",
        "",
        "not_an_object 4 at 34",
        "text_not_string 5 at 38",
        "missing_text 6 at 49",
        "missing_text 7 at 57",
        "invalid_json 8 at 71",
        "invalid_utf8 9 at 83",
        "c",
    ];
    assert_eq!(lines(bytes), expected);
    assert_resumes(&jsonl::SPEC, &json!({}), bytes, "plain");
    assert_resumes(&jsonl::SPEC, &json!({}), &gzip(bytes), "gzip");
    assert_resumes(&jsonl::SPEC, &json!({}), &zstd(bytes), "zstd");
    let blocks: Vec<Vec<u8>> = bytes.chunks(7).map(<[u8]>::to_vec).collect();
    assert_eq!(lines(&members(&blocks, gzip)), expected, "lines across gzip members");
    assert_resumes(&jsonl::SPEC, &json!({}), &members(&blocks, gzip), "members");
}

#[test]
fn a_cut_last_line_is_a_cut_record() {
    let whole = "{\"text\":\"a\"}\n{\"text\":\"Grün\", \"n\": 1}";
    for cut in 15..whole.len() {
        assert_eq!(lines(&whole.as_bytes()[..cut]), ["a", "truncated_record 1 at 13"], "cut at {cut}");
    }
    let packed = gzip(whole.as_bytes());
    for cut in 1..packed.len() {
        let found = lines(&packed[..cut]);
        assert!(!found.contains(&"Grün".to_owned()), "cut at {cut}: {found:?}");
        assert_eq!(found.len() - usize::from(found[0] == "a"), 1, "cut at {cut}: {found:?}");
        assert_resumes(&jsonl::SPEC, &json!({}), &packed[..cut], "cut");
    }
}

#[test]
fn a_corrupt_member_costs_its_lines() {
    let parts: Vec<Vec<u8>> =
        (0..4).map(|n| gzip(format!("{{\"text\":\"{n} is the number\"}}\n").as_bytes())).collect();
    let mut damaged = parts.clone();
    let middle = damaged[1].len() - 6;
    damaged[1][middle] ^= 0xff;
    let found = lines(&damaged.concat());
    assert_eq!(found[0], "0 is the number");
    assert!(found.iter().any(|item| item.starts_with("corrupt_gzip_member")), "{found:?}");
    assert_eq!(found[found.len() - 2..], ["2 is the number", "3 is the number"]);
    assert_resumes(&jsonl::SPEC, &json!({}), &damaged.concat(), "damaged");
}

#[test]
fn long_lines_are_passed_over() {
    let options = json!({"max_line_bytes": 2000});
    for (size, expected) in
        [(2000, None), (2001, Some("line_too_long 1 at 13")), (900_000, Some("line_too_long 1 at 13"))]
    {
        let text = "x".repeat(size - 11);
        let bytes = format!("{{\"text\":\"a\"}}\n{{\"text\":\"{text}\"}}\r\n{{\"text\":\"b\"}}\n")
            .replace("\r\n", "\n");
        let found = outcome(&jsonl::SPEC, &options, bytes.as_bytes());
        assert_eq!(found, ["a", expected.unwrap_or(&text), "b"], "{size}");
        assert_resumes(&jsonl::SPEC, &options, &gzip(bytes.as_bytes()), "long");
    }
}

#[test]
fn files_that_are_something_else() {
    for (bytes, expected) in [
        (&b""[..], "empty_file 0 at 0"),
        (b"<html>\n<h1>403</h1>\n", "not_jsonl 0 at 0"),
        (b"\n[\n {\"text\":\"a\"}\n]\n", "not_jsonl 1 at 1"),
        (b"PAR1\x15\x04", "not_jsonl 0 at 0"),
    ] {
        assert_eq!(lines(bytes), [expected]);
        assert_resumes(&jsonl::SPEC, &json!({}), bytes, expected);
        if !bytes.is_empty() {
            assert_resumes(&jsonl::SPEC, &json!({}), &gzip(bytes), expected);
        }
    }
}

#[test]
fn named_fields() {
    let line =
        br#"{"doc": {"body": "t", "k": 1}, "key": 12, "meta": {"href": "u"}, "when": "2020", "id": "other"}"#;
    let options =
        json!({"text_field": "doc.body", "id_field": "key", "url_field": "meta.href", "date_field": "when"});
    let doc = first(&jsonl::SPEC, options, line);
    assert_eq!((doc.text.as_str(), doc.id.as_str()), ("t", "12"));
    assert_eq!((doc.url.as_deref(), doc.date.as_deref()), (Some("u"), Some("2020")));
    assert_eq!(Value::Object(doc.fields), json!({"doc": {"k": 1}, "meta": {}, "input_id": "other"}));
}

#[test]
fn fields_that_pass_through_are_known_beforehand() {
    let bytes = b"{\"text\":\"a\",\"n\":1,\"source\":\"s\"}\n{\"text\":\"b\",\"n\":2.5,\"deep\":{\"x\":1}}\n";
    let file = Scratch::new(bytes);
    let found = reader(&jsonl::SPEC, json!({}), file.name()).passthrough(file.name()).unwrap();
    let expected = [("n", FieldType::Number), ("input_source", FieldType::String), ("deep", FieldType::Json)];
    assert_eq!(found, expected.map(|(name, found)| (name.to_owned(), found)));
}

fn table(columns: Vec<(&str, ArrayRef)>, rows_per_group: usize) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    )
    .unwrap();
    let mut bytes = Vec::new();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(rows_per_group)).build();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn texts(rows: usize) -> ArrayRef {
    let text = |row: usize| format!("row {row} {}", "word ".repeat(row % 50));
    Arc::new((0..rows).map(|row| (row % 37 != 5).then(|| text(row))).collect::<StringArray>())
}

#[test]
fn every_type_of_column() {
    let mut tags = ListBuilder::new(StringBuilder::new());
    tags.values().append_value("x");
    tags.values().append_value("y");
    tags.append(true);
    let mut kinds = StringDictionaryBuilder::<Int32Type>::new();
    kinds.append_value("page");
    let inner: ArrayRef = Arc::new(StringArray::from(vec!["https://a.example/"]));
    let meta = StructArray::try_from(vec![("url", inner)]).unwrap();
    let moment = TimestampMicrosecondArray::from(vec![1_600_000_000_000_000]).with_timezone("UTC");
    let bytes = table(
        vec![
            ("text", Arc::new(LargeStringArray::from(vec!["t"]))),
            ("id", Arc::new(Int64Array::from(vec![42]))),
            ("metadata", Arc::new(meta)),
            ("timestamp", Arc::new(moment)),
            ("score", Arc::new(Float64Array::from(vec![0.5]))),
            ("nan", Arc::new(Float64Array::from(vec![f64::NAN]))),
            ("tags", Arc::new(tags.finish())),
            ("kind", Arc::new(kinds.finish())),
            ("view", Arc::new(StringViewArray::from(vec!["v"]))),
            ("raw", Arc::new(BinaryArray::from(vec![&b"\xff\x00"[..]]))),
            ("language", Arc::new(StringArray::from(vec![None::<&str>]))),
        ],
        10,
    );
    let options = json!({"url_field": "metadata.url"});
    let doc = first(&parquet::SPEC, options.clone(), &bytes);
    assert_eq!((doc.text.as_str(), doc.id.as_str()), ("t", "42"));
    assert_eq!(
        (doc.url.as_deref(), doc.date.as_deref()),
        (Some("https://a.example/"), Some("2020-09-13T12:26:40Z"))
    );
    let expected = json!({"metadata": {}, "score": 0.5, "nan": null, "tags": ["x", "y"], "kind": "page",
        "view": "v", "raw": "ff00", "input_language": null});
    assert_eq!(Value::Object(doc.fields), expected);
    let file = Scratch::new(&bytes);
    let found = reader(&parquet::SPEC, options, file.name()).passthrough(file.name()).unwrap();
    assert_eq!(found[0], ("metadata".to_owned(), FieldType::Json));
    assert!(found.contains(&("input_language".to_owned(), FieldType::String)));
    assert!(found.contains(&("kind".to_owned(), FieldType::String)));
    assert!(!found.iter().any(|(name, _)| name == "timestamp" || name == "text"));
}

#[test]
fn rows_stream_and_resume() {
    let bytes = table(vec![("text", texts(300))], 70);
    let found = outcome(&parquet::SPEC, &json!({}), &bytes);
    assert_eq!(found.len(), 300);
    assert_eq!((found[4].as_str(), found[5].as_str()), ("row 4 word word word word ", "missing_text 5 at 5"));
    assert_resumes(&parquet::SPEC, &json!({}), &bytes, "rows");
    for other in [&b""[..], b"PAR1", b"<html></html>", &bytes[..bytes.len() - 9]] {
        let cause = if other.is_empty() { "empty_file 0 at 0" } else { "corrupt_parquet 0 at 0" };
        assert_eq!(outcome(&parquet::SPEC, &json!({}), other), [cause]);
        assert_resumes(&parquet::SPEC, &json!({}), other, cause);
    }
}

#[test]
fn a_damaged_page_costs_its_row_group() {
    let bytes = table(vec![("text", texts(300))], 100);
    let whole = outcome(&parquet::SPEC, &json!({}), &bytes);
    let mut damaged = bytes.clone();
    // The first bytes are the header of the first page.
    damaged[4..40].fill(0xff);
    let found = outcome(&parquet::SPEC, &json!({}), &damaged);
    assert_eq!(found[0], "corrupt_parquet 0 at 0");
    assert_eq!(found[1..], whole[100..]);
    assert_resumes(&parquet::SPEC, &json!({}), &damaged, "damaged");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_bytes_make_jsonl_panic_or_stay(
        pieces in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..20),
            Just(b"{\"text\":\"a\"}\n".to_vec()),
            Just(b"\n".to_vec()),
            Just(gzip(b"{\"text\":\"b\"}\n")),
            Just(zstd(b"{\"text\":\"c\"}\n")),
        ], 0..10)
    ) {
        let bytes = pieces.concat();
        let found = items(&jsonl::SPEC, &json!({}), &bytes);
        prop_assert!(found.len() <= bytes.len() + 1);
        assert_resumes(&jsonl::SPEC, &json!({}), &bytes, "rubbish");
    }

    #[test]
    fn no_damage_makes_parquet_panic_or_stay(
        hurt in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = table(vec![("text", texts(60))], 20);
        for (place, value) in &hurt {
            let place = place.index(bytes.len());
            bytes[place] = *value;
        }
        let file = Scratch::new(&bytes);
        let reader = reader(&parquet::SPEC, json!({}), file.name());
        prop_assert!(reader.passthrough(file.name()).is_ok());
        prop_assert!(walk(reader.as_ref(), file.name(), None).is_ok());
    }
}
