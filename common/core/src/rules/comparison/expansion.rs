//! The expansion of nested objects into rows.

use indexmap::IndexSet;

use crate::{
    model::catalog::ResourceType,
    rules::comparison::{
        DEPTH_MAX, PATH_BYTES_MAX, ROWS_MAX,
        row::{FieldRow, FieldValue, FieldValues},
        sides::{ConflictSides, Naming, ObjectFields, read_object},
    },
};

/// A field of the payloads, with its position among the rows.
#[derive(Debug)]
pub(super) struct FieldNode<'a> {
    pub(super) name: String,
    pub(super) values: FieldValues<'a>,
    pub(super) content: NodeContent<'a>,
}

/// The rows of a field.
#[derive(Debug)]
pub(super) enum NodeContent<'a> {
    /// The field is one row, with this index.
    Row(usize),
    /// The field is an object, and each of its fields has rows.
    Fields(Vec<FieldNode<'a>>),
}

/// The rows during the expansion.
pub(super) struct Expansion<'a> {
    media: &'a [String],
    path: Vec<String>,
    /// The number of rows, including one for each field that is yet to be visited.
    reserved: usize,
    pub(super) rows: Vec<FieldRow<'a>>,
}

/// One object in each of the payloads.
struct ObjectSides<'a> {
    /// `None` if the base is unknown.
    base: Option<ObjectFields<'a>>,
    server: ObjectFields<'a>,
    device: ObjectFields<'a>,
    naming: Naming<'a>,
}

impl<'a> Expansion<'a> {
    pub(super) fn new(rules: Option<&'a ResourceType>) -> Self {
        Self {
            media: rules.map_or(&[], |rules| &rules.media),
            path: Vec::new(),
            reserved: 0,
            rows: Vec::new(),
        }
    }

    /// Expands the payloads. Returns their fields, and the number of fields beyond the bound.
    pub(super) fn expand(&mut self, sides: &'a ConflictSides<'a>) -> (Vec<FieldNode<'a>>, usize) {
        let objects = ObjectSides {
            base: sides.base.map(|base| read_object(base).unwrap_or_default()),
            server: read_object(sides.server).unwrap_or_default(),
            device: read_object(&sides.device).unwrap_or_default(),
            naming: Naming::of(sides.named.as_ref()),
        };

        let names = objects.names();
        self.reserved = names.len().min(ROWS_MAX);
        let hidden = names.len() - self.reserved;
        (self.fields(&objects, names), hidden)
    }

    /// Expands the named fields, as many as are reserved for the outermost object.
    fn fields(&mut self, objects: &ObjectSides<'a>, names: IndexSet<String>) -> Vec<FieldNode<'a>> {
        names
            .into_iter()
            .take(ROWS_MAX)
            .map(|name| {
                let (values, naming) = objects.field(&name);
                self.field(name, values, naming)
            })
            .collect()
    }

    fn field(
        &mut self,
        name: String,
        values: FieldValues<'a>,
        naming: Naming<'a>,
    ) -> FieldNode<'a> {
        self.path.push(name.clone());

        let content = match self.open(&values, naming) {
            Some((objects, names)) => NodeContent::Fields(self.fields(&objects, names)),
            None => {
                let is_media = self.is_media();
                self.rows
                    .push(FieldRow::new(self.path.clone(), values, is_media));
                NodeContent::Row(self.rows.len() - 1)
            }
        };

        self.path.pop();
        FieldNode {
            name,
            values,
            content,
        }
    }

    /// Returns the objects of a field and the names of their fields, if they are to be expanded.
    fn open(
        &mut self,
        values: &FieldValues<'a>,
        naming: Naming<'a>,
    ) -> Option<(ObjectSides<'a>, IndexSet<String>)> {
        let path_bytes: usize = self.path.iter().map(String::len).sum();
        let is_bounded = self.path.len() < DEPTH_MAX && path_bytes <= PATH_BYTES_MAX;
        if !is_bounded || self.is_media() || !differs(values) {
            return None;
        }

        let objects = ObjectSides::read(values, naming)?;
        let names = objects.names();
        let reserved = (self.reserved + names.len()).checked_sub(1)?;
        if names.is_empty() || reserved > ROWS_MAX {
            return None;
        }

        self.reserved = reserved;
        Some((objects, names))
    }

    fn is_media(&self) -> bool {
        match self.path.as_slice() {
            [name] => self.media.contains(name),
            _ => false,
        }
    }
}

/// Returns whether the texts differ: a field without a difference is one row.
fn differs(values: &FieldValues<'_>) -> bool {
    let (server, base) = (values.server.text(), values.base.text());
    let is_base_known = !matches!(values.base, FieldValue::Unknown);
    values.device.text() != server || is_base_known && base != server
}

impl<'a> ObjectSides<'a> {
    /// Reads the values of a field. Returns `None` unless the server and the device have an object,
    /// which is not empty if it is new, and the base has an object or nothing.
    fn read(values: &FieldValues<'a>, naming: Naming<'a>) -> Option<Self> {
        let object = |value: FieldValue<'a>| match value {
            FieldValue::Text(value) => read_object(value),
            _ => None,
        };
        let base = match values.base {
            FieldValue::Unknown => None,
            FieldValue::Absent => Some(ObjectFields::new()),
            base => Some(object(base)?),
        };

        let (server, device) = (object(values.server)?, object(values.device)?);
        let is_new = matches!(values.base, FieldValue::Absent);
        if is_new && (server.is_empty() || device.is_empty()) {
            // Rows could not distinguish the empty object from an absent one.
            return None;
        }

        Some(Self {
            base,
            server,
            device,
            naming,
        })
    }

    /// Returns the names of all fields: those of the server, and then those that only the device or
    /// the base has. A base that the device sent may have fields that the edits do not name. They
    /// are not compared.
    fn names(&self) -> IndexSet<String> {
        let others = self.device.keys();
        let others = others.chain(self.base.iter().flat_map(ObjectFields::keys));
        let compared = others.filter(|name| !matches!(self.naming.field(name), Naming::Unnamed));
        self.server.keys().chain(compared).cloned().collect()
    }

    /// Returns the values of a field, and which of its fields are named.
    fn field(&self, name: &str) -> (FieldValues<'a>, Naming<'a>) {
        let value = |fields: &ObjectFields<'a>| {
            fields
                .get(name)
                .map_or(FieldValue::Absent, |value| FieldValue::Text(value))
        };
        let naming = self.naming.field(name);
        let is_known = !matches!(naming, Naming::Unnamed);
        let known = |value| if is_known { value } else { FieldValue::Unknown };

        let base = self.base.as_ref().map_or(FieldValue::Unknown, value);
        let values = FieldValues {
            base: known(base),
            server: value(&self.server),
            device: known(value(&self.device)),
        };
        (values, naming)
    }
}
