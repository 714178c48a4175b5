//! The errors of filling a tenant with the demo data. The messages are for a person at a terminal.

use http::StatusCode;

/// Reasons why a tenant cannot be filled with the demo data.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// No runner answers at the address.
    #[error(
        "no local runner answers at {url}: start one with `cargo run` in another terminal, then repeat this command"
    )]
    NoRunner {
        /// Address of the runner.
        url: String,
    },
    /// The runner closed a connection, or a request could not be sent.
    #[error("{request} got no response from the runner; repeat this command to continue")]
    NoResponse {
        /// Method and URL of the request.
        request: String,
    },
    /// The runner rejected a request.
    #[error("the runner rejected {request} with {status}: {problem}")]
    Rejected {
        /// Method and URL of the request.
        request: String,
        /// Status of the response.
        status: StatusCode,
        /// Body of the response.
        problem: String,
    },
    /// A text is not JSON of the expected shape: the demo data, or a response.
    #[error("{text} cannot be read: {source}")]
    Json {
        /// Description of the text.
        text: String,
        /// Error of the parser.
        source: serde_json::Error,
    },
    /// A request cannot be built from its parts.
    #[error("a request of the demo data is invalid: {0}")]
    Request(#[from] http::Error),
    /// The crypto provider signed no token.
    #[error(transparent)]
    Token(#[from] jsonwebtoken::errors::Error),
    /// A step of the demo data refers to something that does not exist.
    #[error("the demo data refers to {0}, which does not exist")]
    Unknown(String),
    /// The change log of a channel did not receive all changes in time.
    #[error(
        "the change log of {channel} is incomplete after {seconds} s; repeat this command to continue"
    )]
    LogBehind {
        /// Name of the channel.
        channel: String,
        /// Seconds that the demo data waited.
        seconds: u64,
    },
}
