//! Runs whose crawl and run directory are in an object store, which fails and cuts as such stores do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::store::{Faults, Options, Store};
use super::support::{outputs, root, stderr, stdout, tamis};

const QUICKSTART: &str = "pipelines/quickstart.yaml";
/// The quickstart's inputs as objects.
const INPUTS: [&str; 8] = [
    "--set",
    "input.warc.paths=[s3://crawl/in/pages-*.warc.gz]",
    "--set",
    "input.wet.paths=[s3://crawl/in/]",
    "--set",
    "input.jsonl.paths=[s3://crawl/in/documents.jsonl]",
    "--set",
    "input.parquet.paths=[s3://crawl/in/documents.parquet]",
];

/// What a store does on a bad day.
fn trouble() -> Faults {
    Faults {
        fail: 0.05,
        throttle: 0.02,
        cut: 0.05,
        cut_put: 0.02,
        lost: 0.02,
        wrong_length: 0.02,
        html_error: 0.01,
        ..Faults::default()
    }
}

/// A store with the bundled crawl in it. Listings come in small pages.
fn store(faults: Faults) -> Store {
    let options = Options {
        buckets: vec!["crawl".to_owned(), "runs".to_owned()],
        max_page_keys: 7,
        seed: 20_261_129,
        faults,
        ..Options::default()
    };
    let store = Store::start(options);
    for entry in std::fs::read_dir(root().join("fixtures/crawl")).expect("the crawl is there") {
        let path = entry.expect("entry is readable").path();
        if path.is_dir() {
            continue;
        }
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        store.put("crawl", &format!("in/{name}"), &std::fs::read(&path).expect("file is readable"));
    }
    store
}

/// The program, with the store's address and credentials.
fn with(store: &Store, args: &[&str]) -> Command {
    let mut command = tamis();
    command.args(args).envs(store.env()).env("TAMIS_STORE_RETRY_SECS", "60");
    command
}

fn done(command: &mut Command) -> Output {
    let output = command.output().expect("the program starts");
    assert!(matches!(output.status.code(), Some(0 | 3)), "{:?}: {}", output.status, stderr(&output));
    output
}

/// The quickstart on the store's crawl, into a folder of this machine.
fn local_run(store: &Store, run_dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    done(with(store, &["run", QUICKSTART, "--run-dir"]).arg(run_dir).args(INPUTS));
    let mut files = outputs(run_dir);
    files.remove(Path::new("report.json"));
    files
}

/// What a run left in the store.
fn remote_outputs(store: &Store, run: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for key in store.keys("runs") {
        let Some(name) = key.strip_prefix(run).and_then(|name| name.strip_prefix('/')) else { continue };
        if !name.starts_with("work/") && !matches!(name, "report.json" | "report.html") {
            files.insert(PathBuf::from(name), store.get("runs", &key).expect("it is listed"));
        }
    }
    files
}

fn assert_same(found: &BTreeMap<PathBuf, Vec<u8>>, exact: &BTreeMap<PathBuf, Vec<u8>>) {
    assert!(found.keys().eq(exact.keys()), "{:?}\n{:?}", found.keys(), exact.keys());
    for (name, bytes) in exact {
        assert!(bytes == &found[name], "`{}` differs", name.display());
    }
}

