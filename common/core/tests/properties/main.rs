//! Property tests: the rules under random histories, with the invariants that hold for each of
//! them.
#![expect(clippy::expect_used, reason = "a failed precondition aborts the test")]

mod bounded;
mod canonical;
mod codecs;
mod comparison;
mod deciding;
mod merging;
mod picking;
mod sequencing;
