//! Reading one conflict whole, with the payloads that stand in rows of their own.

use std::collections::{BTreeSet, HashMap};

use tidemark_core::{conflict::Conflict, json::Json};

use super::{
    Conflicts, keys,
    row::{Place, StoredRow, Texts, json},
};
use crate::{
    failure::Failure,
    tables::{Row, from_row, key as row_key, text},
};

impl Conflicts {
    /// A conflict, whole, strongly consistently; `None` where there is none.
    ///
    /// # Errors
    /// An outage, or a row that does not read.
    pub async fn read(&self, tenant: &str, id: &str) -> Result<Option<Conflict>, Failure> {
        let Some(row) = self.rows_of(tenant, &[id.to_owned()]).await?.pop() else { return Ok(None) };
        let row: StoredRow = from_row("conflict", row)?;
        let texts = self.texts(row.places()?).await?;
        row.read(&texts).map(Some)
    }

    /// What the server held, and its version, when these conflicts were last added to; of deleted resources nothing.
    ///
    /// # Errors
    /// An outage.
    pub async fn server_payloads(&self, tenant: &str, ids: Vec<String>) -> Result<HashMap<String, (u64, Json)>, Failure> {
        let rows = self.rows_of(tenant, &ids).await?;
        let rows: Vec<StoredRow> = rows.into_iter().map(|row| from_row("conflict", row)).collect::<Result<_, _>>()?;
        let mut places = Vec::new();
        for row in rows.iter().filter(|row| !row.is_server_deleted()) {
            places.extend(row.server_place()?.map(|(place, _)| place));
        }
        let texts = self.texts(places).await?;
        let mut payloads = HashMap::new();
        for mut row in rows.into_iter().filter(|row| !row.is_server_deleted()) {
            if let Some(text) = row.server_payload(&texts)? {
                payloads.insert(row.id, (row.server_version, json(text)?));
            }
        }
        Ok(payloads)
    }

    /// The rows of the conflicts with these ids.
    pub(super) async fn rows_of(&self, tenant: &str, ids: &[String]) -> Result<Vec<Row>, Failure> {
        let mut wanted = Vec::with_capacity(3 * ids.len());
        for id in ids {
            wanted.extend(keys::candidates(tenant, id)?);
        }
        let mut rows = self.0.batch_get(distinct(wanted)).await?;
        rows.retain(|row| text(row, "id").is_some_and(|id| ids.iter().any(|it| it == id)));
        Ok(rows)
    }

    /// The payloads that stand at these places.
    pub(super) async fn texts(&self, places: Vec<Place>) -> Result<Texts, Failure> {
        let places: BTreeSet<Place> = places.into_iter().collect();
        Texts::new(self.0.batch_get(places.into_iter().map(|[pk, sk]| row_key(pk, sk)).collect()).await?)
    }
}

/// Each key once: DynamoDB refuses to be asked for one twice.
pub(super) fn distinct(keys: Vec<Row>) -> Vec<Row> {
    let mut seen = BTreeSet::new();
    let name = |row: &Row| ["pk", "sk"].map(|name| text(row, name).unwrap_or_default().to_owned());
    keys.into_iter().filter(|row| seen.insert(name(row))).collect()
}
