//! What a run tells on a port: `/healthz` for a probe, `/metrics` for Prometheus.
//!
//! [`Measured`] counts what the engine's [`Listener`](crate::engine::Listener) hears, [`page`] writes it in Prometheus' text format,
//! [`listen`] answers on a thread that nothing waits for. All bounds are fixed: a request's size and time, and connections at once.

mod counts;
mod page;
mod server;

pub use counts::{Counts, Facts, Measured};
pub use server::listen;
