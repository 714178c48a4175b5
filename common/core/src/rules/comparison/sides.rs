//! The payloads that are compared.

use indexmap::IndexMap;
use serde_json::value::RawValue;

use crate::{
    model::{
        conflict::{BaseSource, ConflictBase, ConflictEdit},
        edit::Action,
        json::{
            Json,
            tree::{Patch, Tree},
        },
        work,
    },
    rules::comparison::DEPTH_MAX,
};

/// The fields of an object as stored, in their order.
pub(super) type ObjectFields<'a> = IndexMap<String, &'a RawValue>;

/// The payloads of a conflict that a person can merge by field.
#[derive(Debug)]
pub struct ConflictSides<'a> {
    pub(super) base: Option<&'a RawValue>,
    pub(super) server: &'a RawValue,
    pub(super) device: Json,
    /// The fields that are known of the device; `None` if all are.
    pub(super) named: Option<NamedFields>,
}

/// The fields that the edits of a device name.
#[derive(Debug, Default)]
pub(super) struct NamedFields {
    fields: IndexMap<String, NamedFields>,
    /// Whether all nested fields are named, too.
    is_whole: bool,
}

/// Whether the edits name a field, and which of its nested fields.
#[derive(Debug, Clone, Copy)]
pub(super) enum Naming<'a> {
    Unnamed,
    Whole,
    Nested(&'a NamedFields),
}

impl<'a> ConflictSides<'a> {
    /// Determines the device's payload: the base with the edits applied to it in order. If the base
    /// is unknown, only the fields that the edits name are known. If the device sent the base, only
    /// the top-level fields that the edits name are known, in the base and on the device. A create
    /// is the complete payload of the device, and has no base.
    ///
    /// Returns `None` if an edit deletes the resource: fields cannot be merged then.
    ///
    /// See the example of [`compare`](super::compare).
    pub fn of(
        base: Option<&'a ConflictBase>,
        server: &'a RawValue,
        edits: &[ConflictEdit],
    ) -> Option<Self> {
        let has = |action| edits.iter().any(|edit| edit.action == action);
        if has(Action::Delete) {
            return None;
        }
        let is_created = has(Action::Create);
        let base = base.filter(|_| !is_created);

        // Apply the edits.
        let mut device = Tree::new(base.map_or(server, |base| &base.payload));
        for edit in edits {
            match edit.action {
                Action::Create => device = Tree::new(&edit.payload),
                _ => device.apply(&Patch::read(&edit.payload)),
            }
        }

        let levels = match base.map(|base| base.source) {
            _ if is_created => None,
            Some(BaseSource::Log) => None,
            Some(BaseSource::Device) => Some(1),
            None => Some(DEPTH_MAX),
        };
        Some(Self {
            base: base.map(|base| &*base.payload),
            server,
            device: device.to_json(),
            named: levels.map(|levels| NamedFields::of(edits, levels)),
        })
    }
}

impl NamedFields {
    /// Collects the names of the outer `levels` of all edits.
    fn of(edits: &[ConflictEdit], levels: usize) -> Self {
        let mut named = Self::default();
        for edit in edits {
            named.add(&edit.payload, levels);
        }
        named
    }

    fn add(&mut self, patch: &RawValue, levels: usize) {
        let opened = if levels > 0 { read_object(patch) } else { None };
        match opened {
            Some(fields) => {
                for (name, field) in fields {
                    self.fields.entry(name).or_default().add(field, levels - 1);
                }
            }
            None => self.is_whole = true,
        }
    }
}

impl<'a> Naming<'a> {
    /// Returns the naming of the payload.
    pub(super) fn of(named: Option<&'a NamedFields>) -> Self {
        named.map_or(Self::Whole, Self::Nested)
    }

    /// Returns the naming of a field in an object with this naming.
    pub(super) fn field(self, name: &str) -> Self {
        match self {
            Self::Nested(named) if !named.is_whole => {
                named.fields.get(name).map_or(Self::Unnamed, Self::Nested)
            }
            Self::Nested(_) => Self::Whole,
            other => other,
        }
    }
}

/// Returns the fields of an object; `None` if the value is not an object.
pub(super) fn read_object(value: &RawValue) -> Option<ObjectFields<'_>> {
    if !value.get().starts_with('{') {
        return None;
    }
    work::parsed(value.get().len());
    serde_json::from_str(value.get()).ok()
}
