//! Checks at rest that every edit is preserved (invariant 4).

use std::{collections::BTreeMap, rc::Rc};
use tidemark_client::{Edit, Status};

use crate::{
    edits::{is_marked, mark},
    fate::{Owner, ReportedResult},
    plan::TENANTS,
    world::World,
};

use super::get;

/// Checks that each edit received a result, and that each edit that was not applied is part of the
/// conflict that was reported to its device, or else of its stored batch. Skips edits that a
/// restore of the server may have lost, and edits without a result that a restore of the device
/// lost. Stops at the first violation.
pub async fn check_edits_preserved(world: &Rc<World>, rng: &mut fastrand::Rng) {
    let fates: Vec<_> = world
        .oracle
        .borrow()
        .fates
        .values()
        .filter(|fate| !fate.is_forgotten)
        .cloned()
        .collect();

    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for fate in fates {
        let Some(last_result) = &fate.told else {
            if fate.is_lost {
                continue;
            }
            let what = format!("edit {} never received a result", fate.edit.number());
            world.oracle.borrow_mut().violated(4, what);
            return;
        };
        let Some(path) = admin_path(last_result) else {
            continue;
        };

        if !seen.contains_key(&path) {
            let text = text_at(world, &fate.owner, &path, rng).await;
            seen.insert(path.clone(), text);
        }
        if !contains(&seen[&path], &fate.edit) {
            let what = format!(
                "edit {} returned {:?}, but is not part of {path}",
                fate.edit.number(),
                last_result.status
            );
            world.oracle.borrow_mut().violated(4, what);
            return;
        }
    }
}

/// Returns the path at which an admin finds the edit with this result, or `None` if it was applied.
fn admin_path(last_result: &ReportedResult) -> Option<String> {
    match (last_result.status, &last_result.conflict_id) {
        (Status::Ok, _) => None,
        (Status::Conflict, Some(id)) => Some(format!("conflicts/{id}")),
        _ => Some(format!("batches/{}", last_result.batch_id)),
    }
}

/// Returns the response that an admin of the owner's tenant receives from this path; empty unless
/// its status is 200.
async fn text_at(world: &Rc<World>, owner: &Owner, path: &str, rng: &mut fastrand::Rng) -> String {
    let tenant = TENANTS
        .iter()
        .position(|tenant| *tenant == owner.tenant)
        .unwrap();

    get(world, tenant, path.to_owned(), rng)
        .await
        .map(|response| response.text)
        .unwrap_or_default()
}

/// Returns whether a conflict or a batch contains the edit. An edit without a mark cannot be found
/// in the text: for it, the conflict or batch need only exist. A batch is stored for 90 days, a
/// conflict without expiry.
fn contains(text: &str, edit: &Edit) -> bool {
    match is_marked(edit) {
        false => !text.is_empty(),
        true => text.contains(&format!("\"{}\"", mark(edit.number()))),
    }
}
