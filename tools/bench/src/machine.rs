//! Describes the machine on which the measurements were made.

use std::{fs, process::Command};

/// Returns the machine, the compiler and the commit in one line.
pub fn describe() -> String {
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default()
            .to_owned();
        line.split_once(':')
            .map(|(_, value)| value.trim().to_owned())
            .unwrap_or_else(|| "unknown".to_owned())
    };

    let output_of = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        output
            .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
            .unwrap_or_default()
    };

    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory_kb: f64 = field("/proc/meminfo", "MemTotal")
        .trim_end_matches(" kB")
        .parse()
        .unwrap_or_default();

    format!(
        "{}, {cores} cores, {:.0} GiB, Linux {}, {}, commit {}",
        field("/proc/cpuinfo", "model name"),
        memory_kb / 1024.0 / 1024.0,
        output_of("uname", &["-r"]),
        output_of("rustc", &["--version"]),
        output_of("git", &["describe", "--always", "--dirty"]),
    )
}
