//! Parses parameters of queries that several routes have. An empty parameter is a missing one.

use std::{fmt::Display, str::FromStr};

use chrono::{DateTime, Utc};
use lambda_http::Request;
use tidemark_aws::http;
use tidemark_core::{
    model::{limits::is_name, time},
    wire::problem::Problem,
};

/// Returns a query parameter that is a name: text of at most 256 bytes.
///
/// # Errors
/// Returns a 400 problem if the text is longer.
pub(crate) fn name<'a>(request: &'a Request, parameter: &str) -> Result<Option<&'a str>, Problem> {
    match http::query_parameter(request, parameter) {
        Some(text) if !is_name(text) => Err(Problem::malformed(
            parameter,
            "must not be longer than 256 bytes",
        )),
        text => Ok(text),
    }
}

/// Returns a query parameter that has one of the texts of a keyword.
///
/// # Errors
/// Returns a 400 problem, which names the texts, for any other text.
pub(crate) fn keyword<T: FromStr<Err: Display>>(
    request: &Request,
    parameter: &str,
) -> Result<Option<T>, Problem> {
    http::query_parameter(request, parameter)
        .map(str::parse)
        .transpose()
        .map_err(|error: T::Err| Problem::malformed(parameter, error.to_string()))
}

/// Returns a query parameter that is a time.
///
/// # Errors
/// Returns a 400 problem for any other text, and for a year in UTC that is not from 1 to 9999.
pub(crate) fn time(request: &Request, parameter: &str) -> Result<Option<DateTime<Utc>>, Problem> {
    let detail = "must be a time such as 2026-01-31T09:12:00Z (RFC 3339)";
    parsed(request, parameter, time::parse, detail)
}

/// Returns a query parameter that `parse` accepts.
///
/// # Errors
/// Returns a 400 problem with this detail for any other text.
pub(crate) fn parsed<T>(
    request: &Request,
    parameter: &str,
    parse: impl FnOnce(&str) -> Option<T>,
    detail: &str,
) -> Result<Option<T>, Problem> {
    let Some(text) = http::query_parameter(request, parameter) else {
        return Ok(None);
    };
    let value = parse(text).ok_or_else(|| Problem::malformed(parameter, detail))?;
    Ok(Some(value))
}
