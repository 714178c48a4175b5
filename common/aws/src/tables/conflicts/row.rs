//! The row of a conflict, as it is written and read.

use std::collections::HashMap;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidemark_core::{
    channel::Channel,
    conflict::{Conflict, ConflictEdit, ConflictSlot, ConflictStatus, ConflictWrite},
    json::{self, Json},
    key,
    pack::{pack, unpack},
    protocol::{Action, push::ItemCode, timestamp},
    push::intake::Sender,
    resource::{EditId, ResourceKey},
};

use super::{
    EditRow, INLINE_BYTES_MAX, INLINE_EDITS_MAX, OutcomeRow, PART_BYTES_MAX, edit_id, hex, keys,
    versions::{Version, number_of, payload_of},
};
use crate::{
    failure::Failure,
    tables::{Row, from_row, text},
};

/// Bytes of a row that costs one write unit, with room for what an estimate misses.
const UNIT_BYTES: usize = 1000;

/// The payloads of a conflict's edits that stand apart, by the row that holds them.
pub(super) struct Apart<'a>(pub(super) Vec<(String, Vec<&'a ConflictEdit>)>);

/// What a conflict's row says of the server's payload.
pub(super) enum StoredPayload<'a> {
    /// There is none.
    Nothing,
    /// The row carries it.
    Inline(&'a str),
    /// It is kept apart, for all conflicts about that version.
    Kept {
        /// The number that it is kept under.
        number: u64,
        /// Its bytes.
        bytes: usize,
    },
}

/// Payloads apart, as a row holds them together: by edit.
#[derive(Debug, Serialize, Deserialize)]
struct PartRow {
    pk: String,
    sk: String,
    /// Of earlier builds: one payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    #[serde(default, with = "serde_bytes")]
    packed: Vec<u8>,
}

impl<'a> Apart<'a> {
    pub(super) fn of(write: &'a ConflictWrite) -> Self {
        let mut parts: Vec<Vec<&ConflictEdit>> = Vec::new();
        let mut bytes = 0;
        for (at, edit) in write.edits.iter().enumerate() {
            let length = edit.payload.get().len();
            if write.expected_edits + at < INLINE_EDITS_MAX && length <= INLINE_BYTES_MAX {
                continue;
            }
            bytes += length;
            match parts.last_mut().filter(|_| bytes <= PART_BYTES_MAX) {
                Some(part) => part.push(edit),
                None => {
                    bytes = length;
                    parts.push(vec![edit]);
                }
            }
        }
        // Named after all its edits, whose ids are digests of what they hold: two tries never write
        // one row in two ways.
        let name = |part: &[&ConflictEdit]| {
            let digest = json::digest(part.iter().map(|edit| edit.id.0.to_be_bytes()));
            json::hex(&digest[..8])
        };
        Self(parts.into_iter().map(|part| (name(&part), part)).collect())
    }

    fn name_of(&self, edit: EditId) -> Option<String> {
        let (name, _) = self
            .0
            .iter()
            .find(|(_, part)| part.iter().any(|it| it.id == edit))?;
        Some(name.clone())
    }

    /// The rows of edits that join.
    pub(super) fn rows(&self, edits: &[ConflictEdit]) -> Vec<EditRow> {
        edits
            .iter()
            .map(|edit| EditRow::new(edit, self.name_of(edit.id)))
            .collect()
    }
}

/// The text that a part is packed from.
pub(super) fn part_text(part: &[&ConflictEdit]) -> Result<Vec<u8>, Failure> {
    let payloads: HashMap<String, &Json> = part
        .iter()
        .map(|edit| (hex(edit.id), &edit.payload))
        .collect();
    serde_json::to_vec(&payloads).map_err(|error| Failure::undecoded("part of a conflict", error))
}

impl<'a> StoredPayload<'a> {
    pub(super) fn of(write: &'a ConflictWrite) -> Self {
        let Some(server) = &write.server else {
            return Self::Nothing;
        };
        if let Some(kept) = server.kept {
            return Self::Kept {
                number: kept.number,
                bytes: kept.bytes,
            };
        }
        let bytes = server.payload.get().len();
        if bytes <= INLINE_BYTES_MAX {
            return Self::Inline(server.payload.get());
        }
        // A conflict that a policy decides is written together with the row, whose version may not
        // come to be.
        let number = match write.outcome {
            Some(_) => number_of(server.server_version, &server.payload, None),
            None => server.server_version,
        };
        Self::Kept { number, bytes }
    }

