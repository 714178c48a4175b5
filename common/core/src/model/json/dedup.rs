//! One field for each name (§2): if fields in one object have the same name, the last one counts,
//! at every depth.

use std::{borrow::Cow, collections::HashMap, ops::Range};

use serde_json::value::RawValue;

use crate::model::{json::Json, limits::NESTING_MAX};

/// Returns the value without the fields that a later field of the same object repeats. The rest
/// keeps its text, digits and order. Names are compared decoded: `"a"` and `"\u0061"` are the same
/// name.
///
/// A value that is nested too deeply or contains an unpaired surrogate is returned unchanged: it is
/// rejected as a payload elsewhere.
pub fn without_duplicates(value: &RawValue) -> Json {
    let text = value.get();
    let mut scanner = Scanner {
        text,
        at: 0,
        cuts: Vec::new(),
    };
    let cuts = match scanner.value(0) {
        Some(()) if !scanner.cuts.is_empty() => scanner.cuts,
        _ => return value.to_owned(),
    };

    RawValue::from_string(without(text, cuts)).unwrap_or_else(|_| value.to_owned())
}

/// Returns the text without the cuts, which may be nested.
fn without(text: &str, mut cuts: Vec<Range<usize>>) -> String {
    cuts.sort_by_key(|cut| cut.start);
    let mut kept = String::with_capacity(text.len());
    let mut at = 0;
    for cut in cuts {
        if cut.end > at {
            kept.push_str(&text[at..cut.start]);
            at = cut.end;
        }
    }

    kept.push_str(&text[at..]);
    kept
}

/// Scans a text that is known to be JSON once, and collects the ranges to cut.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
    cuts: Vec<Range<usize>>,
}

impl<'a> Scanner<'a> {
    /// Passes the next value, nested in `depth` others.
    fn value(&mut self, depth: usize) -> Option<()> {
        match self.peek()? {
            b'{' | b'[' if depth == NESTING_MAX => None,
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string().map(|_| ()),
            _ => {
                let is_end =
                    |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
                let rest = &self.text.as_bytes()[self.at..];
                self.at += rest.iter().position(is_end).unwrap_or(rest.len());
                Some(())
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.at += 1;
        while self.peek()? != b']' {
            self.value(depth + 1)?;
            self.comma()?;
        }
        self.at += 1;
        Some(())
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        self.at += 1;
        let mut starts = Vec::new();
        let mut repeated = Vec::new();
        let mut last: HashMap<Cow<'a, str>, usize> = HashMap::new();

        while self.peek()? != b'}' {
            let (index, start) = (starts.len(), self.at);
            starts.push(start);
            repeated.extend(last.insert(self.string()?, index));
            self.peek()?;
            self.at += 1; // the colon
            self.value(depth + 1)?;
            self.comma()?;
        }
        self.at += 1;

        // A cut ends at the next name: a repeated field is never the last of its object.
        let cut = |index: usize| Some(*starts.get(index)?..*starts.get(index + 1)?);
        self.cuts.extend(repeated.into_iter().filter_map(cut));
        Some(())
    }

    /// Passes a string and returns its decoded text.
    fn string(&mut self) -> Option<Cow<'a, str>> {
        let (text, start) = (self.text, self.at);
        let bytes = text.as_bytes();
        let mut is_escaped = false;
        self.at += 1;
        while *bytes.get(self.at)? != b'"' {
            let is_escape = bytes[self.at] == b'\\';
            is_escaped |= is_escape;
            self.at += if is_escape { 2 } else { 1 };
        }
        self.at += 1;

        let quoted = text.get(start..self.at)?;
        if is_escaped {
            serde_json::from_str(quoted).ok().map(Cow::Owned)
        } else {
            Some(Cow::Borrowed(&quoted[1..quoted.len() - 1]))
        }
    }

    /// Passes a comma, if there is one.
    fn comma(&mut self) -> Option<()> {
        if self.peek()? == b',' {
            self.at += 1;
        }
        Some(())
    }

    /// Passes white space and returns the next byte.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.text.get(self.at..)?;
        self.at += rest.len() - rest.trim_ascii_start().len();
        self.text.as_bytes().get(self.at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::json::canonical;

    fn raw(text: &str) -> Json {
        RawValue::from_string(text.to_owned()).expect("test JSON")
    }

    #[test]
    fn last_duplicate_counts_at_every_depth() {
        for (text, expected) in [
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            (r#"{"a":1,"b":2,"a":3}"#, r#"{"b":2,"a":3}"#),
            (r#"{"a":1,"\u0061":2}"#, r#"{"\u0061":2}"#),
            (r#"{"\u0061":1 , "a" : 2.0}"#, r#"{"a" : 2.0}"#),
            (
                r#"{"n":{"a":1,"a":1e3,"b":[{"c":1,"c":2}]}}"#,
                r#"{"n":{"a":1e3,"b":[{"c":2}]}}"#,
            ),
            (r#"[{"a":1,"a":2},{"a":1,"a":2}]"#, r#"[{"a":2},{"a":2}]"#),
            (
                r#"{"a":{"x":1,"x":2},"a":{"y":1,"y":2}}"#,
                r#"{"a":{"y":2}}"#,
            ),
            (
                r#"{"":1,"":2,"\"":3,"\"":4,"é":5,"\u00e9":6}"#,
                r#"{"":2,"\"":4,"\u00e9":6}"#,
            ),
            (r#"{"a":1,"a":2,"a":3,"a":4}"#, r#"{"a":4}"#),
        ] {
            let kept = without_duplicates(&raw(text));

            assert_eq!(kept.get(), expected, "{text}");
            assert_eq!(canonical(&kept), canonical(&raw(text)), "{text}");
        }
    }

    #[test]
    fn value_without_duplicates_keeps_its_text() {
        for text in [
            "{}",
            "[ ]",
            " 1.0 ",
            r#"{"a" : [1.0, {"a":"\u0041"}] , "b":{"a":-0}}"#,
            r#""a,b""#,
            r#"{"A":1,"a":2}"#,
        ] {
            assert_eq!(without_duplicates(&raw(text)).get(), raw(text).get());
        }
    }

    #[test]
    fn invalid_payload_is_returned_unchanged() {
        let deep = format!(
            "{}{{\"a\":1,\"a\":2}}{}",
            "[".repeat(NESTING_MAX),
            "]".repeat(NESTING_MAX)
        );
        assert_eq!(without_duplicates(&raw(&deep)).get(), deep);

        let surrogate = r#"{"\ud800":1,"a":1,"a":2}"#;
        assert_eq!(without_duplicates(&raw(surrogate)).get(), surrogate);
    }

    #[test]
    fn many_duplicates_take_one_pass() {
        let fields: Vec<_> = (0..100_000)
            .map(|number| format!("\"{}\":{number}", number % 300))
            .collect();

        let kept = without_duplicates(&raw(&format!("{{{}}}", fields.join(","))));
        let kept: indexmap::IndexMap<String, u32> =
            serde_json::from_str(kept.get()).expect("an object");
        assert_eq!((kept.len(), kept["0"], kept["99"]), (300, 99_900, 99_999));
    }
}
