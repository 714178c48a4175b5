//! The fields of the merge form: one pick for each row, named by the JSON Pointer of the row, or by
//! its digest if it is long.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use tidemark_core::{
    model::json,
    rules::comparison::{FieldRow, FieldSide, FieldValue, RowPick},
};

/// The prefix of the field with an entered value.
const VALUE: &str = "value:";
/// The prefix of the field that identifies the values that the page showed.
const SEEN: &str = "seen:";
/// The maximum bytes of a pointer that names fields of the form. A row has up to seven of these
/// fields, so that longer names would make the page of many rows too large.
const POINTER_BYTES_MAX: usize = 64;

/// What a person picked for a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowChoice {
    Side(FieldSide),
    /// The value that the person entered.
    Entered,
    Removed,
}

/// The fields of the form, by the keys of the rows ([`key`]).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct MergeEntries {
    choices: HashMap<String, RowChoice>,
    values: HashMap<String, String>,
    seen: HashMap<String, String>,
}

impl RowChoice {
    /// Returns the value of the radio button.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Side(FieldSide::Base) => "base",
            Self::Side(FieldSide::Server) => "server",
            Self::Side(FieldSide::Device) => "device",
            Self::Entered => "value",
            Self::Removed => "remove",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let sides = [FieldSide::Base, FieldSide::Server, FieldSide::Device];
        let mut all = sides
            .map(Self::Side)
            .into_iter()
            .chain([Self::Entered, Self::Removed]);
        all.find(|choice| choice.as_str() == text)
    }
}

impl MergeEntries {
    /// Reads the fields of a form. Fields that do not belong to rows are ignored.
    pub(super) fn read<'f>(form: impl Iterator<Item = (&'f str, &'f str)>) -> Self {
        let mut entries = Self::default();
        for (name, text) in form {
            if let Some(name) = name.strip_prefix(VALUE) {
                entries.values.insert(decoded(name), text.to_owned());
            } else if let Some(name) = name.strip_prefix(SEEN) {
                entries.seen.insert(decoded(name), text.to_owned());
            } else if let Some(choice) = RowChoice::parse(text).filter(|_| name.starts_with('/')) {
                entries.choices.insert(decoded(name), choice);
            }
        }
        entries
    }

    /// Returns what is picked for a row, or preselected; `None` if a person has to decide.
    pub(super) fn choice(&self, row: &FieldRow<'_>) -> Option<RowChoice> {
        let picked = self.choices.get(&*key(&row.pointer())).copied();
        picked.or(row.preselected.map(RowChoice::Side))
    }

    /// Returns the entered value of a row, which may be empty.
    pub(super) fn value(&self, pointer: &str) -> &str {
        self.values.get(&*key(pointer)).map_or("", String::as_str)
    }

    /// Picks a side for every row. The device's side does not undo a change that only the server
    /// made: the device had not seen it.
    pub(super) fn pick_all(&mut self, rows: &[FieldRow<'_>], side: FieldSide) {
        let picks = rows.iter().map(|row| {
            let side = match (side, row.preselected) {
                (FieldSide::Device, Some(FieldSide::Server)) => FieldSide::Server,
                _ => side,
            };
            (key(&row.pointer()).into_owned(), RowChoice::Side(side))
        });
        self.choices = picks.collect();
    }

    /// Returns whether every pick is the device's value.
    pub(super) fn is_all_device(&self, rows: &[FieldRow<'_>]) -> bool {
        let device = Some(RowChoice::Side(FieldSide::Device));
        let mut changed = rows
            .iter()
            .filter(|row| row.preselected != Some(FieldSide::Server));
        changed.all(|row| self.choice(row) == device)
    }

    /// Returns the picks that decide the merge of these rows, by their pointers.
    pub(super) fn picks(&self, rows: &[FieldRow<'_>]) -> HashMap<String, RowPick> {
        let pick = |row: &FieldRow<'_>| {
            let pointer = row.pointer();
            let pick = match *self.choices.get(&*key(&pointer))? {
                RowChoice::Side(side) => RowPick::Side(side),
                RowChoice::Entered => RowPick::Value(self.value(&pointer).to_owned()),
                RowChoice::Removed => RowPick::Remove,
            };
            Some((pointer, pick))
        };
        rows.iter().filter_map(pick).collect()
    }

    /// Returns the pointers of the rows for which a value is entered but something else is picked:
    /// without scripts, a browser does not select the option when a person enters the value.
    pub(super) fn unused_values(&self, rows: &[FieldRow<'_>]) -> Vec<String> {
        let is_unused = |row: &&FieldRow<'_>| {
            let is_entered = !self.value(&row.pointer()).trim().is_empty();
            is_entered && self.choice(row) != Some(RowChoice::Entered)
        };
        let unused = rows.iter().filter(is_unused);
        unused.map(FieldRow::pointer).collect()
    }

    /// Drops the picks of rows whose values are not those that the page showed. Returns the
    /// pointers of these rows. Entered values remain.
    pub(super) fn drop_outdated(&mut self, rows: &[FieldRow<'_>]) -> HashSet<String> {
        let is_outdated = |row: &&FieldRow<'_>| {
            let shown = self.seen.get(&*key(&row.pointer()));
            shown.is_none_or(|shown| *shown != digest(row))
        };
        let outdated: HashSet<String> = rows
            .iter()
            .filter(is_outdated)
            .map(FieldRow::pointer)
            .collect();
        for pointer in &outdated {
            self.choices.remove(&*key(pointer));
        }
        outdated
    }
}

/// Returns the key of a row: its pointer, or a digest of a long one. No pointer contains `~.`.
fn key(pointer: &str) -> Cow<'_, str> {
    if pointer.len() <= POINTER_BYTES_MAX {
        return Cow::Borrowed(pointer);
    }
    let digest = json::digest([pointer]);
    Cow::Owned(format!("/~.{}", json::hex(&digest[..16])))
}

