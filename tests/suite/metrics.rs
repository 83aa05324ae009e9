//! The port of a run at work, asked while it surely is: what it needs comes through a pipe that the test holds.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};

use super::support::{assert_same_outputs, run, run_pipeline, stderr, tamis};

const QUICKSTART: &str = "pipelines/quickstart.yaml";

/// A named pipe in place of `path`.
fn pipe(path: &Path) {
    if path.exists() {
        std::fs::remove_file(path).expect("file is removable");
    }
    let made = std::process::Command::new("mkfifo").arg(path).status().expect("mkfifo starts");
    assert!(made.success());
}

/// A process whose port was taken from its first line on standard error.
struct Watched {
    child: Child,
    address: String,
    rest: BufReader<std::process::ChildStderr>,
}

impl Watched {
    fn start(args: &[&str]) -> Self {
        let mut command = tamis();
        command.args(args).args(["--log-format", "json", "--metrics-address", "127.0.0.1:0"]);
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut rest = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        rest.read_line(&mut line).expect("a line");
        let event: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(event["event"], "listening", "{line}");
        let address = event["address"].as_str().expect("an address").to_owned();
        Self { child, address, rest }
    }

    /// Head and body of an answer.
    fn ask(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address).expect("it reads");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("it answers");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        (head.to_owned(), body.to_owned())
    }

    /// The end of a pipe to write into, once the process reads from it.
    fn feed(&mut self, path: &Path) -> File {
        let path = path.to_path_buf();
        let opened = std::thread::spawn(move || OpenOptions::new().write(true).open(path));
        while !opened.is_finished() {
            assert!(self.child.try_wait().expect("child is ours").is_none(), "it ended before it read");
            std::thread::yield_now();
        }
        opened.join().expect("no panic").expect("the pipe opens")
    }

    /// Events of standard error and the exit code, once it has ended.
    fn end(mut self) -> (Vec<serde_json::Value>, Option<i32>) {
        let lines = self.rest.lines().map(|line| line.expect("UTF-8"));
        let events = lines.map(|line| serde_json::from_str(&line).expect("JSON")).collect();
        (events, self.child.wait().expect("it ends").code())
    }
}

fn value(page: &str, name: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no `{name}`: {page}")).parse().expect("a number")
}

#[test]
fn a_worker_tells_what_it_reads() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [yaml, there] = ["pipeline.yaml", "run"].map(|name| folder.path().join(name));
    for name in ["a.jsonl", "b.jsonl"] {
        let pages = "{\"text\": \"This is a page.\"}\n".repeat(300);
        std::fs::write(folder.path().join(name), pages).expect("folder is writable");
    }
    let pipeline = format!(
        "name: held\ninput:\n- jsonl: {{ paths: [{}/*.jsonl] }}\nstages: []\n",
        folder.path().display()
    );
    std::fs::write(&yaml, pipeline).expect("folder is writable");
    let dir = there.display().to_string();
    let planned = run(&["launch", "slurm", &yaml.display().to_string(), "--run-dir", &dir]);
    assert_eq!(planned.status.code(), Some(0), "{}", stderr(&planned));

    // The second task finds a part that was done before, and reads its record.
    let parts = there.join("work/00-read/parts");
    std::fs::create_dir_all(&parts).expect("folder is writable");
    let record = parts.join("000001-00000.json");
    pipe(&record);
    let mut worker = Watched::start(&["task", &dir, "--pass", "00-read", "--share", "0/1"]);
    let mut held = worker.feed(&record);
    let (head, page) = worker.ask("/metrics");
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("version=0.0.4"), "{head}");
    assert!(page.contains("tamis_run_info{run=\"held\"} 1"), "{page}");
    for (name, expected) in [
        ("tamis_pass_number", 1.0),
        ("tamis_pass_tasks{pass=\"00-read\"}", 2.0),
        ("tamis_pass_tasks_done{pass=\"00-read\"}", 1.0),
        ("tamis_tasks_finished_total{pass=\"00-read\"}", 1.0),
        ("tamis_tasks_failed_total{pass=\"00-read\"}", 0.0),
        ("tamis_documents_total{pass=\"00-read\"}", 300.0),
        ("tamis_input_bytes_total{pass=\"00-read\"}", 300.0 * 28.0),
    ] {
        assert!((value(&page, name) - expected).abs() < 0.5, "{name}: {page}");
    }
    for name in [
        "tamis_threads",
        "tamis_memory_budget_bytes",
        "tamis_progress_steps_total",
        "process_cpu_seconds_total",
        "process_start_time_seconds",
    ] {
        assert!(value(&page, name) > 0.0, "{name}: {page}");
    }
    let (head, body) = worker.ask("/healthz");
    assert!(head.starts_with("HTTP/1.1 200 OK") && body == "ok\n", "{head}");
    assert!(worker.ask("/").0.starts_with("HTTP/1.1 404 "));

    held.write_all(br#"{"position":null,"last":true,"report":{}}"#).expect("it reads");
    drop(held);
    let (events, code) = worker.end();
    assert_eq!(code, Some(0), "{events:?}");
    let told: Vec<&str> = events.iter().map(|event| event["event"].as_str().expect("a name")).collect();
    assert_eq!(told, ["share_started", "task_done", "task_done", "share_done"], "{events:?}");
    assert!(events.iter().all(|event| event["pass"] == "00-read"), "{events:?}");
    let tasks: Vec<_> = events[1..3].iter().map(|event| event["task"].as_u64()).collect();
    assert_eq!(tasks, [Some(0), Some(1)]);
    assert_eq!((&events[3]["done"], &events[3]["documents"]), (&2.into(), &300.into()), "{events:?}");
}

