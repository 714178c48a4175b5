//! One field for each name (§2): if fields in one object have the same name, the last one counts,
//! at every depth.

mod scanner;

use std::ops::Range;

use serde_json::value::RawValue;

use crate::model::json::Json;

use scanner::Scanner;

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

#[cfg(test)]
mod tests;
