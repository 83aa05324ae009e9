//! From token shards to a judged model through the program, with kills in between.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::support::{run, run_pipeline, stderr, stdout};

/// The shards of the quickstart, made once.
pub(crate) fn shards() -> &'static Path {
    static RUN: OnceLock<tempfile::TempDir> = OnceLock::new();
    static TOKENS: OnceLock<PathBuf> = OnceLock::new();
    TOKENS.get_or_init(|| {
        let folder = RUN.get_or_init(|| tempfile::tempdir().expect("a temporary folder"));
        let dir = folder.path().join("quickstart");
        run_pipeline("pipelines/quickstart.yaml", &dir, &[]);
        dir.join("tokens")
    })
}

/// The quickstart's training file, made shorter.
fn train(dir: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tamis"));
    command.current_dir(super::support::root());
    command.args(["train", "pipelines/train-quickstart.yaml", "--run-dir"]).arg(dir);
    for set in [&format!("data={}", shards().display()), "tokens=40000", "context=64", "batch_tokens=1024"] {
        command.args(["--set", set]);
    }
    command.args(["--set", "model={ layers: 2, dim: 32, heads: 2 }", "--set", "checkpoint_steps=8"]);
    command.args(["--set", "device=cpu"]);
    command.args(["--set", "eval_steps=20", "--set", "warmup_steps=5"]).args(more);
    command
}

fn weights(dir: &Path) -> Vec<u8> {
    std::fs::read(dir.join("model/model.safetensors")).expect("a model")
}

#[test]
fn a_model_learns_survives_kills_and_is_judged() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let whole = folder.path().join("whole");
    let output = train(&whole, &["--threads", "1"]).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("bits per byte"), "{}", stdout(&output));
    let outcome: serde_json::Value =
        serde_json::from_slice(&std::fs::read(whole.join("train.json")).expect("an outcome")).expect("JSON");
    let held_out = |at: usize| outcome["held_out"][at]["loss"].as_f64().expect("a loss");
    assert!((held_out(0) - 4096_f64.ln()).abs() < 0.1, "{outcome}");
    assert!(held_out(1) < held_out(0) - 0.7, "{outcome}");
    assert!(std::fs::read_to_string(whole.join("train.html")).expect("a page").contains("<svg"));

    // Killed at four moments, with another number of threads.
    let killed = folder.path().join("killed");
    for millis in [150, 400, 300, 500] {
        let mut child = train(&killed, &["--threads", "2"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let until = Instant::now() + Duration::from_millis(millis);
        while Instant::now() < until {
            std::thread::yield_now();
        }
        drop(child.kill());
        child.wait().expect("it ends");
    }
    let output = train(&killed, &[]).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(weights(&killed) == weights(&whole), "killed and resumed is uninterrupted");

    let texts = folder.path().join("texts.jsonl");
    let line = |text: &str| serde_json::json!({ "text": text }).to_string() + "\n";
    let good = "The soil in the lower garden is heavy, and it holds water long after the rest of the beds have dried. ";
    std::fs::write(&texts, line(&good.repeat(4)) + &line("短い文です。")).expect("folder is writable");
    let questions = folder.path().join("questions.jsonl");
    let asked = serde_json::json!({ "prompt": "The soil in the", "choices": [" garden", " zqx jkv qqq"], "answer": 0 });
    std::fs::write(&questions, asked.to_string() + "\n").expect("folder is writable");
    let [whole_path, texts_path, questions_path] =
        [&whole, &texts, &questions].map(|path| path.display().to_string());
    let output = run(&[
        "evaluate",
        &whole_path,
        "--device",
        "cpu",
        "--text",
        &texts_path,
        "--questions",
        &questions_path,
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("bits per byte"), "{}", stdout(&output));
    assert!(stdout(&output).contains("1 of 1 right"), "{}", stdout(&output));
    let written =
        [1, 2].map(|_| stdout(&run(&["generate", &whole_path, "--prompt", "The", "--tokens", "12"])));
    assert!(written[0].starts_with("The") && written[0] == written[1], "{written:?}");
}

#[test]
fn two_corpora_are_compared() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let texts = folder.path().join("texts.jsonl");
    let text = "Beans were the first crop that liked it, and the onions of last summer were better than those of any year before.";
    std::fs::write(&texts, serde_json::json!({ "text": text }).to_string() + "\n")
        .expect("folder is writable");
    let shards = shards().display().to_string();
    let run_dir = folder.path().join("ablation").display().to_string();
    let texts = texts.display().to_string();
    let mut arguments = vec!["ablate", &shards, &shards, "--eval", &texts, "--budget", "4k", "--seeds", "2"];
    arguments.extend(["--recipe", "pipelines/train-quickstart.yaml", "--run-dir", &run_dir]);
    arguments.extend(["--set", "context=64", "--set", "batch_tokens=1024", "--set", "warmup_steps=1"]);
    arguments.extend(["--set", "model={ layers: 1, dim: 16, heads: 2 }", "--set", "device=cpu"]);
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    // The same corpus twice: not a hair of difference.
    assert!(
        stdout(&output).contains("+0.0000 +- 0.0000 (+0.0 %): no clear difference"),
        "{}",
        stdout(&output)
    );
    let result = std::fs::read(Path::new(&run_dir).join("ablation.json")).expect("a result");
    let result: serde_json::Value = serde_json::from_slice(&result).expect("JSON");
    assert_eq!(result["trained"].as_array().map(Vec::len), Some(4));
}

#[test]
fn mistakes_are_shown_at_their_places() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("train.yaml");
    let text = "name: x\ndata: /nowhere\ncontext: 64\nbatch_tokens: 32\nlearning_rate: 0\nmodel: { layers: 2, dim: 30, heads: 4 }\n";
    std::fs::write(&path, text).expect("folder is writable");
    let output = run(&["train", &path.display().to_string()]);
    assert_eq!(output.status.code(), Some(2));
    let message = stderr(&output);
    for part in [
        "`learning_rate`: must be above 0",
        "`batch_tokens`: 32 is less than one sequence",
        "train.yaml:5:16",
        "even multiple",
    ] {
        assert!(message.contains(part), "{message}");
    }
    std::fs::write(&path, "name: x\ndata: /nowhere\nlayers: 3\n").expect("folder is writable");
    let message = stderr(&run(&["train", &path.display().to_string()]));
    assert!(message.contains("`layers`") && message.contains("train.yaml:3:1"), "{message}");
    std::fs::write(&path, "name: x\ndata: /nowhere\n").expect("folder is writable");
    let dir = folder.path().join("run").display().to_string();
    let output = run(&["train", &path.display().to_string(), "--run-dir", &dir]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("there are no token shards at `/nowhere`"), "{}", stderr(&output));
}
