//! The document of a problem (RFC 9457) in a response.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::json::Json;

use super::{Problem, ProblemCode};

/// The reason why a bulk request rejects one of its items: the parts of a problem that differ
/// between items.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = RejectedItem))]
pub struct RejectedBody {
    /// The stable error code for programs, as a request for this item alone would get it.
    pub code: ProblemCode,
    /// A description of the error and how to correct it, for people.
    pub detail: String,
    /// The position of the error in the request, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Further members, such as the server's current version.
    #[serde(flatten)]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub members: BTreeMap<&'static str, Json>,
}

impl From<Problem> for RejectedBody {
    fn from(problem: Problem) -> Self {
        Self {
            code: problem.code,
            detail: problem.detail,
            path: problem.path,
            members: problem.members.into_iter().collect(),
        }
    }
}

/// An error response, as an RFC 9457 problem document.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Problem))]
pub struct ProblemBody<'a> {
    /// The code as a URN. It is an identifier and cannot be dereferenced.
    pub r#type: String,
    /// A short title, which is the same for every occurrence of the code.
    pub title: &'a str,
    /// The HTTP status of the response.
    pub status: u16,
    /// The stable error code for programs.
    pub code: ProblemCode,
    /// A description of the error and how to correct it, for people.
    pub detail: &'a str,
    /// The position of the error in the request, if known: a JSON path such as `items[3].payload`,
    /// or the name of a query parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<&'a str>,
    /// The gateway's id of the request, to be quoted in support requests.
    pub request_id: &'a str,
    /// Further members, such as the server's current state.
    #[serde(flatten)]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub members: BTreeMap<&'a str, &'a Json>,
}

impl<'a> ProblemBody<'a> {
    /// Creates the response document for `problem`.
    pub fn new(problem: &'a Problem, request_id: &'a str) -> Self {
        let code = serde_json::to_value(problem.code).unwrap_or_default();

        Self {
            r#type: format!("urn:tidemark:problem:{}", code.as_str().unwrap_or_default()),
            title: problem.code.title(),
            status: problem.code.status(),
            code: problem.code,
            detail: &problem.detail,
            path: problem.path.as_deref(),
            request_id,
            members: problem
                .members
                .iter()
                .map(|(name, value)| (*name, value))
                .collect(),
        }
    }
}
