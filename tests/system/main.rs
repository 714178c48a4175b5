//! The system tests: one binary whose tests run devices against whole deployments in memory.
#![expect(clippy::expect_used, reason = "a failed precondition fails the test")]

mod ack;
mod auth;
mod bad_input;
mod batches;
mod changelog;
mod conflicts;
mod console;
mod crashes;
mod deadline;
mod delivery;
mod devices;
mod events;
mod glossary;
mod groups;
mod http;
mod isolation;
mod layers;
mod media;
mod openapi;
mod pull;
mod push;
mod repair;
mod restored;
mod runtime;
mod status;
mod stored;
mod telemetry;
mod throttling;
mod unused_permissions;
mod work;
