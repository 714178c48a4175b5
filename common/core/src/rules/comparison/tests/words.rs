//! The differences between long texts and arrays.

use super::*;

/// Returns one of the two texts, put together from the parts.
fn joined(parts: &[DiffPart<'_>], without: DiffKind) -> String {
    let parts = parts.iter().filter(|part| part.kind != without);
    parts.map(|part| part.text).collect()
}

#[test]
fn parts_form_both_texts() {
    let text = |step: usize| -> String {
        let word = |number: usize| format!("{}{} ", "ab\n".repeat(number % 2), number % step);
        (0..500).map(word).collect()
    };
    let texts = [
        String::new(),
        " ".into(),
        "a".into(),
        " a  b\tc".into(),
        "a b c d".into(),
        "été 測定".into(),
        text(7),
        text(11),
        text(400),
    ];

    for old in &texts {
        for new in &texts {
            let parts = words(old, new);
            assert_eq!(joined(&parts, DiffKind::Added), *old);
            assert_eq!(joined(&parts, DiffKind::Removed), *new);
            assert!(parts.windows(2).all(|pair| pair[0].kind != pair[1].kind));
            assert_eq!(
                old == new,
                parts.iter().all(|part| part.kind == DiffKind::Equal)
            );
        }
    }
}

#[test]
fn changed_words_are_found() {
    let parts = words("one two three four", "one 2 three four five");
    let parts: Vec<_> = parts.iter().map(|part| (part.kind, part.text)).collect();
    assert_eq!(
        parts,
        [
            (DiffKind::Equal, "one "),
            (DiffKind::Removed, "two"),
            (DiffKind::Added, "2"),
            (DiffKind::Equal, " three four"),
            (DiffKind::Added, " five"),
        ]
    );
}

#[test]
fn long_texts_are_not_compared() {
    let text = |count: usize, last: &str| format!("{}{last}", "w ".repeat(count - 1));
    for (count, parts) in [(WORDS_MAX, 3), (WORDS_MAX + 1, 2)] {
        let (old, new) = (text(count, "a"), text(count, "b"));
        assert_eq!(words(&old, &new).len(), parts, "{count} words");
        assert_eq!(words(&old, &old).len(), 1, "{count} words");
    }
}

#[test]
fn elements_are_compared_by_text() {
    let old = raw(r#"[1, {"a": 1}, "x y", [2 ]]"#);
    let new = raw(r#"[1.0,{"a":1},[2],"x y"]"#);

    let parts = elements(&old, &new).expect("two arrays");
    let of = |kind: DiffKind| {
        let parts = parts.iter().filter(move |part| part.kind == kind);
        parts.map(|part| part.text).collect::<Vec<_>>()
    };
    assert_eq!(of(DiffKind::Equal).len(), 2, "{parts:?}");
    assert_eq!(of(DiffKind::Equal)[0], r#"{"a": 1}"#);
    assert!(of(DiffKind::Removed).contains(&"1"));
    assert!(of(DiffKind::Added).contains(&"1.0"));

    assert!(elements(&old, &raw("{}")).is_none());
    let long = raw(&format!("[{}0]", "0,".repeat(WORDS_MAX)));
    let whole = elements(&long, &new).expect("two arrays");
    assert_eq!(whole.len(), 2);
}