#[test]
fn a_run_in_a_store_has_the_bytes_of_a_local_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = store(Faults::default());
    let exact = local_run(&store, &folder.path().join("local"));
    store.set(|faults| *faults = trouble());
    let output = done(with(&store, &["run", QUICKSTART, "--run-dir", "s3://runs/deep/q"]).args(INPUTS));
    assert!(stdout(&output).contains("tokens   s3://runs/deep/q/tokens"), "{}", stdout(&output));
    assert_same(&remote_outputs(&store, "deep/q"), &exact);
    assert!(store.log().iter().any(|request| request.status == 503), "there was trouble");
    // What looks at runs does so from afar.
    let status = done(&mut with(&store, &["status", "s3://runs/deep/q"]));
    assert!(stdout(&status).contains("the run is finished"), "{}", stdout(&status));
    let verified = done(&mut with(&store, &["tokens", "verify", "s3://runs/deep/q/tokens"]));
    assert!(!stdout(&verified).is_empty());
    let again = done(with(&store, &["run", QUICKSTART, "--run-dir", "s3://runs/deep/q"]).args(INPUTS));
    assert!(stdout(&again).contains("nothing was done"), "{}", stdout(&again));
    let rest =
        store.keys("runs").into_iter().filter(|key| key.contains("/work/") && !key.contains("/work/done/"));
    assert_eq!(rest.collect::<Vec<_>>(), Vec::<String>::new(), "scratch is removed");
    assert_eq!(store.open_uploads(), 0);
}

#[test]
fn workers_that_race_and_are_killed_leave_one_result() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = store(Faults::default());
    let exact = local_run(&store, &folder.path().join("local"));
    store.set(|faults| *faults = trouble());
    let scripts = folder.path().join("scripts");
    done(
        with(&store, &["launch", "slurm", QUICKSTART, "--run-dir", "s3://runs/race", "--scripts"])
            .arg(&scripts)
            .args(INPUTS),
    );
    let script = std::fs::read_to_string(scripts.join("slurm/submit.sh")).expect("a script");
    let passes = script.lines().filter_map(|line| line.strip_prefix("submit '")?.split('\'').next());
    let mut killed = 0;
    for (number, pass) in passes.enumerate() {
        let scratch = |machine: &str| folder.path().join(machine);
        let worker = |machine: &str| {
            let mut command =
                with(&store, &["task", "s3://runs/race", "--pass", pass, "--share", "0/1", "--threads", "1"]);
            std::fs::create_dir_all(scratch(machine)).expect("folder is writable");
            command.env("TAMIS_SCRATCH", scratch(machine)).stderr(Stdio::piped());
            command.spawn().expect("the program starts")
        };
        let (mut one, other) = (worker("one"), worker("other"));
        let until = Instant::now() + Duration::from_millis(20 + 37 * (number as u64 % 5));
        while Instant::now() < until && one.try_wait().expect("ours").is_none() {
            std::thread::yield_now();
        }
        if one.try_wait().expect("ours").is_none() {
            one.kill().expect("ours");
            killed += 1;
        }
        one.wait().expect("it ends");
        // Its successor and the other one work on the same tasks.
        let one = worker("one");
        for child in [one, other] {
            let output = child.wait_with_output().expect("it ends");
            assert!(output.status.success(), "{pass}: {}", stderr(&output));
        }
    }
    assert!(killed > 2, "only {killed} workers lasted long enough to be killed");
    done(&mut with(&store, &["finish", "s3://runs/race"]));
    assert_same(&remote_outputs(&store, "race"), &exact);
    // Nothing of the killed ones is left on the machines, either.
    let left = |machine: &str| std::fs::read_dir(folder.path().join(machine)).expect("a folder").count();
    assert_eq!((left("one"), left("other")), (0, 0));
}

