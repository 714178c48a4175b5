//! Decodes the row of a conflict, including rows of earlier builds. `encode.rs` encodes new rows.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;
use tidemark_core::{
    model::{
        channel::Channel,
        conflict::{Conflict, ConflictEdit, ConflictSlot, ConflictStatus},
        edit::Action,
        json::Json,
        key,
        resource::ResourceKey,
        result::ItemCode,
    },
    wire::text,
};

use super::{
    EditRow, INLINE_BYTES_MAX, OutcomeRow, edit_id,
    index::detection_time,
    keys,
    payloads::{PayloadKey, PayloadTexts},
};
use crate::{error::Error, tables::from_packed};

/// The row of a conflict as it is deserialized, including rows of earlier builds.
#[derive(Debug, Deserialize)]
pub(super) struct StoredRow {
    pub(super) pk: String,
    pub(super) sk: String,
    pub(super) id: String,
    pub(super) status: String,
    detected_at: String,
    pub(super) resource_type: String,
    pub(super) resource_id: String,
    pub(super) channel: String,
    pub(super) user: String,
    pub(super) device_id: String,
    #[serde(with = "text")]
    pub(super) code: ItemCode,
    server_payload: Option<String>,
    pub(super) server_version: u64,
    #[serde(default)]
    server_deleted: bool,
    /// The number of the version row that contains the server's payload; 0 if there is none.
    #[serde(default, rename = "server_at")]
    server_row: u64,
    #[serde(default)]
    server_bytes: usize,
    #[serde(with = "text")]
    pub(super) action: Action,
    client_payload: Option<String>,
    client_part: Option<String>,
    #[serde(default)]
    client_bytes: usize,
    client_version: u64,
    base_version: Option<u64>,
    /// The values that the fields of the first edit had in the device's base.
    was: Option<String>,
    /// Name of the row with these values, if they are separate.
    was_part: Option<String>,
    joined: Vec<EditRow>,
    pub(super) edits: Vec<String>,
    pub(super) outcome: Option<OutcomeRow>,
    #[serde(default, rename = "siblings")]
    pub(super) neighbors: Vec<String>,
    #[serde(default, with = "serde_bytes")]
    packed: Vec<u8>,
}

impl StoredRow {
    pub(super) fn slot(&self) -> Result<ConflictSlot, Error> {
        keys::slot_of(&self.sk).ok_or_else(|| Error::unreadable("key of a conflict", &self.sk))
    }

    /// Unpacks the payloads in the row: of its first edit and of the server.
    fn unpacked(&self) -> Result<[Option<String>; 2], Error> {
        if self.packed.is_empty() {
            return Ok([None, None]);
        }
        // The texts are JSON strings, in which each character may be escaped.
        from_packed(
            "payloads of a conflict",
            &self.packed,
            16 * INLINE_BYTES_MAX,
        )
    }

    /// Returns the key of the row with the server's payload, if that is separate, and its size in
    /// bytes, or `usize::MAX` if it is unknown.
    pub(super) fn server_place(&self) -> Result<Option<(PayloadKey, usize)>, Error> {
        let slot = self.slot()?;
        if self.server_payload.is_some() || self.server_version == 0 {
            return Ok(None);
        }

        if slot == ConflictSlot::Legacy && self.server_row == 0 {
            let name = format!("part#{}#server-{}", self.id, self.server_version);
            return Ok(Some(([self.pk.clone(), name], usize::MAX)));
        }

        if self.server_row == 0 {
            return Ok(None);
        }

        let tenant = keys::tenant_of(&self.pk, slot)?;
        let name = key::join([
            &self.resource_type,
            &self.resource_id,
            &self.server_row.to_string(),
        ]);

        Ok(Some((
            [key::join([&tenant, &self.channel]), format!("v#{name}")],
            self.server_bytes,
        )))
    }

    /// Returns the key of the row with the first edit's payload, if that is separate, and its size
    /// in bytes, or `usize::MAX` if it is unknown.
    pub(super) fn client_place(&self) -> Result<Option<(PayloadKey, usize)>, Error> {
        if self.client_payload.is_some() || !self.packed.is_empty() && self.client_part.is_none() {
            return Ok(None);
        }

        let bytes = if self.client_part.is_some() {
            self.client_bytes
        } else {
            usize::MAX
        };

        let edit = self.edits.first().map_or("", String::as_str);
        Ok(Some((
            self.place_of(edit, self.client_part.as_deref())?,
            bytes,
        )))
    }

    fn place_of(&self, edit: &str, part: Option<&str>) -> Result<PayloadKey, Error> {
        let name = match part {
            Some(part) => keys::part(&self.id, part)?,
            None => format!("part#{}#{edit}", self.id),
        };
        Ok([self.pk.clone(), name])
    }

    /// Returns the keys of all separate rows with payloads of the conflict, without those with
    /// `was`.
    pub(super) fn places(&self) -> Result<Vec<PayloadKey>, Error> {
        let mut places: Vec<PayloadKey> = self
            .server_place()?
            .into_iter()
            .chain(self.client_place()?)
            .map(|(place, _)| place)
            .collect();

        for edit in self
            .joined
            .iter()
            .filter(|edit| edit.client_payload.is_none())
        {
            places.push(self.place_of(&edit.edit, edit.part.as_deref())?);
        }
        Ok(places)
    }

