//! Documents that repeat, exactly or nearly: the whole way through a pipeline.

use std::path::Path;

use super::support::{StringColumns, assert_same_outputs, run_pipeline};

/// Words of page `n`, all its own: letters for digits.
fn page(n: usize) -> String {
    (0..60)
        .map(|word| {
            let number = format!("{:05}", n * 60 + word);
            number.bytes().map(|digit| char::from(digit - b'0' + b'a')).collect::<String>()
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// Three files: every page, every second page with a word more, every third once more as it was.
fn pipeline(folder: &Path, order: [usize; 3]) -> String {
    let files: [Vec<String>; 3] = [
        (0..90).map(page).collect(),
        (0..45).map(|n| page(2 * n) + " zzzzz").collect(),
        (0..30).map(|n| page(3 * n)).collect(),
    ];
    for (number, texts) in files.iter().enumerate() {
        let lines: String = texts
            .iter()
            .enumerate()
            .map(|(n, text)| {
                serde_json::json!({"id": format!("{number}.{n}"), "text": text}).to_string() + "\n"
            })
            .collect();
        std::fs::write(folder.join(format!("pages-{number}.jsonl")), lines).expect("folder is writable");
    }
    let paths = order.map(|number| folder.join(format!("pages-{number}.jsonl")).display().to_string());
    let yaml = folder.join("pipeline.yaml");
    let text = format!(
        "name: copies\ninput:\n  - jsonl: {{ paths: [{}] }}\nstages:\n  - exact_dedup: {{ keep_counts: true }}\n  \
         - minhash_dedup: {{ keep: longest, keep_counts: true }}\n",
        paths.join(", ")
    );
    std::fs::write(&yaml, text).expect("folder is writable");
    yaml.display().to_string()
}

#[test]
fn the_longest_of_a_cluster_stays_and_is_counted_in_any_order_of_files() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let runs = [[0, 1, 2], [2, 0, 1]].map(|order| {
        let run = folder.path().join(format!("run-{}", order[0]));
        run_pipeline(
            &pipeline(folder.path(), order),
            &run,
            &["--threads", if order[0] == 0 { "1" } else { "2" }],
        );
        run
    });
    let table = runs[0].join("corpus");
    let ids: Vec<String> =
        StringColumns::read(&table, &["id"]).into_iter().map(|mut row| row.remove(0)).collect();
    // Odd pages as they were, even ones with the word more.
    let expected: Vec<String> =
        (0..45).map(|n| format!("0.{}", 2 * n + 1)).chain((0..45).map(|n| format!("1.{n}"))).collect();
    assert_eq!(ids, expected);
    let exact = numbers(&table, "exact_dedup.copies");
    let near = numbers(&table, "minhash_dedup.copies");
    for (row, id) in ids.iter().enumerate() {
        let (file, number) = id.split_once('.').expect("a point");
        let number: usize = number.parse().expect("a number");
        let is_whole = file == "0";
        // Only first copies are counted by the exact stage; the near ones are other texts.
        let again = is_whole && number.is_multiple_of(3);
        assert!((exact[row] - if again { 2.0 } else { 1.0 }).abs() < 1e-9, "{id}");
        assert!((near[row] - if is_whole { 1.0 } else { 2.0 }).abs() < 1e-9, "{id}");
    }
    // The plan and the report have the paths as they were written; the tables are equal.
    for table in ["corpus", "rejects"] {
        assert_same_outputs(&runs[0].join(table), &runs[1].join(table));
    }
}

/// A column of numbers of all tables of a folder.
fn numbers(folder: &Path, name: &str) -> Vec<f64> {
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    let mut values = Vec::new();
    for path in tamis::io::list(folder, ".parquet").expect("folder is readable") {
        let file = std::fs::File::open(&path).expect("table opens");
        let reader =
            ParquetRecordBatchReaderBuilder::try_new(file).expect("a table").build().expect("a table");
        for batch in reader {
            let batch = batch.expect("table is readable");
            let column = batch.column_by_name(name).expect("the column is there");
            let column =
                column.as_any().downcast_ref::<arrow_array::Float64Array>().expect("it holds numbers");
            values.extend(column.iter().map(|value| value.expect("no row is without")));
        }
    }
    values
}