#[test]
fn one_process_at_a_time_has_a_run() {
    let store = store(Faults { delay: Duration::from_millis(30), ..Faults::default() });
    let args = ["run", QUICKSTART, "--run-dir", "s3://runs/one"];
    let mut first =
        with(&store, &args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    while !store.keys("runs").iter().any(|key| key == "one/work/lock") {
        assert!(first.try_wait().expect("ours").is_none(), "it works");
        std::thread::yield_now();
    }
    let second = with(&store, &args).output().expect("the program starts");
    if first.try_wait().expect("ours").is_none() {
        assert_eq!(second.status.code(), Some(2), "{}", stderr(&second));
        assert!(stderr(&second).contains("another process works on `s3://runs/one`"), "{}", stderr(&second));
    }
    first.kill().expect("ours");
    first.wait().expect("it ends");
    store.set(|faults| faults.delay = Duration::ZERO);
    // The dead one's lease stands in nobody's way.
    done(&mut with(&store, &args));
}

#[test]
fn large_objects_go_up_in_parts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let yaml = folder.path().join("large.yaml");
    let text = "name: large\ninput:\n  - jsonl: { paths: [large.jsonl] }\nstages: [exact_dedup]\n";
    std::fs::write(&yaml, text).expect("folder is writable");
    // Letters that do not compress well: 40 MB of them.
    let mut lines = String::new();
    let mut state = 1_u64;
    for _ in 0..40 {
        lines.push_str("{\"text\": \"");
        for _ in 0..1_000_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            lines.push(char::from(b'0' + u8::try_from(state >> 58).expect("six bits")).min('z'));
        }
        lines.push_str("\"}\n");
    }
    let lines = lines.replace('\\', "/");
    std::fs::write(folder.path().join("large.jsonl"), lines).expect("folder is writable");
    // Where the answer to the first request of an upload is lost, nobody knows of it: no `lost` here.
    let store = store(Faults { fail: 0.05, cut_put: 0.1, ..Faults::default() });
    let run = |run_dir: &str| {
        let mut command = with(&store, &["run", "large.yaml", "--run-dir", run_dir]);
        done(command.current_dir(folder.path()));
    };
    run("here");
    run("s3://runs/large");
    let mut exact = outputs(&folder.path().join("here"));
    exact.remove(Path::new("report.json"));
    assert_same(&remote_outputs(&store, "large"), &exact);
    let parts = store.log().iter().filter(|request| request.query.contains("partNumber")).count();
    assert!(parts > 2, "{parts} parts went up");
    assert_eq!(store.open_uploads(), 0);
}

/// Runs the quickstart with a store that refuses, and returns exit code and message.
fn refused(store: &Store, env: &[(&str, &str)], run_dir: &str) -> (i32, String) {
    let mut command = with(store, &["run", QUICKSTART, "--run-dir", run_dir]);
    command.env("TAMIS_STORE_RETRY_SECS", "1").envs(env.iter().copied());
    let output = command.output().expect("the program starts");
    (output.status.code().expect("an exit code"), stderr(&output))
}

#[test]
fn every_refusal_says_what_to_do() {
    let store = store(Faults::default());
    let check = |env: &[(&str, &str)], run_dir: &str, code: i32, words: [&str; 2]| {
        let (found, message) = refused(&store, env, run_dir);
        assert_eq!(found, code, "{message}");
        for words in words {
            assert!(message.contains(words), "`{words}`: {message}");
        }
    };
    check(&[], "s3://absent/q", 2, ["there is no bucket s3://absent", "AWS_ENDPOINT_URL"]);
    check(
        &[("AWS_SECRET_ACCESS_KEY", "guess")],
        "s3://runs/q",
        2,
        ["SignatureDoesNotMatch", "AWS_ACCESS_KEY_ID"],
    );
    check(
        &[("AWS_ACCESS_KEY_ID", "other")],
        "s3://runs/q",
        2,
        ["InvalidAccessKeyId", "AWS_SECRET_ACCESS_KEY"],
    );
    let dead = [("AWS_ENDPOINT_URL", "http://127.0.0.1:9")];
    check(&dead, "s3://runs/q", 75, ["Connection refused", "start again to go on"]);
    store.set(|faults| faults.clock_offset_secs = 3000);
    check(&[], "s3://runs/q", 75, ["the clock of this machine is off (50 minutes behind", "set the clock"]);
    store.set(|faults| *faults = Faults { forbid: Some("q".to_owned()), ..Faults::default() });
    check(&[], "s3://runs/q", 2, ["AccessDenied", "right to list, read and write"]);
    store.set(|faults| *faults = Faults { capacity_bytes: Some(0), ..Faults::default() });
    check(&[], "s3://runs/q", 1, ["no room left in s3://runs", "make room"]);
    store.set(|faults| *faults = Faults { throttle: 1.0, ..Faults::default() });
    check(&[], "s3://runs/q", 75, ["status 503", "tries in"]);
    // The same run goes on once the cause is mended.
    store.set(|faults| *faults = Faults::default());
    done(&mut with(&store, &["run", QUICKSTART, "--run-dir", "s3://runs/q"]));
}

