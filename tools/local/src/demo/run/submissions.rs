//! Submissions with photos. Each upload has a new media key, so a run sends only the submissions
//! that do not exist.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::to_raw_value;
use tidemark_core::model::json::Json;
use tidemark_core::wire::media::PresignResponse;

use super::super::data::SubmitStep;
use super::super::error::DemoError;
use super::super::{marks, photo};
use super::DemoRun;

/// The create of a submission.
#[derive(Serialize)]
struct DemoSubmission {
    resource_type: &'static str,
    action: &'static str,
    client_version: u64,
    payload: Json,
}

/// The fields of a submission that a run reads.
#[derive(Deserialize)]
struct SubmissionFields {
    id: Option<String>,
    #[serde(default)]
    media: Vec<String>,
}

impl DemoRun {
    /// Uploads the photos of the submissions that do not exist yet, and creates these submissions.
    pub async fn submit(&mut self, step: &SubmitStep) -> Result<(), DemoError> {
        let user = self.people.device(&step.device)?.user.clone();
        self.read_submissions(&user).await?;

        let mut items = Vec::new();
        for payload in &step.submissions {
            let id = fields(payload)?.id.unwrap_or_default();
            if !self.media.contains_key(&id) {
                items.push(self.submission(&user, payload).await?);
            }
        }
        if items.is_empty() {
            return Ok(());
        }

        // Without a batch id, because the media keys are new.
        self.send(&step.device, None, items).await?;
        self.read_submissions(&user).await
    }

    /// Uploads the photos of a submission and returns the item that creates it.
    async fn submission(&self, user: &str, payload: &Json) -> Result<Json, DemoError> {
        let mut keys = BTreeMap::new();
        for reading in marks::labels(payload.get(), marks::PHOTO) {
            let key = self.upload(user, reading).await?;
            keys.insert(reading.to_owned(), key);
        }

        let payload = marks::replace(payload, marks::PHOTO, |reading| {
            let key = keys.get(reading).cloned();
            key.ok_or_else(|| DemoError::Unknown(format!("the photo {reading}")))
        })?;
        let item = DemoSubmission {
            resource_type: "submission",
            action: "create",
            client_version: 0,
            payload,
        };
        to_raw_value(&item).map_err(|source| DemoError::Json {
            text: "a submission".to_owned(),
            source,
        })
    }

    /// Uploads the photo of a reading and returns its media key.
    async fn upload(&self, user: &str, reading: &str) -> Result<String, DemoError> {
        let photo = photo::photo(reading);
        let request = json!({
            "filename": format!("{reading}.png"),
            "content_type": "image/png",
            "content_length": photo.len(),
            "resource_type": "submission",
        });
        let presigned: PresignResponse = self
            .api
            .post("media/presign", self.token(user)?, request.to_string())
            .await?;

        self.api
            .put(&presigned.upload_url, &presigned.headers, photo)
            .await?;
        Ok(presigned.key)
    }

    /// Reads the media keys of a user's submissions from the server.
    async fn read_submissions(&mut self, user: &str) -> Result<(), DemoError> {
        let (changes, _) = self.pull(user, None).await?;
        let submissions = changes
            .into_iter()
            .filter(|change| change.resource_type == "submission");
        for change in submissions {
            if let Some(payload) = &change.payload {
                self.media.insert(change.id, fields(payload)?.media);
            }
        }
        Ok(())
    }
}

/// Returns the fields of a submission.
fn fields(payload: &Json) -> Result<SubmissionFields, DemoError> {
    serde_json::from_str(payload.get()).map_err(|source| DemoError::Json {
        text: "a submission".to_owned(),
        source,
    })
}
