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

/// What `lm score` prints for some lines, and its exit code.
fn score(args: &[&str], lines: &str) -> (String, String, Option<i32>) {
    use std::process::Stdio;
    let mut command = super::support::tamis();
    command.args(["lm", "score"]).args(args);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // A program that stops before it reads is fine.
    drop(child.stdin.take().expect("it was asked for").write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("the program ends");
    (stdout(&output), stderr(&output), output.status.code())
}

#[test]
fn tokens_of_all_kinds_are_the_same_in_training_and_scoring() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let text = text().replace("w1", "Lámp river, ").replace('7', "中");
    std::fs::write(path("text"), &text).unwrap();
    let document = serde_json::json!({ "text": text }).to_string() + "\n";
    std::fs::write(path("docs.jsonl"), document).unwrap();
    let pipeline = format!("name: docs\ninput:\n  - jsonl: {{ paths: [{}] }}\n", path("docs.jsonl"));
    std::fs::write(path("docs.yaml"), pipeline).unwrap();
    let pieces = "sentencepiece:fixtures/models/sentencepiece/bpe.model";
    let lines = "Lámp river, w44 w3\n\n中\u{301}文 w44\n";
    let mut seen = std::collections::BTreeSet::new();
    for (number, (tokens, normalize)) in
        [("space", "ccnet"), ("words", "none"), ("characters", "none"), (pieces, "none"), (pieces, "ccnet")]
            .into_iter()
            .enumerate()
    {
        let (arpa, binary) = (path(&format!("{number}.arpa")), path(&format!("{number}.bin")));
        let how = ["--tokens", tokens, "--normalize", normalize];
        let output = train(dir.path(), &[&["--text", &path("text"), "--arpa", &arpa][..], &how].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let output =
            train(dir.path(), &[&["--input", &path("docs.yaml"), "--binary", &binary][..], &how].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let note = std::fs::read(arpa.clone() + ".tokens.json").unwrap();
        assert_eq!(note, std::fs::read(binary.clone() + ".tokens.json").unwrap());

        // The note says how, so that no option is needed; both models are the same.
        let (rows, _, code) = score(&["--model", &arpa], lines);
        assert_eq!((rows.lines().count(), code), (3, Some(0)));
        let second = rows.lines().nth(1).unwrap();
        assert_eq!(second.split('\t').nth(1), Some("1"), "{second}");
        assert_eq!(score(&[&["--model", &binary][..], &how].concat(), lines).0, rows);
        assert!(seen.insert(rows));
        let (_, error, code) =
            score(&["--model", &binary, "--tokens", "space", "--normalize", "none"], lines);
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains(".bin.tokens.json") && error.contains(tokens), "{error}");

        // Without the note, options alone decide.
        std::fs::remove_file(arpa.clone() + ".tokens.json").unwrap();
        let (rows, _, code) = score(&["--model", &arpa], lines);
        assert_eq!((rows.lines().count(), code), (3, Some(0)));
        let told = score(&[&["--model", &arpa][..], &how].concat(), lines).0;
        assert_eq!(told, score(&["--model", &binary], lines).0);
    }
    let (_, error, code) = score(&["--model", &path("0.bin"), "--tokens", "pieces"], lines);
    assert_eq!(code, Some(2));
    assert!(error.contains("must be `space`, `words`"), "{error}");
}
