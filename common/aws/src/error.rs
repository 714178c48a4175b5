//! The errors of a function. A [`Problem`] is returned to the client unchanged; an unavailable
//! dependency and a stored item that cannot be decoded are logged and returned as status 503.

use std::{
    error::Error as StdError,
    fmt::{self, Debug, Display},
    iter::successors,
};

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
use tidemark_core::wire::problem::{Problem, ProblemCode};

/// Error codes whose message names an action and the identity that lacks permission for it, and
/// none of the data that was sent.
const PERMISSION_ERROR_CODES: [&str; 2] = ["AccessDenied", "AccessDeniedException"];

/// The prefixes of serde's messages that quote their input. The quotation follows the prefix.
const QUOTING_PREFIXES: [&str; 5] = [
    "invalid type",
    "invalid value",
    "invalid length",
    "unknown variant",
    "unknown field",
];

/// The cause of an [`Error`].
type Source = Box<dyn StdError + Send + Sync>;

/// The reason why a function cannot fulfill a request.
///
/// The sources are for code that examines the cause. They may quote the data of the request, so
/// only `detail` is logged.
#[derive(thiserror::Error)]
pub enum Error {
    /// The request is invalid, and the problem explains the reason to the client.
    #[error("{}", .0.detail)]
    Rejected(Problem),
    /// A dependency is unavailable or throttles, the deadline passed, or concurrent updates
    /// prevented the write. A retry completes what was begun.
    #[error("{detail}")]
    Unavailable {
        /// The text for the log.
        detail: String,
        /// The error of the call that failed, if a call failed.
        source: Option<Source>,
    },
    /// A stored item cannot be decoded: another version of the code or an operator wrote it. A
    /// retry has the same result until an operator corrects the item.
    #[error("{detail}")]
    Corrupt {
        /// The text for the log.
        detail: String,
        /// The error of the decoder, if a decoder rejected the item.
        source: Option<Source>,
    },
}

impl Error {
    /// Returns an unavailable error without a failed call. `detail` is logged, so it must not quote
    /// a payload.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::Unavailable {
            detail: detail.into(),
            source: None,
        }
    }

    /// Returns an unavailable error with the attempted call and the SDK's error. Of a service's
    /// response, the text includes only the error code and the AWS request id, because the message
    /// and the causes that repeat it may quote the data that was sent. The message is included if
    /// it is about permissions.
    pub fn failed_call<E>(attempt: &str, error: E) -> Self
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let mut detail = format!("{attempt}: {error}");

        let response = error.meta();
        if let Some(code) = response.code() {
            detail = format!("{detail}: {code}");
        }
        if let Some(id) = response.request_id() {
            detail = format!("{detail}: request {id}");
        }

        detail.extend(throttling_reasons(&error).map(|reason| format!(": {reason}")));
        match (response.code(), response.message()) {
            (Some(code), Some(message)) if PERMISSION_ERROR_CODES.contains(&code) => {
                detail = format!("{detail}: {message}")
            }
            (Some(_), _) => {}
            (None, _) => detail.extend(causes(&error).map(|cause| format!(": {cause}"))),
        }

        Self::Unavailable {
            detail,
            source: Some(error.into()),
        }
    }

    /// Returns the error for a stored item that cannot be decoded. `why` is logged, so it must not
    /// quote a payload.
    pub fn unreadable(what: &str, why: impl Display) -> Self {
        Self::Corrupt {
            detail: format!("cannot decode {what}: {why}"),
            source: None,
        }
    }

    /// Does the same as [`Self::unreadable`] with the error of a decoder. Removes the parts of its
    /// message that quote the input.
    pub fn undecoded(what: &str, error: impl Into<Source>) -> Self {
        let source = error.into();
        Self::Corrupt {
            detail: format!(
                "cannot decode {what}: {}",
                without_quotes(&source.to_string())
            ),
            source: Some(source),
        }
    }

    /// Returns the error for a value that cannot be encoded or a call that cannot be built, which
    /// does not happen. Removes the parts of the message that quote the value.
    pub fn unencoded(what: &str, error: impl Into<Source>) -> Self {
        let source = error.into();
        Self::Unavailable {
            detail: format!(
                "cannot encode {what}: {}",
                without_quotes(&source.to_string())
            ),
            source: Some(source),
        }
    }

    /// Returns the problem that the client receives. Logs an unavailable error and a corrupt item.
    pub fn problem(self) -> Problem {
        match self {
            Self::Rejected(problem) => problem,
            Self::Unavailable { detail, .. } => {
                tracing::error!(%detail, "a dependency is unavailable");
                unavailable()
            }
            Self::Corrupt { detail, .. } => {
                tracing::error!(%detail, "stored item cannot be decoded");
                unavailable()
            }
        }
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Rejected(problem)
    }
}

