//! Files that hand the tasks of a run to an engine that a cluster already has. We write no scheduler: one array of workers per pass, each with
//! its share of the tasks, pass after pass.
//!
//! A worker does `tamis task RUN --pass P --share I/N`: tasks that are done are passed over, so any worker may be started again at any time.

pub mod kubernetes;
pub mod ray;
pub mod slurm;

/// A pass and how many workers share its tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub pass: String,
    /// Workers, at least 1.
    pub workers: u32,
}

/// MiB that tamis plans with, so that the rest of the process has room.
fn budget_mib(memory_mib: u64) -> u64 {
    (memory_mib * 3 / 4).max(64)
}

/// One word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_stay_words() {
        assert_eq!(super::quoted("a b"), "'a b'");
        assert_eq!(super::quoted("it's $HOME"), r"'it'\''s $HOME'");
    }
}
