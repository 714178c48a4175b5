//! The rules under random histories: what must hold for every one of them.
#![expect(clippy::expect_used, reason = "a test that cannot go on stops")]

mod bounded;
mod canonical;
mod codecs;
mod deciding;
mod merging;
mod sequencing;