/// Omits the sources, like the text.
impl Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, detail) = match self {
            Self::Rejected(problem) => return f.debug_tuple("Rejected").field(problem).finish(),
            Self::Unavailable { detail, .. } => ("Unavailable", detail),
            Self::Corrupt { detail, .. } => ("Corrupt", detail),
        };
        f.debug_struct(name)
            .field("detail", detail)
            .finish_non_exhaustive()
    }
}

fn unavailable() -> Problem {
    let detail = "the service is temporarily unavailable: send the same request again after the \
                  seconds in Retry-After";
    Problem::new(ProblemCode::Unavailable, detail)
}

/// Returns the causes of an error, up to the first that repeats a service's response.
fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    successors(error.source(), |&cause| cause.source())
        .take_while(|cause| !cause.is::<ErrorMetadata>())
}

/// Returns the reasons that DynamoDB reports for throttling: the limit, such as
/// `TableWriteKeyRangeThroughputExceeded`, and the table or index.
fn throttling_reasons<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = String> + 'a {
    let reasons = |cause: &'a (dyn StdError + 'static)| -> &'a [ThrottlingReason] {
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

/// Returns serde's error message without the parts that quote the input.
fn without_quotes(message: &str) -> String {
    // These messages name a field of our types and quote no input.
    if message.starts_with("missing field") || message.starts_with("duplicate field") {
        return message.to_owned();
    }
    let Some(kind) = QUOTING_PREFIXES
        .into_iter()
        .find(|kind| message.starts_with(kind))
    else {
        return "malformed".to_owned();
    };

    // The expected type comes last, so quoted input that contains ", expected " cannot replace it.
    match message.rsplit_once(", expected ") {
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
    #[expect(dead_code, reason = "no test decodes a valid row")]
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
            let detail =
                Error::failed_call("put_item", SdkError::service_error(error, ())).to_string();
            assert!(
                detail.ends_with(expected) && !detail.contains("secret"),
                "{detail}"
            );
        }
    }

    #[test]
    fn cause_is_the_source_and_not_logged() {
        let response = ErrorMetadata::builder().code("Throttled").message("secret");
        let cause = PutItemError::generic(response.build());
        let error = Error::failed_call("put_item", SdkError::service_error(cause, ()));
        let source = error.source().expect("a call failed");
        assert!(source.is::<SdkError<PutItemError, ()>>());
        assert!(format!("{source:?}").contains("secret"));

        assert_eq!(error.to_string(), "put_item: service error: Throttled");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }

    fn detail(text: &str) -> String {
        let error = serde_json::from_str::<DecodedRow>(text).expect_err("input is invalid");
        Error::undecoded("row", error).to_string()
    }

    #[test]
    fn undecodable_text_is_reported_without_quotation() {
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
            (r#"{"version": secret"#, "malformed"),
        ] {
            assert_eq!(
                detail(text),
                format!("cannot decode row: {expected}"),
                "{text}"
            );
        }
    }

    #[test]
    fn number_stored_as_text_is_not_quoted() {
        let version = aws_sdk_dynamodb::types::AttributeValue::N("86753.09".into());
        let error = serde_dynamo::from_item::<_, DecodedRow>(std::collections::HashMap::from([(
            "version".to_owned(),
            version,
        )]));
        let detail = Error::undecoded("row", error.expect_err("not an integer")).to_string();
        assert_eq!(detail, "cannot decode row: malformed");
    }
}
