//! What goes wrong in a function, and what the caller is told of it: a [`Problem`] goes to the
//! client as it is, an outage is logged where it is answered and told as 503.

use std::{error::Error, fmt::Display, iter::successors};

use aws_sdk_dynamodb::{
    error::{ErrorMetadata, ProvideErrorMetadata},
    operation::RequestId as _,
    types::{
        ThrottlingReason,
        error::{
            ProvisionedThroughputExceededException, RequestLimitExceeded, ThrottlingException,
        },
    },
};
use tidemark_core::protocol::problem::{Problem, ProblemCode};

/// Codes of answers whose message names an action and who may not do it, and nothing that was sent.
const SPEAK_OF_PERMISSIONS: [&str; 2] = ["AccessDenied", "AccessDeniedException"];

/// How serde's messages begin that quote what they found, up to where they do.
const QUOTING: [&str; 5] = [
    "invalid type",
    "invalid value",
    "invalid length",
    "unknown variant",
    "unknown field",
];

/// Why a function cannot answer as asked.
#[derive(Debug)]
pub enum Failure {
    /// The request is at fault; the client is told how.
    Rejected(Problem),
    /// Something below did not answer, or a stored row does not read. What was begun is finished by
    /// a retry. For the log.
    Outage(String),
}

impl Failure {
    /// An outage, told by what was attempted and the error of the SDK. Of an answer only its code
    /// and the id by which AWS knows the call: its message may quote what was sent, and so may its
    /// causes, which repeat it. A message is told where it speaks of rights.
    pub fn outage<E>(attempt: &str, error: E) -> Self
    where
        E: Error + ProvideErrorMetadata + 'static,
    {
        let mut told = format!("{attempt}: {error}");
        let response = error.meta();
        if let Some(code) = response.code() {
            told = format!("{told}: {code}");
        }
        if let Some(id) = response.request_id() {
            told = format!("{told}: request {id}");
        }
        told.extend(throttling_reasons(&error).map(|reason| format!(": {reason}")));
        match (response.code(), response.message()) {
            (Some(code), Some(message)) if SPEAK_OF_PERMISSIONS.contains(&code) => {
                told = format!("{told}: {message}")
            }
            (Some(_), _) => {}
            (None, _) => told.extend(causes(&error).map(|cause| format!(": {cause}"))),
        }
        Self::Outage(told)
    }

    /// A stored row that does not read: written by another version, or by hand. `why` is for the
    /// log: it must not quote a payload.
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
            Self::Rejected(problem) => problem,
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
        Self::Rejected(problem)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rejected(problem) => f.write_str(&problem.detail),
            Self::Outage(detail) => f.write_str(detail),
        }
    }
}

impl Error for Failure {}

/// What an error says of its causes, up to where it goes on with what a service answered.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(error.source(), |&cause| cause.source())
        .take_while(|cause| !cause.is::<ErrorMetadata>())
}

/// Why DynamoDB throttled a call, as far as it says: the limit, such as
/// `TableWriteKeyRangeThroughputExceeded`, and the table or index.
fn throttling_reasons<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = String> + 'a {
    let reasons = |cause: &'a (dyn Error + 'static)| -> &'a [ThrottlingReason] {
        if let Some(error) = cause.downcast_ref::<ThrottlingException>() {
            return error.throttling_reasons();
        }
        if let Some(error) = cause.downcast_ref::<ProvisionedThroughputExceededException>() {
            return error.throttling_reasons();
        }
        cause
            .downcast_ref::<RequestLimitExceeded>()
            .map(RequestLimitExceeded::throttling_reasons)
            .unwrap_or_default()
    };
    successors(Some(error), |&cause| cause.source())
        .flat_map(reasons)
        .map(|reason| {
            let resource = reason
                .resource()
                .unwrap_or_default()
                .rsplit(':')
                .next()
                .unwrap_or_default();
            format!("{} on {resource}", reason.reason().unwrap_or("throttled"))
        })
}

