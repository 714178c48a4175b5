//! `devices`: tenant#user / device. How far each device has applied what it pulled (§4.8): one
//! attribute per channel, so that an acknowledgement is one write whatever stood there before.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{AttributeValue, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure},
};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use tidemark_core::{
    ack::{AckPosition, Positions},
    channel::Channel,
    key,
    principal::Principal,
};

use super::{Row, Table, from_row, moment};
use crate::failure::Failure;

/// What the attributes that hold positions begin with; the channel follows.
const POSITION: &str = "channel:";

/// The index by tenant.
const BY_TENANT: &str = "by_tenant";

/// A device of a tenant, by its user and its id.
pub type DeviceKey = [String; 2];

/// The table of devices.
#[derive(Debug, Clone)]
pub struct Devices(pub(super) Table);

/// A device that has acknowledged something.
#[derive(Debug, Clone)]
pub struct StoredDevice {
    /// Whose it is.
    pub user: String,
    /// Its id.
    pub device_id: String,
    /// When it acknowledged first.
    pub first_seen: DateTime<Utc>,
    /// When it acknowledged last.
    pub last_seen: DateTime<Utc>,
    /// As it said last.
    pub app_version: Option<String>,
    /// The channels it could pull when it acknowledged last.
    pub channels: Vec<Channel>,
    /// How far it has applied them, and channels it could pull before.
    pub positions: Positions,
}

/// An acknowledgement to be written.
#[derive(Debug, Clone)]
pub struct Note<'a> {
    /// Which device of the caller.
    pub device_id: &'a str,
    /// As it says.
    pub app_version: Option<&'a str>,
    /// How far it has applied what.
    pub positions: Positions,
    /// When.
    pub now: DateTime<Utc>,
}

