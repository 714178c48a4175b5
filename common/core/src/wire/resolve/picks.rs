//! Reads the picks in a request to resolve a conflict by field (§5.2).

use serde_json::value::RawValue;

use crate::{
    model::{
        json::{self, Fields},
        limits::{PAYLOAD_BYTES_MAX, PAYLOAD_FIELDS_MAX},
        resolve::{Pick, Picks},
        result::ItemCode,
    },
    wire::problem::{Problem, ProblemCode},
};

use super::content::content;

/// Reads the picks in `fields`. A pick of `id` is ignored, because the id is an address and not
/// content.
///
/// # Errors
/// Returns a [`Problem`] at `fields` if there are too many picks, or if their values together are
/// larger or deeper than a payload may be, and at `fields.<name>` if a pick is malformed.
pub(super) fn read_picks(fields: &Fields) -> Result<Picks, Problem> {
    if fields.len() > PAYLOAD_FIELDS_MAX {
        let detail = format!(
            "names {} fields, at most {PAYLOAD_FIELDS_MAX}",
            fields.len()
        );
        return Err(Problem::malformed("fields", detail));
    }

    let mut picks = Picks::default();
    for (name, sent) in fields.iter().filter(|(name, _)| *name != "id") {
        let pick = read_pick(sent).ok_or_else(|| {
            let detail = r#"must be "client", "server", {"value": …} or {"remove": true}"#;
            Problem::malformed(format!("fields.{name}"), detail)
        })?;
        picks.0.insert(name.clone(), pick);
    }

    check_values(&mut picks)?;
    Ok(picks)
}

/// Reads one pick; `None` if it is malformed.
fn read_pick(sent: &RawValue) -> Option<Pick> {
    if let Ok(source) = serde_json::from_str::<String>(sent.get()) {
        return match source.as_str() {
            "client" => Some(Pick::Client),
            "server" => Some(Pick::Server),
            _ => None,
        };
    }

    let mut members = json::fields(sent)?;
    let (name, value) = members.pop().filter(|_| members.is_empty())?;
    match name.as_str() {
        "value" => Some(Pick::Value(value)),
        "remove" if value.get() == "true" => Some(Pick::Remove),
        _ => None,
    }
}

/// Checks the values of picks like the payload that they would form. Removes fields that a later
/// field of the same object repeats.
fn check_values(picks: &mut Picks) -> Result<(), Problem> {
    let mut values = Fields::new();
    for (name, pick) in &picks.0 {
        if let Pick::Value(value) = pick {
            values.insert(name.clone(), value.clone());
        }
    }

    let payload = json::object(&values);
    if payload.get().len() > PAYLOAD_BYTES_MAX {
        let detail = format!("fields: the values have more than {PAYLOAD_BYTES_MAX} bytes");
        let problem = Problem::new(ProblemCode::Unprocessable, detail).at("fields");
        return Err(problem.with("reason", &ItemCode::PayloadTooLarge.as_str()));
    }

    for (name, value) in content(&payload, "fields")?.fields {
        picks.0.insert(name, Pick::Value(value));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
