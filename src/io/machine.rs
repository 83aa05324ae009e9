//! What this machine, or the container around us, has.
//!
//! Processors need nothing of ours: `std::thread::available_parallelism` already heeds affinity and the quotas (`cpu.max`) of our cgroup and all
//! above it.

use std::path::{Component, Path, PathBuf};

/// The machine's name, or its container's; empty where it has none.
pub fn name() -> String {
    read(Path::new("/proc/sys/kernel/hostname")).trim().to_owned()
}

/// Memory that a run plans with unless told otherwise: half of the smallest of the machine's memory and the limits of our
/// cgroup and all above it.
pub fn default_memory_bytes() -> u64 {
    memory_bytes(Path::new("/")).unwrap_or(2 << 30) / 2
}

/// Memory that this process holds.
pub fn resident_bytes() -> Option<u64> {
    kib_line(&read(Path::new("/proc/self/status")), "VmRSS:")
}

fn memory_bytes(root: &Path) -> Option<u64> {
    let machine = kib_line(&read(&root.join("proc/meminfo")), "MemTotal:");
    let files = memory_limit_files(&read(&root.join("proc/self/cgroup")));
    // `max` is no number: no limit.
    let limits = files.into_iter().filter_map(|file| read(&root.join(file)).trim().parse::<u64>().ok());
    limits.chain(machine).min()
}

/// Files that may hold a limit, below the root, given `/proc/self/cgroup`: a line `0::PATH` for version 2, `N:CONTROLLERS:PATH` for version 1.
/// A container often sees its own cgroup as the topmost, whatever the path says; so folders that are not there do no harm.
fn memory_limit_files(cgroups: &str) -> Vec<PathBuf> {
    let mut files = vec![
        PathBuf::from("sys/fs/cgroup/memory.max"),
        PathBuf::from("sys/fs/cgroup/memory/memory.limit_in_bytes"),
    ];
    for line in cgroups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (mount, name) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max"),
            list if list.split(',').any(|controller| controller == "memory") => {
                ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let path = Path::new(path.trim_start_matches('/'));
        // `..`: our cgroup lies outside of what this container is shown.
        if path.components().all(|part| matches!(part, Component::Normal(_))) {
            let above = path.ancestors().filter(|folder| !folder.as_os_str().is_empty());
            files.extend(above.map(|folder| Path::new(mount).join(folder).join(name)));
        }
    }
    files
}

/// The number of KiB behind a word, in bytes.
fn kib_line(text: &str, word: &str) -> Option<u64> {
    let kib = |line: &str| line.strip_prefix(word)?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok();
    text.lines().find_map(kib)?.checked_mul(1024)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory of a made-up machine with these files.
    fn memory_of(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        memory_bytes(root.path())
    }

    const MACHINE: (&str, &str) =
        ("proc/meminfo", "MemTotal:       16384000 kB\nMemFree:           1000 kB\n");
    const OURS: (&str, &str) = ("proc/self/cgroup", "0::/kubepods/pod:1/tamis\n");

    #[test]
    fn without_limits_it_is_the_machines() {
        let all = Some(16_384_000 * 1024);
        assert_eq!(memory_of(&[]), None);
        assert_eq!(memory_of(&[MACHINE]), all);
        assert_eq!(memory_of(&[MACHINE, OURS]), all);
        let unlimited = ("sys/fs/cgroup/kubepods/memory.max", "max\n");
        assert_eq!(memory_of(&[MACHINE, OURS, unlimited]), all);
        let unlimited = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(memory_of(&[MACHINE, unlimited]), all);
    }

    #[test]
    fn the_smallest_limit_on_the_way_up_holds() {
        let own = ("sys/fs/cgroup/kubepods/pod:1/tamis/memory.max", "3000\n");
        let pod = ("sys/fs/cgroup/kubepods/pod:1/memory.max", "2000\n");
        let all = ("sys/fs/cgroup/kubepods/memory.max", "max\n");
        let other = ("sys/fs/cgroup/kubepods/pod:2/memory.max", "10\n");
        assert_eq!(memory_of(&[MACHINE, OURS, own, all, other]), Some(3000));
        assert_eq!(memory_of(&[MACHINE, OURS, own, pod, all, other]), Some(2000));
    }

    #[test]
    fn a_container_that_is_its_own_root_has_its_limit() {
        let limit = ("sys/fs/cgroup/memory.max", "5000\n");
        for cgroup in ["0::/\n", "0::/../../elsewhere\n", "0::/docker/not-to-be-seen\n", "", "what\n::\n"] {
            assert_eq!(memory_of(&[MACHINE, ("proc/self/cgroup", cgroup), limit]), Some(5000), "{cgroup}");
        }
    }

    #[test]
    fn version_1_has_other_names() {
        let cgroup = ("proc/self/cgroup", "11:cpu,cpuacct:/a/b\n7:memory:/a/b\n0::/a/b\n");
        let own = ("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9000\n");
        let above = ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "8000\n");
        let of_processors = ("sys/fs/cgroup/cpu/a/b/memory.limit_in_bytes", "1\n");
        assert_eq!(memory_of(&[MACHINE, cgroup, own, of_processors]), Some(9000));
        assert_eq!(memory_of(&[MACHINE, cgroup, own, above, of_processors]), Some(8000));
    }

    #[test]
    fn this_process_holds_memory() {
        if Path::new("/proc/self/status").exists() {
            assert!(resident_bytes().unwrap() > 1 << 20);
        }
    }
}
