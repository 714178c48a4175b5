//! Text of users and devices, as pages show it: characters that cannot be seen are shown, and the
//! direction of the text does not affect the page.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use maud::{Markup, html};
use tidemark_core::model::time::timestamp;

/// The maximum number of characters of a value that a page shows.
pub(crate) const SHOWN_CHARS_MAX: usize = 4000;

/// Returns a text with each control character and each mark that changes the direction of text
/// replaced by its code point, such as `[U+202E]`. Line breaks and tabs are preserved.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }

    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if is_hidden(letter) {
            shown.push_str(&format!("[U+{:04X}]", u32::from(letter)));
        } else {
            shown.push(letter);
        }
    }
    Cow::Owned(shown)
}

/// Returns whether a character has no visible form or changes the order of others.
fn is_hidden(letter: char) -> bool {
    let is_mark = matches!(
        letter,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    );
    is_mark || letter.is_control() && !matches!(letter, '\n' | '\t')
}

/// Returns a name that is isolated from the direction of the text around it.
pub(crate) fn name(text: &str) -> Markup {
    html! { bdi { (visible(text)) } }
}

/// Returns the first `chars_max` characters of a text, and the number of the others.
pub(crate) fn beginning(text: &str, chars_max: usize) -> (&str, usize) {
    match text.char_indices().nth(chars_max) {
        None => (text, 0),
        Some((end, _)) => {
            let (shown, rest) = text.split_at(end);
            (shown, rest.chars().count())
        }
    }
}

/// Returns a long text, such as a payload, with its line breaks. Characters beyond `chars_max` are
/// counted instead.
pub(crate) fn long(text: &str, chars_max: usize) -> Markup {
    let (shown, rest) = beginning(text, chars_max);
    html! {
        bdi.value { (visible(shown)) }
        @if rest > 0 { span.none { " … and " (rest) " more characters" } }
    }
}

/// Returns a name like [`name`]. Characters beyond `chars_max` are counted instead.
pub(crate) fn long_name(text: &str, chars_max: usize) -> Markup {
    let (shown, rest) = beginning(text, chars_max);
    html! {
        (name(shown))
        @if rest > 0 { span.none { " … and " (rest) " more characters" } }
    }
}

/// Returns a time in UTC to the minute, with the exact time as its machine-readable form.
pub(crate) fn time(at: DateTime<Utc>) -> Markup {
    let shown = at.format("%Y-%m-%d %H:%M").to_string();
    html! { time datetime=(timestamp(at)) { (shown) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_shown() {
        for (text, expected) in [
            ("front door", "front door"),
            ("line\n\ttab", "line\n\ttab"),
            ("a\u{202e}b", "a[U+202E]b"),
            ("\u{2066}a\u{2069}", "[U+2066]a[U+2069]"),
            ("\u{200f}\u{61c}", "[U+200F][U+061C]"),
            (
                "\0\u{1b}\u{7f}\u{85}\r",
                "[U+0000][U+001B][U+007F][U+0085][U+000D]",
            ),
            ("\u{feff}\u{200b}\u{e0041}", "[U+FEFF][U+200B][U+E0041]"),
            ("שלום", "שלום"),
            (
                "می\u{200c}خواهم 👩\u{200d}🔧",
                "می\u{200c}خواهم 👩\u{200d}🔧",
            ),
        ] {
            assert_eq!(visible(text), expected);
        }
    }

    #[test]
    fn names_are_isolated_and_escaped() {
        let shown = name("<img onerror=1>\u{202e}").into_string();
        assert_eq!(shown, "<bdi>&lt;img onerror=1&gt;[U+202E]</bdi>");
    }

    #[test]
    fn long_text_is_cut_at_characters() {
        assert_eq!(beginning("äöü", 3), ("äöü", 0));
        assert_eq!(beginning("äöü", 2), ("äö", 1));
        let shown = long("äöü", 1).into_string();
        let expected = "<bdi class=\"value\">ä</bdi>\
                        <span class=\"none\"> … and 2 more characters</span>";
        assert_eq!(shown, expected);
        let shown = long_name("<öü", 1).into_string();
        assert!(shown.starts_with("<bdi>&lt;</bdi><span"), "{shown}");
        assert_eq!(long_name("<", 1).into_string(), "<bdi>&lt;</bdi>");
    }

    #[test]
    fn time_is_shown_to_the_minute() {
        let at = DateTime::from_timestamp(1_769_850_725, 0).expect("a time");
        let expected = "<time datetime=\"2026-01-31T09:12:05.000Z\">2026-01-31 09:12</time>";
        assert_eq!(time(at).into_string(), expected);
    }
}
