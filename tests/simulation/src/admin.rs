//! Admins: they resolve conflicts, replay batches and, at rest, check that every edit is preserved
//! (invariant 4).

use std::{collections::BTreeMap, rc::Rc};

use serde_json::{Value, json};
use tidemark_client::{Edit, Status};

use crate::{
    cloud::{ApiResponse, Request},
    edits::{is_marked, mark},
    fate::{Owner, ReportedResult},
    plan::TENANTS,
    world::World,
};

async fn ask(
    world: &Rc<World>,
    tenant: usize,
    method: &'static str,
    path: String,
    body: String,
    rng: &mut fastrand::Rng,
) -> Option<ApiResponse> {
    let token = world.cloud.token(TENANTS[tenant], "root", &["admin"], &[]);

    world
        .ask(
            Request {
                method,
                path,
                token,
                body,
            },
            rng,
        )
        .await
}

/// Sends a GET request. Returns the body of the response if its status is 200.
async fn read(
    world: &Rc<World>,
    tenant: usize,
    path: String,
    rng: &mut fastrand::Rng,
) -> Option<Value> {
    let response = ask(world, tenant, "GET", path, String::new(), rng).await;
    response
        .filter(|response| response.status == 200)
        .map(|response| response.read())
}

/// Resolves one of the open conflicts.
pub async fn resolve(world: &Rc<World>, tenant: usize, rng: &mut fastrand::Rng) {
    let Some(listed) = read(world, tenant, "conflicts?limit=20".to_owned(), rng).await else {
        return;
    };
    let open = listed["conflicts"].as_array().unwrap();
    if open.is_empty() {
        return;
    }

    let id = open[rng.usize(0..open.len())]["id"].as_str().unwrap();
    let Some(detail) = read(world, tenant, format!("conflicts/{id}"), rng).await else {
        return;
    };

    let request = resolve_request(&detail, rng);
    for _ in 0..3 {
        let response = ask(
            world,
            tenant,
            "POST",
            format!("conflicts/{id}/resolve"),
            request.to_string(),
            rng,
        )
        .await;
        match response.map(|response| response.status) {
            Some(200) => {
                world.counts.borrow_mut().resolutions += 1;
                return;
            }
            None | Some(502 | 503) => {}
            Some(_) => return,
        }
    }
}

/// Returns the body of a request that resolves this conflict in a random way.
fn resolve_request(detail: &Value, rng: &mut fastrand::Rng) -> Value {
    let resolution = ["accept_server", "accept_client", "manual_merge"][rng.usize(0..3)];
    let is_merge = resolution == "manual_merge";
    let mut request = json!({ "resolution": resolution });

    if is_merge || rng.bool() {
        request["expected_server_version"] = detail["server_version"].clone();
    }
    if is_merge {
        request["payload"] = merged_payload(detail, rng);
    }
    request
}

/// Returns the payload on the server, or the device's if there is none, with a mark of the admin.
fn merged_payload(detail: &Value, rng: &mut fastrand::Rng) -> Value {
    let base = ["server_payload", "client_payload"]
        .into_iter()
        .map(|side| &detail[side])
        .find(|payload| payload.is_object());

    let mut payload = base.cloned().unwrap_or_else(|| json!({}));
    payload["merged_by"] = format!("root {}", rng.u64(..)).into();
    payload
}

/// Replays one of the tenant's batches.
pub async fn replay(world: &Rc<World>, tenant: usize, rng: &mut fastrand::Rng) {
    let batches: Vec<String> = world
        .batches
        .borrow()
        .iter()
        .filter(|(of, _)| *of == tenant)
        .map(|(_, batch)| batch.clone())
        .collect();
    if batches.is_empty() {
        return;
    }

    let id = &batches[rng.usize(0..batches.len())];
    let response = ask(
        world,
        tenant,
        "POST",
        format!("batches/{id}/replay"),
        "{}".to_owned(),
        rng,
    )
    .await;

    if response.is_some_and(|response| response.status == 200) {
        world.counts.borrow_mut().replays += 1;
    }
}

/// Checks that each edit that was not applied is part of the conflict that was reported to its
/// device, or of the batch that contained it.
pub async fn look_for_what_was_typed(world: &Rc<World>, rng: &mut fastrand::Rng) {
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
        let Some(told) = &fate.told else {
            if fate.is_lost {
                continue;
            }
            if !world.is_over() {
                let what = format!("edit {} never received a result", fate.edit.number());
                world.oracle.borrow_mut().violated(4, what);
            }
            return;
        };
        let Some(path) = path_of_copy(told) else {
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
                told.status
            );
            world.oracle.borrow_mut().violated(4, what);
            return;
        }
    }
}

/// Returns the path at which an admin finds the edit with this result, or `None` if it was applied.
fn path_of_copy(told: &ReportedResult) -> Option<String> {
    match (told.status, &told.conflict_id) {
        (Status::Ok, _) => None,
        (Status::Conflict, Some(id)) => Some(format!("conflicts/{id}")),
        _ => Some(format!("batches/{}", told.batch_id)),
    }
}

/// Returns the response that an admin of the owner's tenant receives from this path; empty unless
/// its status is 200.
async fn text_at(world: &Rc<World>, owner: &Owner, path: &str, rng: &mut fastrand::Rng) -> String {
    let tenant = TENANTS
        .iter()
        .position(|tenant| *tenant == owner.tenant)
        .unwrap();

    ask(world, tenant, "GET", path.to_owned(), String::new(), rng)
        .await
        .filter(|response| response.status == 200)
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
