//! The glossary names files that exist, and types and functions that these files contain. The files
//! that other documents name exist, too.

use std::{fs, path::Path};

/// The definition of a term, as a row of a table: the parts of its column *in the code* that are
/// code, in order.
struct Row {
    term: String,
    code: Vec<String>,
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(root().join("docs/glossary.md")).expect("the glossary");
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.contains("| in the code"));
    rows.map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let code = cells[3].split('`').skip(1).step_by(2);
        Row {
            term: cells[1].to_owned(),
            code: code.map(ToOwned::to_owned).collect(),
        }
    })
    .collect()
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Returns the text of the files that a path of the glossary denotes.
fn text_of(path: &str) -> String {
    let whole = root().join(path);
    if whole.is_file() {
        return fs::read_to_string(whole).expect("text");
    }
    assert!(whole.is_dir(), "{path} does not exist");
    String::new()
}

#[test]
fn glossary_names_existing_code() {
    let rows = rows();
    assert!(rows.len() > 60, "{} terms", rows.len());

    for Row { term, code } in rows {
        let mut names: Vec<&str> = Vec::new();
        for part in &code {
            if !part.contains('/') {
                names.push(part);
                continue;
            }

            // A name belongs to the path that follows it: `Name` in `path`.
            let text = text_of(part);
            for name in names.drain(..) {
                let is_found = name.split("::").all(|word| text.contains(word));
                assert!(is_found, "{term}: {part} does not contain {name}");
            }
        }
    }
}

/// Returns the paths from the root of the repository that a document names as code.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    const FOLDERS: [&str; 8] = [
        ".ci/",
        "clients/",
        "common/",
        "docs/",
        "events/",
        "functions/",
        "tests/",
        "tools/",
    ];
    let code = text.split('`').skip(1).step_by(2);
    code.filter(|part| {
        FOLDERS.iter().any(|folder| part.starts_with(folder))
            && !part.starts_with("tests/fuzz/")
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c))
    })
}

#[test]
fn documents_name_existing_files() {
    let folders = ["", "docs", "docs/adr", "tests/localstack", "events"];
    let documents = folders.iter().flat_map(|folder| {
        let entries = fs::read_dir(root().join(folder)).expect("a folder");
        entries.map(|entry| entry.expect("an entry").path())
    });
    let documents = documents.filter(|path| {
        path.extension().is_some_and(|extension| extension == "md")
            && path.file_name().is_some_and(|name| name != "CHANGELOG.md")
    });

    let mut count = 0;
    for document in documents {
        let text = fs::read_to_string(&document).expect("text");
        for path in paths(&text) {
            count += 1;
            assert!(root().join(path).exists(), "{document:?} names {path}");
        }
    }
    assert!(count > 200, "{count} paths");
}
