//! Everything that can be observed of a deployment, in a form that can be compared between runs.
//!
//! Differences that are allowed in every scenario, and why:
//! - Random ids (UUIDv7: of audit entries, and of batches without a client's id) are replaced by
//!   the same text, because each attempt generates new ones. So are the shards of the audit log,
//!   which follow from the ids of batches.
//! - If the engine's stream is sequenced, positions in the change log and its division into
//!   segments: the engine numbers records by the machine's time, and concurrent writes may take
//!   either order. Instead, the comparison checks that the log is linked up to its head and that
//!   the versions of each resource are in order.
//! - Times, if the caller retries later ([`Times::Differ`]).

mod canonical;
mod change_log;
mod stored;

use std::{collections::BTreeMap, fmt::Debug};

use serde_json::{Value, json};
use tidemark::store::{BUCKET, DEAD_LETTER_BUCKET};
use tidemark_tests::{Device, Stack};

use canonical::canonical;

use super::CrashScenario;

/// Whether times are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    /// Times must be equal, because all of it happens at one moment.
    Count,
    /// Times may differ, because part of it happens later.
    Differ,
}

/// Devices that follow the change log with a token from before the scenario.
pub(super) struct Readers<'a> {
    devices: Vec<(Device<'a>, Vec<Value>)>,
}

impl<'a> Readers<'a> {
    /// Pulls with Ana's phone, which acts in most scenarios, and with another device of hers.
    pub(super) async fn before(scenario: &impl CrashScenario, stack: &'a Stack) -> Self {
        if scenario.is_sequenced() {
            stack.settle().await;
        }
        let mut devices = Vec::new();
        for device_id in ["phone", "tablet"] {
            let token = stack.token("acme", "ana", &[], &["north"]);
            let mut device = Device::new(stack, token, device_id);
            device.pull().await;
            devices.push((device, Vec::new()));
        }
        Self { devices }
    }

    /// Pulls the available changes with each device.
    pub(super) async fn read(&mut self, scenario: &impl CrashScenario, stack: &Stack) {
        if scenario.is_sequenced() {
            stack.settle().await;
        }
        for (device, changes) in &mut self.devices {
            changes.extend(device.pull().await);
        }
    }

    /// Returns the changes that each device has pulled, and the snapshot of a new device like it.
    async fn pulled(self, stack: &Stack) -> BTreeMap<String, Vec<Value>> {
        let mut pulled = BTreeMap::new();
        for (device, changes) in self.devices {
            let name = format!("{} since then", device.device_id);
            assert_eq!(device.resets, 0, "{name}: a crash resets no channel");
            let mut fresh = Device::new(stack, device.token.clone(), &device.device_id);
            let snapshot = fresh.pull().await;

            // A device's own changes are not delivered to it.
            if device.device_id != "phone" {
                assert_eq!(
                    fresh.live(),
                    device.live(),
                    "{name}: the followed log and a snapshot agree"
                );
            }

            pulled.insert(format!("{name} of {}", pulled.len()), changes);
            pulled.insert(
                format!("{} of {} afresh", device.device_id, pulled.len()),
                snapshot,
            );
        }
        pulled
    }
}

/// The observed content of each place, sorted.
#[derive(Debug, PartialEq)]
pub(super) struct Observations(BTreeMap<String, Vec<String>>);

impl Observations {
    /// Observes a deployment after a scenario.
    pub(super) async fn of(
        scenario: &impl CrashScenario,
        stack: &Stack,
        readers: Readers<'_>,
        response: Value,
        times: Times,
    ) -> Self {
        let mut places = BTreeMap::from([("response".to_owned(), vec![response])]);
        places.extend(tables(scenario, stack));
        for bucket in [BUCKET, DEAD_LETTER_BUCKET] {
            places.insert(
                format!("bucket {bucket}"),
                stored::objects(stack, bucket).await,
            );
        }
        places.insert("topic".into(), published(stack));
        places.extend(readers.pulled(stack).await);

        let compared = |(place, things): (String, Vec<Value>)| {
            let mut things: Vec<String> = scenario
                .exempt(&place, things)
                .into_iter()
                .map(|thing| canonical(thing, times).to_string())
                .collect();
            things.sort();
            (place, things)
        };
        Self(places.into_iter().map(compared).collect())
    }

    /// Panics unless the observations equal those of a run without a crash.
    pub(super) fn assert_is(&self, whole: &Self, context: &str) {
        for (place, expected) in &whole.0 {
            let seen = &self.0[place];
            if seen != expected {
                let only = |these: &[String], those: &[String]| -> Vec<String> {
                    these
                        .iter()
                        .filter(|item| !those.contains(item))
                        .cloned()
                        .collect()
                };
                panic!(
                    "{context}: {place} holds {} things instead of {}\nonly with the crash: {:#?}\nonly without: {:#?}",
                    seen.len(),
                    expected.len(),
                    only(seen, expected),
                    only(expected, seen)
                );
            }
        }

        assert_eq!(self.0.len(), whole.0.len(), "{context}");
    }
}

/// Returns the rows of all tables, so that a new table is compared too.
fn tables(scenario: &impl CrashScenario, stack: &Stack) -> BTreeMap<String, Vec<Value>> {
    let listed = stack.dynamodb("ListTables", &json!({}));
    let tables = listed["TableNames"].as_array().expect("tables").iter();
    tables
        .map(|table| table.as_str().expect("a name"))
        .map(|table| {
            let rows = stored::rows(stack, table, scenario.is_sequenced());
            (format!("table {table}"), rows)
        })
        .collect()
}

/// Returns the messages on the topic.
fn published(stack: &Stack) -> Vec<Value> {
    stack
        .topic
        .published()
        .into_iter()
        .map(|it| json!([it.topic, it.message, it.attributes]))
        .collect()
}
