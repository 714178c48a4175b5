//! The fields of a submitted form, within bounds.

use tidemark_core::{
    rules::comparison::ROWS_MAX,
    wire::problem::{Problem, ProblemCode},
};

/// The maximum bytes of a submitted form. A browser encodes one byte as up to three, so that the
/// largest payload (350 KiB) fits.
pub const FORM_BYTES_MAX: usize = 1_500_000;
/// The maximum number of fields of a form. The merge form has three for each of its rows.
pub const FORM_FIELDS_MAX: usize = 3 * ROWS_MAX + 100;

/// The names and values of a form, in its order.
pub(crate) type FormFields = Vec<(String, String)>;

/// Returns the fields of a form in the body of a request.
///
/// # Errors
/// Returns a 413 problem if the body has more than [`FORM_BYTES_MAX`] bytes, and a 400 problem if it
/// has more than [`FORM_FIELDS_MAX`] fields.
pub(crate) fn fields(body: &[u8]) -> Result<FormFields, Problem> {
    if body.len() > FORM_BYTES_MAX {
        let detail = format!(
            "the form has {} bytes, the limit is {FORM_BYTES_MAX}: enter shorter values",
            body.len()
        );
        return Err(Problem::new(ProblemCode::BodyTooLarge, detail));
    }

    let fields = form_urlencoded::parse(body).into_owned();
    let fields: FormFields = fields.take(FORM_FIELDS_MAX + 1).collect();
    if fields.len() > FORM_FIELDS_MAX {
        let detail = format!("the form has more than {FORM_FIELDS_MAX} fields");
        return Err(Problem::new(ProblemCode::InvalidRequest, detail));
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_have_bounded_bytes_and_fields() {
        let status = |body: &str| fields(body.as_bytes()).map_err(|problem| problem.code.status());
        assert_eq!(status("a=%22&a=+"), Ok(vec![pair("\""), pair(" ")]));

        let text = |bytes: usize| format!("a={}", "x".repeat(bytes - 2));
        assert!(status(&text(FORM_BYTES_MAX)).is_ok());
        assert_eq!(status(&text(FORM_BYTES_MAX + 1)), Err(413));

        assert!(status(&"a&".repeat(FORM_FIELDS_MAX)).is_ok());
        assert_eq!(status(&"a&".repeat(FORM_FIELDS_MAX + 1)), Err(400));
    }

    fn pair(value: &str) -> (String, String) {
        ("a".to_owned(), value.to_owned())
    }
}
