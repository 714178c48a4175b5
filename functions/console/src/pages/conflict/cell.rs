//! The value of a field in a cell of the merge table. A long text or an array is shown as its
//! difference from an older value.

use maud::{Markup, html};
use tidemark_core::rules::comparison::{DiffKind, DiffPart, FieldValue, elements, words};

use crate::text;

/// The number of characters from which a text is shown as its difference.
const LONG_TEXT_CHARS: usize = 40;
/// The number of characters that the markup of a part of a difference counts as.
const PART_CHARS: usize = 10;

/// Returns a value, with at most about `chars_max` characters. If it differs from the `old` one and
/// both are long texts or arrays, the differences are marked.
pub(super) fn value(value: FieldValue<'_>, old: FieldValue<'_>, chars_max: usize) -> Markup {
    let Some(text) = value.compact() else {
        let is_absent = matches!(value, FieldValue::Absent);
        let word = if is_absent { "absent" } else { "not known" };
        return html! { span.none { (word) } };
    };
    let is_changed = old.text().is_some_and(|old| Some(old) != value.text());
    if is_changed {
        let shown = array(value, old, chars_max).or_else(|| long_text(value, old, chars_max));
        if let Some(shown) = shown {
            return shown;
        }
    }
    text::long(&text, chars_max)
}

fn long_text(value: FieldValue<'_>, old: FieldValue<'_>, chars_max: usize) -> Option<Markup> {
    let (new, old) = (value.string()?, old.string()?);
    let is_long = |text: &str| text.chars().nth(LONG_TEXT_CHARS).is_some() || text.contains('\n');
    (is_long(&new) || is_long(&old)).then(|| {
        let parts = words(&old, &new);
        let (shown, rest) = shortened(&parts, chars_max);
        html! {
            bdi.value { @for part in &shown { (changed(part)) } }
            (omitted(rest))
        }
    })
}

fn array(value: FieldValue<'_>, old: FieldValue<'_>, chars_max: usize) -> Option<Markup> {
    let (FieldValue::Text(new), FieldValue::Text(old)) = (value, old) else {
        return None;
    };
    let parts = elements(old, new)?;
    let (shown, rest) = shortened(&parts, chars_max);
    Some(html! {
        span.array {
            @for part in &shown { bdi.value.element { (changed(part)) } }
            @if parts.is_empty() { bdi.value { "[]" } }
        }
        (omitted(rest))
    })
}

/// A part of a difference as it is shown.
struct ShownPart<'p> {
    kind: DiffKind,
    text: &'p str,
    /// The number of characters that are not shown.
    rest: usize,
}

/// Returns the parts of a difference that are shown, and the number of characters of the others. Of
/// a long difference, equal parts are shortened and old ones take half of the characters, so that
/// the changes and the new parts are shown.
fn shortened<'p>(parts: &[DiffPart<'p>], chars_max: usize) -> (Vec<ShownPart<'p>>, usize) {
    let chars = |part: &DiffPart<'_>| part.text.chars().count();
    let is_long = parts.iter().map(chars).sum::<usize>() > chars_max;
    let (equal_max, mut old_left) = match is_long {
        true => (chars_max / 4, chars_max / 2),
        false => (chars_max, chars_max),
    };

    let (mut shown, mut left, mut omitted) = (Vec::new(), chars_max, 0);
    for part in parts {
        let part_max = match part.kind {
            DiffKind::Equal => left.min(equal_max),
            DiffKind::Removed => left.min(old_left),
            DiffKind::Added => left,
        };
        if part_max == 0 {
            omitted += chars(part);
            continue;
        }

        let (text, rest) = text::beginning(part.text, part_max);
        let taken = text.chars().count() + PART_CHARS;
        left = left.saturating_sub(taken);
        if part.kind == DiffKind::Removed {
            old_left = old_left.saturating_sub(taken);
        }
        shown.push(ShownPart {
            kind: part.kind,
            text,
            rest,
        });
    }
    (shown, omitted)
}

fn changed(part: &ShownPart<'_>) -> Markup {
    let shown = text::visible(part.text);
    html! {
        @match part.kind {
            DiffKind::Equal => { (shown) },
            DiffKind::Removed => { del { (shown) } },
            DiffKind::Added => { ins { (shown) } },
        }
        (omitted(part.rest))
    }
}

fn omitted(rest: usize) -> Markup {
    html! { @if rest > 0 { span.none { " … and " (rest) " more characters" } } }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn shown(new: &str, old: &str) -> String {
        let json = |text: &str| RawValue::from_string(text.to_owned()).expect("JSON");
        let (new, old) = (json(new), json(old));
        value(FieldValue::Text(&new), FieldValue::Text(&old), 4_000).into_string()
    }

    #[test]
    fn long_texts_are_compared_by_word() {
        let text = |word: &str| format!("\"the meter is in the cellar behind the {word} door\"");
        let cell = shown(&text("<b>"), &text("blue"));
        assert!(
            cell.contains("behind the <del>blue</del><ins>&lt;b&gt;</ins> door"),
            "{cell}"
        );
        assert!(!shown("\"short\"", "\"text\"").contains("<del>"));
    }

    #[test]
    fn change_after_a_long_beginning_is_shown() {
        let text =
            |word: &str| format!("\"{}{word} {}\"", "same ".repeat(2_000), "x".repeat(9_000));
        let cell = shown(&text("<b>"), &text("blue"));
        assert!(
            cell.contains("<del>blue</del><ins>&lt;b&gt;</ins>"),
            "{cell}"
        );
        assert!(cell.contains("and 9000 more characters"), "{cell}");
        assert!(cell.len() < 4_000, "{}", cell.len());
    }

    #[test]
    fn arrays_are_compared_by_element() {
        let cell = shown("[1.0, \"<img>\"]", "[1.0,2]");
        let expected = "<span class=\"array\"><bdi class=\"value element\">1.0</bdi>\
                        <bdi class=\"value element\"><del>2</del></bdi>\
                        <bdi class=\"value element\"><ins>&quot;&lt;img&gt;&quot;</ins></bdi></span>";
        assert_eq!(cell, expected);
        assert!(shown("[]", "[1]").contains("<del>1</del>"));
    }

    #[test]
    fn new_elements_follow_many_old_ones() {
        let array = |element: &str| format!("[{}]", vec![element; 2_000].join(","));
        let cell = shown(&array("22"), &array("11"));
        assert!(
            cell.contains("<del>11</del>") && cell.contains("<ins>22</ins>"),
            "{cell}"
        );
        assert!(
            cell.contains("more characters") && cell.len() < 30_000,
            "{}",
            cell.len()
        );
    }

    #[test]
    fn values_keep_their_digits() {
        for text in ["42.50", "9007199254740993", "1e0", "null", "\"a\\u202eb\""] {
            let cell = shown(text, "0").replace("&quot;", "\"");
            assert_eq!(cell, format!("<bdi class=\"value\">{text}</bdi>"));
        }
        let absent = value(FieldValue::Absent, FieldValue::Unknown, 9).into_string();
        assert_eq!(absent, "<span class=\"none\">absent</span>");
    }
}
