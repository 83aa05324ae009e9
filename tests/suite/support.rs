//! Running the program and looking at what it wrote.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The program, started in the repository.
pub(crate) fn tamis() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tamis"));
    command.current_dir(root());
    command
}

/// Runs the program to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    tamis().args(args).output().expect("the program starts")
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs a pipeline of the repository into `run_dir` and expects one of the exit codes of a finished run.
pub(crate) fn run_pipeline(pipeline: &str, run_dir: &Path, more: &[&str]) -> Output {
    let output = tamis()
        .args(["run", pipeline, "--run-dir"])
        .arg(run_dir)
        .args(more)
        .output()
        .expect("the program starts");
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 3)), "exit {code:?}: {}", stderr(&output));
    output
}

/// Every output file below a run directory with its content; `work/` and the key `timing` of
/// `report.json` (with the page that shows it) are no outputs.
pub(crate) fn outputs(run_dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    collect(run_dir, run_dir, &mut files);
    files.retain(|path, _| !path.starts_with("work") && path != Path::new("report.html"));
    if let Some(report) = files.get_mut(Path::new("report.json")) {
        let mut json: serde_json::Value = serde_json::from_slice(report).expect("report.json is JSON");
        json.as_object_mut().expect("report.json is an object").remove("timing");
        *report = json.to_string().into_bytes();
    }
    files
}

fn collect(folder: &Path, run_dir: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).expect("folder is readable") {
        let path = entry.expect("entry is readable").path();
        if path.is_dir() {
            collect(&path, run_dir, files);
        } else {
            let name = path.strip_prefix(run_dir).expect("below the run").to_path_buf();
            files.insert(name, std::fs::read(&path).expect("file is readable"));
        }
    }
}

/// Asserts that two runs wrote the same bytes.
pub(crate) fn assert_same_outputs(a: &Path, b: &Path) {
    let (left, right) = (outputs(a), outputs(b));
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&left), names(&right));
    for (name, bytes) in &left {
        assert!(bytes == &right[name], "`{}` differs", name.display());
    }
}

/// Whether a file of that name is a pipeline.
pub(crate) fn is_yaml(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "yaml")
}

/// Whether expected text is to be written instead of compared.
pub(crate) fn bless() -> bool {
    std::env::var_os("TAMIS_BLESS").is_some()
}

/// String columns of all tables of a folder.
pub(crate) struct StringColumns;

impl StringColumns {
    /// Rows of all files in order; absent values are empty.
    pub(crate) fn read(folder: &Path, names: &[&str]) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        for path in tamis::io::list(folder, ".parquet").expect("folder is readable") {
            let mut table = tamis::io::columns::StringColumns::open(&path, names).expect("table opens");
            while let Some(batch) = table.next().expect("table is readable") {
                for row in 0..batch.rows {
                    let cell = |column| batch.get(column, row).to_owned();
                    rows.push((0..names.len()).map(cell).collect());
                }
            }
        }
        rows
    }
}
