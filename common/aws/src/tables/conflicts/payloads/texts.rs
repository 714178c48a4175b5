//! Collects the texts of payloads that are stored in rows of their own.

use std::collections::HashMap;

use super::super::versions::payload_of;
use super::{PartRow, PayloadKey};
use crate::{
    error::Error,
    tables::{Row, from_row, text},
};

/// Payloads that were loaded from separate rows.
#[derive(Debug, Default)]
pub(crate) struct PayloadTexts {
    alone: HashMap<PayloadKey, String>,
    by_edit: HashMap<(PayloadKey, String), String>,
    /// Whether payloads were omitted on purpose, in which case `null` replaces them.
    pub(crate) is_partial: bool,
}

impl PayloadTexts {
    /// Decodes the rows that were loaded.
    pub(crate) fn new(rows: Vec<Row>) -> Result<Self, Error> {
        let mut texts = Self::default();
        for row in rows {
            let place = ["pk", "sk"].map(|name| text(&row, name).unwrap_or_default().to_owned());
            if place[1].starts_with("v#") {
                texts.alone.insert(place, payload_of(row)?);
                continue;
            }

            let part: PartRow = from_row("part of a conflict", row)?;
            if let Some(payload) = part.payload {
                texts.alone.insert(place, payload);
                continue;
            }

            let payloads = part.payloads()?;
            let payloads = payloads
                .into_iter()
                .map(|(edit, payload)| ((place.clone(), edit), payload.get().to_owned()));
            texts.by_edit.extend(payloads);
        }
        Ok(texts)
    }

    /// Returns whether the payload with this key has been loaded.
    pub(crate) fn has(&self, place: &PayloadKey) -> bool {
        self.alone.contains_key(place) || self.by_edit.keys().any(|(at, _)| at == place)
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