/// Returns the name of the field with the pick of a row.
pub(super) fn pick_field(pointer: &str) -> String {
    encoded(&key(pointer))
}

/// Returns the name of the field with the entered value of a row.
pub(super) fn value_field(pointer: &str) -> String {
    format!("{VALUE}{}", pick_field(pointer))
}

/// Returns the name of the field that identifies the values that the page showed.
pub(super) fn seen_field(pointer: &str) -> String {
    format!("{SEEN}{}", pick_field(pointer))
}

/// Returns a key as the name of a field. Browsers change line breaks in names, so these are
/// escaped.
fn encoded(pointer: &str) -> String {
    pointer
        .replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn decoded(name: &str) -> String {
    name.replace("%0A", "\n")
        .replace("%0D", "\r")
        .replace("%25", "%")
}

/// Returns a digest that identifies the three values of a row, in hexadecimal.
pub(super) fn digest(row: &FieldRow<'_>) -> String {
    let text = |value: FieldValue<'_>| match value {
        FieldValue::Absent => "absent".to_owned(),
        FieldValue::Unknown => "unknown".to_owned(),
        FieldValue::Text(text) => format!("text {}", text.get()),
    };
    let values = [row.values.base, row.values.server, row.values.device];
    let digest = json::digest(values.map(text));
    json::hex(&digest[..8])
}

#[cfg(test)]
mod tests {
    use tidemark_core::rules::comparison::{ConflictSides, compare};

    use super::*;
    use crate::pages::conflict::tests::review;

    #[test]
    fn names_of_fields_survive_browsers() {
        for pointer in ["/a", "/a%0Ab", "/a\r\nb", "/a\nb", "/%25", "/", "/a b/~1"] {
            let name = encoded(pointer);
            assert!(!name.contains(['\r', '\n']), "{name}");
            assert_eq!(decoded(&name), pointer);
        }
    }

    #[test]
    fn form_without_picks_is_empty() {
        let form = [
            ("note", "x"),
            ("/a", "nothing"),
            ("a", "server"),
            ("action", "device"),
        ];
        assert_eq!(
            MergeEntries::read(form.into_iter()),
            MergeEntries::default()
        );
    }

    #[test]
    fn picks_are_read_from_form() {
        let long = "x".repeat(POINTER_BYTES_MAX);
        let server = format!(r#"{{"a":1,"b":{{"c":1}},"d":1,"e":1,"{long}":1}}"#);
        let review = review(None, &server, r#"{"b":{"c":2}}"#);
        let current = review.current.as_ref().expect("a resource");
        let edits = &review.conflict.edits;
        let sides = ConflictSides::of(None, &current.payload, edits).expect("fields");
        let comparison = compare(&sides, None);

        let pointer = format!("/{long}");
        let (pick, value) = (pick_field(&pointer), value_field(&pointer));
        assert!(
            pick.len() < POINTER_BYTES_MAX && pick.starts_with("/~."),
            "{pick}"
        );
        let form = [
            ("/a", "device"),
            ("/b/c", "value"),
            ("value:/b/c", "1.0"),
            ("/d", "remove"),
            ("value:/e", "2"),
            ("/none", "remove"),
            (pick.as_str(), "value"),
            (value.as_str(), "7"),
        ];
        let picks = MergeEntries::read(form.into_iter()).picks(&comparison.rows);
        let expected = [
            ("/a", RowPick::Side(FieldSide::Device)),
            ("/b/c", RowPick::Value("1.0".into())),
            ("/d", RowPick::Remove),
            (pointer.as_str(), RowPick::Value("7".into())),
        ];
        let expected = expected.map(|(pointer, pick)| (pointer.to_owned(), pick));
        assert_eq!(picks, HashMap::from(expected));
    }
}