    /// The version that is to be kept for the conflict.
    pub(super) fn to_keep(write: &'a ConflictWrite) -> Option<Version<'a>> {
        let server = write
            .server
            .as_ref()
            .filter(|server| server.kept.is_none())?;
        let Self::Kept { number, .. } = Self::of(write) else {
            return None;
        };
        Some(Version {
            resource: &write.resource,
            number,
            payload: &server.payload,
            fields: None,
        })
    }
}

/// The row of a conflict that is opened, without what it says of its neighbors; `None` for one
/// without edits, which none is.
pub(super) fn opened(
    sender: Sender<'_>,
    write: &ConflictWrite,
    slot: ConflictSlot,
    apart: &Apart<'_>,
) -> Result<Option<Row>, Failure> {
    let tenant = &sender.principal.tenant;
    let status = if write.outcome.is_some() {
        ConflictStatus::Resolved
    } else {
        ConflictStatus::Open
    };
    let [first, joined @ ..] = write.edits.as_slice() else {
        return Ok(None);
    };
    let id = keys::parse(&write.id)?;
    let mut row = keys::of(tenant, &write.id, slot)?;
    let mut set = |name: &str, value: AttributeValue| row.insert(name.to_owned(), value);
    // Unique, so that a list has one order: the time, and what tells conflicts of one moment apart.
    let detected_at = format!(
        "{}#{}{}",
        timestamp(write.detected_at),
        &id.resource[..8],
        id.edit
    );
    for (name, value) in [
        (
            "status_key",
            keys::status_key(tenant, &write.id, slot, status)?,
        ),
        ("id", write.id.clone()),
        ("status", status.as_str().to_owned()),
        ("detected_at", detected_at),
        ("resource_type", write.resource.resource_type.clone()),
        ("resource_id", write.resource.id.clone()),
        ("channel", write.resource.channel.to_string()),
        ("user", sender.principal.user.clone()),
        ("device_id", sender.device_id.to_owned()),
    ] {
        set(name, AttributeValue::S(value));
    }
    set("code", value(&write.code)?);
    set("action", value(&first.action)?);
    set(
        "server_version",
        number(
            write
                .server
                .as_ref()
                .map_or(0, |server| server.server_version),
        ),
    );
    if write.server.as_ref().is_some_and(|server| server.deleted) {
        set("server_deleted", AttributeValue::Bool(true));
    }
    set("client_version", number(first.client_version));
    if let Some(base) = first.base_version {
        set("base_version", number(base));
    }
    set("joined", value(&apart.rows(joined))?);
    set(
        "edits",
        value(
            &write
                .edits
                .iter()
                .map(|edit| hex(edit.id))
                .collect::<Vec<_>>(),
        )?,
    );
    set("edit_count", number(write.edits.len()));
    if slot == ConflictSlot::First {
        set("newest", AttributeValue::S(id.edit.to_owned()));
    }
    if let Some(outcome) = &write.outcome {
        set("outcome", value(&OutcomeRow::new(outcome))?);
    }
    let client = match apart.name_of(first.id) {
        None => Some(first.payload.get()),
        Some(part) => {
            set("client_part", AttributeValue::S(part));
            set("client_bytes", number(first.payload.get().len()));
            None
        }
    };
    let server = match StoredPayload::of(write) {
        StoredPayload::Nothing => None,
        StoredPayload::Inline(text) => Some(text),
        StoredPayload::Kept { number: at, bytes } => {
            set("server_at", number(at));
            set("server_bytes", number(bytes));
            None
        }
    };
    put_payloads(&mut row, client, server)?;
    Ok(Some(row))
}

/// Puts the payloads that stand in the row: as text, or packed where that keeps the row within one
/// write unit.
fn put_payloads(row: &mut Row, client: Option<&str>, server: Option<&str>) -> Result<(), Failure> {
    let texts = [("client_payload", client), ("server_payload", server)];
    let plain: usize = texts
        .iter()
        .filter_map(|(name, text)| Some(name.len() + text.as_ref()?.len()))
        .sum();
    if row_bytes(row) + plain > UNIT_BYTES {
        let pair = serde_json::to_vec(&texts.map(|(_, text)| text))
            .map_err(|error| Failure::undecoded("payloads", error))?;
        let packed = pack(&pair);
        if packed.len() < plain {
            row.insert("packed".to_owned(), AttributeValue::B(Blob::new(packed)));
            return Ok(());
        }
    }
    let texts = texts
        .into_iter()
        .filter_map(|(name, text)| Some((name.to_owned(), AttributeValue::S(text?.to_owned()))));
    row.extend(texts);
    Ok(())
}

/// About the bytes that DynamoDB charges a row by.
fn row_bytes(row: &Row) -> usize {
    row.iter()
        .map(|(name, value)| name.len() + value_bytes(value))
        .sum()
}

fn value_bytes(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len() / 2 + 2,
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::L(list) => 3 + list.iter().map(|it| 1 + value_bytes(it)).sum::<usize>(),
        AttributeValue::M(map) => {
            3 + map
                .iter()
                .map(|(name, it)| 1 + name.len() + value_bytes(it))
                .sum::<usize>()
        }
        _ => 1,
    }
}

