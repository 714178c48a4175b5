//! What the system tests tell their stories with: a [`Stack`] is a whole deployment in memory, with
//! its own clock and a hook on every call to its tables; a [`Device`] is a client that does what
//! the protocol asks of clients.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on stops"
)]

pub mod device;
pub mod hooks;
pub mod lambda;
pub mod openapi;
pub mod permissions;
pub mod requests;
pub mod response;
pub mod stack;

pub use device::Device;
pub use hooks::{Meter, Script};
pub use response::ApiResponse;
pub use stack::Stack;

/// A request as a function reads it from an event of API Gateway.
pub fn request(event: &str) -> lambda_http::Request {
    tidemark_aws::entry::request(event, lambda_http::Context::default()).0
}