#[test]
fn a_server_that_asks_for_a_pause_gets_it() {
    let store = store(Faults { throttle: 0.5, retry_after_secs: 1, ..Faults::default() });
    let read = done(&mut with(&store, &["records", "warc", "s3://crawl/in/pages-00000.warc.gz"]));
    assert!(!stdout(&read).is_empty());
    let waits = store.waits_after_throttling();
    assert!(!waits.is_empty(), "it was throttled");
    for wait in waits {
        // Clocks of two processes, and answers that cross.
        assert!(wait >= Duration::from_millis(950), "{wait:?}");
    }
}

#[test]
fn web_servers_are_read_from() {
    let options =
        Options { buckets: vec!["crawl".to_owned()], anonymous: true, seed: 3, ..Options::default() };
    let store = Store::start(options);
    let file = "fixtures/crawl/pages-00000.warc.gz";
    store.put("crawl", "a b/pages.warc.gz", &std::fs::read(root().join(file)).expect("file is readable"));
    store.set(|faults| *faults = Faults { cut: 0.3, wrong_length: 0.2, fail: 0.2, ..Faults::default() });
    let address = format!("{}/crawl/a%20b/pages.warc.gz", store.url());
    let records = |path: &str| {
        let output = done(&mut with(&store, &["records", "warc", path]));
        stdout(&output).replace(path, "PATH")
    };
    assert_eq!(records(&address), records(file));
    store.set(|faults| *faults = Faults { forbid: Some("a".to_owned()), ..Faults::default() });
    let blocked = with(&store, &["records", "warc", &address]).output().expect("the program starts");
    assert_eq!(blocked.status.code(), Some(2), "{}", stderr(&blocked));
    assert!(stderr(&blocked).contains("403"), "{}", stderr(&blocked));
    let absent = with(&store, &["records", "warc", &format!("{}/crawl/none", store.url())]).output();
    let absent = absent.expect("the program starts");
    assert!(stderr(&absent).contains("no such object"), "{}", stderr(&absent));
}

#[test]
fn an_outage_is_no_mistake_and_a_signal_is_heard_in_it() {
    use std::io::BufRead;
    let store = store(Faults::default());
    let dead = |args: &[&str], secs: &str| {
        let mut command = with(&store, args);
        command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:9").env("TAMIS_STORE_RETRY_SECS", secs);
        command
    };
    // While the pipeline is read: the same command goes on later.
    let args = [&["run", QUICKSTART, "--run-dir", "s3://runs/q"][..], &INPUTS].concat();
    let output = dead(&args, "1").output().expect("the program starts");
    assert_eq!(output.status.code(), Some(75), "{}", stderr(&output));
    assert!(stderr(&output).contains("Connection refused"), "{}", stderr(&output));
    // Later: what it waits for is told, and it does not wait through a signal.
    let mut child = dead(&args[..4], "120").stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut lines = std::io::BufReader::new(child.stderr.take().expect("piped")).lines();
    let line = lines.next().expect("a line").expect("text");
    assert!(line.contains("waiting for s3://runs: Connection refused"), "{line}");
    let signal = Command::new("kill").arg(child.id().to_string()).status().expect("there is kill");
    assert!(signal.success());
    let told = Instant::now();
    assert_eq!(child.wait().expect("it ends").code(), Some(75));
    assert!(told.elapsed() < Duration::from_secs(10), "{:?}", told.elapsed());
}
