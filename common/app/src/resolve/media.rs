//! The media keys of a resolution. Only uploads that were verified for the resource before are
//! accepted; the bucket is not read.

use std::collections::HashSet;

use tidemark_aws::{Context, Error};
use tidemark_core::{
    model::{conflict::Conflict, resource::Resource},
    rules::resolve::{NewMedia, ResolvePlan, Resolver},
    wire::problem::Problem,
};

/// Rejects a resolution that would store a media key whose upload was not verified for the
/// resource.
pub(super) async fn verify(
    context: &Context,
    plan: &ResolvePlan,
    conflict: &Conflict,
    current: Option<&Resource>,
    resolver: Resolver<'_>,
) -> Result<(), Error> {
    let rules = resolver.catalog.get(&conflict.resource.resource_type);
    let new = NewMedia::of(plan, conflict, current, rules).map_err(Problem::from)?;

    let to_find = new.references_to_load();
    let verified_before = match to_find.is_empty() {
        true => HashSet::new(),
        false => {
            context
                .tables
                .submission_media
                .verified(resolver.tenant, to_find)
                .await?
        }
    };

    Ok(new.check(&verified_before).map_err(Problem::from)?)
}
