//! `devices`: tenant#user / device. How far each device has applied what it pulled (§4.8), with one
//! attribute per channel, so that an acknowledgement is a single update regardless of the stored
//! state.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    operation::update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    types::{AttributeValue, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure},
};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use tidemark_core::{
    model::{channel::Channel, key, principal::Principal},
    rules::ack::{AckPosition, Positions},
};

use super::{Row, Table, from_row, moment};
use crate::error::Error;

/// Prefix of the attributes that hold positions. The channel follows the prefix.
const POSITION: &str = "channel:";

/// The index of devices by tenant.
const BY_TENANT: &str = "by_tenant";

/// The key of a device within a tenant: user and device id.
pub type DeviceKey = [String; 2];

/// The key of a device's row: partition and sort key.
type Place = [String; 2];

/// Client for the table `devices`.
#[derive(Debug, Clone)]
pub struct Devices(pub(super) Table);

/// A device that has sent at least one acknowledgement.
#[derive(Debug, Clone)]
pub struct StoredDevice {
    /// The user that the device belongs to.
    pub user: String,
    /// The id of the device.
    pub device_id: String,
    /// The time of the first acknowledgement.
    pub first_seen: DateTime<Utc>,
    /// The time of the latest acknowledgement.
    pub last_seen: DateTime<Utc>,
    /// The app version that the device reported last.
    pub app_version: Option<String>,
    /// The channels that the device could pull at its latest acknowledgement.
    pub channels: Vec<Channel>,
    /// The acknowledged position per channel, including channels that the device could pull
    /// earlier.
    pub positions: Positions,
}

/// An acknowledgement that is about to be written.
#[derive(Debug, Clone)]
pub struct Note<'a> {
    /// The id of the caller's device.
    pub device_id: &'a str,
    /// The app version that the device reports.
    pub app_version: Option<&'a str>,
    /// The acknowledged position per channel.
    pub positions: Positions,
    /// The time of the acknowledgement.
    pub now: DateTime<Utc>,
}

/// The outcome of an acknowledgement.
#[derive(Debug, Clone)]
pub enum AckOutcome {
    /// The acknowledgement was written.
    Done,
    /// The acknowledgement was not written, because the device has acknowledged later positions in
    /// some channels. Contains the stored positions.
    Behind(Positions),
}

#[derive(Debug, Deserialize)]
struct DeviceRow {
    pk: String,
    sk: String,
    first_seen: i64,
    last_seen: i64,
    app_version: Option<String>,
    channels: Vec<String>,
}

impl Devices {
    /// Writes an acknowledgement atomically.
    ///
    /// The condition is that the position of no channel moves back. The text order of positions is
    /// their order, and a missing position is below all others. A caller has at most 102 channels,
    /// which keeps both expressions below DynamoDB's limits of 300 operators and 4 KB.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if the stored
    /// positions cannot be decoded.
    pub async fn note(&self, principal: &Principal, note: &Note<'_>) -> Result<AckOutcome, Error> {
        match self.acknowledgement(principal, note).send().await {
            Ok(_) => Ok(AckOutcome::Done),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => failed
                    .item()
                    .map(positions)
                    .transpose()
                    .map(|stored| AckOutcome::Behind(stored.unwrap_or_default())),
                _ => Err(Error::failed_call("update_item on devices", error)),
            },
        }
    }

    /// Builds the update that writes an acknowledgement.
    fn acknowledgement(&self, principal: &Principal, note: &Note<'_>) -> UpdateItemFluentBuilder {
        let channels = principal.pulled_channels();
        let channels = channels
            .iter()
            .map(|channel| string(&channel.to_string()))
            .collect();

        // The tenant is the key of an index. Writing the same value again does not cost an index
        // write.
        let mut set = "SET first_seen=if_not_exists(first_seen,:now),last_seen=:now,channels=:channels,tenant=:tenant".to_owned();
        let mut update = self
            .0
            .client
            .update_item()
            .table_name(&self.0.name)
            .set_key(Some(super::key(
                partition(&principal.tenant, &principal.user),
                note.device_id,
            )))
            .expression_attribute_values(
                ":now",
                AttributeValue::N(note.now.timestamp_millis().to_string()),
            )
            .expression_attribute_values(":channels", AttributeValue::L(channels))
            .expression_attribute_values(":tenant", string(&principal.tenant))
            .return_consumed_capacity(ReturnConsumedCapacity::Total);

        if let Some(app_version) = note.app_version {
            set.push_str(",app_version=:app_version");
            update = update.expression_attribute_values(":app_version", string(app_version));
        }

        set_positions(update, &mut set, &note.positions).update_expression(set)
    }

    /// Loads a device with a strongly consistent read; `None` if it has never sent an
    /// acknowledgement.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if the row
    /// cannot be decoded.
    pub async fn load(
        &self,
        tenant: &str,
        user: &str,
        device_id: &str,
    ) -> Result<Option<StoredDevice>, Error> {
        let get = self
            .0
            .client
            .get_item()
            .table_name(&self.0.name)
            .consistent_read(true);
        let get = get.set_key(Some(super::key(partition(tenant, user), device_id)));

        let response = get
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await;

        response
            .map_err(|error| Error::failed_call("get_item on devices", error))?
            .item
            .map(read)
            .transpose()
    }

    /// Returns at most `limit` devices of a user after the device `after`, ordered by id, and
    /// whether there are more. A DynamoDB response has at most 1 MB of rows, which keeps the API
    /// response below its size limit.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a row
    /// cannot be decoded.
    pub async fn list(
        &self,
        tenant: &str,
        user: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<StoredDevice>, bool), Error> {
        let partition = partition(tenant, user);
        // Requests one row more than the limit, to detect whether there are more.
        let rows_max = i32::try_from(limit + 1).unwrap_or(i32::MAX);

        let query = self
            .0
            .query(partition.clone())
            .key_condition_expression("pk = :pk")
            .limit(rows_max);
        let query = query.set_exclusive_start_key(after.map(|after| super::key(partition, after)));
        let response = query
            .send()
            .await
            .map_err(|error| Error::failed_call("query on devices", error))?;

        let devices: Vec<_> = response
            .items
            .unwrap_or_default()
            .into_iter()
            .map(read)
            .collect::<Result<_, _>>()?;
        let more = devices.len() > limit || response.last_evaluated_key.is_some();
        Ok((devices.into_iter().take(limit).collect(), more))
    }
}

