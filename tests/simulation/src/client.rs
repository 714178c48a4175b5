//! A device as docs/protocol.md, *Writing a client*, tells people to write one, to the letter: a
//! queue of edits, numbers that are fixed when an edit is made, a batch that is sent until it is
//! answered, copies that only pulls and answers change. Everything here is stored on the device, so
//! that a restart of the app loses none of it, and a backup holds all of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json, value::RawValue};
use tidemark_core::{
    patch,
    protocol::{
        pull::PullResponse,
        push::{ItemResult, PushResponse, Status},
    },
    token::Token,
};

/// Which resource, as the device knows it. The id of what it made itself is its temp id until the
/// server told another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// Its channel.
    pub channel: String,
    /// Its type.
    pub resource_type: String,
    /// Its id.
    pub id: String,
}

/// What the device has of a resource.
#[derive(Debug, Clone, Default)]
pub struct LocalCopy {
    /// The version of the last copy that it received.
    pub base: u64,
    /// The highest version it has heard of.
    pub known: u64,
    /// The highest `client_version` used for it.
    pub used: Option<u64>,
    /// The text of its payload; none where it is deleted, or not made yet.
    pub payload: Option<String>,
    /// It lacks versions of the device's own, which pulls have to bring.
    pub is_incomplete: bool,
}

impl LocalCopy {
    /// The server's copy is taken over.
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

/// Something a user typed.
#[derive(Debug, Clone)]
pub struct Edit {
    /// Which: no other has this number.
    pub number: u64,
    /// What it is about.
    pub name: Name,
    /// The item as it is sent.
    pub item: Value,
    /// Of a create or an update: the content, as text, without its id.
    pub content: String,
    /// Its `base_version`, whether it is sent or not.
    pub base: u64,
}

impl Edit {
    /// Its action.
    pub fn action(&self) -> &str {
        self.item["action"].as_str().unwrap_or_default()
    }

    /// Whether its content has its mark. A delete has no content, and what was typed as it was
    /// shown is not marked.
    pub fn is_marked(&self) -> bool {
        self.item["payload"].get(self.mark()).is_some()
    }

