//! Ray: a driver that submits each pass as Ray tasks, and the plan that it reads.

use serde::Serialize;

use super::{Step, budget_mib};

/// The driver, a Python program that needs the package `ray`.
pub const DRIVER: &str = include_str!("driver.py");

/// What a Ray cluster is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ray {
    /// The program, as the nodes find it.
    pub program: String,
    /// The run directory, on a file system that all nodes see.
    pub run_dir: String,
    /// Folder in which workers start.
    pub start_dir: String,
    /// Processors of a worker.
    pub cpus: u32,
    /// Memory of a worker, in MiB.
    pub memory_mib: u64,
    /// Times that a worker is started again that was interrupted or lost with its node.
    pub retries: u32,
}

/// What the driver reads.
#[derive(Debug, Serialize)]
pub struct Plan<'a> {
    program: &'a str,
    run_dir: &'a str,
    start_dir: &'a str,
    cpus: u32,
    memory_mib: u64,
    budget_mib: u64,
    retries: u32,
    steps: Vec<(&'a str, u32)>,
}

impl Ray {
    /// The plan for these passes.
    #[must_use]
    pub fn plan<'a>(&'a self, steps: &'a [Step]) -> Plan<'a> {
        Plan {
            program: &self.program,
            run_dir: &self.run_dir,
            start_dir: &self.start_dir,
            cpus: self.cpus,
            memory_mib: self.memory_mib,
            budget_mib: budget_mib(self.memory_mib),
            retries: self.retries,
            steps: steps.iter().map(|step| (step.pass.as_str(), step.workers)).collect(),
        }
    }
}
