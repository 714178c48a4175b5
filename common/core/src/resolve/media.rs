//! Media keys in what a decision stores (§5.2, §6.3): each must be one whose upload was verified
//! for the resource. The edits of a conflict were verified when they were kept; an admin's own
//! payload may name those keys and any that the resource held before, and no others.

use std::collections::HashSet;

use super::ResolvePlan;
use crate::{
    catalog::ResourceType,
    conflict::{Conflict, Resolution},
    json::{self, Fields, Json, is_same},
    limits::MEDIA_KEYS_MAX,
    media::MediaKey,
    protocol::{
        problem::{Problem, ProblemCode},
        push::ItemCode,
    },
    push::media::{Claim, keys_in},
    resource::Resource,
};

/// The media keys that a decision adds to its resource, to be looked for among the verified
/// uploads.
#[derive(Debug)]
pub struct NewMedia {
    resolution: Resolution,
    /// Field and claim.
    claims: Vec<(String, Claim)>,
}

impl NewMedia {
    /// Collects what `settlement` adds to the media fields that `rules` declares. Keys that the
    /// resource holds now, or held when an edit of the conflict was last refused, are not new.
    ///
    /// # Errors
    /// An `unprocessable` problem for a value that is no media key or list of them, and for more
    /// keys than a payload may name.
    pub fn of(
        settlement: &ResolvePlan,
        conflict: &Conflict,
        current: Option<&Resource>,
        rules: Option<&ResourceType>,
    ) -> Result<Self, Problem> {
        let resolution = settlement.outcome.resolution;
        let mut new = Self {
            resolution,
            claims: Vec::new(),
        };
        let written = settlement
            .write
            .as_ref()
            .map(|write| &write.resource)
            .filter(|resource| !resource.deleted);
        let Some((written, rules)) = written
            .zip(rules)
            .filter(|(_, rules)| !rules.media.is_empty())
        else {
            return Ok(new);
        };

        let fields_of = |payload: Option<&Json>| {
            payload
                .and_then(|payload| json::fields(payload))
                .unwrap_or_default()
        };
        let fields = fields_of(Some(&written.payload));
        let held = [
            fields_of(current.map(|current| &current.payload)),
            fields_of(conflict.server_payload.as_ref()),
        ];
        let held_keys: HashSet<String> = held
            .iter()
            .flat_map(|fields| named(fields, rules))
            .collect();
        let mut count = 0;
        for (field, value) in rules
            .media
            .iter()
            .filter_map(|field| Some((field, fields.get(field)?)))
        {
            if held
                .iter()
                .any(|held| held.get(field).is_some_and(|held| is_same(held, value)))
            {
                continue;
            }
            let Some(keys) = keys_in(value) else {
                let detail = "must be a media key or a list of them".to_owned();
                return Err(new.problem(field, ItemCode::InvalidMediaKey, &detail));
            };
            count += keys.len();
            if count > MEDIA_KEYS_MAX {
                let detail = format!("a payload names at most {MEDIA_KEYS_MAX} media keys");
                return Err(new.problem(field, ItemCode::TooManyMedia, &detail));
            }
            let keys = keys.into_iter().filter(|key| !held_keys.contains(key));
            new.claims
                .extend(keys.map(|key| (field.clone(), (conflict.resource.clone(), key))));
        }
        Ok(new)
    }

    /// The claims to look for. Texts that are no media keys are left out.
    pub fn to_find(&self) -> Vec<Claim> {
        let claims = self.claims.iter().map(|(_, claim)| claim);
        claims
            .filter(|(_, key)| MediaKey::parse(key).is_some())
            .cloned()
            .collect()
    }

    /// Checks that each key is among those `noted` as verified for the resource.
    ///
    /// # Errors
    /// An `unprocessable` problem that names the field and the first key that is not.
    pub fn check(&self, noted: &HashSet<Claim>) -> Result<(), Problem> {
        match self.claims.iter().find(|(_, claim)| !noted.contains(claim)) {
            None => Ok(()),
            Some((field, (_, key))) => {
                let detail = format!(
                    "the upload of {key:?} was not verified for this resource: leave it out, or have its device push it"
                );
                Err(self.problem(field, ItemCode::InvalidMediaKey, &detail))
            }
        }
    }

    fn problem(&self, field: &str, reason: ItemCode, detail: &str) -> Problem {
        // Only a manual merge comes with a payload to point at.
        let (path, place) = match self.resolution {
            Resolution::ManualMerge => (format!("payload.{field}"), format!("payload.{field}")),
            _ => (
                "resolution".to_owned(),
                format!("{field} of the conflict's edits"),
            ),
        };
        let problem = Problem::new(ProblemCode::Unprocessable, format!("{place}: {detail}"));
        problem
            .at(&path)
            .with("reason", &reason)
            .with("field", &field)
    }
}

fn named(fields: &Fields, rules: &ResourceType) -> Vec<String> {
    rules
        .media
        .iter()
        .filter_map(|field| keys_in(fields.get(field)?))
        .flatten()
        .collect()
}
