//! A payload that patches are applied to one after another (§3.2): its text is walked through once
//! for each patch at most, only objects on the way of a patch are taken apart, and everything else
//! stays the text that it is. Patches are JSON Merge Patches (RFC 7396).
//!
//! What a patch would do is found out before it is applied, and changes nothing: [`Tree::weigh`].
//! The plain definition stands in `tests/properties/merging.rs`, which compares both.

mod node;

use std::{borrow::Cow, collections::BTreeSet};

use serde_json::value::RawValue;

use super::{Fields, Json};
use crate::work;
use node::Node;

/// A payload while patches are applied to it.
#[derive(Debug)]
pub struct Tree<'a>(Node<'a>);

/// A merge patch, taken apart: its objects all the way down, because a patch has an effect wherever
/// it is an object.
#[derive(Debug)]
pub struct Patch<'a>(Node<'a>);

/// What a patch would do to a payload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effect<'a> {
    /// Whether anything would change. Only what the patch names is compared.
    pub has_changed: bool,
    /// The top-level fields that would change.
    pub changed: BTreeSet<Cow<'a, str>>,
    /// Bytes of the payload then.
    pub bytes: usize,
    /// Top-level fields of the payload then.
    pub fields: usize,
}

impl<'a> Patch<'a> {
    /// Takes a patch apart, in one pass over its text.
    pub fn read(patch: &'a RawValue) -> Self {
        work::parsed(patch.get().len());
        Self(Node::whole(patch.get()))
    }

    /// Whether it names the top-level field `name`. One that it does not name stays as it is.
    pub fn names(&self, name: &str) -> bool {
        self.0.field(name).is_some()
    }
}

impl<'a> Tree<'a> {
    /// A payload as it was sent or stored. Nothing is read yet.
    pub fn new(payload: &'a RawValue) -> Self {
        Self(Node::Text(payload.get(), None))
    }

    /// What `patch` would do. The payload stays what it is; objects on the way of the patch are
    /// taken apart, for this patch and later ones.
    pub fn weigh(&mut self, patch: &Patch<'a>) -> Effect<'a> {
        let Node::Object(changes) = &patch.0 else {
            let (has_changed, bytes) = self.0.weigh(&patch.0);
            return Effect {
                has_changed,
                bytes,
                ..Effect::default()
            };
        };
        let Some(object) = self.0.open(Some(changes)) else {
            let (has_changed, bytes) = Node::weigh_over_none(&patch.0);
            let set = changes
                .fields
                .iter()
                .filter(|(_, change)| !change.is_null());
            let changed: BTreeSet<_> = set.map(|(name, _)| name.clone()).collect();
            return Effect {
                has_changed,
                bytes,
                fields: changed.len(),
                changed,
            };
        };
        let mut changed = BTreeSet::new();
        let weighed = object.weigh(changes, |name| {
            changed.insert(name.clone());
        });
        Effect {
            has_changed: !changed.is_empty(),
            changed,
            bytes: weighed.bytes(),
            fields: weighed.count,
        }
    }

    /// Applies `patch`: fields named are set, `null` removes, fields not named stay. A patch that
    /// is no object replaces.
    pub fn apply(&mut self, patch: &Patch<'a>) {
        self.0.apply(&patch.0);
    }

    /// Bytes of the payload.
    pub fn bytes(&self) -> usize {
        self.0.bytes()
    }

    /// The payload's text.
    pub fn to_json(&self) -> Json {
        self.0.to_json()
    }

    /// These top-level fields of the payload, as far as it has them.
    pub fn pick<'n>(&mut self, names: impl IntoIterator<Item = &'n String>) -> Fields {
        let Some(object) = self.0.open(None) else {
            return Fields::new();
        };
        let field =
            |name: &'n String| Some((name.clone(), object.fields.get(name.as_str())?.to_json()));
        names.into_iter().filter_map(field).collect()
    }

    /// The top-level field `name` of the payload as it is once `patch` is applied.
    pub fn field_after(&mut self, patch: &Patch<'a>, name: &str) -> Option<Json> {
        let stands = self.0.open(None).and_then(|object| object.fields.get(name));
        match patch.0.field(name) {
            None => stands.map(Node::to_json),
            Some(change) if change.is_null() => None,
            Some(change @ Node::Text(..)) => Some(change.to_json()),
            Some(change @ Node::Object(_)) => {
                let stands = stands.map(Node::to_json);
                let mut merged = Node::Text(stands.as_deref().map_or("null", RawValue::get), None);
                merged.apply(change);
                Some(merged.to_json())
            }
        }
    }

    /// Whether the payload has a top-level field `name` other than `null` once `patch` is applied.
    pub fn has_after(&mut self, patch: &Patch<'a>, name: &str) -> bool {
        match patch.0.field(name) {
            Some(change) => !change.is_null(),
            None => self
                .0
                .open(None)
                .and_then(|object| object.fields.get(name))
                .is_some_and(|field| !field.is_null()),
        }
    }
}
