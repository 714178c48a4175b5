//! What a change may not make dearer, counted, so that CI fails when it does; and what the
//! measurements themselves must hold.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on stops, and the tables are to be read"
)]

mod budgets;
mod conflicts;
mod lag;
mod linked;
mod load;