pub(super) fn number(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(super) fn value(value: &impl Serialize) -> Result<AttributeValue, Failure> {
    serde_dynamo::to_attribute_value(value)
        .map_err(|error| Failure::undecoded("row to write", error))
}

/// The row of a conflict, as it is read; of earlier builds too.
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
    pub(super) code: ItemCode,
    server_payload: Option<String>,
    pub(super) server_version: u64,
    #[serde(default)]
    server_deleted: bool,
    #[serde(default)]
    server_at: u64,
    #[serde(default)]
    server_bytes: usize,
    pub(super) action: Action,
    client_payload: Option<String>,
    client_part: Option<String>,
    #[serde(default)]
    client_bytes: usize,
    client_version: u64,
    base_version: Option<u64>,
    joined: Vec<EditRow>,
    pub(super) edits: Vec<String>,
    pub(super) outcome: Option<OutcomeRow>,
    #[serde(default)]
    pub(super) siblings: Vec<String>,
    #[serde(default, with = "serde_bytes")]
    packed: Vec<u8>,
}

/// The key of a row that a payload stands in.
pub(super) type PayloadKey = [String; 2];

/// Payloads of rows apart.
#[derive(Debug, Default)]
pub(super) struct PayloadTexts {
    alone: HashMap<PayloadKey, String>,
    by_edit: HashMap<(PayloadKey, String), String>,
    /// Whether a payload that is not here was left out on purpose: `null` takes its place.
    pub(super) is_partial: bool,
}

impl PayloadTexts {
    pub(super) fn new(rows: Vec<Row>) -> Result<Self, Failure> {
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
            let undecoded =
                |error: &dyn std::fmt::Display| Failure::undecoded("part of a conflict", error);
            let bytes = unpack(&part.packed, 2 * PART_BYTES_MAX + 64 * 1024)
                .map_err(|error| undecoded(&error))?;
            let payloads: HashMap<String, Json> =
                serde_json::from_slice(&bytes).map_err(|error| undecoded(&error))?;
            let payloads = payloads
                .into_iter()
                .map(|(edit, payload)| ((place.clone(), edit), payload.get().to_owned()));
            texts.by_edit.extend(payloads);
        }
        Ok(texts)
    }

    /// Whether the payload apart at this place is here.
    pub(super) fn has(&self, place: &PayloadKey) -> bool {
        self.alone.contains_key(place) || self.by_edit.keys().any(|(at, _)| at == place)
    }

    fn of(&self, place: PayloadKey, edit: &str) -> Option<String> {
        let found = self
            .alone
            .get(&place)
            .cloned()
            .or_else(|| self.by_edit.get(&(place, edit.to_owned())).cloned());
        found.or_else(|| self.is_partial.then(|| "null".to_owned()))
    }
}

impl StoredRow {
    pub(super) fn slot(&self) -> Result<ConflictSlot, Failure> {
        keys::slot_of(&self.sk).ok_or_else(|| Failure::unreadable("key of a conflict", &self.sk))
    }

    /// The payloads that the row holds packed: of its first edit and of the server.
    fn unpacked(&self) -> Result<[Option<String>; 2], Failure> {
        if self.packed.is_empty() {
            return Ok([None, None]);
        }
        let undecoded =
            |error: &dyn std::fmt::Display| Failure::undecoded("payloads of a conflict", error);
        // Texts inside a text: each letter may be escaped.
        let pair =
            unpack(&self.packed, 16 * INLINE_BYTES_MAX).map_err(|error| undecoded(&error))?;
        serde_json::from_slice(&pair).map_err(|error| undecoded(&error))
    }

