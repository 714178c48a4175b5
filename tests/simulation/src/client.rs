//! A device that implements docs/protocol.md, *Writing a client*, literally: a queue of edits,
//! client versions that are fixed when an edit is made, a batch that is sent until its response
//! arrives, and copies that only pulls and responses change. All of this state is stored on the
//! device, so that a restart of the app loses none of it and a backup contains all of it.

mod edit;

pub use edit::{Edit, Name, is_temp_id, mark};

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json, value::RawValue};
use tidemark_core::{
    rules::patch,
    wire::{
        pull::PullResponse,
        push::{ItemResult, PushResponse, Status},
        token::Token,
    },
};

/// The copy of a resource on a device.
#[derive(Debug, Clone, Default)]
pub struct LocalCopy {
    /// The server version of the last content that the device received.
    pub base: u64,
    /// The highest server version that the device knows of.
    pub known: u64,
    /// The highest `client_version` used for the resource.
    pub used: Option<u64>,
    /// The payload as JSON text; `None` if the resource is deleted or does not exist yet.
    pub payload: Option<String>,
    /// Whether the copy lacks earlier versions of this device, which pulls have to deliver.
    pub is_incomplete: bool,
}

impl LocalCopy {
    /// Replaces the copy with the server's.
    fn receive(&mut self, payload: Option<String>, version: u64) {
        *self = Self {
            payload,
            base: version,
            known: version,
            used: self.used,
            is_incomplete: false,
        };
    }
}

/// A batch that was sent and whose response has not arrived.
#[derive(Debug, Clone)]
pub struct SentBatch {
    /// The `batch_id`, if the client names its batches.
    pub batch_id: Option<String>,
    /// The edits in the batch.
    pub edits: Vec<Edit>,
}

/// The state that a device stores.
#[derive(Debug, Default, Clone)]
pub struct Client {
    /// The id of the device.
    pub device_id: String,
    /// The sync token of the next pull.
    pub token: Option<String>,
    /// The copies of resources, by name.
    pub copies: BTreeMap<Name, LocalCopy>,
    /// The edits to send next, oldest first.
    pub queue: Vec<Edit>,
    /// The batch whose response is pending.
    pub sent: Option<SentBatch>,
    /// Whether the client sends `base_version`.
    pub tells_base: bool,
    /// Whether the client uses the token of a push response for its pulls.
    pub takes_push_token: bool,
    /// Whether the client names its batches.
    pub names_batches: bool,
    /// Whether the client follows the current protocol page: it does all of the above and requests
    /// its own changes whose responses it did not receive. Other clients follow older versions of
    /// the page.
    pub is_documented: bool,
    /// The channels that the client has pulled and that were not revoked since.
    pub pulled: BTreeSet<String>,
    /// The channels whose copies originate from a state that a restore has undone, until a pull
    /// resets them.
    pub undone: BTreeSet<String>,
}

impl Client {
    /// Numbers an edit and appends it to the queue. The id in `name` is a temp id until the server
    /// has reported the resource's id.
    pub fn type_edit(&mut self, number: u64, name: Name, action: &str, mut payload: Value) -> Edit {
        let content = payload.to_string();
        let waiting = self.waiting_for(&name).count() as u64;
        // An edit on top of pending edits has their base version: the user has not seen the
        // versions that a pull delivered below them.
        let first_base = self.waiting_for(&name).next().map(|edit| edit.base);
        let copy = self.copies.entry(name.clone()).or_default();
        let after_last = copy.used.map_or(0, |used| used + 1);

        // Older versions of the protocol page gave every create the client version 0.
        let is_zero = action == "create" && !self.is_documented;
        let version = if is_zero {
            0
        } else {
            (copy.known + waiting).max(after_last)
        };
        copy.used = Some(copy.used.unwrap_or_default().max(version));
        let base = first_base.unwrap_or(copy.base);

        let mut item = json!({"resource_type": name.resource_type, "action": action, "client_version": version, "channel": name.channel});
        if is_temp_id(&name.id) {
            item["client_temp_id"] = name.id.clone().into();
        } else {
            payload["id"] = name.id.clone().into();
        }
        item["payload"] = payload;
        if self.tells_base {
            item["base_version"] = base.into();
        }

        let edit = Edit {
            number,
            name,
            item,
            content,
            base,
        };
        self.queue.push(edit.clone());
        edit
    }

