//! Values of query parameters, for the functions that serve the same lists as JSON and as pages.
//! `text` is the value of the parameter, or `None` if it is missing or empty.

use std::{fmt::Display, str::FromStr};

use crate::{model::limits::is_name, wire::problem::Problem};

/// Returns a parameter that is a name: text of at most 256 bytes.
///
/// # Errors
/// Returns a 400 problem at the parameter if the text is longer.
pub fn name<'a>(parameter: &str, text: Option<&'a str>) -> Result<Option<&'a str>, Problem> {
    let detail = "must not be longer than 256 bytes";
    parsed(
        parameter,
        text,
        |text| is_name(text).then_some(text),
        detail,
    )
}

/// Returns a parameter that has one of the texts of a keyword.
///
/// # Errors
/// Returns a 400 problem at the parameter, which names the texts, for any other text.
pub fn keyword<T: FromStr<Err: Display>>(
    parameter: &str,
    text: Option<&str>,
) -> Result<Option<T>, Problem> {
    text.map(str::parse)
        .transpose()
        .map_err(|error: T::Err| Problem::malformed(parameter, error.to_string()))
}

/// Returns a parameter that `parse` accepts.
///
/// # Errors
/// Returns a 400 problem at the parameter, with this detail, for any other text.
pub fn parsed<'a, T>(
    parameter: &str,
    text: Option<&'a str>,
    parse: impl FnOnce(&'a str) -> Option<T>,
    detail: &str,
) -> Result<Option<T>, Problem> {
    let Some(text) = text else {
        return Ok(None);
    };
    let value = parse(text).ok_or_else(|| Problem::malformed(parameter, detail))?;
    Ok(Some(value))
}
