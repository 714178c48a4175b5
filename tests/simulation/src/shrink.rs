//! Shrinking: finds the shortest history that violates an invariant. The faults of each step are
//! drawn from a separate generator, so that removing a step does not change the faults of the
//! others.

use std::collections::BTreeSet;

use crate::{
    faults::{FAULTS, Fault},
    plan::Plan,
    run,
};

/// Returns the smallest plan found that violates an invariant as `plan` does.
pub fn shrink(plan: &Plan) -> Plan {
    let breaks = |plan: &Plan| run(plan, false).violation.is_some();
    let mut best = plan.clone();

    // Disable the kinds of faults that are not needed.
    for fault in FAULTS {
        let fewer: Vec<Fault> = best.without.iter().copied().chain([*fault]).collect();
        let tried = best.clone().without(fewer);
        if breaks(&tried) {
            best = tried;
        }
    }

    // Remove groups of steps of decreasing size.
    let mut size = best.steps.len() / 2;
    while size > 0 {
        let mut from = 0;
        while from < best.steps.len() {
            let left_out: BTreeSet<u64> = best
                .steps
                .iter()
                .skip(from)
                .take(size)
                .map(|step| step.id)
                .collect();
            let keep = best
                .steps
                .iter()
                .map(|step| step.id)
                .filter(|id| !left_out.contains(id))
                .collect();

            let tried = best.clone().only(&keep);
            if breaks(&tried) {
                best = tried;
            } else {
                from += size;
            }
        }
        size /= 2;
    }

    best
}
