//! The conflicts that a user selected, as the fields of a form carry them.

use tidemark_core::{
    model::{conflict::ConflictStatus, result::ItemCode},
    wire::conflicts::ConflictEntry,
};

/// The maximum bytes of the value of a field: two names, a version and a code, with room.
const SELECTION_BYTES_MAX: usize = 1_000;

/// A selected conflict, as the list showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SelectedConflict {
    /// The id of the conflict.
    pub(super) id: String,
    /// The version of the resource that the list showed.
    pub(super) server_version: u64,
    /// The reason of the conflict.
    pub(super) code: ItemCode,
    /// The type of the resource.
    pub(super) resource_type: String,
}

impl SelectedConflict {
    /// Returns an open conflict of a list; `None` if it is resolved.
    pub(super) fn of(conflict: &ConflictEntry) -> Option<Self> {
        (conflict.status == ConflictStatus::Open).then(|| Self {
            id: conflict.id.clone(),
            server_version: conflict.server_version,
            code: conflict.code,
            resource_type: conflict.resource_type.clone(),
        })
    }

    /// Returns the value of the field. No part contains a space.
    pub(super) fn encoded(&self) -> String {
        let Self {
            id,
            server_version,
            code,
            resource_type,
        } = self;
        format!("{id} {server_version} {code} {resource_type}")
    }

    /// Reads the value of a field; `None` if it is malformed or too long.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > SELECTION_BYTES_MAX {
            return None;
        }
        let mut parts = text.splitn(4, ' ');
        let mut next = || parts.next().filter(|part| !part.is_empty());
        Some(Self {
            id: next()?.to_owned(),
            server_version: next()?.parse().ok()?,
            code: next()?.parse().ok()?,
            resource_type: next()?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selection_survives_the_form() {
        let selected = SelectedConflict {
            id: "c.1".into(),
            server_version: 7,
            code: ItemCode::IdTaken,
            resource_type: "meter".into(),
        };
        assert_eq!(selected.encoded(), "c.1 7 id_taken meter");
        assert_eq!(
            SelectedConflict::parse("c.1 7 id_taken meter"),
            Some(selected)
        );
        for text in [
            "",
            "c.1",
            "c.1 x id_taken meter",
            "c.1 7 no meter",
            "c.1 7 id_taken",
            " 7",
        ] {
            assert_eq!(SelectedConflict::parse(text), None, "{text}");
        }
        let long = format!("c.1 7 id_taken {}", "m".repeat(SELECTION_BYTES_MAX));
        assert_eq!(SelectedConflict::parse(&long), None);
    }
}