impl Devices {
    /// Returns at most `limit` devices of a tenant after the device `after`, ordered by user, and
    /// the cursor of the last one if there are more. The index is eventually consistent; the rows
    /// are read strongly consistently.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a row
    /// cannot be decoded.
    pub async fn of_tenant(
        &self,
        tenant: &str,
        after: Option<DeviceKey>,
        limit: usize,
    ) -> Result<(Vec<StoredDevice>, Option<DeviceKey>), Error> {
        let (places, last) = self.places(tenant, after, limit).await?;
        let keys = places
            .iter()
            .map(|[partition, device_id]| super::key(partition, device_id))
            .collect();
        let rows: Vec<StoredDevice> = self
            .0
            .batch_get(keys)
            .await?
            .into_iter()
            .map(read)
            .collect::<Result<_, _>>()?;

        let mut devices: HashMap<Place, StoredDevice> = rows
            .into_iter()
            .map(|device| {
                (
                    [partition(tenant, &device.user), device.device_id.clone()],
                    device,
                )
            })
            .collect();
        Ok((
            places
                .iter()
                .filter_map(|place| devices.remove(place))
                .collect(),
            last,
        ))
    }

    /// Returns the keys of the rows of a page of a tenant's devices, and the cursor of the last one
    /// if there are more.
    async fn places(
        &self,
        tenant: &str,
        after: Option<DeviceKey>,
        limit: usize,
    ) -> Result<(Vec<Place>, Option<DeviceKey>), Error> {
        let start = after.map(|[user, device_id]| {
            let index = ("tenant".to_owned(), AttributeValue::S(tenant.to_owned()));
            super::key(partition(tenant, &user), device_id)
                .into_iter()
                .chain([index])
                .collect()
        });

        let response = self
            .0
            .query_index(BY_TENANT, "tenant", tenant)
            .set_exclusive_start_key(start)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| Error::failed_call("query on devices by tenant", error))?;

        let places = response
            .items
            .unwrap_or_default()
            .iter()
            .filter_map(place)
            .collect();
        let last = response.last_evaluated_key.as_ref().and_then(place);
        let last = last.and_then(|[partition, device_id]| {
            key::split(&partition).map(|[_, user]: [String; 2]| [user, device_id])
        });
        Ok((places, last))
    }
}

/// Adds positions to an update and to its expression `set`, on the condition that none of them
/// moves back.
fn set_positions(
    mut update: UpdateItemFluentBuilder,
    set: &mut String,
    positions: &Positions,
) -> UpdateItemFluentBuilder {
    let mut above = Vec::with_capacity(positions.len());
    for (index, (channel, acknowledged)) in positions.iter().enumerate() {
        set.push_str(&format!(",#c{index}=:c{index}"));
        above.push(format!("#c{index}>:c{index}"));
        update = update
            .expression_attribute_names(format!("#c{index}"), format!("{POSITION}{channel}"))
            .expression_attribute_values(format!(":c{index}"), string(&acknowledged.to_string()));
    }

    if !above.is_empty() {
        update = update
            .condition_expression(format!("NOT ({})", above.join(" OR ")))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    }
    update
}

fn string(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn place(row: &Row) -> Option<Place> {
    Some([
        super::text(row, "pk")?.to_owned(),
        super::text(row, "sk")?.to_owned(),
    ])
}

fn partition(tenant: &str, user: &str) -> String {
    key::join([tenant, user])
}

fn read(row: Row) -> Result<StoredDevice, Error> {
    let positions = positions(&row)?;
    let row: DeviceRow = from_row("device", row)?;
    let channels = row
        .channels
        .iter()
        .filter_map(|channel| Channel::parse(channel))
        .collect();

    let [_, user] = key::split(&row.pk).ok_or_else(|| Error::unreadable("device", &row.pk))?;
    Ok(StoredDevice {
        user,
        device_id: row.sk,
        first_seen: moment(row.first_seen)?,
        last_seen: moment(row.last_seen)?,
        app_version: row.app_version,
        channels,
        positions,
    })
}

fn positions(row: &Row) -> Result<Positions, Error> {
    let stored = row
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(POSITION)?, value)));
    let position = |(channel, value): (&str, &AttributeValue)| -> Option<(Channel, AckPosition)> {
        Some((Channel::parse(channel)?, value.as_s().ok()?.parse().ok()?))
    };
    let read = stored.map(position).collect::<Option<_>>();
    read.ok_or_else(|| Error::unreadable("device", "a position"))
}
