//! Decides a batch, one resource at a time (§3.5 to §3.9). The edits of a group are folded into one
//! write. Rejected edits go into a conflict or get an error result, and edits that were made on a
//! rejected copy are not applied.

use chrono::{DateTime, Utc};

use crate::rules::{
    push::{
        decision::{ConflictsNeeded, CurrentState, Decision, Lookups, ResourceWrite},
        edit::Sender,
        fold::Fold,
        group::{Group, Item},
    },
    unique::UniqueChange,
};

/// Decides the edits of `group` against the `stored` state, at the time `now`.
///
/// The function is pure and idempotent: deciding the same group against its own outcome changes
/// nothing and returns the same results.
///
/// # Errors
/// Returns [`ConflictsNeeded`] if an edit conflicts and `stored.conflicts` is `None`.
///
/// # Example
///
/// ```
/// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
/// use std::collections::HashMap;
/// use serde_json::json;
/// use tidemark_core::rules::push::{
///     decide::decide,
///     decision::{CurrentState, Lookups},
///     media::MediaVerification,
/// };
///
/// let phone = phone::Phone::new();
/// let intake = phone.batch([
///     json!({"action": "create", "payload": {"id": "m-1"}}),
///     json!({"action": "update", "client_version": 1, "payload": {"id": "m-1", "unit": "kWh"}}),
/// ]);
/// let lookups = Lookups { holders: &HashMap::new(), media: &MediaVerification::default() };
/// let decide = |stored: &CurrentState| {
///     decide(&intake.groups[0], stored, lookups, phone.sender(), Default::default()).unwrap()
/// };
///
/// // Both edits become one write.
/// let write = decide(&CurrentState::default()).write.unwrap();
/// assert_eq!((write.expected_version, write.resource.server_version), (None, 2));
/// assert_eq!(write.resource.payload.get(), r#"{"unit":"kWh"}"#);
///
/// // If the batch is sent again, nothing is written and the results are the same.
/// let again = decide(&CurrentState { resource: Some(write.resource), conflicts: None });
/// assert!(again.write.is_none());
/// assert_eq!(again.results[1].server_version, Some(2));
/// ```
pub fn decide(
    group: &Group,
    stored: &CurrentState,
    found: Lookups<'_>,
    sender: Sender<'_>,
    now: DateTime<Utc>,
) -> Result<Decision, ConflictsNeeded> {
    let Some(rules) = sender.catalog.get(&group.key.resource_type) else {
        return Ok(Decision::default()); // no group is made for a type the catalog lacks
    };

    let mut fold = Fold::new(group, stored, found, sender, rules, now);
    let mut results = Vec::with_capacity(group.items.len());
    for item in &group.items {
        if fold.must_be_stored() {
            break;
        }
        results.push(match item {
            Item::Edit(edit) => fold.edit(edit)?,
            Item::Rejected(result) => fold.rejected(result),
        });
    }

    let outcome = fold.finish();
    let expected_version = stored
        .resource
        .as_ref()
        .map(|resource| resource.server_version);
    let mut unique = UniqueChange::default();
    if let Some(after) = &outcome.changed {
        unique = UniqueChange::between(
            rules,
            &sender.principal.tenant,
            &group.key,
            stored.resource.as_ref(),
            Some(after),
        );
        // A value that another resource holds must not be freed: this resource had the value before
        // the field was declared unique.
        unique.frees.retain(|key| {
            found
                .holders
                .get(key)
                .is_none_or(|holder| *holder == group.key)
        });
    }

    Ok(Decision {
        results,
        write: outcome.changed.map(|resource| ResourceWrite {
            expected_version,
            resource,
        }),
        unique,
        uploads: outcome.uploads,
        conflicts: outcome.conflicts,
        policy_conflict: outcome.policy_conflict,
        superseded: outcome.superseded,
        carried: outcome.carried,
    })
}
