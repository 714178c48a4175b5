//! The demo data: its users and devices, and the steps that fill a tenant. The texts are in JSON
//! files beside this module, so that payloads keep the digits and the order that they show there.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tidemark_core::model::json::Json;

use super::error::DemoError;

/// The users and devices of the demo data.
#[derive(Debug, Deserialize)]
pub struct People {
    users: Vec<DemoUser>,
    devices: Vec<DemoDevice>,
}

/// A user of the demo data.
#[derive(Debug, Deserialize)]
pub struct DemoUser {
    /// Id and name of the user.
    pub name: String,
    /// Roles in the user's tokens.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Groups in the user's tokens.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// A device of a user.
#[derive(Debug, Deserialize)]
pub struct DemoDevice {
    /// Id of the device.
    pub id: String,
    /// Name of the user who owns it.
    pub user: String,
    /// App version that its acknowledgements report.
    pub app_version: String,
}

impl People {
    /// Returns all users, admins included.
    pub fn users(&self) -> &[DemoUser] {
        &self.users
    }

    /// Returns a user by name.
    ///
    /// # Errors
    /// Returns [`DemoError::Unknown`] if no user has the name.
    pub fn user(&self, name: &str) -> Result<&DemoUser, DemoError> {
        let mut users = self.users.iter();
        users
            .find(|user| user.name == name)
            .ok_or_else(|| DemoError::Unknown(format!("the user {name}")))
    }

    /// Returns a device by its id.
    ///
    /// # Errors
    /// Returns [`DemoError::Unknown`] if no device has the id.
    pub fn device(&self, id: &str) -> Result<&DemoDevice, DemoError> {
        let mut devices = self.devices.iter();
        devices
            .find(|device| device.id == id)
            .ok_or_else(|| DemoError::Unknown(format!("the device {id}")))
    }
}

impl DemoUser {
    /// Returns the names of the channels that the user pulls.
    pub fn channels(&self) -> impl Iterator<Item = String> {
        let own = ["tenant".to_owned(), format!("user/{}", self.name)];
        let groups = self.groups.iter().map(|group| format!("group/{group}"));
        own.into_iter().chain(groups)
    }
}

/// One step. The steps run in their order.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A device pushes a batch.
    Push(PushStep),
    /// A device uploads photos and creates the submissions that show them.
    Submit(SubmitStep),
    /// Devices pull everything and acknowledge it.
    Acknowledge(AcknowledgeStep),
    /// An admin resolves a conflict.
    Resolve(ResolveStep),
    /// An admin resolves all conflicts of a batch in one request.
    ResolveAll(ResolveAllStep),
    /// An admin replays a batch.
    Replay(ReplayStep),
}

impl Step {
    /// Returns the text about this step and the silent ones after it, if it has one.
    pub fn say(&self) -> Option<&str> {
        match self {
            Self::Push(step) => step.say.as_deref(),
            Self::Submit(step) => step.say.as_deref(),
            Self::Acknowledge(step) => step.say.as_deref(),
            Self::Resolve(step) => step.say.as_deref(),
            Self::ResolveAll(_) | Self::Replay(_) => None,
        }
    }
}

/// A batch that a device pushes, with the same items in each run.
#[derive(Debug, Deserialize)]
pub struct PushStep {
    say: Option<String>,
    /// Id of the device.
    pub device: String,
    /// `batch_id` of the batch, by which other steps refer to it.
    pub batch: String,
    /// Items of the push. A text `@media:<submission>/<index>` in them denotes a media key of a
    /// submission.
    pub items: Vec<Json>,
}

/// Submissions with photos. The media keys are new in each run, so existing submissions are not
/// sent again.
#[derive(Debug, Deserialize)]
pub struct SubmitStep {
    say: Option<String>,
    /// Id of the device.
    pub device: String,
    /// Payloads with an `id`. A text `@photo:<reading>` in `media` denotes a photo of a meter with
    /// this reading.
    pub submissions: Vec<Json>,
}

