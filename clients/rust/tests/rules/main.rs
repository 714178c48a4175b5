//! The rules of docs/protocol.md, *Writing a client*, each with a test that fails without it.
#![expect(clippy::unwrap_used, reason = "a failed setup fails the test")]

mod batch;
mod gaps;
mod ids;
mod numbering;
mod options;
mod page;
mod random;
mod rejected;
mod reset;
mod response;
mod storage;
mod support;
mod worked_examples;
