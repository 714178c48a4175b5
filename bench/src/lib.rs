//! What Tidemark costs and how fast it is: each subcommand is a table of *floor · budget · measured
//! · ratio*. A floor is measured in the same run, by the least that could do the work, so a ratio
//! says something on any machine. docs/performance.md holds one run.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a measurement that cannot go on stops"
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
