//! The release binaries of the functions: built here with the cargo-lambda options of `Cargo.toml`,
//! or found in a folder.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use tidemark::template::Template;
use tidemark_tests::lambda;

/// The function without any work, which is the baseline.
pub const BARE: &str = "bare";

/// Returns the binaries of all functions and of the empty function, by name. Binaries in `folder`
/// were built by SAM or cargo-lambda.
pub fn binaries(root: &Path, folder: Option<&Path>) -> BTreeMap<String, PathBuf> {
    let mut binaries = folder.map(found).unwrap_or_default();
    let missing: Vec<String> = if folder.is_some() {
        Vec::new()
    } else {
        Template::built_in().unwrap().functions().collect()
    };
    let missing: Vec<&str> = missing.iter().map(String::as_str).chain([BARE]).collect();
    binaries.append(&mut build(root, &missing));
    binaries
}

/// Returns the binary of each function that SAM or cargo-lambda built into a folder.
pub fn found(folder: &Path) -> BTreeMap<String, PathBuf> {
    let binary = |function: &str| {
        lambda::shipped(folder, function)
            .unwrap_or_else(|| panic!("no binary of {function} in {}", folder.display()))
    };
    Template::built_in()
        .unwrap()
        .functions()
        .map(|function| (function.clone(), binary(&function)))
        .collect()
}

/// Builds these binaries with the options of `[workspace.metadata.lambda.build]` in a separate
/// target folder, because other `--release` builds use faster options.
pub fn build(root: &Path, functions: &[&str]) -> BTreeMap<String, PathBuf> {
    let manifest: toml::Table =
        toml::from_str(&std::fs::read_to_string(root.join("Cargo.toml")).unwrap()).unwrap();
    let options = manifest["workspace"]["metadata"]["lambda"]["build"]["config"]
        .as_array()
        .expect("build options");

    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), PathBuf::from)
        .join("shipped");

    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(root)
        .args(["build", "--locked", "--release", "--target-dir"])
        .arg(&target);

    for option in options {
        cargo.args(["--config", option.as_str().unwrap()]);
    }

    for function in functions {
        let package = if *function == BARE {
            BARE.to_owned()
        } else {
            format!("tidemark-{function}")
        };
        cargo.args(["--package", &package, "--bin", function]);
    }

    assert!(
        cargo.status().unwrap().success(),
        "building the functions failed"
    );

    functions
        .iter()
        .map(|function| {
            (
                (*function).to_owned(),
                target.join("release").join(function),
            )
        })
        .collect()
}
