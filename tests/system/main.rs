//! The system tests: one binary, stories told with devices and whole deployments in memory.

mod auth;
mod bad_input;
mod changelog;
mod cost;
mod events;
mod pull;
mod push;
mod runner;
