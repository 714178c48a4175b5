//! Measures the cost and the speed of Tidemark. Each subcommand prints tables of *baseline · budget
//! · measured · ratio*. The baseline is the cost of a minimal implementation, measured in the same
//! run, so that the ratio is meaningful on any machine. docs/performance.md contains the results of
//! one run.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a failed measurement aborts"
)]

pub mod baseline;
pub mod budgets;
pub mod chart;
pub mod client;
pub mod cold;
pub mod cost;
pub mod cpu;
pub mod lag;
pub mod load;
pub mod machine;
pub mod prices;
pub mod process;
pub mod report;
pub mod serve;
pub mod subject;
pub mod table;
pub mod work;
pub mod workload;
