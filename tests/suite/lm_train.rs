//! `tamis lm train` as its users see it.

use std::io::Write;
use std::path::Path;

use super::support::{run, stderr, stdout};

/// Sentences of a toy language, the same every time.
fn text() -> String {
    (0..3000_u32)
        .map(|n| {
            let word = |at: u32| (n * 31 + at * 17 + n / 7) % 97;
            let words: Vec<String> =
                (0..2 + n % 7).map(|at| format!("w{}", word(at).min(word(at + 3)))).collect();
            words.join(" ") + "\n"
        })
        .collect()
}

fn train(dir: &Path, more: &[&str]) -> std::process::Output {
    let temp = dir.join("temp").to_string_lossy().into_owned();
    let mut args = vec!["lm", "train", "--order", "3", "--discount-fallback", "--temp", &temp];
    args.extend(more);
    run(&args)
}

#[test]
fn files_of_all_kinds_and_pipelines_give_the_same_model() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let text = text();
    std::fs::write(path("plain"), &text).unwrap();
    // Two members, the border inside a line; a line end is missing at the end of the text.
    let (one, other) = text.trim_end().as_bytes().split_at(20_003);
    let mut packed = Vec::new();
    for half in [one, other] {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(half).unwrap();
        packed.extend(gz.finish().unwrap());
    }
    std::fs::write(path("gzip"), &packed).unwrap();
    std::fs::write(path("zstd"), zstd::bulk::compress(text.as_bytes(), 1).unwrap()).unwrap();
    let documents: String = text
        .lines()
        .collect::<Vec<_>>()
        .chunks(50)
        .map(|lines| {
            serde_json::json!({ "text": format!("\n{}\n\n", lines.join("\n \n")) }).to_string() + "\n"
        })
        .collect();
    std::fs::write(path("docs.jsonl"), documents).unwrap();
    let pipeline = format!("name: docs\ninput:\n  - jsonl: {{ paths: [{}] }}\n", path("docs.jsonl"));
    std::fs::write(path("docs.yaml"), &pipeline).unwrap();
    std::fs::write(path("dedup.yaml"), pipeline + "stages:\n  - exact_dedup\n").unwrap();

    let mut models = Vec::new();
    let yaml = path("docs.yaml");
    let inputs = [
        ["--text", &path("plain")],
        ["--text", &path("gzip")],
        ["--text", &path("zstd")],
        ["--input", &yaml],
    ];
    for (number, input) in inputs.iter().enumerate() {
        let (arpa, binary) = (path(&format!("{number}.arpa")), path(&format!("{number}.bin")));
        let output = train(dir.path(), &[input[0], input[1], "--arpa", &arpa, "--binary", &binary]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stdout(&output).starts_with("3000 sentences, "), "{}", stdout(&output));
        models.push((std::fs::read(arpa).unwrap(), std::fs::read(binary).unwrap()));
    }
    assert!(models.iter().all(|model| *model == models[0]));
    assert!(models[0].0.starts_with(b"\\data\\\nngram 1=") && models[0].1.starts_with(b"mmap lm "));
    assert!(std::fs::read_dir(dir.path().join("temp")).unwrap().next().is_none());

    let arpa = path("other.arpa");
    let output = train(dir.path(), &["--input", &path("dedup.yaml"), "--arpa", &arpa]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("`exact_dedup` compares documents"), "{}", stderr(&output));

    std::fs::write(path("cut"), &packed[..packed.len() - 9]).unwrap();
    let output = train(dir.path(), &["--text", &path("plain"), &path("cut"), "--arpa", &arpa]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("damaged"), "{}", stderr(&output));
    assert!(!Path::new(&arpa).exists());

    let words = path("words");
    std::fs::write(&words, "w1 w2\nw3 absent").unwrap();
    let more = ["--text", &path("plain"), "--arpa", &arpa, "--vocabulary", &words, "--log-format", "json"];
    let output = train(dir.path(), &more);
    let event: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(event["model"]["counts"][0]["kept"], 4);
    assert!(std::fs::read_to_string(arpa).unwrap().contains("ngram 1=6\n"));
}

#[test]
fn mistakes_are_known_before_any_work() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("text").to_string_lossy().into_owned();
    std::fs::write(&file, "a b\n").unwrap();
    let here = dir.path().to_string_lossy().into_owned();
    let below = format!("{file}/x");
    let out = format!("{here}/out");
    let cases: [(&[&str], &str); 10] = [
        (&["--text", &file], "--arpa"),
        (&["--arpa", &out], "--text"),
        (&["--text", &file, "--arpa", &here], "cannot write"),
        (&["--text", &file, "--binary", &below], "Not a directory"),
        (&["--text", &file, "--arpa", &out, "--binary", &out], "the same file"),
        (&["--text", "absent.txt", "--arpa", &out], "absent.txt"),
        (&["--text", &file, "--arpa", &out, "--memory", "much"], "--memory"),
        (&["--text", &file, "--arpa", &out, "--vocabulary", "absent.txt"], "absent.txt"),
        (&["--text", &file, "--order", "1", "--binary", &out], "order 1"),
        (&["--text", &file, "--arpa", &out, "--prune", "1", "2"], "must be 0"),
    ];
    for (args, expected) in cases {
        let output = run(&[&["lm", "train"], args].concat());
        assert!(matches!(output.status.code(), Some(1 | 2)), "{args:?}");
        assert!(stderr(&output).contains(expected), "{args:?}: {}", stderr(&output));
        assert!(!Path::new(&out).exists());
    }
    let output = run(&["lm", "train", "--text", &file, "--arpa", &out]);
    assert_eq!(output.status.code(), Some(2));
    let expected = "the discounts of order 1 cannot be estimated";
    assert!(stderr(&output).contains(expected) && stderr(&output).contains("--discount-fallback"));
    let left = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 1);
}
