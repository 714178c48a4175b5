//! Admins: they decide conflicts, replay batches and, when all is quiet, look for what was typed
//! (promise 4).

use std::{collections::BTreeMap, rc::Rc};

use serde_json::{Value, json};
use tidemark_core::protocol::push::Status;

use crate::{
    cloud::{ApiResponse, Request},
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

/// Decides one of the open conflicts.
pub async fn resolve(world: &Rc<World>, tenant: usize, rng: &mut fastrand::Rng) {
    let listed = ask(
        world,
        tenant,
        "GET",
        "conflicts?limit=20".to_owned(),
        String::new(),
        rng,
    )
    .await;
    let Some(listed) = listed.filter(|response| response.status == 200) else {
        return;
    };
    let listed: Value = listed.read();
    let open = listed["conflicts"].as_array().unwrap();
    if open.is_empty() {
        return;
    }
    let id = open[rng.usize(0..open.len())]["id"].as_str().unwrap();
    let detail = ask(
        world,
        tenant,
        "GET",
        format!("conflicts/{id}"),
        String::new(),
        rng,
    )
    .await;
    let Some(detail) = detail.filter(|response| response.status == 200) else {
        return;
    };
    let detail: Value = detail.read();
    let resolution = ["accept_server", "accept_client", "manual_merge"][rng.usize(0..3)];
    let mut decision = json!({ "resolution": resolution });
    if decision["resolution"] == "manual_merge" || rng.bool() {
        decision["expected_server_version"] = detail["server_version"].clone();
    }
    if decision["resolution"] == "manual_merge" {
        let base = if detail["server_payload"].is_object() {
            &detail["server_payload"]
        } else {
            &detail["client_payload"]
        };
        decision["payload"] = if base.is_object() {
            base.clone()
        } else {
            json!({})
        };
        decision["payload"]["merged_by"] = format!("root {}", rng.u64(..)).into();
    }
    for _ in 0..3 {
        let response = ask(
            world,
            tenant,
            "POST",
            format!("conflicts/{id}/resolve"),
            decision.to_string(),
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

/// Replays one of the batches.
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

/// Whatever was not applied stands in the conflict that the device was told of, or in the batch it
/// was sent in.
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
                let what = format!("edit {} was never answered", fate.edit.number);
                world.oracle.borrow_mut().violated(4, what);
            }
            return;
        };
        let path = match (told.status, &told.conflict_id) {
            (Status::Ok, _) => continue,
            (Status::Conflict, Some(id)) => format!("conflicts/{id}"),
            _ => format!("batches/{}", told.batch_id),
        };
        let tenant = TENANTS
            .iter()
            .position(|tenant| *tenant == fate.owner.tenant)
            .unwrap();
        if !seen.contains_key(&path) {
            let response = ask(world, tenant, "GET", path.clone(), String::new(), rng).await;
            let text = response
                .filter(|response| response.status == 200)
                .map(|response| response.text)
                .unwrap_or_default();
            seen.insert(path.clone(), text);
        }
        // A batch is kept for 90 days; a conflict for ever.
        let is_there = match fate.edit.is_marked() {
            false => !seen[&path].is_empty(),
            true => seen[&path].contains(&format!("\"{}\"", fate.edit.mark())),
        };
        if !is_there {
            let what = format!(
                "edit {} was answered {:?}, and does not stand in {path}",
                fate.edit.number, told.status
            );
            world.oracle.borrow_mut().violated(4, what);
            return;
        }
    }
}
