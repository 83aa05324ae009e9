//! Runs passes: local threads, memory, progress, resume. Knows stages only through their traits, and of
//! the stage rooms only the writers.

pub mod layout;
pub mod runner;
pub mod segment;
mod source;
pub mod status;
mod worker;

pub use layout::RunDir;
pub use runner::{Listener, Options, run_pass, run_watched_task};
pub use worker::is_sampled;
