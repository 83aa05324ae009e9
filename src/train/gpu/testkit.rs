//! A GPU for tests: the real one where there is a driver, else the emulator of `tests/emulator`, built with `cc`.

#![expect(unsafe_code, reason = "loads the emulator's libraries")]

use std::path::PathBuf;
use std::sync::OnceLock;

#[path = "../../../tests/emulator/build.rs"]
mod emulator;

/// Whether GPU code can run here; says so once where it cannot.
pub(super) fn is_there() -> bool {
    static THERE: OnceLock<bool> = OnceLock::new();
    *THERE.get_or_init(|| {
        // SAFETY: looks for a library and closes it again.
        if unsafe { cudarc::driver::sys::is_culib_present() } {
            return super::count().is_ok_and(|count| count > 0);
        }
        let folder: PathBuf = tempfile::tempdir().expect("a folder").keep();
        if !emulator::build(&folder) {
            println!("skipped: no GPU, and no C compiler for the emulator");
            return false;
        }
        for name in ["cuda", "nvrtc", "cublasLt", "nccl"] {
            // SAFETY: our own libraries. They stay loaded, under the names that are looked for later.
            let library = unsafe { libloading::Library::new(folder.join(format!("lib{name}.so"))) };
            std::mem::forget(library.expect("the emulator loads"));
        }
        std::fs::remove_dir_all(&folder).expect("it is loaded");
        true
    })
}
