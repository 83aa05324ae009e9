//! Builds the emulated CUDA libraries (see cuda.c) with `cc`; for unit tests and for those of the program.

use std::path::Path;
use std::process::Command;

/// Builds the libraries in `folder`, for `LD_LIBRARY_PATH`. False where there is no C compiler, or no Linux.
pub(crate) fn build(folder: &Path) -> bool {
    if cfg!(not(target_os = "linux")) {
        return false;
    }
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/emulator");
    let prelude = format!("-DPRELUDE=\"{}\"", sources.join("prelude.h").display());
    for (name, source) in
        [("cuda", "cuda.c"), ("nvrtc", "libraries.c"), ("cublasLt", "libraries.c"), ("nccl", "libraries.c")]
    {
        let file = format!("lib{name}.so");
        let mut command = Command::new("cc");
        command.args(["-w", "-O2", "-shared", "-fPIC", "-U_FORTIFY_SOURCE", &prelude, "-o"]);
        command.arg(folder.join(&file)).arg(format!("-Wl,-soname,{file}")).arg(sources.join(source));
        if name != "cuda" {
            command.arg("-L").arg(folder).arg("-lcuda");
        }
        let Ok(status) = command.args(["-ldl", "-lpthread", "-lm"]).status() else {
            return false;
        };
        assert!(status.success(), "the emulator compiles");
    }
    true
}
