//! A payload to which patches are applied one after another (§3.2). Each patch parses the payload's
//! text at most once, only objects along the path of a patch are parsed into fields, and everything
//! else keeps its text. Patches are JSON Merge Patches (RFC 7396).
//!
//! [`Tree::weigh`] determines the effect of a patch without applying it.
//! `tests/properties/merging.rs` contains the plain definition and compares both.

mod node;

use std::{borrow::Cow, collections::BTreeSet};

use serde_json::value::RawValue;

use crate::model::{
    json::{Fields, Json},
    work,
};
use node::Node;

/// A payload while patches are applied to it.
#[derive(Debug)]
pub struct Tree<'a>(Node<'a>);

/// A parsed merge patch: its objects are parsed at every depth, because a patch can have an effect
/// at each of them.
#[derive(Debug)]
pub struct Patch<'a>(Node<'a>);

/// The effect of a patch on a payload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effect<'a> {
    /// Whether the patch changes anything. Only the fields that the patch names are compared.
    pub has_changed: bool,
    /// The top-level fields that the patch changes.
    pub changed: BTreeSet<Cow<'a, str>>,
    /// The bytes of the payload after the patch.
    pub bytes: usize,
    /// The number of top-level fields after the patch.
    pub fields: usize,
}

impl<'a> Patch<'a> {
    /// Parses a patch in one pass over its text.
    pub fn read(patch: &'a RawValue) -> Self {
        work::parsed(patch.get().len());
        Self(Node::whole(patch.get()))
    }

    /// Returns whether the patch names the top-level field `name`. A field that it does not name
    /// stays unchanged.
    pub fn names(&self, name: &str) -> bool {
        self.0.field(name).is_some()
    }
}

impl<'a> Tree<'a> {
    /// Wraps a payload as it was sent or stored, without reading it yet.
    pub fn new(payload: &'a RawValue) -> Self {
        Self(Node::Text(payload.get(), None))
    }

    /// Returns the effect that `patch` would have. The payload does not change; objects along the
    /// path of the patch are parsed, for this patch and later ones.
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

    /// Applies `patch`: named fields are set, `null` removes a field, other fields stay. A patch
    /// that is not an object replaces the payload.
    pub fn apply(&mut self, patch: &Patch<'a>) {
        self.0.apply(&patch.0);
    }

    /// Returns the bytes of the payload.
    pub fn bytes(&self) -> usize {
        self.0.bytes()
    }

    /// Returns the text of the payload.
    pub fn to_json(&self) -> Json {
        self.0.to_json()
    }

    /// Returns those of the named top-level fields that the payload has.
    pub fn pick<'n>(&mut self, names: impl IntoIterator<Item = &'n String>) -> Fields {
        let Some(object) = self.0.open(None) else {
            return Fields::new();
        };
        let field =
            |name: &'n String| Some((name.clone(), object.fields.get(name.as_str())?.to_json()));
        names.into_iter().filter_map(field).collect()
    }

    /// Returns the top-level field `name` as it is after applying `patch`.
    pub fn field_after(&mut self, patch: &Patch<'a>, name: &str) -> Option<Json> {
        let current = self.0.open(None).and_then(|object| object.fields.get(name));

        match patch.0.field(name) {
            None => current.map(Node::to_json),
            Some(change) if change.is_null() => None,
            Some(change @ Node::Text(..)) => Some(change.to_json()),
            Some(change @ Node::Object(_)) => {
                let current = current.map(Node::to_json);
                let mut merged = Node::Text(current.as_deref().map_or("null", RawValue::get), None);
                merged.apply(change);
                Some(merged.to_json())
            }
        }
    }

    /// Returns whether the payload has a top-level field `name` other than `null` after applying
    /// `patch`.
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
