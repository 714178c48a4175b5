//! Admins: they resolve conflicts, replay batches and, at rest, check that every edit is preserved
//! (invariant 4).

mod preserved;
mod resolve;

use std::rc::Rc;

use serde_json::Value;

use crate::{
    cloud::{ApiResponse, Request},
    plan::TENANTS,
    world::World,
};

pub use preserved::check_edits_preserved;
pub use resolve::resolve;

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

/// Sends a GET request. Returns the response if its status is 200.
async fn get(
    world: &Rc<World>,
    tenant: usize,
    path: String,
    rng: &mut fastrand::Rng,
) -> Option<ApiResponse> {
    let response = ask(world, tenant, "GET", path, String::new(), rng).await;
    response.filter(|response| response.status == 200)
}

/// Sends a GET request. Returns the body of the response if its status is 200.
async fn read(
    world: &Rc<World>,
    tenant: usize,
    path: String,
    rng: &mut fastrand::Rng,
) -> Option<Value> {
    let response = get(world, tenant, path, rng).await?;
    Some(response.read())
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
