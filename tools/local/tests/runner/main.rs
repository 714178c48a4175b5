//! The built runner, tested from outside as a person or a device uses it: a process with arguments,
//! an exit code, a folder and a port. The system tests cover the responses of the functions in
//! detail.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot continue stops"
)]

mod access;
mod client;
mod console;
mod crash;
mod demo;
mod dynamodb;
mod entry_points;
mod example;
mod front;
mod load;
mod process;
mod raw;
mod reader;
mod rejections;
mod soak;
mod start;
mod writer;
