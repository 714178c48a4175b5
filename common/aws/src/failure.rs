//! What goes wrong in a function, and what the caller is told of it: a [`Problem`] goes to the client as it is, an outage is logged
//! where it is answered and told as 503.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use tidemark_core::protocol::problem::{Problem, ProblemCode};

/// Why a function cannot answer as asked.
#[derive(Debug)]
pub enum Failure {
    /// The request is at fault; the client is told how.
    Refused(Problem),
    /// Something below did not answer, or a stored row does not read. What was begun is finished by a retry. For the log.
    Outage(String),
}

impl Failure {
    /// An outage, told by what was attempted and the error of the SDK: what it says of itself and its causes, never the raw answer,
    /// which may hold a payload.
    pub fn outage<E>(attempt: &str, error: E) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata,
    {
        let mut told = format!("{attempt}: {error}");
        if let (Some(code), message) = (error.code(), error.message().unwrap_or_default()) {
            told = format!("{told}: {code}: {message}");
        }
        let mut cause = error.source();
        while let Some(error) = cause {
            told = format!("{told}: {error}");
            cause = error.source();
        }
        Self::Outage(told)
    }

    /// A stored row that does not read: written by another version, or by hand.
    pub fn unreadable(what: &str, error: impl std::fmt::Display) -> Self {
        Self::Outage(format!("unreadable {what}: {error}"))
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

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(problem) => f.write_str(&problem.detail),
            Self::Outage(detail) => f.write_str(detail),
        }
    }
}

impl std::error::Error for Failure {}