    /// Where the server's payload stands, if that is not here, and its bytes, where they are known.
    pub(super) fn server_place(&self) -> Result<Option<(PayloadKey, usize)>, Failure> {
        let slot = self.slot()?;
        if self.server_payload.is_some() || self.server_version == 0 {
            return Ok(None);
        }
        if slot == ConflictSlot::Legacy && self.server_at == 0 {
            let name = format!("part#{}#server-{}", self.id, self.server_version);
            return Ok(Some(([self.pk.clone(), name], usize::MAX)));
        }
        if self.server_at == 0 {
            return Ok(None);
        }
        let tenant = keys::tenant_of(&self.pk, slot)?;
        let name = key::join([
            &self.resource_type,
            &self.resource_id,
            &self.server_at.to_string(),
        ]);
        Ok(Some((
            [key::join([&tenant, &self.channel]), format!("v#{name}")],
            self.server_bytes,
        )))
    }

    /// Where the payload of the first edit stands, if that is not here, and its bytes, where they
    /// are known.
    pub(super) fn client_place(&self) -> Result<Option<(PayloadKey, usize)>, Failure> {
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

    fn place_of(&self, edit: &str, part: Option<&str>) -> Result<PayloadKey, Failure> {
        let name = match part {
            Some(part) => keys::part(&self.id, part)?,
            None => format!("part#{}#{edit}", self.id),
        };
        Ok([self.pk.clone(), name])
    }

    /// Where all payloads stand that are not here.
    pub(super) fn places(&self) -> Result<Vec<PayloadKey>, Failure> {
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

    /// What the server held, where it held something.
    pub(super) fn server_payload(
        &mut self,
        texts: &PayloadTexts,
    ) -> Result<Option<String>, Failure> {
        let missing = Failure::unreadable("conflict", format!("server payload of {}", self.id));
        match self.server_place()? {
            Some((place, _)) => texts.of(place, "").ok_or(missing).map(Some),
            None if self.server_version == 0 => Ok(None),
            None => match self.server_payload.take() {
                Some(text) => Ok(Some(text)),
                None => self.unpacked()?[1].take().ok_or(missing).map(Some),
            },
        }
    }

    /// The conflict, given what stands apart.
    pub(super) fn read(mut self, texts: &PayloadTexts) -> Result<Conflict, Failure> {
        let id = self.id.clone();
        let slot = self.slot()?;
        let unreadable = |what: &str| Failure::unreadable("conflict", format!("{what} of {id}"));
        let time = self
            .detected_at
            .split_once('#')
            .map_or(self.detected_at.as_str(), |(time, _)| time);
        let detected_at =
            DateTime::parse_from_rfc3339(time).map_err(|_| unreadable("detected_at"))?;
        let channel = Channel::parse(&self.channel).ok_or_else(|| unreadable("channel"))?;
        let is_open = self.status == ConflictStatus::Open.as_str();
        if is_open == self.outcome.is_some() {
            return Err(unreadable("status"));
        }
        let server_payload = self.server_payload(texts)?;
        let opener = self
            .edits
            .first()
            .cloned()
            .ok_or_else(|| unreadable("edits"))?;
        let first = match self.client_place()? {
            Some((place, _)) => texts.of(place, &opener),
            None => self.client_payload.take().or(self.unpacked()?[0].take()),
        };
        let mut edits = vec![ConflictEdit {
            id: edit_id(&opener)?,
            action: self.action,
            payload: json(first.ok_or_else(|| unreadable("client payload"))?)?,
            client_version: self.client_version,
            base_version: self.base_version,
        }];
        for mut edit in std::mem::take(&mut self.joined) {
            let payload = match edit.client_payload.take() {
                Some(text) => Some(text),
                None => texts.of(self.place_of(&edit.edit, edit.part.as_deref())?, &edit.edit),
            };
            edits.push(ConflictEdit {
                id: edit_id(&edit.edit)?,
                action: edit.action,
                payload: json(payload.ok_or_else(|| unreadable("client payload"))?)?,
                client_version: edit.client_version,
                base_version: edit.base_version,
            });
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
            detected_at: detected_at.with_timezone(&Utc),
            code: self.code,
            server_payload: server_payload.map(json).transpose()?,
            server_version: self.server_version,
            server_deleted: self.server_deleted,
            outcome: self.outcome.map(OutcomeRow::read).transpose()?,
            id,
        })
    }
}

pub(super) fn json(text: String) -> Result<Json, Failure> {
    RawValue::from_string(text).map_err(|error| Failure::undecoded("payload", error))
}
