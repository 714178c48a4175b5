//! What each function links, as cargo builds it by itself. A second TLS stack is a megabyte, and
//! part of each cold start.

use std::{collections::BTreeSet, process::Command};

use tidemark::template::Template;

/// Each function links one of these.
const ONE: [&str; 6] = [
    "aws-lc-sys",
    "hyper",
    "hyper-rustls",
    "rustls",
    "rustls-webpki",
    "tokio-rustls",
];
/// No function links one of these: other TLS stacks and crypto libraries, and what links more than
/// a function needs.
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

/// Names and versions of all that is part of a function's binary.
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
