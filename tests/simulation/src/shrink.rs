//! Shrinking: the shortest history that still breaks a promise. Faults are decided step by step,
//! not one after another, so that steps can be left out and what goes wrong in the others stays the
//! same.

use std::collections::BTreeSet;

use crate::{
    faults::{FAULTS, Fault},
    plan::Plan,
    run,
};

/// The smallest plan found that breaks a promise as `plan` does.
pub fn shrink(plan: &Plan) -> Plan {
    let breaks = |plan: &Plan| run(plan, false).violation.is_some();
    let mut best = plan.clone();
    for fault in FAULTS {
        let fewer: Vec<Fault> = best.without.iter().copied().chain([*fault]).collect();
        let tried = best.clone().without(fewer);
        if breaks(&tried) {
            best = tried;
        }
    }
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
