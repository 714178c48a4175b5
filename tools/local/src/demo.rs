//! The demo data: fills a tenant of a running local runner through its API, as devices and admins
//! do, so that an admin console and the lists of the API contain something of every kind.
//!
//! The data is the same in each run: the files beside this module name every user, device, batch
//! and edit. Items are not built by the reference client, because it gives an edit the versions
//! that a device knows at that time. Fixed versions let a repeated run send the same batches again,
//! which changes nothing (§3.6). A run that was interrupted is therefore continued by another run,
//! and a device that acknowledges in the last step marks a tenant that is filled.

mod api;
mod data;
mod error;
mod marks;
mod photo;
mod run;

use std::collections::BTreeMap;

use tidemark_aws::Clock;

use crate::auth::{self, Identity};
use api::DemoApi;
use data::{DemoUser, People, Step};
pub use error::DemoError;
pub use run::ADMIN;
use run::DemoRun;

/// The state in which a run found the tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DemoOutcome {
    /// The run added the demo data, or the rest of it.
    Added,
    /// The tenant contained all of the demo data. Nothing was sent that changes anything.
    Existing,
}

/// Fills a tenant of the runner at `url`, which has no slash at its end, with the demo data. Calls
/// `report` with a line of text as it progresses.
///
/// # Errors
/// Returns an error if no runner answers at `url` or it rejects a request. What was added stays,
/// and another call adds the rest.
pub async fn fill(
    url: &str,
    tenant: &str,
    report: &dyn Fn(&str),
) -> Result<DemoOutcome, DemoError> {
    let (people, steps) = (data::people()?, data::steps()?);
    let api = DemoApi::new(url);
    api.check().await?;

    let tokens = tokens(&people, tenant)?;
    let mut run = DemoRun::new(api, people, tokens);
    if run.is_complete().await? {
        return Ok(DemoOutcome::Existing);
    }

    for step in &steps {
        step.say().into_iter().for_each(report);
        match step {
            Step::Push(step) => run.push(step).await?,
            Step::Submit(step) => run.submit(step).await?,
            Step::Acknowledge(step) => run.acknowledge(step).await?,
            Step::Resolve(step) => run.resolve(step).await?,
            Step::ResolveAll(step) => run.resolve_all(step).await?,
            Step::Replay(step) => run.replay(step).await?,
        }
    }
    Ok(DemoOutcome::Added)
}

/// Returns a token for each user by name.
fn tokens(people: &People, tenant: &str) -> Result<BTreeMap<String, String>, DemoError> {
    let now_s = Clock::system().now().timestamp();
    let token = |user: &DemoUser| -> Result<_, DemoError> {
        let identity = Identity {
            tenant,
            user: &user.name,
            roles: &user.roles,
            channels: &user.groups,
        };
        Ok((user.name.clone(), auth::mint(identity, now_s, auth::TTL_S)?))
    };
    people.users().iter().map(token).collect()
}