    /// The mark that stands in every payload that it is applied to, unless it has none.
    pub fn mark(&self) -> String {
        mark(self.number)
    }
}

/// The mark of an edit.
pub fn mark(number: u64) -> String {
    format!("e{number}")
}

/// A batch that was sent and not answered.
#[derive(Debug, Clone)]
pub struct SentBatch {
    /// The client's name for it, if it gives names.
    pub batch_id: Option<String>,
    /// The edits in it.
    pub edits: Vec<Edit>,
}

/// What a device stores.
#[derive(Debug, Default, Clone)]
pub struct Client {
    /// The device.
    pub device_id: String,
    /// Where its pulls stand.
    pub token: Option<String>,
    /// Its copies.
    pub copies: BTreeMap<Name, LocalCopy>,
    /// What was not answered yet, oldest first.
    pub queue: Vec<Edit>,
    /// What is on its way.
    pub sent: Option<SentBatch>,
    /// Whether it sends `base_version`.
    pub tells_base: bool,
    /// Whether it takes the token of a push's answer for its pulls.
    pub takes_push_token: bool,
    /// Whether it gives its batches names.
    pub names_batches: bool,
    /// Whether it does all that and asks for its own changes that it was not told of: what the page
    /// tells people to do today. Others do what older versions of the page allowed.
    pub is_documented: bool,
    /// The channels that it has pulled, and was not told to drop since.
    pub pulled: BTreeSet<String>,
    /// The channels whose copies are of a time that a restore has undone, as long as no pull said
    /// so.
    pub undone: BTreeSet<String>,
}

impl Client {
    /// Numbers an edit, and puts it into the queue. A name whose id is a temp id is one that the
    /// server has not told yet.
    pub fn type_edit(&mut self, number: u64, name: Name, action: &str, mut payload: Value) -> Edit {
        let content = payload.to_string();
        let waiting = self.waiting_for(&name).count() as u64;
        // An edit that is typed on top of others has their base: what came under them since, the
        // user has not seen.
        let first_base = self.waiting_for(&name).next().map(|edit| edit.base);
        let copy = self.copies.entry(name.clone()).or_default();
        let after_last = copy.used.map_or(0, |used| used + 1);
        // Older versions of the page gave every create 0.
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

    /// Every edit that was not answered.
    pub fn waiting(&self) -> impl Iterator<Item = &Edit> {
        self.sent
            .iter()
            .flat_map(|sent| &sent.edits)
            .chain(&self.queue)
    }

    /// The edits of a resource that were not answered, oldest first.
    pub fn waiting_for(&self, name: &Name) -> impl Iterator<Item = &Edit> {
        self.waiting().filter(move |edit| edit.name == *name)
    }

    /// The batch to send: the one that was not answered, or the first `most` edits of the queue, as
    /// a new one. Its name is made at random: a device that was restored from a backup does not
    /// know which names it has used.
    pub fn batch(&mut self, most: usize, random: u64) -> Option<&SentBatch> {
        if self.sent.is_none() && !self.queue.is_empty() {
            let edits: Vec<Edit> = self.queue.drain(..most.min(self.queue.len())).collect();
            let batch_id = self.names_batches.then(|| format!("batch-{random:016x}"));
            self.sent = Some(SentBatch { batch_id, edits });
        }
        self.sent.as_ref()
    }

    /// Forgets the batch that was sent, and not its edits: an app that was killed, and keeps only
    /// its queue.
    pub fn forget_batch(&mut self) {
        if let Some(sent) = self.sent.take() {
            self.queue.splice(0..0, sent.edits);
        }
    }

    /// The body of the push of that batch.
    pub fn push_body(&self, sent: &SentBatch) -> Value {
        let items: Vec<&Value> = sent.edits.iter().map(|edit| &edit.item).collect();
        let mut body =
            json!({"device_id": self.device_id, "client_sync_token": self.token, "items": items});
        if let Some(batch_id) = &sent.batch_id {
            body["batch_id"] = batch_id.as_str().into();
        }
        body
    }

    /// Takes the answer to the batch that was sent. What may be tried again goes back into the
    /// queue.
    pub fn answered(&mut self, response: &PushResponse) {
        let Some(sent) = self.sent.take() else { return };
        let mut again = Vec::new();
        for (edit, result) in sent.edits.into_iter().zip(&response.results) {
            match result.status {
                Status::Ok => self.applied(&edit, result),
                Status::Conflict => self.rejected(&edit, result),
                Status::Error if result.is_retryable() => again.push(Edit {
                    name: self.told_id(&edit, result),
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

    /// An edit was applied, now or before. If there are versions before that one which the device
    /// has not heard of, its pulls have to bring them.
    fn applied(&mut self, edit: &Edit, result: &ItemResult) {
        let name = self.told_id(edit, result);
        let version = result.server_version.unwrap_or_default();
        let copy = self.copies.entry(name).or_default();
        if result.server_payload_omitted || version <= copy.base {
            return; // a pull brings it, or has brought it
        }
        if let Some(payload) = &result.server_payload {
            if version >= copy.known {
                copy.receive(Some(payload.get().to_owned()), version);
            }
            return;
        }
        if edit.action() == "delete" && self.is_documented {
            copy.base = version; // of a deleted resource there is nothing more to receive
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

    /// An edit stands in a conflict: the server's copy is taken over, if it is no older than what
    /// the device has.
    fn rejected(&mut self, edit: &Edit, result: &ItemResult) {
        let name = self.told_id(edit, result);
        let copy = self.copies.entry(name).or_default();
        let Some(version) = result.server_version else {
            return;
        }; // there was no such resource: what the user typed is a draft
        if result.server_payload_omitted || version < copy.known {
            return; // a pull brings it, or has brought something newer
        }
        copy.receive(
            result
                .server_payload
                .as_ref()
                .map(|payload| payload.get().to_owned()),
            version,
        );
    }

    /// The name of what an edit is about, now that the server has told its id.
    fn told_id(&mut self, edit: &Edit, result: &ItemResult) -> Name {
        let Some(id) = &result.server_id else {
            return edit.name.clone();
        };
        let told = Name {
            id: id.clone(),
            ..edit.name.clone()
        };
        if told != edit.name {
            if let Some(copy) = self.copies.remove(&edit.name) {
                // A pull may have brought it already.
                let used = copy.used;
                let told = self.copies.entry(told.clone()).or_insert(copy);
                told.used = told.used.max(used);
            }
            self.queue
                .iter_mut()
                .filter(|waiting| waiting.name == edit.name)
                .for_each(|waiting| waiting.name = told.clone());
        }
        told
    }

    /// The body of a pull.
    pub fn pull_body(&self, limit: u64) -> Value {
        let mut body =
            json!({"since_token": self.token, "device_id": self.device_id, "limit": limit});
        if self.is_documented {
            body["own_changes"] = "unanswered".into();
        }
        body
    }

    /// Applies a page of a pull.
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
            // Below what it knows, the copy has later edits of its own. A delete leaves the
            // numbers.
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

    /// Drops the rows of groups that it never pulled, and that its JWT does not name any more: no
    /// pull tells of them.
    pub fn drop_unpulled(&mut self, groups: &[String]) {
        let is_left = |channel: &str| {
            channel
                .strip_prefix("group/")
                .is_some_and(|group| groups.iter().all(|own| own != group))
        };
        self.copies
            .retain(|name, _| self.pulled.contains(&name.channel) || !is_left(&name.channel));
    }

    /// The channels that its token stands in.
    pub fn pulled_channels(&self) -> BTreeSet<String> {
        let token = self
            .token
            .as_deref()
            .map(|token| Token::decode(token).unwrap())
            .unwrap_or_default();
        token.channels.keys().map(ToString::to_string).collect()
    }

    /// What the device shows: what is there, but for edits that wait.
    pub fn shown(&self) -> BTreeMap<Name, String> {
        self.copies
            .iter()
            .filter_map(|(name, copy)| Some((name.clone(), copy.payload.clone()?)))
            .collect()
    }
}

/// A merge patch applied, as the server does it.
fn merge(payload: &str, patch: &str) -> String {
    let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
    patch::merge(&raw(payload), &raw(patch)).0.get().to_owned()
}

/// Whether an id is a temp id of a device's.
pub fn is_temp_id(id: &str) -> bool {
    id.starts_with("tmp-")
}
