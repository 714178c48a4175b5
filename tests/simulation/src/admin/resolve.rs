//! Resolves conflicts in the ways that an admin may choose.

use std::rc::Rc;

use serde_json::{Value, json};

use crate::world::World;

use super::{ask, read};

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
