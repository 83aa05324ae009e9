//! The main job: WARC to token shards on the shared bench crawl, HTML bytes per CPU second, peak memory.
//!
//! `cargo bench -- job` reads `../shared/data/bench-crawl` (or the WARC files below `TAMIS_CRAWL`). The run is
//! checked before its figures are printed: shards verify, and every document is in the corpus or the rejects.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cpu_time::ProcessTime;
use tamis::engine::{Listener, Options, RunDir};
use tamis::job::Job;
use tamis::stage::Progress;

/// The FineWeb order of stages, as a user would write it.
const PIPELINE: &str = "
name: bench
input:
  - warc: { paths: [CRAWL] }
stages:
  - extract
  - language
  - gopher_repetition
  - gopher_quality: { min_stop_words: null }
  - c4_quality: { require_terminal_punctuation: false }
  - fineweb_quality
  - exact_dedup
  - minhash_dedup
  - pii
tokenizer: { train: { vocab_size: 32000 } }
";

struct Silent;

impl Progress for Silent {
    fn advance(&self, _bytes: u64, _docs: u64) {}
}

impl Listener for Silent {
    fn pass_started(&self, _name: &str, _number: usize, _of: usize, _tasks: u32, _done: u32) {}
    fn task_finished(&self, _name: &str, _task: u32) {}
    fn pass_finished(&self, _name: &str) {}
    fn progress(&self) -> Arc<dyn Progress> {
        Arc::new(Self)
    }
}

pub(crate) fn run() {
    let crawl = std::env::var_os("TAMIS_CRAWL").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/bench-crawl"),
        PathBuf::from,
    );
    if !crawl.is_dir() {
        println!("skipped: there is no folder {}", crawl.display());
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let yaml = folder.path().join("bench.yaml");
    let paths = crawl.join("*.warc.gz").display().to_string();
    std::fs::write(&yaml, PIPELINE.replace("CRAWL", &paths)).expect("pipeline is writable");
    let loaded = tamis::pipeline::load(&yaml.to_string_lossy(), &[]).expect("the pipeline holds");
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let options = Options { threads, memory_bytes: 1 << 30, cancel: Arc::new(AtomicBool::new(false)) };
    let run_dir = folder.path().join("run");
    let job = Job::new(loaded.plan, loaded.readers, loaded.stages, RunDir::new(&run_dir), threads)
        .expect("threads start");
    let started = ProcessTime::now();
    let summary = job.execute(&options, &Silent).expect("the run succeeds");
    let cpu = started.elapsed().as_secs_f64();
    let shards = tamis::tokens::verify(&run_dir.join("tokens"), 3).expect("the shards verify");
    let stage = |name: &str| summary.total.stages.iter().find(|stats| stats.name == name).expect("a stage");
    let html = stage("read").bytes_out;
    let dropped: u64 = summary.total.stages.iter().flat_map(|stats| stats.reasons.values()).sum();
    let kept = stage("pii").docs_out;
    assert_eq!(stage("read").docs_in, kept + dropped, "every document is kept or has a reason");
    assert!(shards.docs == kept && shards.problem_count == 0, "every kept document has tokens");
    println!("{} pages, {:.1} MB of HTML, {kept} kept, {threads} threads", stage("read").docs_in, mb(html));
    println!(
        "{cpu:.2} CPU s: {:.2} MB of HTML and {:.0} pages per CPU second",
        mb(html) / cpu,
        stage("read").docs_in as f64 / cpu
    );
    for pass in &summary.passes {
        println!("  {:<28} {:>7.2} CPU s", pass.name, pass.report.cpu_secs);
    }
    for stats in &summary.total.stages {
        println!("    {:<26} {:>7.2} CPU s", stats.name, stats.cpu_secs);
    }
    println!("peak resident memory {:.0} MiB", peak_mib());
}

#[allow(clippy::cast_precision_loss, reason = "sizes of files")]
fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<f64>().ok()).unwrap_or(0.0)
        / 1024.0
}
