//! Checks which crates each function links when cargo builds it alone. A second TLS stack would add
//! a megabyte and increase every cold start.

use std::{collections::BTreeSet, process::Command};

use tidemark::template::Template;

/// Each function links exactly one version of these crates.
const ONE: [&str; 6] = [
    "aws-lc-sys",
    "hyper",
    "hyper-rustls",
    "rustls",
    "rustls-webpki",
    "tokio-rustls",
];
/// Crates that no function may link: other TLS stacks and crypto libraries, and crates with more
/// dependencies than a function needs.
const NONE: [&str; 10] = [
    "aws-config",
    "aws-smithy-http-client",
    "boring-sys",
    "h2",
    "mbedtls",
    "native-tls",
    "openssl",
    "openssl-sys",
    "ring",
    "s2n-tls",
];

#[test]
fn each_function_links_one_tls_stack() {
    for function in Template::built_in().unwrap().functions() {
        let linked = linked(&function);

        let versions = |name: &str| {
            linked
                .iter()
                .filter(|(it, _)| it == name)
                .collect::<Vec<_>>()
        };

        for name in ONE {
            assert_eq!(
                versions(name).len(),
                1,
                "{function}: {name}: {:?}",
                versions(name)
            );
        }
        for name in NONE {
            assert!(
                versions(name).is_empty(),
                "{function}: {:?}",
                versions(name)
            );
        }
    }
}

/// Returns the names and versions of all crates in a function's binary.
fn linked(function: &str) -> BTreeSet<(String, String)> {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--package",
        ])
        .arg(format!("tidemark-{function}"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();

    assert!(
        tree.status.success(),
        "{}",
        String::from_utf8_lossy(&tree.stderr)
    );

    let lines = String::from_utf8(tree.stdout).unwrap();
    let words = lines.lines().map(|line| line.split(' ').map(str::to_owned));
    words
        .filter_map(|mut words| Some((words.next()?, words.next()?)))
        .collect()
}
