//! One run over the steps: each step becomes requests of the device or admin that it names.

mod submissions;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::json;
use tidemark_core::model::json::Json;
use tidemark_core::wire::ack::DevicesResponse;
use tidemark_core::wire::pull::{Change, PullResponse};
use tidemark_core::wire::push::PushResponse;
use tidemark_core::wire::status::StatusResponse;

use super::api::DemoApi;
use super::data::{AcknowledgeStep, People, PushStep, ReplayStep, ResolveAllStep, ResolveStep};
use super::error::DemoError;
use super::marks;

/// The user whom the printed texts name: an admin without groups.
pub const ADMIN: &str = "root";
/// The device of [`ADMIN`] that acknowledges in the last step.
const MARKER: &str = "demo-desk";

/// Interval between two looks at a change log that is behind.
const LOG_POLL_EVERY: Duration = Duration::from_millis(50);
/// Longest wait for the change log of a channel, in seconds.
const LOG_WAIT_MAX_S: u64 = 10;

/// A run, with what its earlier steps found.
pub struct DemoRun {
    api: DemoApi,
    people: People,
    /// Tokens by the name of their user.
    tokens: BTreeMap<String, String>,
    /// Responses to the batches, by their id.
    pushed: BTreeMap<String, PushResponse>,
    /// Media keys of the submissions, by the id of the submission.
    media: BTreeMap<String, Vec<String>>,
}

/// The body of a push.
#[derive(Serialize)]
struct DemoBatch<'a> {
    device_id: &'a str,
    client_sync_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_id: Option<&'a str>,
    items: Vec<Json>,
}

impl DemoRun {
    /// Returns a run before its first step, with a token for each user.
    pub fn new(api: DemoApi, people: People, tokens: BTreeMap<String, String>) -> Self {
        Self {
            api,
            people,
            tokens,
            pushed: BTreeMap::new(),
            media: BTreeMap::new(),
        }
    }

    /// Returns whether the last step has run.
    pub async fn is_complete(&self) -> Result<bool, DemoError> {
        self.has_acknowledged(ADMIN, MARKER).await
    }

    /// Returns whether a device has acknowledged at least once.
    async fn has_acknowledged(&self, user: &str, device_id: &str) -> Result<bool, DemoError> {
        let token = self.token(user)?;
        let list: DevicesResponse = self.api.get("devices?limit=200", token).await?;
        let mut devices = list.devices.iter();
        Ok(devices.any(|device| device.device_id == device_id))
    }

    /// Pushes the batch of a step and keeps the response.
    pub async fn push(&mut self, step: &PushStep) -> Result<(), DemoError> {
        let media = &self.media;
        let key = |label: &str| {
            let key = label.split_once('/').and_then(|(id, index)| {
                let index: usize = index.parse().ok()?;
                media.get(id)?.get(index).cloned()
            });
            key.ok_or_else(|| DemoError::Unknown(format!("the media key {label}")))
        };
        let items = step
            .items
            .iter()
            .map(|item| marks::replace(item, marks::MEDIA, key))
            .collect::<Result<_, _>>()?;

        let response = self.send(&step.device, Some(&step.batch), items).await?;
        self.pushed.insert(step.batch.clone(), response);
        Ok(())
    }

    /// Sends a push of a device and returns the response.
    async fn send(
        &self,
        device: &str,
        batch_id: Option<&str>,
        items: Vec<Json>,
    ) -> Result<PushResponse, DemoError> {
        let user = &self.people.device(device)?.user;
        let batch = DemoBatch {
            device_id: device,
            client_sync_token: None,
            batch_id,
            items,
        };
        let body = serde_json::to_string(&batch).map_err(|source| DemoError::Json {
            text: "a batch".to_owned(),
            source,
        })?;
        self.api.post("sync/push", self.token(user)?, body).await
    }

    /// Pulls everything that a user may read. Returns the changes and the token after them.
    async fn pull(
        &self,
        user: &str,
        device: Option<&str>,
    ) -> Result<(Vec<Change>, String), DemoError> {
        let (mut changes, mut since) = (Vec::new(), None::<String>);
        loop {
            let request = json!({ "since_token": since, "device_id": device, "limit": 500 });
            let page: PullResponse = self
                .api
                .post("sync/pull", self.token(user)?, request.to_string())
                .await?;

            changes.extend(page.changes);
            if !page.has_more {
                return Ok((changes, page.next_token));
            }
            since = Some(page.next_token);
        }
    }

