//! Runs that a cluster's engine does: here a Slurm of one node, which is a shell script.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::support::{outputs, run, run_pipeline, stderr, stdout, tamis};

/// Does what `sbatch` is given at once: every element of the array, the last first.
const SBATCH: &str = r#"#!/bin/bash
set -e
last=0
while [[ $1 == --* ]]; do
    case $1 in
        --array=0-*) last=${1#--array=0-} ;;
        --output=*) output=${1#--output=} ;;
        --chdir=*) cd "${1#--chdir=}" ;;
    esac
    shift
done
for element in $(seq "$last" -1 0); do
    SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=$element bash "$@" >>"${output/\%a/$element}" 2>&1
done
echo "7;cluster"
"#;

fn slurm_of_one_node(folder: &Path) -> String {
    let path = folder.join("sbatch");
    std::fs::write(&path, SBATCH).expect("folder is writable");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("ours");
    format!("{}:{}", folder.display(), std::env::var("PATH").expect("a path"))
}

#[test]
fn a_run_by_slurm_has_the_bytes_of_a_local_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [local, there] = ["local", "it's there"].map(|name| folder.path().join(name));
    run_pipeline("pipelines/quickstart.yaml", &local, &[]);
    let mut command = tamis();
    command.env("PATH", slurm_of_one_node(folder.path()));
    command.args([
        "launch",
        "slurm",
        "pipelines/quickstart.yaml",
        "--workers",
        "3",
        "--cpus",
        "1",
        "--submit",
    ]);
    command.args(["--memory", "1GiB", "--run-dir"]).arg(&there);
    let output = command.output().expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("00-read: job 7, workers: 3"), "{}", stdout(&output));
    let (mut found, mut exact) = (outputs(&there), outputs(&local));
    found.retain(|path, _| !path.starts_with("launch"));
    // Local runs sum up what their tasks took.
    for files in [&mut found, &mut exact] {
        files.remove(Path::new("report.json"));
    }
    assert!(found.keys().eq(exact.keys()), "{:?} {:?}", found.keys(), exact.keys());
    assert!(found == exact, "the same bytes");
    let words = std::fs::read_to_string(there.join("launch/slurm/logs/finish-0.log")).expect("a log");
    assert!(words.contains("tokens"), "{words}");
}

#[test]
fn a_pass_that_fails_stops_the_others_and_the_script_goes_on_later() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = slurm_of_one_node(folder.path());
    let there = folder.path().join("run");
    let dir = there.display().to_string();
    let refused = |arguments: &[&str]| {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        stderr(&output)
    };
    let base = ["launch", "slurm", "pipelines/quickstart.yaml", "--run-dir", &dir];
    let with = |more: &[&'static str]| -> Vec<String> {
        base.iter().chain(more).map(|part| (*part).to_owned()).collect()
    };
    let words = with(&["--sbatch", "partition=x"]);
    let message = refused(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(message.contains("`partition=x` must be an option with two dashes"), "{message}");
    let words = with(&["--memory", "much"]);
    assert!(refused(&words.iter().map(String::as_str).collect::<Vec<_>>()).contains("--memory"));

    // A program that does not work on this node.
    let broken = folder.path().join("broken");
    std::fs::write(&broken, "#!/bin/sh\nexit 1\n").expect("folder is writable");
    std::fs::set_permissions(&broken, std::fs::Permissions::from_mode(0o755)).expect("ours");
    let mut command = tamis();
    command.args(base).arg("--program").arg(&broken).arg("--submit").env("PATH", &path);
    let output = command.output().expect("the program starts");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("run it again when the cause is mended"), "{}", stderr(&output));
    assert!(refused(&["finish", &dir]).contains("tasks are not done"));
    assert!(refused(&["task", &dir, "--pass", "02-apply", "--share", "0/2"]).contains("comes first"));

    // Mended: one part was done by hand meanwhile.
    assert_eq!(run(&["task", &dir, "--pass", "perplexity-train-en", "--task", "0"]).status.code(), Some(0));
    assert_eq!(run(&["task", &dir, "--pass", "00-read", "--share", "1/2"]).status.code(), Some(0));
    let done = |share: &str| stdout(&run(&["status", share]));
    let told = done(&dir);
    let line = told.lines().find(|line| line.starts_with("00-read")).expect("a line");
    assert_eq!(line.split_whitespace().collect::<Vec<_>>()[1..3], ["5", "2"], "{told}");
    let mut command = tamis();
    let output = command.args(base).arg("--submit").env("PATH", &path).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(done(&dir).contains("finished"), "{}", done(&dir));
    // Once more: nothing is left to do.
    let finished = run(&["finish", &dir]);
    assert!(stdout(&finished).contains("nothing was done"), "{}", stdout(&finished));
}

