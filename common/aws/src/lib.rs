//! The adapters to AWS that all functions share: settings, authentication, HTTP, DynamoDB tables
//! and stream records. The business rules are in `tidemark-core`; this crate only does I/O.

pub mod auth;
pub mod batch;
pub mod clock;
pub mod compare;
pub mod context;
pub mod dead_letters;
pub mod deadline;
pub mod delivery;
pub mod entry;
pub mod failure;
pub mod http;
pub mod media;
pub mod metrics;
pub mod notifications;
pub mod random;
pub mod repair;
pub mod settings;
pub mod stream;
pub mod tables;
pub mod telemetry;
pub mod transport;

pub use clock::Clock;
pub use context::{Context, Environment};
pub use deadline::Deadline;
pub use failure::Failure;
pub use random::Random;
pub use settings::{Settings, SettingsError};
