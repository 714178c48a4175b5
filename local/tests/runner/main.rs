//! The built runner, met from outside as a person or a device meets it: a process with arguments,
//! an exit code, a folder and a port. What the functions answer in detail is the system tests'
//! business.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on stops"
)]

mod client;
mod crash;
mod dynamodb;
mod entry_points;
mod front;
mod load;
mod process;
mod reader;
mod rejections;
mod soak;
mod start;
mod writer;
