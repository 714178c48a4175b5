//! The whole system on one machine, with nothing installed: an API-Gateway-shaped front, the
//! function crates in this process, an embedded DynamoDB and S3, and pumps that carry the streams
//! to the functions behind them.
//!
//! Nothing here is a second implementation: tables, settings, routes and the stream mapping are
//! read from `template.yaml`, and the functions are the ones that run on AWS, so an error in an
//! expression or a key shows here.

pub mod auth;
pub mod cli;
pub mod data_folder;
pub mod deployment;
pub mod engine;
pub mod event_source;
pub mod gateway;
pub mod store;
pub mod system;
pub mod template;
pub mod topic;

/// A boxed future, as trait objects need it.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
