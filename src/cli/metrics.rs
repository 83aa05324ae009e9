//! The port of a run: options, and how it is wired to what works.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use super::LogFormat;
use super::console::Console;
use crate::engine::{Listener, Options};
use crate::error::{Error, Result};
use crate::metrics::{Counts, Facts, Measured, listen};

#[derive(Debug, clap::Args)]
pub(super) struct MetricsArgs {
    /// Answer `/healthz` and Prometheus' `/metrics` here while there is work: `127.0.0.1:9464`; `:9464` on all addresses; port 0 takes a
    /// free one. Without it nothing listens.
    #[arg(long, value_name = "HOST:PORT", env = "TAMIS_METRICS_ADDRESS")]
    metrics_address: Option<String>,
    /// Seconds without any progress after which `/healthz` says 503.
    #[arg(long, value_name = "SECONDS", env = "TAMIS_STALL_SECS", default_value_t = 1800, value_parser = clap::value_parser!(u64).range(1..))]
    stall_secs: u64,
}

/// The counts that the port tells, where there is one.
pub(super) struct Port(Option<Arc<Counts>>);

impl MetricsArgs {
    /// Opens the port and says where it is.
    pub(super) fn listen(&self, format: LogFormat) -> Result<Port> {
        let Some(address) = &self.metrics_address else { return Ok(Port(None)) };
        let counts = Arc::new(Counts::default());
        let bound =
            listen(address, Arc::clone(&counts), Duration::from_secs(self.stall_secs)).map_err(|error| {
                match error {
                    Error::User(message) => Error::User(format!("--metrics-address: {message}")),
                    other => other,
                }
            })?;
        let mut out = std::io::stderr().lock();
        // Nothing can be said about a failure to say something.
        drop(match format {
            LogFormat::Json => {
                writeln!(out, "{}", serde_json::json!({ "event": "listening", "address": bound }))
            }
            LogFormat::Text => writeln!(out, "metrics  http://{bound}/metrics"),
        });
        Ok(Port(Some(counts)))
    }
}

impl Port {
    /// Says what the process works on.
    pub(super) fn describe(&self, run: &str, options: &Options) {
        if let Some(counts) = &self.0 {
            let (threads, memory_bytes) = (options.threads, options.memory_bytes);
            counts.describe(Facts { run: run.to_owned(), threads, memory_bytes });
        }
    }

    /// Works with what the engine is to tell: the console, counted where there is a port.
    pub(super) fn around<R>(&self, console: &Console, work: impl FnOnce(&dyn Listener) -> R) -> R {
        match &self.0 {
            Some(counts) => work(&Measured::new(console, Arc::clone(counts))),
            None => work(console),
        }
    }
}
