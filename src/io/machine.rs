//! What this machine, or the container around us, has.

/// The machine's name, or its container's; empty where it has none.
pub fn name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// Memory that a run plans with unless told otherwise: half of the smallest of the machine's memory and
/// the cgroup's limit.
pub fn default_memory_bytes() -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let machine = read("/proc/meminfo")
        .lines()
        .find_map(|line| {
            line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        })
        .map(|kib| kib * 1024);
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let cgroup = limits.iter().filter_map(|path| read(path).trim().parse::<u64>().ok());
    machine.into_iter().chain(cgroup).min().unwrap_or(2 << 30) / 2
}
