//! Building blocks of the system tests: a [`Stack`] is a whole deployment in memory, with a clock
//! and a hook on every call to its tables; a [`Device`] is a client that follows the protocol.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test panics if its setup fails"
)]

pub mod device;
pub mod hooks;
pub mod item;
pub mod lambda;
pub mod noise;
pub mod openapi;
pub mod permissions;
pub mod requests;
pub mod response;
pub mod scenario;
pub mod stack;

pub use device::Device;
pub use hooks::{Meter, Script};
pub use item::Item;
pub use noise::noise;
pub use response::ApiResponse;
pub use stack::Stack;

/// Returns the request that a function reads from an event of API Gateway.
pub fn request(event: &str) -> lambda_http::Request {
    tidemark_aws::entry::request(event, lambda_http::Context::default()).0
}
