//! What the measurements themselves must hold.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod lag;
mod load;
