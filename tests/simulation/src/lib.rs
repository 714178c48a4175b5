//! A deterministic simulation of Tidemark: devices, admins and operators over the functions as they
//! are deployed, in one process and in virtual time, with injected faults. One seed determines the
//! whole run. An oracle checks each run against the invariants; see docs/testing.md.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "the simulation panics if its setup fails"
)]

pub mod admin;
pub mod bucket;
pub mod cloud;
mod consumers;
pub mod counts;
pub mod edits;
pub mod fate;
pub mod faults;
mod operator;
pub mod oracle;
pub mod phone;
pub mod plan;
pub mod run;
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
use run::Run;

/// The result of one run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The first invariant that the run violated, if any.
    pub violation: Option<Violation>,
    /// The amount of work that the run did.
    pub counts: Counts,
    /// The number of times each fault was injected, in the order of [`faults::FAULTS`].
    pub struck: Vec<u64>,
    /// The trace, one line per event; empty unless tracing is on.
    pub trace: Vec<String>,
}

/// Executes a plan in virtual time on the current thread.
pub fn run(plan: &Plan, is_traced: bool) -> Outcome {
    fastrand::seed(plan.seed); // the SDK's jitter
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();

    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let run = Run::new(plan.clone(), is_traced);
        run.run().await;
        let world = run.world;

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
