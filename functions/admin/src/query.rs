//! Parses parameters of queries that several routes have. An empty parameter is a missing one.

use std::{fmt::Display, str::FromStr};

use chrono::{DateTime, Utc};
use lambda_http::Request;
use tidemark_aws::http;
use tidemark_core::{
    model::time,
    wire::{problem::Problem, query},
};

/// Returns a query parameter that is a name: text of at most 256 bytes.
///
/// # Errors
/// Returns a 400 problem if the text is longer.
pub(crate) fn name<'a>(request: &'a Request, parameter: &str) -> Result<Option<&'a str>, Problem> {
    query::name(parameter, http::query_parameter(request, parameter))
}

/// Returns a query parameter that has one of the texts of a keyword.
///
/// # Errors
/// Returns a 400 problem, which names the texts, for any other text.
pub(crate) fn keyword<T: FromStr<Err: Display>>(
    request: &Request,
    parameter: &str,
) -> Result<Option<T>, Problem> {
    query::keyword(parameter, http::query_parameter(request, parameter))
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
    let text = http::query_parameter(request, parameter);
    query::parsed(parameter, text, parse, detail)
}
