//! The system tests: one binary, stories told with devices and whole deployments in memory.
#![expect(clippy::expect_used, clippy::print_stdout, reason = "a test that cannot go on stops, and the cost table is to be read")]

mod ack;
mod auth;
mod bad_input;
mod batches;
mod changelog;
mod conflicts;
mod cost;
mod crashes;
mod delivery;
mod devices;
mod edge;
mod events;
mod groups;
mod isolation;
mod media;
mod openapi;
mod pull;
mod push;
mod repair;
mod runtime;
mod status;
mod telemetry;
mod throttling;
mod unused_rights;