/// What serde says of a text that does not read, without the parts of that text which stand in it.
fn without_quotes(said: &str) -> String {
    // These name a field of ours.
    if said.starts_with("missing field") || said.starts_with("duplicate field") {
        return said.to_owned();
    }
    let Some(kind) = QUOTING.into_iter().find(|kind| said.starts_with(kind)) else {
        return "not of its form".to_owned();
    };
    // What was expected comes last, so a quoted text cannot pass for it.
    match said.rsplit_once(", expected ") {
        Some((_, expected)) => format!("{kind}, expected {expected}"),
        None => kind.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::{error::SdkError, operation::put_item::PutItemError};
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "it is never read: each text is wrong")]
    struct DecodedRow {
        version: u64,
        kind: Kind,
    }

    #[derive(Debug, Deserialize)]
    enum Kind {
        Small,
        Large,
    }

    #[test]
    fn throttled_call_names_its_reason() {
        let reason = ThrottlingReason::builder()
            .reason("TableWriteKeyRangeThroughputExceeded")
            .resource("arn:aws:dynamodb:us-east-1:123456789012:table/resources");
        let expected = "TableWriteKeyRangeThroughputExceeded on table/resources";
        let meta = || {
            ErrorMetadata::builder()
                .code("ThrottlingException")
                .message("secret")
                .build()
        };
        let errors: [PutItemError; 3] = [
            PutItemError::ThrottlingException(
                ThrottlingException::builder()
                    .meta(meta())
                    .throttling_reasons(reason.clone().build())
                    .build(),
            ),
            PutItemError::ProvisionedThroughputExceededException(
                ProvisionedThroughputExceededException::builder()
                    .meta(meta())
                    .throttling_reasons(reason.clone().build())
                    .build(),
            ),
            PutItemError::RequestLimitExceeded(
                RequestLimitExceeded::builder()
                    .meta(meta())
                    .throttling_reasons(reason.clone().build())
                    .build(),
            ),
        ];
        for error in errors {
            let told = Failure::outage("put_item", SdkError::service_error(error, ())).to_string();
            assert!(
                told.ends_with(expected) && !told.contains("secret"),
                "{told}"
            );
        }
    }

    fn told(text: &str) -> String {
        let error = serde_json::from_str::<DecodedRow>(text).expect_err("it does not read");
        Failure::undecoded("row", error).to_string()
    }

    #[test]
    fn a_text_that_does_not_read_is_told_by_its_kind_and_not_quoted() {
        for (text, expected) in [
            (
                r#"{"version": "secret", "kind": "Small"}"#,
                "invalid type, expected u64 at line 1 column 20",
            ),
            (
                r#"{"version": -86753, "kind": "Small"}"#,
                "invalid value, expected u64 at line 1 column 18",
            ),
            (
                r#"{"version": 1, "kind": "secret"}"#,
                "unknown variant, expected `Small` or `Large` at line 1 column 31",
            ),
            (
                r#"{"kind": "Small"}"#,
                "missing field `version` at line 1 column 17",
            ),
            (
                r#"{"version": ", expected secret", "kind": 1}"#,
                "invalid type, expected u64 at line 1 column 31",
            ),
            (r#"{"version": secret"#, "not of its form"),
        ] {
            assert_eq!(told(text), format!("unreadable row: {expected}"), "{text}");
        }
    }

    #[test]
    fn a_number_that_a_row_holds_as_text_is_not_quoted() {
        let version = aws_sdk_dynamodb::types::AttributeValue::N("86753.09".into());
        let error = serde_dynamo::from_item::<_, DecodedRow>(std::collections::HashMap::from([(
            "version".to_owned(),
            version,
        )]));
        let told = Failure::undecoded("row", error.expect_err("no whole number")).to_string();
        assert_eq!(told, "unreadable row: not of its form");
    }
}
