//! The adapters to AWS that all functions share: settings, authentication, HTTP, DynamoDB tables
//! and stream records. The business rules are in `tidemark-core`; this crate only does I/O.
//!
//! # The life of an invocation
//!
//! A function's `main` calls [`entry::run`] with its handler. [`Context`] holds what is built once
//! per process: settings, table clients, clock, random source and metrics. [`http::serve`] verifies
//! the token ([`auth`]), parses the body, runs the handler within the [`Deadline`] and turns its
//! result or [`Error`] into a response. Stream functions read records with [`stream`] and
//! dead-letter those that can never be processed ([`dead_letters`]).
//!
//! # Map
//!
//! | modules | contents |
//! |---|---|
//! | [`entry`], [`http`], [`auth`], [`deadline`] | from the Lambda event to the handler, and back |
//! | [`identity_provider`] | the sign-in of the console |
//! | [`context`], [`settings`], [`clock`], [`random`], [`transport`] | the dependencies of a function |
//! | [`tables`] | one module per table: keys, expressions, stored rows |
//! | [`media`], [`notifications`], [`dead_letters`] | S3 and SNS |
//! | [`stream`] | DynamoDB stream records |
//! | [`error`], [`telemetry`], [`metrics`] | errors, logs and metrics |

pub mod auth;
pub mod clock;
pub mod context;
pub mod dead_letters;
pub mod deadline;
pub mod entry;
pub mod error;
pub mod http;
pub mod identity_provider;
pub mod media;
pub mod metrics;
pub mod notifications;
pub mod random;
pub mod settings;
pub mod stream;
pub mod tables;
pub mod telemetry;
pub mod transport;

pub use clock::Clock;
pub use context::{Context, Environment};
pub use deadline::Deadline;
pub use error::Error;
pub use random::Random;
pub use settings::{Settings, SettingsError};
