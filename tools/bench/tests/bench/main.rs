//! Checks the counted costs against their budgets in CI, and the correctness of the measurements.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failed test aborts, and the tables are printed"
)]

mod budgets;
mod conflicts;
mod lag;
mod linked;
mod load;
