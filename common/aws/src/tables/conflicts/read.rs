//! Reads single conflicts, including the payloads that are stored in separate rows.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;
use tidemark_core::model::{conflict::Conflict, resolution::Resolution};

use super::{
    Conflicts, OutcomeRow, keys,
    payloads::{PayloadKey, PayloadTexts},
    row::StoredRow,
};
use crate::{
    error::Error,
    tables::{Row, from_row, key as row_key, text},
};

/// The resolution of a conflict, if it is resolved.
#[derive(Debug, Deserialize)]
struct ResolutionRow {
    id: String,
    outcome: Option<OutcomeRow>,
}

impl Conflicts {
    /// Loads a complete conflict with strongly consistent reads; `None` if it does not exist. With
    /// a `user`, a conflict of another user is treated as absent: only its user attribute is
    /// examined, and its separate payload rows are not read.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a row
    /// cannot be decoded, except a row that contains only the `was` of edits: it is logged, counted
    /// and treated as missing.
    pub async fn read(
        &self,
        tenant: &str,
        user: Option<&str>,
        id: &str,
    ) -> Result<Option<Conflict>, Error> {
        let Some(row) = self.rows_of(tenant, &[id.to_owned()]).await?.pop() else {
            return Ok(None);
        };
        if user.is_some_and(|user| text(&row, "user") != Some(user)) {
            return Ok(None);
        }
        let row: StoredRow = from_row("conflict", row)?;
        let texts = self.texts(row.places()?, row.was_places()?).await?;
        row.read(&texts).map(Some)
    }

    /// Loads a conflict like [`Self::read`], for its resolution. No row that contains only the
    /// `was` of edits is read: a resolution does not depend on them.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a row
    /// cannot be decoded.
    pub async fn read_for_resolution(
        &self,
        tenant: &str,
        id: &str,
    ) -> Result<Option<Conflict>, Error> {
        let Some(row) = self.rows_of(tenant, &[id.to_owned()]).await?.pop() else {
            return Ok(None);
        };
        let row: StoredRow = from_row("conflict", row)?;
        let texts = self.texts(row.places()?, Vec::new()).await?;
        row.read(&texts).map(Some)
    }

    /// Returns the resolutions of those of these conflicts that are resolved.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a row
    /// cannot be decoded.
    pub async fn resolutions(
        &self,
        tenant: &str,
        ids: BTreeSet<String>,
    ) -> Result<HashMap<String, Resolution>, Error> {
        let ids: Vec<String> = ids.into_iter().collect();
        let rows = self.rows_of(tenant, &ids).await?;
        let rows: Vec<ResolutionRow> = rows
            .into_iter()
            .map(|row| from_row("conflict", row))
            .collect::<Result<_, _>>()?;

        Ok(rows
            .into_iter()
            .filter_map(|row| Some((row.id, row.outcome?.resolution)))
            .collect())
    }

    /// Returns the rows of the conflicts with these ids.
    pub(super) async fn rows_of(&self, tenant: &str, ids: &[String]) -> Result<Vec<Row>, Error> {
        let mut wanted = Vec::with_capacity(3 * ids.len());
        for id in ids {
            wanted.extend(keys::candidates(tenant, id)?);
        }
        let mut rows = self.0.batch_get(distinct(wanted)).await?;
        rows.retain(|row| text(row, "id").is_some_and(|id| ids.iter().any(|it| it == id)));
        Ok(rows)
    }

    /// Loads the payloads in the rows with these keys, and the `was` in the rows with the keys
    /// `was`.
    pub(super) async fn texts(
        &self,
        places: Vec<PayloadKey>,
        was: Vec<PayloadKey>,
    ) -> Result<PayloadTexts<'_>, Error> {
        let places: BTreeSet<PayloadKey> = places.into_iter().collect();
        let was: BTreeSet<PayloadKey> = was.into_iter().collect();
        let was: BTreeSet<PayloadKey> = was.difference(&places).cloned().collect();

        let keys = places.iter().chain(&was);
        let keys = keys.map(|[pk, sk]| row_key(pk, sk)).collect();
        let rows = self.0.batch_get(keys).await?;
        PayloadTexts::new(&self.0, rows, &was)
    }
}

/// Removes duplicate keys, which DynamoDB rejects in a batch.
pub(super) fn distinct(keys: Vec<Row>) -> Vec<Row> {
    let mut seen = BTreeSet::new();
    let name = |row: &Row| ["pk", "sk"].map(|name| text(row, name).unwrap_or_default().to_owned());
    keys.into_iter()
        .filter(|row| seen.insert(name(row)))
        .collect()
}
