//! Checks the release binaries of the functions against their budgets. `TIDEMARK_BINARIES` names
//! the folder with the binaries, as for the tests of the runtime. The tests require it, because the
//! binaries that cargo builds for tests are larger and slower.
//!
//! If `TIDEMARK_BINARIES_RUNNER` is set, the binaries are of another architecture and run in an
//! emulator. Their size and libraries can be checked as usual. The CPU time of a cold start would
//! be that of the emulator, so it is measured on a native build of `push`, the largest function.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a failed test aborts, and its table is printed"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use tidemark_bench::{cold, table::Table};
use tidemark_tests::lambda::RUNNER_VARIABLE;

/// The minor version of glibc 2 in the runtime `provided.al2023`.
const GLIBC_MINOR_MAX: u32 = 34;
/// ELF machine types of the architectures that Lambda supports.
const AARCH64: [u8; 2] = [0xb7, 0];
const X86_64: [u8; 2] = [0x3e, 0];

fn shipped() -> BTreeMap<String, PathBuf> {
    let folder = std::env::var_os("TIDEMARK_BINARIES")
        .expect("TIDEMARK_BINARIES must name a folder of release binaries");
    cold::shipped(Path::new(&folder))
}

fn is_emulated() -> bool {
    std::env::var(RUNNER_VARIABLE).is_ok_and(|runner| !runner.is_empty())
}

fn assert_within_budget(table: &Table) {
    println!("{table}");
    let over: Vec<String> = table
        .over()
        .map(|row| format!("{} of {:.3} {}", row.what, row.measured, row.unit))
        .collect();
    assert_eq!(over, [""; 0], "over budget");
}

#[test]
fn binaries_stay_within_size_budget() {
    assert_within_budget(&cold::held_sizes(&shipped()));
}

#[test]
fn cold_starts_stay_within_cpu_budget() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let binaries = if is_emulated() {
        cold::native(&root, &["push"])
    } else {
        shipped()
    };

    assert_within_budget(&cold::held_starts(&binaries));
}

#[test]
fn binaries_match_lambda_runtime() {
    for (function, path) in shipped() {
        let binary = std::fs::read(&path).unwrap();
        assert!(binary.starts_with(b"\x7fELF"), "{function}");
        let built_for = &binary[18..20];
        let expected = if is_emulated() || cfg!(target_arch = "aarch64") {
            AARCH64
        } else {
            X86_64
        };
        assert_eq!(built_for, expected, "{function}: the architecture");

        let versions = glibc_minors(&binary);
        println!("{function}: glibc 2.{}", versions.last().unwrap());
        assert!(
            versions.last() <= Some(&GLIBC_MINOR_MAX),
            "{function} requires glibc 2.{versions:?}"
        );
    }
}

/// Returns the minor versions of glibc 2 in the symbols of a binary.
fn glibc_minors(binary: &[u8]) -> BTreeSet<u32> {
    let name = b"GLIBC_2.";
    let at = (0..binary.len() - name.len()).filter(|at| binary[*at..].starts_with(name));
    let digits = |at: usize| {
        binary[at + name.len()..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .map(|byte| u32::from(byte - b'0'))
    };

    let minors: BTreeSet<u32> = at
        .map(|at| digits(at).fold(0, |number, digit| number * 10 + digit))
        .collect();

    assert!(
        !minors.is_empty(),
        "a binary that links glibc contains its versions"
    );
    minors
}

/// A binary built for the CPU of the build machine fails with SIGILL on an older CPU.
#[test]
fn builds_do_not_set_target_cpu() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for file in [
        "Cargo.toml",
        ".cargo/config.toml",
        "template.yaml",
        "samconfig.toml",
    ] {
        assert!(
            !std::fs::read_to_string(root.join(file))
                .unwrap()
                .contains("target-cpu"),
            "{file}"
        );
    }

    for variable in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_RUSTFLAGS",
    ] {
        assert!(
            !std::env::var(variable)
                .unwrap_or_default()
                .contains("target-cpu"),
            "{variable}"
        );
    }
}
