//! The boundaries between layers (docs/architecture.md, *Workspace*): which module may import which,
//! and that no modules import each other in a cycle. The boundaries between crates are in
//! `.deny.toml`.
//!
//! The source files are parsed. An import of a name that a module only re-exports counts as an
//! import of the module that defines the name. Modules for tests do not count. A module may import
//! from its own submodules, and they from it.

#![expect(clippy::unwrap_used, reason = "a failed precondition fails the test")]

mod graph;

use graph::Sources;

/// Returns each import of the crate from a module of `layer` into one of the `forbidden` modules.
fn crossings(sources: &Sources, layer: &str, forbidden: &[&str]) -> Vec<String> {
    let imports = sources.imports.iter();
    let of_layer = imports.filter(|(from, _)| from.first().is_some_and(|first| first == layer));
    of_layer
        .filter(|(_, to)| {
            to.first()
                .is_some_and(|first| forbidden.contains(&first.as_str()))
        })
        .map(|(from, to)| format!("{} imports {}", from.join("::"), to.join("::")))
        .collect()
}

#[test]
fn layers_of_core_import_downwards_only() {
    let sources = Sources::of_crate("common/core");

    for (layer, forbidden) in [
        ("model", ["rules", "wire"].as_slice()),
        ("rules", &["wire"]),
        ("wire", &["rules"]),
    ] {
        let crossings = crossings(&sources, layer, forbidden);
        assert!(crossings.is_empty(), "{crossings:#?}");
    }
}

#[test]
fn core_has_no_input_or_output() {
    let sources = Sources::of_crate("common/core");
    let outside = ["std::env", "std::fs", "std::net", "std::process", "tokio"];

    let used = sources.paths.iter().filter(|(_, path)| {
        let is_clock = ["SystemTime", "Instant"].contains(&path.rsplit("::").next().unwrap());
        is_clock || path.ends_with("Utc::now") || outside.iter().any(|it| path.starts_with(it))
    });
    assert_eq!(used.collect::<Vec<_>>(), Vec::<&(String, String)>::new());
}

#[test]
fn model_has_no_serde_attributes() {
    let sources = Sources::of_crate("common/core");
    let derives = sources
        .paths
        .iter()
        .filter(|(module, path)| module.starts_with("model") && is_serde(path));
    assert_eq!(derives.collect::<Vec<_>>(), Vec::<&(String, String)>::new());
}

/// Returns whether the path names a trait or a macro of serde. `serde_json::value::RawValue` is the
/// text of a payload, not a form of a domain type.
fn is_serde(path: &str) -> bool {
    path == "serde" || path.starts_with("serde::")
}

#[test]
fn modules_form_no_import_cycle() {
    let crates = graph::crates();
    assert!(crates.contains(&"common/core".to_owned()), "{crates:?}");

    let cycles = crates.iter().flat_map(|name| {
        let cycles = Sources::of_crate(name).cycles();
        cycles.into_iter().map(move |cycle| (name.clone(), cycle))
    });
    assert_eq!(cycles.collect::<Vec<_>>(), []);
}

#[test]
fn cycle_and_crossing_are_found() {
    let sources = Sources::of_files([
        ("lib.rs", "mod model; mod rules; mod wire;"),
        ("model.rs", "use crate::wire::Body; pub struct Row;"),
        ("rules.rs", "mod one; mod two; pub use one::first;"),
        ("rules/one.rs", "pub fn first() { super::two::second() }"),
        (
            "rules/two.rs",
            "use super::first; pub fn second() { first() }",
        ),
        (
            "wire.rs",
            "pub struct Body; #[cfg(test)] mod tests { use crate::rules::first; }",
        ),
    ]);

    assert_eq!(
        crossings(&sources, "model", &["wire"]),
        ["model imports wire"]
    );
    assert!(crossings(&sources, "wire", &["rules"]).is_empty());
    assert_eq!(sources.cycles(), [["rules::one", "rules::two"]]);
}
