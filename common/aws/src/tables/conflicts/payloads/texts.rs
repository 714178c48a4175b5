//! Collects the texts of payloads that are stored in rows of their own.

use std::collections::{BTreeSet, HashMap};

use super::super::versions::payload_of;
use super::{PartRow, PayloadKey};
use crate::{
    error::Error,
    tables::{Row, Table, from_row, text},
};

/// Payloads that were loaded from separate rows.
#[derive(Debug)]
pub(crate) struct PayloadTexts<'a> {
    /// The table of the rows, which counts a `was` that cannot be decoded.
    table: &'a Table,
    alone: HashMap<PayloadKey, String>,
    by_edit: HashMap<(PayloadKey, String), String>,
    /// Whether payloads were omitted on purpose, in which case `null` replaces them.
    pub(crate) is_partial: bool,
}

impl<'a> PayloadTexts<'a> {
    /// Decodes the rows that were loaded from `table`. The rows at the places `was` contain `was`
    /// only; one that cannot be decoded is treated as missing.
    ///
    /// # Errors
    /// Returns `Error::Corrupt` if a row with payloads cannot be decoded.
    pub(crate) fn new(
        table: &'a Table,
        rows: Vec<Row>,
        was: &BTreeSet<PayloadKey>,
    ) -> Result<Self, Error> {
        let mut texts = Self {
            table,
            alone: HashMap::new(),
            by_edit: HashMap::new(),
            is_partial: false,
        };
        for row in rows {
            let place = ["pk", "sk"].map(|name| text(&row, name).unwrap_or_default().to_owned());
            let is_was = was.contains(&place);
            let added = texts.add(place, row);
            if is_was {
                texts.known_was(added);
            } else {
                added?;
            }
        }
        Ok(texts)
    }

    /// Decodes a row and adds its payloads.
    fn add(&mut self, place: PayloadKey, row: Row) -> Result<(), Error> {
        if place[1].starts_with("v#") {
            self.alone.insert(place, payload_of(row)?);
            return Ok(());
        }

        let part: PartRow = from_row("part of a conflict", row)?;
        if let Some(payload) = part.payload {
            self.alone.insert(place, payload);
            return Ok(());
        }

        let payloads = part.payloads()?;
        let payloads = payloads
            .into_iter()
            .map(|(edit, payload)| ((place.clone(), edit), payload.get().to_owned()));
        self.by_edit.extend(payloads);
        Ok(())
    }

    /// Returns what was decoded of a `was`; `None` if it cannot be decoded, which is logged and
    /// counted. It is informative only, so the conflict is read without it.
    pub(crate) fn known_was<T>(&self, decoded: Result<T, Error>) -> Option<T> {
        decoded
            .inspect_err(|failure| {
                tracing::error!(%failure, "stored was of an edit cannot be decoded");
                self.table.count_corrupt();
            })
            .ok()
    }

    /// Returns whether the payload with this key has been loaded.
    pub(crate) fn has(&self, place: &PayloadKey) -> bool {
        self.alone.contains_key(place) || self.by_edit.keys().any(|(at, _)| at == place)
    }

    /// Returns the `was` of an edit in the row with this key; `None` if the row is missing or
    /// was not loaded.
    pub(crate) fn was(&self, place: PayloadKey, edit: &str) -> Option<String> {
        self.by_edit.get(&(place, edit.to_owned())).cloned()
    }

    /// Returns the payload of an edit, or of the server, in the row with this key.
    pub(crate) fn of(&self, place: PayloadKey, edit: &str) -> Option<String> {
        let found = self
            .alone
            .get(&place)
            .cloned()
            .or_else(|| self.by_edit.get(&(place, edit.to_owned())).cloned());
        found.or_else(|| self.is_partial.then(|| "null".to_owned()))
    }
}