/// What became of an acknowledgement.
#[derive(Debug, Clone)]
pub enum AckOutcome {
    /// It is written.
    Done,
    /// Nothing is: in some channels the device stands further ahead already. Where it stands.
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
    /// Writes an acknowledgement, whole or not at all.
    ///
    /// The condition: no channel's position moves back. Text order of positions is their order, and
    /// a missing one is above none. A caller has at most 102 channels, which keeps both expressions
    /// below DynamoDB's 300 operators and 4 KB.
    ///
    /// # Errors
    /// An outage.
    pub async fn note(
        &self,
        principal: &Principal,
        note: &Note<'_>,
    ) -> Result<AckOutcome, Failure> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let channels = principal.pulled_channels();
        let channels = channels
            .iter()
            .map(|channel| text(&channel.to_string()))
            .collect();
        // The tenant is the key of an index: written anew it is the same, and costs nothing.
        let mut set = "SET first_seen=if_not_exists(first_seen,:now),last_seen=:now,channels=:channels,tenant=:tenant".to_owned();
        let mut above = Vec::with_capacity(note.positions.len());
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
            .expression_attribute_values(":tenant", text(&principal.tenant))
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        if let Some(app_version) = note.app_version {
            set.push_str(",app_version=:app_version");
            update = update.expression_attribute_values(":app_version", text(app_version));
        }
        for (index, (channel, acknowledged)) in note.positions.iter().enumerate() {
            set.push_str(&format!(",#c{index}=:c{index}"));
            above.push(format!("#c{index}>:c{index}"));
            update = update
                .expression_attribute_names(format!("#c{index}"), format!("{POSITION}{channel}"))
                .expression_attribute_values(format!(":c{index}"), text(&acknowledged.to_string()));
        }
        if !above.is_empty() {
            update = update
                .condition_expression(format!("NOT ({})", above.join(" OR ")))
                .return_values_on_condition_check_failure(
                    ReturnValuesOnConditionCheckFailure::AllOld,
                );
        }
        match update.update_expression(set).send().await {
            Ok(_) => Ok(AckOutcome::Done),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => failed
                    .item()
                    .map(positions)
                    .transpose()
                    .map(|stored| AckOutcome::Behind(stored.unwrap_or_default())),
                _ => Err(Failure::outage("update_item on devices", error)),
            },
        }
    }

    /// A device, strongly consistently; `None` if it never acknowledged anything.
    ///
    /// # Errors
    /// An outage.
    pub async fn load(
        &self,
        tenant: &str,
        user: &str,
        device_id: &str,
    ) -> Result<Option<StoredDevice>, Failure> {
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
            .map_err(|error| Failure::outage("get_item on devices", error))?
            .item
            .map(read)
            .transpose()
    }

    /// At most `limit` devices of a user behind the device `after`, by id, and whether there are
    /// more. The table answers 1 MB of rows at most, which keeps what is told of them below the
    /// bound of an answer.
    ///
    /// # Errors
    /// An outage.
    pub async fn list(
        &self,
        tenant: &str,
        user: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<StoredDevice>, bool), Failure> {
        let partition = partition(tenant, user);
        // One more than is wanted says whether there is one more.
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
            .map_err(|error| Failure::outage("query on devices", error))?;
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
    /// At most `limit` devices of a tenant behind the device `after`, by user, and where the last
    /// of them stands if there are more. The index may lag behind by a moment; the rows are read
    /// strongly consistently.
    ///
    /// # Errors
    /// An outage.
    pub async fn of_tenant(
        &self,
        tenant: &str,
        after: Option<DeviceKey>,
        limit: usize,
    ) -> Result<(Vec<StoredDevice>, Option<DeviceKey>), Failure> {
        let start = after.map(|[user, device_id]| {
            let index = ("tenant".to_owned(), AttributeValue::S(tenant.to_owned()));
            super::key(partition(tenant, &user), device_id)
                .into_iter()
                .chain([index])
                .collect()
        });
        let query = self
            .0
            .query_index(BY_TENANT, "tenant", tenant)
            .set_exclusive_start_key(start);
        let response = query
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await;
        let response =
            response.map_err(|error| Failure::outage("query on devices by tenant", error))?;
        let place = |row: &Row| {
            Some([
                super::text(row, "pk")?.to_owned(),
                super::text(row, "sk")?.to_owned(),
            ])
        };
        let places: Vec<DeviceKey> = response
            .items
            .unwrap_or_default()
            .iter()
            .filter_map(place)
            .collect();
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
        let mut devices: HashMap<DeviceKey, StoredDevice> = rows
            .into_iter()
            .map(|device| {
                (
                    [partition(tenant, &device.user), device.device_id.clone()],
                    device,
                )
            })
            .collect();
        let last = response.last_evaluated_key.as_ref().and_then(place);
        let last = last.and_then(|[partition, device_id]| {
            key::split(&partition).map(|[_, user]: [String; 2]| [user, device_id])
        });
        Ok((
            places
                .iter()
                .filter_map(|place| devices.remove(place))
                .collect(),
            last,
        ))
    }
}

fn partition(tenant: &str, user: &str) -> String {
    key::join([tenant, user])
}

fn read(row: Row) -> Result<StoredDevice, Failure> {
    let positions = positions(&row)?;
    let row: DeviceRow = from_row("device", row)?;
    let channels = row
        .channels
        .iter()
        .filter_map(|channel| Channel::parse(channel))
        .collect();
    let [_, user] = key::split(&row.pk).ok_or_else(|| Failure::unreadable("device", &row.pk))?;
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

fn positions(row: &Row) -> Result<Positions, Failure> {
    let stored = row
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(POSITION)?, value)));
    let position = |(channel, value): (&str, &AttributeValue)| -> Option<(Channel, AckPosition)> {
        Some((Channel::parse(channel)?, value.as_s().ok()?.parse().ok()?))
    };
    let read = stored.map(position).collect::<Option<_>>();
    read.ok_or_else(|| Failure::unreadable("device", "a position"))
}