    /// Returns every edit whose result has not arrived.
    pub fn waiting(&self) -> impl Iterator<Item = &Edit> {
        self.sent
            .iter()
            .flat_map(|sent| &sent.edits)
            .chain(&self.queue)
    }

    /// Returns the edits of a resource whose results have not arrived, oldest first.
    pub fn waiting_for(&self, name: &Name) -> impl Iterator<Item = &Edit> {
        self.waiting().filter(move |edit| edit.name == *name)
    }

    /// Returns the batch to send: the batch without a response, or a new batch of the first `most`
    /// edits of the queue. Its `batch_id` is random, because a device that was restored from a
    /// backup does not know which ids it has used.
    pub fn batch(&mut self, most: usize, random: u64) -> Option<&SentBatch> {
        if self.sent.is_none() && !self.queue.is_empty() {
            let edits: Vec<Edit> = self.queue.drain(..most.min(self.queue.len())).collect();
            let batch_id = self.names_batches.then(|| format!("batch-{random:016x}"));
            self.sent = Some(SentBatch { batch_id, edits });
        }
        self.sent.as_ref()
    }

    /// Discards the sent batch and returns its edits to the queue, like an app that was killed and
    /// stores only its queue.
    pub fn forget_batch(&mut self) {
        if let Some(sent) = self.sent.take() {
            self.queue.splice(0..0, sent.edits);
        }
    }

    /// Returns the body of the push of this batch.
    pub fn push_body(&self, sent: &SentBatch) -> Value {
        let items: Vec<&Value> = sent.edits.iter().map(|edit| &edit.item).collect();
        let mut body =
            json!({"device_id": self.device_id, "client_sync_token": self.token, "items": items});
        if let Some(batch_id) = &sent.batch_id {
            body["batch_id"] = batch_id.as_str().into();
        }
        body
    }

    /// Processes the response to the sent batch. Edits with a retryable error return to the queue.
    pub fn answered(&mut self, response: &PushResponse) {
        let Some(sent) = self.sent.take() else { return };

        let mut again = Vec::new();
        for (edit, result) in sent.edits.into_iter().zip(&response.results) {
            match result.status {
                Status::Ok => self.applied(&edit, result),
                Status::Conflict => self.rejected(&edit, result),
                Status::Error if result.is_retryable() => again.push(Edit {
                    name: self.adopt_server_id(&edit, result),
                    ..edit
                }),
                Status::Error => {}
            }
        }

        self.queue.splice(0..0, again);
        if self.takes_push_token
            && !(self.is_documented && self.copies.values().any(|copy| copy.is_incomplete))
        {
            self.token = Some(response.server_sync_token.clone());
        }
    }

    /// Processes an `ok` result: the edit was applied, now or earlier. If the device does not know
    /// all versions before it, its pulls have to deliver them.
    fn applied(&mut self, edit: &Edit, result: &ItemResult) {
        let name = self.adopt_server_id(edit, result);
        let version = result.server_version.unwrap_or_default();
        let copy = self.copies.entry(name).or_default();
        if result.server_payload_omitted || version <= copy.base {
            return; // a pull delivers it, or has delivered it
        }

        if let Some(payload) = &result.server_payload {
            if version >= copy.known {
                copy.receive(Some(payload.get().to_owned()), version);
            }
            return;
        }

        if edit.action() == "delete" && self.is_documented {
            copy.base = version; // a deleted resource has no more content to receive
        } else {
            copy.is_incomplete |= version > copy.known + 1;
        }

        copy.known = copy.known.max(version);
        copy.payload = match edit.action() {
            "delete" => None,
            "create" => Some(edit.content.clone()),
            _ => copy
                .payload
                .as_deref()
                .map(|payload| merge(payload, &edit.content)),
        };
    }

