//! `docs/errors.md` has exactly one row for each code.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;
use tidemark_core::{model::result::ItemCode, wire::problem::ProblemCode};
use utoipa::PartialSchema;

/// Returns the rows of a chapter's tables as lists of cells, by the code in the first cell.
fn rows(page: &str, chapter: &str) -> BTreeMap<String, Vec<String>> {
    let chapter = page
        .split("\n## ")
        .find(|text| text.starts_with(chapter))
        .unwrap();

    let mut rows = BTreeMap::new();
    for line in chapter.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = line
            .trim_matches('|')
            .split(" | ")
            .map(|cell| cell.trim().to_owned())
            .collect();
        let other = rows.insert(cells[0].trim_matches('`').to_owned(), cells);
        assert!(other.is_none(), "two rows: {line}");
    }
    rows
}

/// Returns the codes in order, as the wire type writes them.
fn words<T: PartialSchema>() -> Vec<String> {
    let mut words: Vec<String> =
        serde_json::from_value(serde_json::to_value(T::schema()).unwrap()["enum"].clone()).unwrap();
    words.sort();
    words
}

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md")).unwrap()
}

#[test]
fn each_problem_code_has_one_row() {
    let rows = rows(&page(), "Rejected requests");
    assert_eq!(
        rows.keys().cloned().collect::<Vec<_>>(),
        words::<ProblemCode>()
    );
    for (word, cells) in rows {
        let code: ProblemCode = serde_json::from_value(Value::from(word.as_str())).unwrap();
        assert_eq!(
            (cells.len(), cells[1].clone()),
            (4, code.status().to_string()),
            "{word}"
        );
    }
}

#[test]
fn each_item_code_has_one_row() {
    let rows = rows(&page(), "Rejected items");
    assert_eq!(
        rows.keys().cloned().collect::<Vec<_>>(),
        words::<ItemCode>()
    );

    for (word, cells) in rows {
        assert_eq!(
            (
                cells.len(),
                cells[1].starts_with("error") || cells[1] == "conflict"
            ),
            (4, true),
            "{word}"
        );
    }
}
