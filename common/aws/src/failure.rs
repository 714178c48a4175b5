//! What goes wrong in a function, and what the caller is told of it: a [`Problem`] goes to the client as it is, an outage is logged
//! where it is answered and told as 503.

use std::fmt::Display;

use aws_sdk_dynamodb::{error::ProvideErrorMetadata, operation::RequestId as _};
use tidemark_core::protocol::problem::{Problem, ProblemCode};

/// Codes of answers whose message names an action and who may not do it, and nothing that was sent.
const SPEAK_OF_RIGHTS: [&str; 2] = ["AccessDenied", "AccessDeniedException"];

/// How serde's messages begin that quote what they found, up to where they do.
const QUOTING: [&str; 5] = ["invalid type", "invalid value", "invalid length", "unknown variant", "unknown field"];

/// Why a function cannot answer as asked.
#[derive(Debug)]
pub enum Failure {
    /// The request is at fault; the client is told how.
    Refused(Problem),
    /// Something below did not answer, or a stored row does not read. What was begun is finished by a retry. For the log.
    Outage(String),
}

impl Failure {
    /// An outage, told by what was attempted and the error of the SDK. Of an answer only its code and the id by which AWS knows the
    /// call: its message may quote what was sent, and so may its causes, which repeat it. A message is told where it speaks of rights.
    pub fn outage<E>(attempt: &str, error: E) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata,
    {
        let mut told = format!("{attempt}: {error}");
        let answer = error.meta();
        if let Some(code) = answer.code() {
            told = format!("{told}: {code}");
        }
        if let Some(id) = answer.request_id() {
            told = format!("{told}: request {id}");
        }
        match answer.message() {
            Some(message) if SPEAK_OF_RIGHTS.contains(&answer.code().unwrap_or_default()) => told = format!("{told}: {message}"),
            Some(_) => {}
            None => {
                let mut cause = error.source();
                while let Some(error) = cause {
                    told = format!("{told}: {error}");
                    cause = error.source();
                }
            }
        }
        Self::Outage(told)
    }

    /// A stored row that does not read: written by another version, or by hand. `why` is for the log: it must not quote a payload.
    pub fn unreadable(what: &str, why: impl Display) -> Self {
        Self::Outage(format!("unreadable {what}: {why}"))
    }

    /// The same, where serde says why; that is told without what it quotes.
    pub fn undecoded(what: &str, error: impl Display) -> Self {
        Self::unreadable(what, without_quotes(&error.to_string()))
    }

    /// What the client is told.
    pub fn problem(self) -> Problem {
        match self {
            Self::Refused(problem) => problem,
            Self::Outage(detail) => {
                tracing::error!(%detail, "the tables did not answer");
                Problem::new(
                    ProblemCode::Unavailable,
                    "nothing is half done: send the same request again after the seconds in Retry-After",
                )
            }
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(problem) => f.write_str(&problem.detail),
            Self::Outage(detail) => f.write_str(detail),
        }
    }
}

impl std::error::Error for Failure {}

/// What serde says of a text that does not read, without the parts of that text which stand in it.
fn without_quotes(said: &str) -> String {
    // These name a field of ours.
    if said.starts_with("missing field") || said.starts_with("duplicate field") {
        return said.to_owned();
    }
    let Some(kind) = QUOTING.into_iter().find(|kind| said.starts_with(kind)) else { return "not of its form".to_owned() };
    // What was expected comes last, so a quoted text cannot pass for it.
    match said.rsplit_once(", expected ") {
        Some((_, expected)) => format!("{kind}, expected {expected}"),
        None => kind.to_owned(),
    }
}