/// Acknowledgements of several devices, one after the other.
#[derive(Debug, Deserialize)]
pub struct AcknowledgeStep {
    say: Option<String>,
    /// Whether the step waits until the change logs contain all changes.
    #[serde(default)]
    pub settled: bool,
    /// Ids of the devices.
    pub devices: Vec<String>,
}

/// A resolution of a conflict.
#[derive(Debug, Deserialize)]
pub struct ResolveStep {
    say: Option<String>,
    /// Batch that contains the conflicting item.
    pub batch: String,
    /// Index of the item in the batch.
    pub item: usize,
    /// Name of the admin.
    pub by: String,
    /// Body of the request.
    pub request: Json,
}

/// A resolution of all conflicts of a batch.
#[derive(Debug, Deserialize)]
pub struct ResolveAllStep {
    /// The batch, each item of which is a conflict.
    pub batch: String,
    /// Name of the admin.
    pub by: String,
    /// Resolution of each conflict.
    pub resolution: String,
    /// Version of each resource.
    pub expected_server_version: u64,
    /// Reason, for the audit log.
    pub note: String,
}

/// A replay of a batch.
#[derive(Debug, Deserialize)]
pub struct ReplayStep {
    /// Batch that an earlier step pushed.
    pub batch: String,
    /// Name of the admin.
    pub by: String,
}

/// Returns the users and the devices.
///
/// # Errors
/// Returns [`DemoError::Json`] if the file of this build is invalid. A test verifies that it is
/// valid.
pub fn people() -> Result<People, DemoError> {
    read("people.json", include_str!("people.json"))
}

/// Returns the steps: first the records that devices store, then the events about them. The files
/// contain bidirectional controls as escapes, so that editors show them; devices send the
/// characters.
///
/// # Errors
/// Returns [`DemoError::Json`] if a file of this build is invalid. A test verifies that they are
/// valid.
pub fn steps() -> Result<Vec<Step>, DemoError> {
    let events = include_str!("events.json")
        .replace(r"\u202e", "\u{202e}")
        .replace(r"\u202c", "\u{202c}");
    let mut steps: Vec<Step> = read("records.json", include_str!("records.json"))?;
    steps.extend(read::<Vec<Step>>("events.json", &events)?);
    Ok(steps)
}

fn read<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, DemoError> {
    serde_json::from_str(text).map_err(|source| DemoError::Json {
        text: file.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_name_existing_users_and_devices() {
        let people = people().unwrap();
        assert_eq!(people.users().len(), 8);

        for device in &people.devices {
            people.user(&device.user).unwrap();
        }
        for step in steps().unwrap() {
            let devices = match &step {
                Step::Push(step) => vec![step.device.clone()],
                Step::Submit(step) => vec![step.device.clone()],
                Step::Acknowledge(step) => step.devices.clone(),
                Step::Resolve(ResolveStep { by, .. })
                | Step::ResolveAll(ResolveAllStep { by, .. })
                | Step::Replay(ReplayStep { by, .. }) => {
                    assert_eq!(people.user(by).unwrap().roles, ["admin"]);
                    Vec::new()
                }
            };
            for id in devices {
                people.device(&id).unwrap();
            }
        }
    }

    #[test]
    fn batches_are_resolved_after_their_push() {
        let mut pushed = Vec::new();
        for step in steps().unwrap() {
            match step {
                Step::Push(step) => {
                    assert!(!pushed.contains(&step.batch), "{}", step.batch);
                    pushed.push(step.batch);
                }
                Step::Resolve(ResolveStep { batch, .. })
                | Step::ResolveAll(ResolveAllStep { batch, .. })
                | Step::Replay(ReplayStep { batch, .. }) => {
                    assert!(pushed.contains(&batch), "{batch}");
                }
                Step::Submit(_) | Step::Acknowledge(_) => {}
            }
        }
    }
}
