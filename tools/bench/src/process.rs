//! Reads the resource usage of a process from Linux.

use std::{fs, time::Duration};

/// Returns the CPU time of all threads of a process, in nanosecond resolution. Threads that have
/// ended are not included; the threads of a function do not end during a measurement.
pub fn cpu(process: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let nanos = threads.flatten().filter_map(|thread| {
        let counted = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        counted.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// Returns the peak resident memory in MB; `None` if the system does not report it.
pub fn peak_mb(process: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = peak.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}
