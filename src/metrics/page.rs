//! The page for Prometheus: its text format, version 0.0.4 (<https://prometheus.io/docs/instrumenting/exposition_formats/>), with names by its
//! rules: base units, `_total` for what only grows, `process_` for what its own clients tell of a process.

use std::fmt::{Display, Write as _};
use std::time::SystemTime;

use cpu_time::ProcessTime;

use super::counts::{Counts, PassCounts};
use crate::io::machine;

/// What the page is.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Families of metrics, one after the other.
#[derive(Default)]
struct Page {
    text: String,
    name: &'static str,
}

impl Page {
    /// Begins a family. `help` is one line without a backslash.
    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// A value of the family.
    fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(self.name);
        for (number, (label, text)) in labels.iter().enumerate() {
            self.put(format_args!("{}{label}=\"{}\"", if number == 0 { '{' } else { ',' }, escaped(text)));
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        self.put(format_args!(" {value}\n"));
    }

    /// A family of one value.
    fn single(&mut self, name: &'static str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(&[], value);
    }

    fn put(&mut self, text: std::fmt::Arguments) {
        self.text.write_fmt(text).expect("a string takes everything");
    }
}

/// The value of a label between its quotes.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Everything that there is to tell now.
pub(super) fn page(counts: &Counts) -> String {
    let mut page = Page::default();
    page.family("tamis_build_info", "gauge", "The program; always 1.");
    page.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    if let Some(facts) = counts.facts.get() {
        page.family("tamis_run_info", "gauge", "The run that this process works on; always 1.");
        page.sample(&[("run", &facts.run)], 1);
        page.single("tamis_threads", "gauge", "Threads that work.", facts.threads);
        page.single("tamis_memory_budget_bytes", "gauge", "Memory that is planned with.", facts.memory_bytes);
    }
    passes(&mut page, counts);
    page.single(
        "tamis_progress_steps_total",
        "counter",
        "Windows of documents, tasks and turns of long loops; /healthz looks whether it grows.",
        counts.steps(),
    );
    process(&mut page, counts);
    page.text
}

/// A family with a value for each pass: name, kind, help, value.
type PassFamily = (&'static str, &'static str, &'static str, fn(&PassCounts) -> u64);

const PASS_FAMILIES: [PassFamily; 6] = [
    ("tamis_pass_tasks", "gauge", "Tasks of a pass, or of this worker's share of it.", |pass| {
        u64::from(pass.tasks)
    }),
    ("tamis_pass_tasks_done", "gauge", "Those of them that are done, whoever did them.", |pass| {
        u64::from(pass.done)
    }),
    ("tamis_tasks_finished_total", "counter", "Tasks that this process finished.", |pass| pass.finished),
    ("tamis_tasks_failed_total", "counter", "Tasks that failed in this process.", |pass| pass.failed),
    ("tamis_documents_total", "counter", "Documents that this process worked on.", |pass| pass.documents),
    (
        "tamis_input_bytes_total",
        "counter",
        "Bytes that this process worked on, as a pass finds them.",
        |pass| pass.bytes,
    ),
];

fn passes(page: &mut Page, counts: &Counts) {
    let (passes, (number, of)) = counts.passes();
    page.single("tamis_passes", "gauge", "Passes of the run; 0 until they are known.", of);
    page.single("tamis_pass_number", "gauge", "The pass that is worked on, from 1.", number);
    for (name, kind, help, value) in PASS_FAMILIES {
        page.family(name, kind, help);
        for pass in &passes {
            page.sample(&[("pass", &pass.name)], value(pass));
        }
    }
}

fn process(page: &mut Page, counts: &Counts) {
    page.single(
        "process_cpu_seconds_total",
        "counter",
        "Processor time of this process, all threads.",
        ProcessTime::now().as_duration().as_secs_f64(),
    );
    if let Some(bytes) = machine::resident_bytes() {
        page.single("process_resident_memory_bytes", "gauge", "Memory that this process holds.", bytes);
    }
    let started = counts.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    page.single(
        "process_start_time_seconds",
        "gauge",
        "When this process began, in seconds since 1970.",
        started.as_secs_f64(),
    );
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::counts::tests::Silence;
    use super::super::{Facts, Measured};
    use super::*;
    use crate::engine::Listener;

    #[test]
    fn values_of_labels_are_escaped() {
        let mut page = Page::default();
        page.family("x_info", "gauge", "An x.");
        page.sample(&[("a", "say \"no\\yes\"\nend"), ("b", "ü")], 1.5);
        assert_eq!(
            page.text,
            "# HELP x_info An x.\n# TYPE x_info gauge\nx_info{a=\"say \\\"no\\\\yes\\\"\\nend\",b=\"ü\"} 1.5\n"
        );
    }

    #[test]
    fn the_page_has_every_family_once_and_a_value_for_each_pass() {
        let counts = Arc::new(Counts::default());
        assert!(page(&counts).contains("\ntamis_passes 0\n"));
        let measured = Measured::new(&Silence, Arc::clone(&counts));
        counts.describe(Facts { run: "a \"run\"".to_owned(), threads: 3, memory_bytes: 1 << 30 });
        measured.pass_started("00-read", 1, 20, 5, 2);
        measured.progress().advance(4096, 17);
        measured.task_finished("00-read", 3);
        measured.pass_finished("00-read");
        measured.pass_started("01-exact_dedup-gather", 2, 20, 64, 0);
        let text = page(&counts);
        for line in [
            concat!("tamis_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "tamis_run_info{run=\"a \\\"run\\\"\"} 1",
            "tamis_memory_budget_bytes 1073741824",
            "tamis_passes 20",
            "tamis_pass_number 2",
            "tamis_pass_tasks{pass=\"00-read\"} 5",
            "tamis_pass_tasks_done{pass=\"00-read\"} 3",
            "tamis_tasks_finished_total{pass=\"00-read\"} 1",
            "tamis_tasks_failed_total{pass=\"00-read\"} 0",
            "tamis_documents_total{pass=\"00-read\"} 17",
            "tamis_input_bytes_total{pass=\"00-read\"} 4096",
            "tamis_documents_total{pass=\"01-exact_dedup-gather\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        let mut families: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        let count = families.len();
        families.sort_unstable();
        families.dedup();
        assert_eq!(families.len(), count);
        for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(words[2].ends_with("_total"), words[3] == "counter", "{line}");
        }
    }
}
