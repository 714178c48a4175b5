//! A deterministic simulation of Tidemark: devices, admins and operators over the functions as they
//! are deployed, in one process and in virtual time, with faults of every kind; one seed decides
//! everything. A model judges what comes of it. docs/testing.md tells more.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a simulation that cannot go on stops"
)]

pub mod admin;
pub mod bucket;
pub mod client;
pub mod cloud;
mod consumers;
pub mod counts;
pub mod fate;
pub mod faults;
mod operator;
pub mod oracle;
pub mod phone;
pub mod plan;
pub mod shards;
pub mod shrink;
mod splits;
mod stale;
mod table_faults;
mod version;
pub mod world;

use counts::Counts;
use oracle::Violation;
use plan::Plan;
use world::World;

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The promise that was broken, if one was.
    pub violation: Option<Violation>,
    /// What was done.
    pub counts: Counts,
    /// How often which fault struck, in the order of [`faults::FAULTS`].
    pub struck: Vec<u64>,
    /// What happened, line by line, if that was asked for.
    pub trace: Vec<String>,
}

/// Makes a run, in virtual time and on this thread alone.
pub fn run(plan: &Plan, is_traced: bool) -> Outcome {
    fastrand::seed(plan.seed); // the SDK's jitter
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let world = World::new(plan.clone(), is_traced);
        world.run().await;
        let mut violation = world.oracle.borrow().violation.clone();
        if violation.is_none() {
            violation = splits::differing(plan.seed)
                .await
                .map(|what| Violation { promise: 7, what });
        }
        let counts = world.counts.borrow().clone();
        Outcome {
            violation,
            counts,
            struck: world.cloud.faults.struck(),
            trace: world.into_trace(),
        }
    })
}
