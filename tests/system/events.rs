//! The samples in `events/`: each is an event as AWS sends it to a function, and each is run here.
//! A sample fails if its function does not exist or if no expectation is defined for it.
#![expect(clippy::unwrap_used, reason = "a failed precondition fails the test")]

pub(crate) mod api;
pub(crate) mod conflicts;
pub(crate) mod notify;
pub(crate) mod repair;
pub(crate) mod stream;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;
use tidemark_core::wire::routes::ROUTES;

/// Returns the text of every sample by its name without `.json`.
pub(crate) fn samples() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());

    let samples = files
        .filter(|file| file.extension().is_none_or(|extension| extension != "md"))
        .map(|file| {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            let name = name
                .strip_suffix(".json")
                .unwrap_or_else(|| panic!("{name} is no sample"))
                .to_owned();
            (name, fs::read_to_string(&file).unwrap())
        });
    samples.collect()
}

/// Returns the function that a sample is for.
pub(crate) fn function_of(sample: &str) -> &str {
    sample.split_once('.').map_or("", |(function, _)| function)
}

/// Returns the paths of the fields that `real` has and `sample` lacks.
fn missing_fields(real: &Value, sample: &Value, at: &str) -> Vec<String> {
    let (Some(real), Some(sample)) = (real.as_object(), sample.as_object()) else {
        return Vec::new();
    };
    let missing = real
        .iter()
        .flat_map(|(name, value)| match sample.get(name) {
            None => vec![format!("{at}{name}")],
            Some(field) => missing_fields(value, field, &format!("{at}{name}.")),
        });
    missing.collect()
}

#[test]
fn every_sample_has_function_and_expectation() {
    let functions: BTreeSet<&str> = ROUTES
        .iter()
        .map(|route| route.function)
        .chain(["changelog", "notify"])
        .collect();

    let samples = samples();
    for sample in samples.keys() {
        assert!(
            functions.contains(function_of(sample)),
            "events/{sample}.json: no function {:?}",
            function_of(sample)
        );
    }

    let expected = api::EXPECTED
        .iter()
        .map(|it| it.sample)
        .chain(conflicts::EXPECTED.iter().map(|it| it.sample));
    let expected = expected.chain(stream::EXPECTED.iter().map(|it| it.sample));
    let expected = expected.chain(repair::EXPECTED.iter().map(|it| it.sample));
    let expected = expected
        .chain(notify::EXPECTED.iter().map(|it| it.sample))
        .collect();

    assert_eq!(
        samples.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        expected
    );
}

#[test]
fn each_function_has_samples_of_its_events() {
    let samples = samples();

    for kind in ROUTES
        .iter()
        .flat_map(|route| ["rest", "http"].map(|api| format!("{}.{api}-", route.function)))
        .chain([
            "changelog.".into(),
            "notify.".into(),
            "resolve.direct-".into(),
            "changelog.direct-".into(),
        ])
    {
        assert!(
            samples.keys().any(|sample| sample.starts_with(&kind)),
            "no sample {kind}…"
        );
    }
}
