//! The values of a tree: unparsed texts and parsed objects.

use std::borrow::Cow;

use indexmap::IndexMap;
use serde_json::value::RawValue;

use crate::model::{
    json::{Json, canonical::canonical_of, same::is_same_at_sight, scan::Scan},
    limits::escaped_bytes,
    work,
};

#[derive(Debug)]
pub(super) enum Node<'a> {
    /// A value as it was sent or stored, and its canonical text once it was needed. An empty text
    /// marks a field to be removed.
    Text(&'a str, Option<Box<str>>),
    Object(Box<Object<'a>>),
}

#[derive(Debug, Default)]
pub(super) struct Object<'a> {
    pub(super) fields: IndexMap<Cow<'a, str>, Node<'a>>,
    /// The text as it was sent or stored, as long as no patch was applied to the object.
    text: Option<&'a str>,
    /// The bytes of the fields, without the commas between them.
    bytes: usize,
}

/// The size of an object when it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct SizedObject {
    pub(super) count: usize,
    fields_bytes: usize,
}

impl SizedObject {
    pub(super) const fn bytes(self) -> usize {
        2 + self.fields_bytes + self.count.saturating_sub(1)
    }
}

/// The objects that are parsed.
#[derive(Debug, Clone, Copy)]
enum Depth<'p, 'a> {
    /// Only the outermost object.
    One,
    /// The objects that a patch names as objects.
    Along(&'p Object<'a>),
    /// Objects at every depth.
    All,
}

impl<'a> Node<'a> {
    /// Returns a value whose objects are parsed at every depth.
    pub(super) fn whole(text: &'a str) -> Self {
        Object::read(&mut Scan::new(text), Depth::All).map_or(Self::Text(text, None), |object| {
            Self::Object(Box::new(object))
        })
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Text("null", _))
    }

    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(object) => object.fields.get(name),
            Self::Text(..) => None,
        }
    }

    /// Returns the bytes of its text.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Text(text, _) => text.len(),
            Self::Object(object) => object
                .text
                .map_or_else(|| object.weighed().bytes(), str::len),
        }
    }

    /// Returns the object, parsed along the path of `changes`; `None` if this is not an object.
    pub(super) fn open(&mut self, changes: Option<&Object<'a>>) -> Option<&mut Object<'a>> {
        if let Self::Text(text, _) = self {
            let depth = changes.map_or(Depth::One, Depth::Along);
            if text.starts_with('{') {
                work::parsed(text.len());
            }
            *self = Self::Object(Box::new(Object::read(&mut Scan::new(text), depth)?));
        }
        match self {
            Self::Object(object) => Some(object),
            Self::Text(..) => None,
        }
    }

    /// Returns whether `patch` would change this value, and how many bytes it would have then.
    pub(super) fn weigh(&mut self, patch: &Self) -> (bool, usize) {
        match patch {
            Self::Text(text, _) => (!self.is_same(text), text.len()),
            Self::Object(changes) => match self.open(Some(changes)) {
                None => Self::weigh_over_none(patch),
                Some(object) => {
                    let mut has_changed = false;
                    let weighed = object.weigh(changes, |_| has_changed = true);
                    (has_changed, weighed.bytes())
                }
            },
        }
    }

    /// Returns the same if there is no value, or if `patch` is an object and the value is not.
    pub(super) fn weigh_over_none(patch: &Self) -> (bool, usize) {
        let bytes = match patch {
            Self::Text(text, _) => text.len(),
            Self::Object(changes) => Object::default().weigh(changes, |_| ()).bytes(),
        };
        (true, bytes)
    }

    /// Returns whether this is the same value as `other`, which is not an object. The canonical
    /// text is computed at most once for any number of comparisons.
    fn is_same(&mut self, other: &str) -> bool {
        let Self::Text(text, canonical) = self else {
            return false;
        };
        is_same_at_sight(text, other).unwrap_or_else(|| {
            // A text without a canonical form, which no payload contains, equals any other such
            // text.
            let of = |text: &str| canonical_of(text).unwrap_or_default().into_boxed_str();
            *canonical.get_or_insert_with(|| of(text)) == of(other)
        })
    }

    pub(super) fn apply(&mut self, patch: &Self) {
        let Self::Object(changes) = patch else {
            *self = patch.copy();
            return;
        };
        if self.open(Some(changes)).is_none() {
            *self = Self::Object(Box::default());
        }
        if let Self::Object(object) = self {
            object.apply(changes);
        }
    }

    /// Returns a copy of a value of a patch that is not an object.
    const fn copy(&self) -> Self {
        match self {
            Self::Text(text, _) => Self::Text(text, None),
            Self::Object(_) => Self::Text("null", None),
        }
    }

    pub(super) fn write(&self, out: &mut String) {
        match self {
            Self::Text(text, _) => out.push_str(text),
            Self::Object(object) => object.write(out),
        }
    }

    pub(super) fn to_json(&self) -> Json {
        let mut text = String::with_capacity(self.bytes());
        self.write(&mut text);
        work::written(text.len());
        work::parsed(text.len());
        // Objects and JSON texts always form JSON. If they did not, `null` would be rejected as a
        // payload.
        RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
    }
}

