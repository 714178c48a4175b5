//! What subscribers are told of a decided conflict (§5.5). A hint to pull, without payloads:
//! nothing relies on it.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::serialize_timestamp;
use crate::conflict::Resolution;

/// The one event there is, as its attribute names it; the message's `event` is the name below.
const EVENT: &str = "conflict_resolved";

/// A conflict was decided after its device was told that it waits. What a policy decides at once,
/// the answer to the push tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename = "conflict_resolved")]
pub struct ConflictResolved {
    /// The conflict. A message may come more than once; by this a repeat is known.
    pub conflict_id: String,
    /// Its tenant.
    pub tenant: String,
    /// Whose edits.
    pub user: String,
    /// Which device's.
    pub device_id: String,
    /// Where the resource lives.
    pub channel: String,
    /// What it is about.
    pub resource_type: String,
    /// What it is about.
    pub resource_id: String,
    /// The decision.
    pub resolution: Resolution,
    /// Who decided: a user or an operator.
    pub resolved_by: String,
    /// When.
    #[serde(serialize_with = "serialize_timestamp")]
    pub resolved_at: DateTime<Utc>,
    /// The version that the decision made; 0 where there is no resource.
    pub server_version: u64,
}

impl ConflictResolved {
    /// The message: JSON, in characters that SNS and its subscribers take, whatever the names are.
    pub fn message(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_default(); // texts and numbers always serialise
        // JSON escapes the control characters by itself, but not these two, which can only stand
        // inside of strings.
        text.replace('\u{fffe}', "\\ufffe")
            .replace('\u{ffff}', "\\uffff")
    }

    /// What subscriptions may filter by, as name and value. A value that SNS would refuse for its
    /// characters is left out, and stands in the message only: one that looked like it would meet
    /// somebody else's filter.
    pub fn attributes(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let attributes = [
            ("event", EVENT),
            ("tenant", &self.tenant),
            ("user", &self.user),
            ("device_id", &self.device_id),
        ]
        .into_iter();
        attributes.filter(|(_, value)| !value.is_empty() && value.chars().all(is_taken))
    }
}

/// Whether SNS, and SQS behind it, take the character: those of XML 1.0.
fn is_taken(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(name: &str) -> ConflictResolved {
        ConflictResolved {
            conflict_id: "conf-1".into(),
            tenant: "acme".into(),
            user: name.into(),
            device_id: "phone".into(),
            channel: "tenant".into(),
            resource_type: "meter".into(),
            resource_id: "m-1".into(),
            resolution: Resolution::ManualMerge,
            resolved_by: "root".into(),
            resolved_at: DateTime::UNIX_EPOCH,
            server_version: 3,
        }
    }

    #[test]
    fn a_message_says_what_was_decided_for_whom() {
        assert_eq!(
            resolved("ana").message(),
            r#"{"event":"conflict_resolved","conflict_id":"conf-1","tenant":"acme","user":"ana","device_id":"phone","channel":"tenant","resource_type":"meter","resource_id":"m-1","resolution":"manual_merge","resolved_by":"root","resolved_at":"1970-01-01T00:00:00.000Z","server_version":3}"#
        );
        let attributes = [
            ("event", "conflict_resolved"),
            ("tenant", "acme"),
            ("user", "ana"),
            ("device_id", "phone"),
        ];
        assert!(resolved("ana").attributes().eq(attributes));
    }

    #[test]
    fn every_character_of_a_message_is_one_that_sns_takes_and_every_name_reads_back() {
        for letter in [
            '\0',
            '\u{1f}',
            '\u{7f}',
            '"',
            '\\',
            'é',
            '\u{fffd}',
            '\u{fffe}',
            '\u{ffff}',
            '\u{10ffff}',
        ] {
            let name = format!("a{letter}b");
            let message = resolved(&name).message();
            assert!(message.chars().all(is_taken), "{letter:?}");
            let read: serde_json::Value = serde_json::from_str(&message).expect("JSON");
            assert_eq!(read["user"], name.as_str());
        }
    }

    #[test]
    fn a_name_that_sns_does_not_take_is_no_attribute() {
        for (name, is_attribute) in [
            ("é\t\u{10ffff}", true),
            ("a\0", false),
            ("a\u{ffff}", false),
            ("", false),
        ] {
            assert_eq!(
                resolved(name)
                    .attributes()
                    .any(|(attribute, _)| attribute == "user"),
                is_attribute,
                "{name:?}"
            );
        }
    }
}
