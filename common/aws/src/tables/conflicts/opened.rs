//! Determines where a newly opened conflict is stored, and what the first conflict about its
//! resource records about it.

use tidemark_core::{
    model::{
        conflict::{ConflictSlot, ConflictStatus, ConflictWrite, Neighbor},
        limits::RESOLVED_CONFLICTS_MAX,
    },
    rules::push::edit::Sender,
};

use super::{
    encode::{opened, value},
    keys,
    payloads::SeparatePayloads,
};
use crate::{error::Error, tables::Row};

/// A conflict that is opened: the row for it, and the state of its neighbors.
pub(super) struct OpenedConflict {
    pub(super) slot: ConflictSlot,
    /// The edits (or legacy ids) of the conflicts that the first row lists.
    pub(super) neighbors: Vec<String>,
    /// For a conflict in a separate row: the edit that opened the last conflict that was read, and
    /// whether the first conflict was resolved then. No condition checks the latter.
    pub(super) last: Option<(String, bool)>,
}

impl OpenedConflict {
    /// Determines the row of a newly opened conflict: the first row, unless that contains a
    /// conflict.
    pub(super) fn of(write: &ConflictWrite) -> Result<Self, Error> {
        let is_first = |it: &&Neighbor| it.slot == ConflictSlot::First;
        let first = write.neighbors.iter().find(is_first);
        let own = keys::parse(&write.id)?.edit;
        let mut neighbors = Vec::new();
        for neighbor in &write.neighbors {
            let name = match neighbor.slot {
                ConflictSlot::Legacy => neighbor.id.as_str(),
                _ => keys::parse(&neighbor.id)?.edit,
            };
            if first.is_none_or(|first| first.id != neighbor.id)
                && name != own
                && !neighbors.iter().any(|it| it == name)
            {
                neighbors.push(name.to_owned());
            }
        }

        let last = match (first, write.neighbors.last()) {
            (Some(first), Some(last)) => {
                neighbors.push(own.to_owned());
                Some((
                    keys::parse(&last.id)?.edit.to_owned(),
                    first.status == ConflictStatus::Resolved,
                ))
            }
            _ => None,
        };

        let excess = neighbors.len().saturating_sub(RESOLVED_CONFLICTS_MAX);
        neighbors.drain(..excess);

        let slot = if last.is_some() {
            ConflictSlot::Own
        } else {
            ConflictSlot::First
        };
        Ok(Self {
            slot,
            neighbors,
            last,
        })
    }

    /// Returns the row of the conflict; `None` for a conflict without edits, which does not occur.
    pub(super) fn row(
        &self,
        sender: Sender<'_>,
        write: &ConflictWrite,
    ) -> Result<Option<Row>, Error> {
        let Some(mut row) = opened(sender, write, self.slot, &SeparatePayloads::of(write))? else {
            return Ok(None);
        };
        if self.slot == ConflictSlot::First && !self.neighbors.is_empty() {
            row.insert("siblings".to_owned(), value(&self.neighbors)?);
        }
        Ok(Some(row))
    }
}