/// Stands in for the package `ray`: tasks run where they are submitted, and once more where they ask for it.
const RAY: &str = r#"
class exceptions:
    class RayError(Exception):
        pass

class Task:
    def __init__(self, function, options):
        self.function, self.given = function, options
    def options(self, name):
        return self
    def remote(self, *arguments):
        for _ in range(self.given["max_retries"] + 1):
            try:
                return self.function(*arguments)
            except tuple(self.given["retry_exceptions"]):
                pass
            except Exception as error:
                raise exceptions.RayError(str(error))
        raise exceptions.RayError("again and again")

def remote(**options):
    return lambda function: Task(function, options)
def init(address, log_to_driver):
    print("address", address)
def wait(left, timeout):
    return left[:1], left[1:]
def get(done):
    return done
"#;

#[test]
fn a_run_by_ray_has_the_bytes_of_a_local_one() {
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        println!("skipped: there is no python3 for the driver");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [local, there] = ["local", "there"].map(|name| folder.path().join(name));
    run_pipeline("pipelines/quickstart.yaml", &local, &[]);
    std::fs::write(folder.path().join("ray.py"), RAY).expect("folder is writable");
    // Every third call is interrupted.
    let program = folder.path().join("program");
    let text = format!(
        "#!/bin/sh\necho >>{0}/calls\n[ $(($(wc -l <{0}/calls) % 3)) = 0 ] && exit 75\nexec {1} \"$@\"\n",
        folder.path().display(),
        env!("CARGO_BIN_EXE_tamis")
    );
    std::fs::write(&program, text).expect("folder is writable");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("ours");
    let launched = |more: &[&str]| {
        let mut command = tamis();
        command.env("PYTHONPATH", folder.path()).args([
            "launch",
            "ray",
            "pipelines/quickstart.yaml",
            "--workers",
            "3",
        ]);
        command
            .args(["--cpus", "1", "--memory", "1GiB", "--address", "here:1", "--start", "--run-dir"])
            .arg(&there);
        command.args(more).output().expect("the program starts")
    };
    let output = launched(&["--program", "/bin/false"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("perplexity-train-en, worker 0: exit code 1"), "{}", stderr(&output));
    let output = launched(&["--program", &program.display().to_string()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("address here:1\n1/20 perplexity-train-en: 1 workers"),
        "{}",
        stdout(&output)
    );
    let (mut found, mut exact) = (outputs(&there), outputs(&local));
    found.retain(|path, _| !path.starts_with("launch") && path != Path::new("report.json"));
    exact.retain(|path, _| path != Path::new("report.json"));
    assert!(found == exact, "the same bytes");
}

#[test]
fn two_workers_on_every_task_leave_one_result() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [local, there] = ["local", "there"].map(|name| folder.path().join(name));
    run_pipeline("pipelines/quickstart.yaml", &local, &[]);
    let written = tamis()
        .args(["launch", "slurm", "pipelines/quickstart.yaml", "--run-dir"])
        .arg(&there)
        .output()
        .expect("the program starts");
    assert_eq!(written.status.code(), Some(0), "{}", stderr(&written));
    let script = std::fs::read_to_string(there.join("launch/slurm/submit.sh")).expect("a script");
    let passes = script.lines().filter_map(|line| line.strip_prefix("submit '")?.split('\'').next());
    for pass in passes {
        let worker = || {
            let mut command = tamis();
            command.arg("task").arg(&there).args(["--pass", pass, "--share", "0/1", "--threads", "1"]);
            command.stderr(std::process::Stdio::null()).spawn().expect("the program starts")
        };
        for mut worker in [worker(), worker(), worker()] {
            assert!(worker.wait().expect("it ends").success(), "{pass}");
        }
    }
    let finished = run(&["finish", &there.display().to_string()]);
    assert!(matches!(finished.status.code(), Some(0 | 3)), "{}", stderr(&finished));
    let (mut found, mut exact) = (outputs(&there), outputs(&local));
    found.retain(|path, _| !path.starts_with("launch") && path != Path::new("report.json"));
    exact.retain(|path, _| path != Path::new("report.json"));
    assert!(found == exact, "the same bytes");
}