    /// Returns the keys of all separate rows with the `was` of edits.
    pub(super) fn was_places(&self) -> Result<Vec<PayloadKey>, Error> {
        let joined = self.joined.iter().filter_map(|edit| edit.was_part.as_ref());
        let parts = self.was_part.iter().chain(joined);
        parts.map(|part| self.place_of("", Some(part))).collect()
    }

    /// Takes the payload of the server, if it has one.
    pub(super) fn server_payload(
        &mut self,
        texts: &PayloadTexts<'_>,
    ) -> Result<Option<String>, Error> {
        let missing = Error::unreadable("conflict", format!("server payload of {}", self.id));
        match self.server_place()? {
            Some((place, _)) => texts.of(place, "").ok_or(missing).map(Some),
            None if self.server_version == 0 => Ok(None),
            None => match self.server_payload.take() {
                Some(text) => Ok(Some(text)),
                None => self.unpacked()?[1].take().ok_or(missing).map(Some),
            },
        }
    }

    /// Decodes the conflict, given its separately stored payloads.
    pub(super) fn read(mut self, texts: &PayloadTexts<'_>) -> Result<Conflict, Error> {
        let slot = self.slot()?;
        let detected_at = self.detected_at()?;
        let channel = Channel::parse(&self.channel).ok_or_else(|| self.unreadable("channel"))?;
        let is_open = self.status == ConflictStatus::Open.as_str();
        if is_open == self.outcome.is_some() {
            return Err(self.unreadable("status"));
        }

        let server_payload = self.server_payload(texts)?;
        let mut edits = vec![self.take_first_edit(texts)?];
        for edit in std::mem::take(&mut self.joined) {
            edits.push(self.joined_edit(edit, texts)?);
        }

        Ok(Conflict {
            edits,
            slot,
            resource: ResourceKey {
                channel,
                resource_type: self.resource_type,
                id: self.resource_id,
            },
            user: self.user,
            device_id: self.device_id,
            detected_at,
            code: self.code,
            server_payload: server_payload.map(json).transpose()?,
            server_version: self.server_version,
            server_deleted: self.server_deleted,
            outcome: self.outcome.map(OutcomeRow::read).transpose()?,
            id: self.id,
        })
    }

    fn unreadable(&self, what: &str) -> Error {
        Error::unreadable("conflict", format!("{what} of {}", self.id))
    }

    /// Returns the time of detection, without the suffix that makes it unique.
    fn detected_at(&self) -> Result<DateTime<Utc>, Error> {
        detection_time(&self.detected_at).ok_or_else(|| self.unreadable("detected_at"))
    }

    /// Decodes the edit that opened the conflict. Takes its payload out of the row.
    fn take_first_edit(&mut self, texts: &PayloadTexts<'_>) -> Result<ConflictEdit, Error> {
        let opener = self
            .edits
            .first()
            .cloned()
            .ok_or_else(|| self.unreadable("edits"))?;
        let payload = match self.client_place()? {
            Some((place, _)) => texts.of(place, &opener),
            None => self.client_payload.take().or(self.unpacked()?[0].take()),
        };

        Ok(ConflictEdit {
            id: edit_id(&opener)?,
            action: self.action,
            payload: json(payload.ok_or_else(|| self.unreadable("client payload"))?)?,
            client_version: self.client_version,
            base_version: self.base_version,
            was: self.was_of(&opener, self.was.as_ref(), self.was_part.as_deref(), texts)?,
        })
    }

    /// Decodes an edit that joined the conflict.
    fn joined_edit(&self, edit: EditRow, texts: &PayloadTexts<'_>) -> Result<ConflictEdit, Error> {
        let payload = match edit.client_payload {
            Some(text) => Some(text),
            None => texts.of(self.place_of(&edit.edit, edit.part.as_deref())?, &edit.edit),
        };

        Ok(ConflictEdit {
            id: edit_id(&edit.edit)?,
            action: edit.action,
            payload: json(payload.ok_or_else(|| self.unreadable("client payload"))?)?,
            client_version: edit.client_version,
            base_version: edit.base_version,
            was: self.was_of(
                &edit.edit,
                edit.was.as_ref(),
                edit.was_part.as_deref(),
                texts,
            )?,
        })
    }

    /// Returns the `was` of an edit, which is in the row, or in the separate row with the name
    /// `part`. `None` if the edit has none, if the separate row was not loaded, or if it cannot be
    /// decoded.
    fn was_of(
        &self,
        edit: &str,
        inline: Option<&String>,
        part: Option<&str>,
        texts: &PayloadTexts<'_>,
    ) -> Result<Option<Json>, Error> {
        let text = match part {
            Some(part) => texts.was(self.place_of(edit, Some(part))?, edit),
            None => inline.cloned(),
        };
        Ok(text.and_then(|text| texts.known_was(json(text))))
    }
}

fn json(text: String) -> Result<Json, Error> {
    RawValue::from_string(text).map_err(|error| Error::undecoded("payload", error))
}
