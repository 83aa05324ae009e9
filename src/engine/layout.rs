//! Where everything lies in a run directory.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::io::{self, folders};
use crate::stage::TaskReport;

/// Folders of a run directory.
const FOLDERS: [&str; 9] =
    ["corpus", "rejects", "duplicates", "cuts", "hits", "signatures", "models", "tokens", "work"];
/// Outputs that a run directory without plan must not have: nobody knows which run they are of.
const OUTPUTS: [&str; 12] = [
    "corpus",
    "models",
    "rejects",
    "duplicates",
    "cuts",
    "hits",
    "signatures",
    "tokens",
    "tokenizer.json",
    "quarantine.jsonl",
    "report.json",
    "work/done",
];

/// A run directory. What stands at its top is a contract with other tools; `work/` is ours.
#[derive(Debug, Clone)]
pub struct RunDir {
    root: PathBuf,
}

impl RunDir {
    /// Names a run directory; nothing is created yet.
    pub fn new(root: impl AsRef<Path>) -> Self {
        Self { root: root.as_ref().to_path_buf() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A file or folder at the top: `plan.json`, `corpus`, `rejects`, ...
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// What a stage of this name made before it ran, such as a trained model; it stays with the run.
    pub fn models(&self, stage: &str) -> PathBuf {
        self.root.join("models").join(stage)
    }

    /// Scratch of a pass.
    pub fn work(&self, pass: &str) -> PathBuf {
        self.root.join("work").join(pass)
    }

    /// Record that a task is done.
    pub fn done(&self, pass: &str, task: u32) -> PathBuf {
        self.root.join("work").join("done").join(pass).join(format!("{task:06}.json"))
    }

    /// Record that a worker has begun with a task.
    pub fn running(&self, pass: &str, task: u32) -> PathBuf {
        self.root.join("work").join("running").join(pass).join(format!("{task:06}.json"))
    }

    /// Record that a task failed the last time it was tried.
    pub fn failed(&self, pass: &str, task: u32) -> PathBuf {
        self.root.join("work").join("failed").join(pass).join(format!("{task:06}.json"))
    }

    /// Reports of a pass's finished tasks, in task order.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn done_reports(&self, pass: &str) -> Result<Vec<TaskReport>> {
        let folder = self.root.join("work").join("done").join(pass);
        io::read_jsons(&io::list(folder, ".json")?).map_err(explain_damage)
    }

    /// Tasks of a pass that are done: one look at a folder, however many there are.
    ///
    /// # Errors
    /// Where it cannot be listed.
    pub fn done_tasks(&self, pass: &str) -> Result<BTreeSet<u32>> {
        let folder = self.root.join("work").join("done").join(pass);
        let number = |path: PathBuf| path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        Ok(io::list(folder, ".json")?.into_iter().filter_map(number).collect())
    }

    /// The first output that is there, as a name for a message.
    ///
    /// # Errors
    /// Where a store cannot be asked.
    pub fn output(&self) -> Result<Option<&'static str>> {
        for name in OUTPUTS {
            let path = self.path(name);
            if io::exists(&path)? || folders::is_dir(&path) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Removes what killed processes left half-written. Only for the process that holds the run's lock.
    ///
    /// # Errors
    /// Where a folder cannot be listed.
    pub fn remove_partial_files(&self) -> Result<()> {
        fn clean(folder: &Path, deep: bool) -> Result<()> {
            for entry in folders::entries(folder)? {
                if entry.is_dir {
                    if deep {
                        clean(&entry.path, true)?;
                    }
                } else if io::leftover_of(&entry.path).is_some() {
                    io::remove_files(&[entry.path])?;
                }
            }
            Ok(())
        }
        folders::remove_dir(self.path("report-scratch"))?;
        if io::store::is_remote(&self.root) {
            // What is half-written is no object there.
            return Ok(());
        }
        // A run directory may be a folder in which other things lie, too.
        clean(&self.root, false)?;
        FOLDERS.iter().try_for_each(|folder| clean(&self.path(folder), true))
    }

    /// Removes the scratch of all passes and keeps their done records.
    ///
    /// # Errors
    /// Where something cannot be removed.
    pub fn remove_work(&self) -> Result<()> {
        for entry in folders::entries(self.root.join("work"))? {
            if entry.is_dir && entry.path.file_name().is_some_and(|name| name != "done") {
                folders::remove_dir(&entry.path)?;
            }
        }
        Ok(())
    }

    /// Takes the run for this process until the returned file is dropped: alone, or (`shared`, for single
    /// tasks) beside others that share it.
    ///
    /// # Errors
    /// [`Error::User`] where another process has it, [`Error::Io`] where the folder is not writable.
    pub fn lock(&self, shared: bool) -> Result<folders::Lock> {
        let folder = self.root.join("work");
        io::create_dir(&folder)?;
        folders::lock(folder.join("lock"), shared)?.ok_or_else(|| {
            Error::User(format!(
                "another process works on `{}`: wait for it, or give this run another `--run-dir`",
                self.root.display()
            ))
        })
    }
}

/// Reads the record of a finished task or part.
///
/// # Errors
/// [`Error::Damaged`] with what to do about it.
pub fn read_record<T: serde::de::DeserializeOwned>(path: PathBuf) -> Result<T> {
    io::read_json(path).map_err(explain_damage)
}

fn explain_damage(error: Error) -> Error {
    match error {
        Error::Damaged { path, what } => Error::damaged(
            path,
            format!("{what}; remove this file and start again: its work is then done anew"),
        ),
        other => other,
    }
}