impl<'a> Object<'a> {
    /// Reads the next object. If fields have the same name, the last one counts, at the position of
    /// the first. Returns `None` if there is no object, or if a name in it is not Unicode text.
    fn read(scan: &mut Scan<'a>, depth: Depth<'_, 'a>) -> Option<Self> {
        let begin = *scan;
        if !scan.take(b'{') {
            return None;
        }
        let mut object = Self::default();

        while !scan.take(b'}') {
            let name = scan.name()?;
            let deeper = match depth {
                Depth::All => Some(Depth::All),
                Depth::Along(changes) => match changes.fields.get(&name) {
                    Some(Node::Object(changes)) => Some(Depth::Along(changes)),
                    _ => None,
                },
                Depth::One => None,
            };

            let value = Self::read_value(scan, deeper);
            object.bytes += name_bytes(&name) + value.bytes();

            match object.fields.entry(name) {
                indexmap::map::Entry::Vacant(place) => {
                    place.insert(value);
                }
                indexmap::map::Entry::Occupied(mut place) => {
                    object.bytes -= name_bytes(place.key()) + place.get().bytes();
                    place.insert(value);
                }
            }

            scan.take(b',');
        }

        object.text = Some(begin.text_until(scan));
        Some(object)
    }

    /// Reads the next value, parsed to the depth `deeper`.
    fn read_value(scan: &mut Scan<'a>, deeper: Option<Depth<'_, 'a>>) -> Node<'a> {
        if let Some(depth) = deeper
            && scan.peek() == Some(b'{')
        {
            let begin = *scan;
            if let Some(object) = Self::read(scan, depth) {
                return Node::Object(Box::new(object));
            }
            *scan = begin;
        }
        Node::Text(scan.value(), None)
    }

    fn weighed(&self) -> SizedObject {
        SizedObject {
            count: self.fields.len(),
            fields_bytes: self.bytes,
        }
    }

    /// Returns the size of the object with `changes`; calls `note` for each field that would
    /// change.
    pub(super) fn weigh(
        &mut self,
        changes: &Self,
        mut note: impl FnMut(&Cow<'a, str>),
    ) -> SizedObject {
        let mut weighed = self.weighed();

        for (name, change) in &changes.fields {
            let current = self.fields.get_mut(name);
            let before = current.as_ref().map(|current| current.bytes());
            let (has_changed, after) = match current {
                _ if change.is_null() => (before.is_some(), None),
                None => {
                    let (has_changed, bytes) = Node::weigh_over_none(change);
                    (has_changed, Some(bytes))
                }
                Some(current) => {
                    let (has_changed, bytes) = current.weigh(change);
                    (has_changed, Some(bytes))
                }
            };

            if has_changed {
                note(name);
            }

            let whole = |bytes: Option<usize>| bytes.map_or(0, |bytes| name_bytes(name) + bytes);
            weighed.count =
                weighed.count + usize::from(after.is_some()) - usize::from(before.is_some());
            weighed.fields_bytes = weighed.fields_bytes + whole(after) - whole(before);
        }
        weighed
    }

    /// Removes fields first; new fields follow the existing ones.
    fn apply(&mut self, changes: &Self) {
        self.text = None;
        let mut is_removed = false;
        for (name, _) in changes.fields.iter().filter(|(_, change)| change.is_null()) {
            if let Some(current) = self.fields.get_mut(name) {
                self.bytes -= name_bytes(name) + current.bytes();
                *current = Node::Text("", None);
                is_removed = true;
            }
        }

        if is_removed {
            // All in one pass: removing fields individually would move the fields after each of
            // them.
            self.fields
                .retain(|_, field| !matches!(field, Node::Text("", _)));
        }

        for (name, change) in changes
            .fields
            .iter()
            .filter(|(_, change)| !change.is_null())
        {
            let current = match self.fields.entry(name.clone()) {
                indexmap::map::Entry::Vacant(place) => {
                    self.bytes += name_bytes(name);
                    place.insert(Node::Text("", None))
                }
                indexmap::map::Entry::Occupied(place) => place.into_mut(),
            };

            self.bytes -= current.bytes();
            current.apply(change);
            self.bytes += current.bytes();
        }
    }

    fn write(&self, out: &mut String) {
        if let Some(text) = self.text {
            out.push_str(text);
            return;
        }
        out.push('{');

        for (index, (name, value)) in self.fields.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            if escaped_bytes(name) == name.len() {
                out.push('"');
                out.push_str(name);
                out.push('"');
            } else {
                out.push_str(&serde_json::to_string(name).unwrap_or_default()); // text always serializes
            }
            out.push(':');
            value.write(out);
        }
        out.push('}');
    }
}

/// Returns the bytes of a field's name as it is written, with quotes and colon.
fn name_bytes(name: &str) -> usize {
    escaped_bytes(name) + 3
}