#[test]
fn a_whole_run_has_a_port_and_writes_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [calm, asked] = ["calm", "asked"].map(|name| folder.path().join(name));
    run_pipeline(QUICKSTART, &calm, &[]);
    // A run that is planned already reads its plan before it works.
    std::fs::create_dir(&asked).expect("folder is writable");
    let plan = std::fs::read(calm.join("plan.json")).expect("a plan");
    pipe(&asked.join("plan.json"));
    let mut watched = Watched::start(&["run", QUICKSTART, "--run-dir", &asked.display().to_string()]);
    let (head, body) = watched.ask("/healthz");
    assert!(head.starts_with("HTTP/1.1 200 OK") && body == "ok\n", "{head}");
    let (_, page) = watched.ask("/metrics");
    assert!(value(&page, "tamis_passes") < 0.5, "{page}");
    // One that connects and says nothing, to the end.
    let silent = TcpStream::connect(&watched.address).expect("it listens");
    watched.feed(&asked.join("plan.json")).write_all(&plan).expect("it reads");
    let (events, code) = watched.end();
    drop(silent);
    assert!(matches!(code, Some(0 | 3)), "{code:?}: {events:?}");
    std::fs::remove_file(asked.join("plan.json")).expect("file is removable");
    std::fs::copy(calm.join("plan.json"), asked.join("plan.json")).expect("folder is writable");
    assert_same_outputs(&calm, &asked);
}

#[test]
fn an_address_that_cannot_be_had_is_said_before_any_work() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let there = folder.path().join("run");
    let dir = there.display().to_string();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let taken = taken.local_addr().expect("bound").to_string();
    for address in [&taken, "here", "127.0.0.1:port"] {
        let output = run(&["run", QUICKSTART, "--run-dir", &dir, "--metrics-address", address]);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        let message = stderr(&output);
        assert!(message.contains(&format!("--metrics-address: cannot listen on `{address}`")), "{message}");
        assert!(!there.exists(), "nothing was done");
    }
    let output = tamis()
        .env("TAMIS_METRICS_ADDRESS", &taken)
        .args(["task", &dir, "--pass", "00-read", "--task", "0"])
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("cannot listen on"), "{}", stderr(&output));
}

#[test]
fn a_worker_says_which_task_failed_and_why() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [input, yaml, there] = ["pages.jsonl", "pipeline.yaml", "run"].map(|name| folder.path().join(name));
    let there = there.display().to_string();
    std::fs::write(&input, "{\"text\": \"A page.\"}\n").expect("folder is writable");
    let pipeline = format!("name: gone\ninput:\n- jsonl: {{ paths: [{}] }}\nstages: []\n", input.display());
    std::fs::write(&yaml, pipeline).expect("folder is writable");
    let planned = run(&["launch", "slurm", &yaml.display().to_string(), "--run-dir", &there]);
    assert_eq!(planned.status.code(), Some(0), "{}", stderr(&planned));
    std::fs::remove_file(&input).expect("file is removable");
    let worker = Watched::start(&["task", &there, "--pass", "00-read", "--task", "0"]);
    let (events, code) = worker.end();
    let failed = events.iter().find(|event| event["event"] == "task_failed").expect("an event");
    assert_eq!((&failed["pass"], &failed["task"]), (&"00-read".into(), &0.into()));
    assert!(failed["message"].as_str().expect("words").contains("pages.jsonl"), "{failed}");
    let last = events.last().expect("an event");
    assert_eq!((&last["event"], last["exit_code"].as_i64()), (&"error".into(), code.map(i64::from)));
}
