//! The form that corrects a rejected item, as the user fills it in.

use maud::{Markup, html};
use serde_json::value::{RawValue, to_raw_value};
use tidemark_core::{
    model::{
        json::{self, Fields, Json},
        limits::{NOTE_CHARS_MAX, PAYLOAD_BYTES_MAX},
    },
    wire::{
        batches::CorrectRequest,
        problem::{Problem, read_body},
    },
};

use crate::page::Visit;

/// The maximum bytes of a payload that the form shows. A larger one cannot be accepted.
const SHOWN_BYTES_MAX: usize = 400_000;

/// The texts of the form's fields.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct CorrectionForm {
    /// The payload as JSON.
    pub(super) payload: String,
    /// The version that replaces that of the item, or an empty text.
    pub(super) base_version: String,
    pub(super) note: String,
}

impl CorrectionForm {
    /// Returns the form for an item, with the payload that the device sent.
    pub(super) fn of_item(item: &RawValue) -> Self {
        let payload = json::fields(item).and_then(|fields| fields.get("payload").cloned());
        Self {
            payload: payload.map_or_else(|| "{}".to_owned(), |payload| payload.get().to_owned()),
            ..Self::default()
        }
    }

    /// Returns the form as the user sent it.
    pub(super) fn sent(visit: &Visit<'_>) -> Self {
        let text = |field: &str| visit.fields(field).next().unwrap_or_default().to_owned();
        Self {
            payload: text("payload"),
            base_version: text("base_version").trim().to_owned(),
            note: text("note"),
        }
    }

    /// Returns the request that the form describes. The payload keeps its digits and its order.
    ///
    /// # Errors
    /// Returns a 400 problem at an invalid field.
    pub(super) fn request(&self, dry_run: bool) -> Result<CorrectRequest, Problem> {
        let payload: Json = serde_json::from_str(&self.payload)
            .map_err(|error| Problem::malformed("payload", json::explain(&error)))?;
        let mut members = Fields::new();
        // Texts, numbers and booleans always serialize.
        let mut add = |name: &str, value: serde_json::Result<Json>| {
            members.extend(value.ok().map(|value| (name.to_owned(), value)));
        };

        add("payload", Ok(payload));
        if !self.base_version.is_empty() {
            let version = self.base_version.parse::<u64>();
            let version = version
                .map_err(|_| Problem::malformed("base_version", "must be a whole number"))?;
            add("base_version", to_raw_value(&version));
        }
        if !self.note.trim().is_empty() {
            add("note", to_raw_value(&self.note));
        }
        add("dry_run", to_raw_value(&dry_run));

        read_body(json::object(&members).get().as_bytes())
    }
}

/// Returns the form, which is sent to `action`. `invalid` is the name of the field with an error.
pub(super) fn view(form: &CorrectionForm, action: &str, invalid: Option<&str>) -> Markup {
    let is_invalid = |field: &str| (invalid == Some(field)).then_some("true");

    let is_shown = form.payload.len() <= SHOWN_BYTES_MAX;

    html! {
        section aria-labelledby="correction" {
            h2 #correction { "Correct the item" }
            p {
                "The item is processed with this payload as the device that sent it. The device "
                "receives the result like any other change."
            }
            @if !is_shown {
                p.none {
                    "The payload has " (form.payload.len()) " bytes and is not shown, because at "
                    "most " (PAYLOAD_BYTES_MAX) " bytes are accepted. Enter a shorter payload."
                }
            }
            form.correction method="post" action=(action) {
                label {
                    span { "Payload (JSON)" }
                    textarea #correction-payload name="payload" rows="12" spellcheck="false"
                        dir="auto" required aria-invalid=[is_invalid("payload")] {
                        @if is_shown { (form.payload) }
                    }
                }
                label {
                    span { "Base version, if another one than that of the item" }
                    input #correction-base_version type="text" inputmode="numeric"
                        name="base_version" value=(form.base_version) autocomplete="off"
                        aria-invalid=[is_invalid("base_version")];
                }
                label {
                    span { "Reason, for the audit log" }
                    textarea #correction-note name="note" rows="2" maxlength=(NOTE_CHARS_MAX)
                        dir="auto" aria-invalid=[is_invalid("note")] { (form.note) }
                }
                div.buttons {
                    button.primary type="submit" name="dry_run" value="yes" { "Dry run" }
                    button type="submit" name="dry_run" value="no" { "Correct the item" }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tidemark_core::model::limits::{RESPONSE_BYTES_MAX, escaped_bytes};

    use super::*;

    fn form(payload: &str, base_version: &str, note: &str) -> CorrectionForm {
        CorrectionForm {
            payload: payload.into(),
            base_version: base_version.into(),
            note: note.into(),
        }
    }

    #[test]
    fn digits_and_order_are_preserved() {
        let payload = "{\"z\":1.0,\r\n \"a\":1e400,\"n\":9007199254740993}";
        let request = form(payload, "7", "why").request(true).expect("valid");
        assert_eq!(request.payload.get(), payload);
        assert_eq!(request.base_version, Some(7));
        assert_eq!(request.note.as_deref(), Some("why"));
        assert_eq!(request.dry_run, Some(true));

        let request = form("{}", "", " ").request(false).expect("valid");
        assert_eq!((request.base_version, request.note), (None, None));
        assert_eq!(request.dry_run, Some(false));
    }

    #[test]
    fn payload_cannot_add_members() {
        let error = form("{},\"dry_run\":false", "", "").request(true);
        assert_eq!(error.expect_err("no JSON").path.as_deref(), Some("payload"));
    }

    #[test]
    fn invalid_fields_are_named() {
        let long = "x".repeat(NOTE_CHARS_MAX + 1);
        for (form, path) in [
            (form("", "", ""), "payload"),
            (form("[]", "", ""), "payload"),
            (form("{", "", ""), "payload"),
            (form("{}", "one", ""), "base_version"),
            (form("{}", "-1", ""), "base_version"),
            (form("{}", "", &long), "note"),
        ] {
            let error = form.request(true).expect_err(path);
            assert_eq!(error.path.as_deref(), Some(path));
        }
    }

    #[test]
    fn form_shows_the_payload_of_item() {
        let item = r#"{"action":"update","payload":{"id": "m", "n": 1.0}}"#;
        let item = RawValue::from_string(item.to_owned()).expect("JSON");
        assert_eq!(
            CorrectionForm::of_item(&item).payload,
            r#"{"id": "m", "n": 1.0}"#
        );
        let other = RawValue::from_string("[1]".to_owned()).expect("JSON");
        assert_eq!(CorrectionForm::of_item(&other).payload, "{}");
    }

    #[test]
    fn too_large_payload_is_not_shown() {
        let payload = |bytes: usize| "\"".repeat(bytes);
        let page = view(&form(&payload(SHOWN_BYTES_MAX), "", ""), "./x", None).into_string();
        assert!(page.contains("&quot;") && !page.contains("is not shown"));
        assert!(escaped_bytes(&page) < RESPONSE_BYTES_MAX / 2);

        let page = view(&form(&payload(SHOWN_BYTES_MAX + 1), "", ""), "./x", None).into_string();
        assert!(!page.contains("&quot;"));
        assert!(page.contains("has 400001 bytes and is not shown"), "{page}");
    }

    #[test]
    fn texts_are_no_markup() {
        let hostile = "</textarea><img src=x onerror=alert(1)>";
        let page = view(&form(hostile, hostile, hostile), "./x", Some("note")).into_string();
        assert!(!page.contains("<img"), "{page}");
        assert_eq!(page.matches("</textarea>").count(), 2);
    }
}