    /// Processes a `conflict` result: the server's copy replaces the device's copy unless the
    /// device knows a newer version.
    fn rejected(&mut self, edit: &Edit, result: &ItemResult) {
        let name = self.adopt_server_id(edit, result);
        let copy = self.copies.entry(name).or_default();
        let Some(version) = result.server_version else {
            return;
        }; // the resource does not exist: the user's edit remains a draft
        if result.server_payload_omitted || version < copy.known {
            return; // a pull delivers it, or has delivered a newer version
        }

        copy.receive(
            result
                .server_payload
                .as_ref()
                .map(|payload| payload.get().to_owned()),
            version,
        );
    }

    /// Returns the name of the edited resource with the id that the server reported, and renames
    /// the copy and the queued edits.
    fn adopt_server_id(&mut self, edit: &Edit, result: &ItemResult) -> Name {
        let Some(id) = &result.server_id else {
            return edit.name.clone();
        };

        let renamed = Name {
            id: id.clone(),
            ..edit.name.clone()
        };

        if renamed != edit.name {
            if let Some(copy) = self.copies.remove(&edit.name) {
                // A pull may have delivered the resource already.
                let used = copy.used;
                let renamed = self.copies.entry(renamed.clone()).or_insert(copy);
                renamed.used = renamed.used.max(used);
            }
            self.queue
                .iter_mut()
                .filter(|waiting| waiting.name == edit.name)
                .for_each(|waiting| waiting.name = renamed.clone());
        }
        renamed
    }

    /// Returns the body of a pull.
    pub fn pull_body(&self, limit: u64) -> Value {
        let mut body =
            json!({"since_token": self.token, "device_id": self.device_id, "limit": limit});
        if self.is_documented {
            body["own_changes"] = "unanswered".into();
        }
        body
    }

    /// Applies a page of a pull response.
    pub fn apply(&mut self, page: PullResponse) {
        self.undone.retain(|channel| !page.reset.contains(channel));
        for channel in page.revoked.iter().chain(&page.reset) {
            let of_channel = self
                .copies
                .iter_mut()
                .filter(|(name, _)| name.channel == *channel);
            of_channel.for_each(|(_, copy)| {
                *copy = LocalCopy {
                    used: copy.used,
                    ..LocalCopy::default()
                }
            });
        }

        for change in page.changes {
            let name = Name {
                channel: change.channel,
                resource_type: change.resource_type,
                id: change.id,
            };
            let copy = self.copies.entry(name).or_default();
            // If a newer version is known, the copy contains later edits of this device. A delete
            // keeps the version numbers.
            if change.server_version > copy.base && change.server_version >= copy.known {
                copy.receive(
                    change.payload.map(|payload| payload.get().to_owned()),
                    change.server_version,
                );
            }
        }

        self.token = Some(page.next_token);
        self.pulled
            .retain(|channel| !page.revoked.contains(channel));
        self.pulled.extend(self.pulled_channels());
    }

    /// Drops the copies of groups that the client never pulled and that its JWT no longer names: no
    /// pull revokes them.
    pub fn drop_unpulled(&mut self, groups: &[String]) {
        let is_left = |channel: &str| {
            channel
                .strip_prefix("group/")
                .is_some_and(|group| groups.iter().all(|own| own != group))
        };
        self.copies
            .retain(|name, _| self.pulled.contains(&name.channel) || !is_left(&name.channel));
    }

    /// Returns the channels that the sync token contains.
    pub fn pulled_channels(&self) -> BTreeSet<String> {
        let token = self
            .token
            .as_deref()
            .map(|token| Token::decode(token).unwrap())
            .unwrap_or_default();
        token.channels.keys().map(ToString::to_string).collect()
    }

    /// Returns the payloads that the device displays, without pending edits.
    pub fn shown(&self) -> BTreeMap<Name, String> {
        self.copies
            .iter()
            .filter_map(|(name, copy)| Some((name.clone(), copy.payload.clone()?)))
            .collect()
    }
}

/// Applies a merge patch as the server does.
fn merge(payload: &str, patch: &str) -> String {
    let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
    patch::merge(&raw(payload), &raw(patch)).0.get().to_owned()
}