    /// Lets each device of a step pull everything and acknowledge it. Unless the step is settled, a
    /// device that has acknowledged before is skipped.
    pub async fn acknowledge(&self, step: &AcknowledgeStep) -> Result<(), DemoError> {
        for id in &step.devices {
            let device = self.people.device(id)?;
            // A device that lags behind must not catch up when a run continues another one.
            if !step.settled && self.has_acknowledged(&device.user, id).await? {
                continue;
            }
            if step.settled {
                for channel in self.people.user(&device.user)?.channels() {
                    self.wait_for_log(&channel).await?;
                }
            }

            let (_, ack_token) = self.pull(&device.user, Some(id)).await?;
            let request = json!({
                "ack_token": ack_token, "device_id": id, "app_version": device.app_version,
            });
            let token = self.token(&device.user)?;
            let _: IgnoredAny = self
                .api
                .post("sync/ack", token, request.to_string())
                .await?;
        }
        Ok(())
    }

    /// Waits until the change log of a channel contains every change.
    async fn wait_for_log(&self, channel: &str) -> Result<(), DemoError> {
        let limit = Duration::from_secs(LOG_WAIT_MAX_S);
        match tokio::time::timeout(limit, self.poll_log(channel)).await {
            Ok(result) => result,
            Err(_) => Err(DemoError::LogBehind {
                channel: channel.to_owned(),
                seconds: LOG_WAIT_MAX_S,
            }),
        }
    }

    /// Compares the resources of a channel with its change log until the log contains them all.
    async fn poll_log(&self, channel: &str) -> Result<(), DemoError> {
        let query: String = form_urlencoded::byte_serialize(channel.as_bytes()).collect();
        // A `+` is a space in forms only.
        let route = format!("status?channel={}", query.replace('+', "%20"));
        loop {
            let status: StatusResponse = self.api.get(&route, self.token(ADMIN)?).await?;
            let mut comparisons = status
                .channels
                .iter()
                .filter_map(|channel| channel.comparison.as_ref());
            if comparisons.all(|comparison| comparison.not_in_log == 0) {
                return Ok(());
            }
            tokio::time::sleep(LOG_POLL_EVERY).await;
        }
    }

    /// Resolves the conflict of an item.
    pub async fn resolve(&self, step: &ResolveStep) -> Result<(), DemoError> {
        let ResolveStep { batch, item, .. } = step;
        let result = self.response(batch)?.results.get(*item);
        let conflict = result
            .and_then(|result| result.conflict_id.as_deref())
            .ok_or_else(|| DemoError::Unknown(format!("the conflict of {batch}, item {item}")))?;

        let route = format!("conflicts/{conflict}/resolve");
        let request = step.request.get().to_owned();
        let _: IgnoredAny = self
            .api
            .post(&route, self.token(&step.by)?, request)
            .await?;
        Ok(())
    }

    /// Resolves the conflicts of a batch in one request.
    pub async fn resolve_all(&self, step: &ResolveAllStep) -> Result<(), DemoError> {
        let results = &self.response(&step.batch)?.results;
        let conflicts: Vec<_> = results
            .iter()
            .filter_map(|result| result.conflict_id.as_deref())
            .map(|id| json!({ "id": id, "expected_server_version": step.expected_server_version }))
            .collect();

        let request = json!({
            "conflicts": conflicts, "resolution": step.resolution, "note": step.note,
        });
        let token = self.token(&step.by)?;
        let _: IgnoredAny = self
            .api
            .post("conflicts/resolve", token, request.to_string())
            .await?;
        Ok(())
    }

    /// Replays a batch as an admin.
    pub async fn replay(&self, step: &ReplayStep) -> Result<(), DemoError> {
        let route = format!("batches/{}/replay", self.response(&step.batch)?.batch_id);
        let token = self.token(&step.by)?;
        let _: IgnoredAny = self.api.post(&route, token, "{}".to_owned()).await?;
        Ok(())
    }

    /// Returns the response to a batch of an earlier step.
    fn response(&self, batch: &str) -> Result<&PushResponse, DemoError> {
        let response = self.pushed.get(batch);
        response.ok_or_else(|| DemoError::Unknown(format!("the batch {batch}")))
    }

    /// Returns the token of a user.
    fn token(&self, user: &str) -> Result<&str, DemoError> {
        let token = self.tokens.get(user).map(String::as_str);
        token.ok_or_else(|| DemoError::Unknown(format!("the user {user}")))
    }
}
