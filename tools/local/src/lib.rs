//! The whole system on one machine, without installed services: an HTTP front in the shape of API
//! Gateway, the function crates in this process, an embedded DynamoDB and S3, and emulated event
//! source mappings, which deliver the streams to their functions.
//!
//! The crate reimplements no part of a deployment: tables, settings, routes and stream mappings are
//! read from `template.yaml`, and the functions are the crates that run on AWS. An error in an
//! expression or a key therefore shows here too.

pub mod auth;
pub mod cli;
pub mod data_folder;
pub mod demo;
pub mod deployment;
pub mod engine;
pub mod event_source;
pub mod gateway;
pub mod store;
pub mod system;
pub mod template;
pub mod topic;

/// A boxed future that is `Send`, as trait objects need it.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
