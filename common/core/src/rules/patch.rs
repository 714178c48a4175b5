//! JSON Merge Patch (RFC 7396, §3.2) on JSON texts: fields that the patch does not name keep their
//! exact text.

use serde_json::value::RawValue;

use crate::model::json::{
    Json,
    tree::{Patch, Tree},
};

/// Applies `patch` to `target`: named fields are set, `null` removes a field, other fields stay. A
/// patch that is not an object replaces the target. Also returns whether anything changed; only the
/// fields that the patch names are compared. To apply several patches, use a [`Tree`].
///
/// # Example
///
/// ```
/// use serde_json::value::RawValue;
/// use tidemark_core::rules::patch::merge;
///
/// let json = |text: &'static str| serde_json::from_str::<&RawValue>(text).unwrap();
/// let target = json(r#"{"unit":"Wh","factor":1.0,"note":"old"}"#);
/// let (merged, has_changed) = merge(target, json(r#"{"unit":"kWh","note":null}"#));
/// assert_eq!(merged.get(), r#"{"unit":"kWh","factor":1.0}"#);
/// assert!(has_changed);
///
/// let (_, has_changed) = merge(target, json(r#"{"unit":"Wh"}"#));
/// assert!(!has_changed);
/// ```
pub fn merge(target: &RawValue, patch: &RawValue) -> (Json, bool) {
    let (mut tree, patch) = (Tree::new(target), Patch::read(patch));
    let has_changed = tree.weigh(&patch).has_changed;
    tree.apply(&patch);
    (tree.to_json(), has_changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Json {
        RawValue::from_string(text.to_owned()).expect("test JSON")
    }

    /// The examples of RFC 7396, appendix A: target, patch and result.
    const RFC_7396_EXAMPLES: [(&str, &str, &str); 15] = [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, r#"{}"#),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (
            r#"{"a":{"b":"c"}}"#,
            r#"{"a":{"b":"d","c":null}}"#,
            r#"{"a":{"b":"d"}}"#,
        ),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
        (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
        (r#"{"a":"foo"}"#, "null", "null"),
        (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
        ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
        ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
    ];

    #[test]
    fn merges_match_rfc_7396_examples() {
        for (target, patch, merged) in RFC_7396_EXAMPLES {
            let (value, has_changed) = merge(&raw(target), &raw(patch));

            assert_eq!(value.get(), merged, "{target} with {patch}");
            assert_eq!(has_changed, target != merged, "{target} with {patch}");

            assert!(
                !merge(&value, &raw(merged)).1 || merged.contains("null"),
                "merging the result again changes nothing"
            );
        }
    }

    #[test]
    fn unnamed_fields_keep_digits_and_order() {
        let merged = merge(
            &raw(r#"{"z":1.0,"big":9007199254740993,"a":1e300}"#),
            &raw(r#"{"big":0.10}"#),
        );
        assert_eq!(merged.0.get(), r#"{"z":1.0,"big":0.10,"a":1e300}"#);
    }
}
