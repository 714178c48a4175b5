//! The notification of a resolved conflict (§5.5). It is a hint to pull and has no payload;
//! correctness does not depend on it.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{
    model::resolution::Resolution,
    wire::{serialize_timestamp, text},
};

/// The only event type, as the message attribute names it. The `event` field of the message has the
/// same value.
const EVENT: &str = "conflict_resolved";

/// A conflict was resolved after its device had received it as open. A conflict that a policy
/// resolves during the push has no notification, because the response reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename = "conflict_resolved")]
pub struct ConflictResolved {
    /// The id of the conflict. A message may be delivered more than once; consumers deduplicate by
    /// this id.
    pub conflict_id: String,
    /// The tenant of the conflict.
    pub tenant: String,
    /// The user who made the edits.
    pub user: String,
    /// The device on which the edits were made.
    pub device_id: String,
    /// The channel of the resource.
    pub channel: String,
    /// The type of the resource.
    pub resource_type: String,
    /// The id of the resource.
    pub resource_id: String,
    /// The way in which the conflict was resolved.
    #[serde(with = "text")]
    pub resolution: Resolution,
    /// The actor who resolved the conflict: a user or an operator.
    pub resolved_by: String,
    /// The time of the resolution.
    #[serde(serialize_with = "serialize_timestamp")]
    pub resolved_at: DateTime<Utc>,
    /// The version that the resolution wrote; 0 if there is no resource.
    pub server_version: u64,
}

impl ConflictResolved {
    /// Returns the message as JSON. Characters in names that SNS or its subscribers reject are
    /// escaped.
    pub fn message(&self) -> String {
        // Serialization of texts and numbers never fails.
        let text = serde_json::to_string(self).unwrap_or_default();

        // JSON escapes control characters, but not these two. They can occur only within strings.
        text.replace('\u{fffe}', "\\ufffe")
            .replace('\u{ffff}', "\\uffff")
    }

    /// Returns the message attributes by which subscriptions may filter, as names and values. A
    /// value with characters that SNS rejects is omitted and is only part of the message: a
    /// sanitized value could match the filter of another subscriber.
    pub fn attributes(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let attributes = [
            ("event", EVENT),
            ("tenant", &self.tenant),
            ("user", &self.user),
            ("device_id", &self.device_id),
        ]
        .into_iter();

        attributes.filter(|(_, value)| !value.is_empty() && value.chars().all(is_accepted))
    }
}

/// Returns whether SNS and SQS accept the character: those of XML 1.0.
fn is_accepted(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests;
