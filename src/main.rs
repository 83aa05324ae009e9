//! The `tamis` program: hands over to the command line and returns its exit code.

use std::process::ExitCode;

/// Pages make millions of small, short-lived nodes; the system's allocator spends a tenth of a run on them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ExitCode::from(tamis::cli::main())
}
