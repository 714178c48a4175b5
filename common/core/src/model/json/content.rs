//! The content of a payload: everything except its `id`, with one field for each name.

use serde_json::value::RawValue;

use crate::model::json::{
    Fields, Json, JsonError, canonical::read, dedup::without_duplicates, fields, object,
};

/// The content of a payload (§2, §3.1).
#[derive(Debug)]
pub struct Content {
    /// The payload without `id`, and without fields that a later field of the same object repeats.
    /// The remaining fields keep their text and order.
    pub payload: Json,
    /// The top-level fields of `payload`.
    pub fields: Fields,
    /// The canonical text of `payload`.
    pub canonical: String,
}

impl Content {
    /// Reads a payload. `sent` are its top-level fields, as [`fields`] returns them.
    ///
    /// # Errors
    /// Returns a [`JsonError`] if the payload is not an object, is nested too deeply, or contains a
    /// string that is not Unicode text.
    pub fn read(payload: &RawValue, sent: Option<Fields>) -> Result<Self, JsonError> {
        if !payload.get().starts_with('{') {
            return Err(JsonError::NotAnObject);
        }
        let (canonical, has_duplicates) = read(payload, true)?;

        // Duplicates are rare, so they take a separate pass.
        let rewritten = has_duplicates.then(|| without_duplicates(payload));
        let rewritten_fields = rewritten.as_deref().map(fields);
        let mut fields = rewritten_fields
            .unwrap_or(sent)
            .ok_or(JsonError::NotAnObject)?;

        let has_id = fields.shift_remove("id").is_some();
        let payload = if has_id {
            object(&fields)
        } else {
            rewritten.unwrap_or_else(|| payload.to_owned())
        };
        Ok(Self {
            payload,
            fields,
            canonical,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::json::canonical;

    fn content(text: &str) -> Result<Content, JsonError> {
        let payload = RawValue::from_string(text.to_owned()).expect("test JSON");
        Content::read(&payload, fields(&payload))
    }

    #[test]
    fn content_has_no_id_and_no_duplicates() {
        for (text, expected) in [
            (r#"{"id":"m","b":1.0,"a":2}"#, r#"{"b":1.0,"a":2}"#),
            (r#"{"id":"m"}"#, "{}"),
            ("{}", "{}"),
            (
                r#"{"a":1,"id":"m","b":2,"a":3,"id":"n"}"#,
                r#"{"b":2,"a":3}"#,
            ),
            (r#"{"a":1,"b":2,"a":3}"#, r#"{"b":2,"a":3}"#),
            (
                r#"{"n":{"id":1,"a":1,"a":2},"\u0069d":"m"}"#,
                r#"{"n":{"id":1,"a":2}}"#,
            ),
        ] {
            let content = content(text).expect(text);

            assert_eq!(content.payload.get(), expected, "{text}");
            assert_eq!(
                content.canonical,
                canonical(&content.payload).expect(text),
                "{text}"
            );
            assert_eq!(
                Some(&content.fields.len()),
                fields(&content.payload).map(|fields| fields.len()).as_ref(),
                "{text}"
            );
        }
    }

    #[test]
    fn invalid_payloads_are_named_in_error() {
        assert_eq!(content("[1]").map(|_| ()), Err(JsonError::NotAnObject));
        for text in [
            r#"{"\ud800":1}"#,
            r#"{"a":{"\udc00":1}}"#,
            r#"{"a":["\ud800"]}"#,
        ] {
            let error = content(text).map(|_| ()).expect_err(text).to_string();
            assert!(error.contains("unpaired surrogate"), "{text}: {error}");
        }
    }
}
