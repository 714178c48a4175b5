//! The names of the DynamoDB tables.

use super::{SettingsError, Variables};

/// The names of the DynamoDB tables.
#[derive(Debug, Clone)]
pub struct TableNames {
    /// `RESOURCES_TABLE`: the name of table `resources`.
    pub resources: String,
    /// `CHANGES_TABLE`: the name of table `changes`.
    pub changes: String,
    /// `SYNC_BATCHES_TABLE`: the name of table `sync_batches`.
    pub sync_batches: String,
    /// `SYNC_ITEMS_TABLE`: the name of table `sync_items`.
    pub sync_items: String,
    /// `CONFLICTS_TABLE`: the name of table `conflicts`.
    pub conflicts: String,
    /// `SUBMISSION_MEDIA_TABLE`: the name of table `submission_media`.
    pub submission_media: String,
    /// `DEVICES_TABLE`: the name of table `devices`.
    pub devices: String,
    /// `UNIQUE_KEYS_TABLE`: the name of table `unique_keys`.
    pub unique_keys: String,
    /// `AUDIT_LOG_TABLE`: the name of table `audit_log`.
    pub audit_log: String,
}

impl TableNames {
    pub(super) fn from_env(variables: Variables<'_>) -> Result<Self, SettingsError> {
        Ok(Self {
            resources: variables.required("RESOURCES_TABLE")?,
            changes: variables.required("CHANGES_TABLE")?,
            sync_batches: variables.required("SYNC_BATCHES_TABLE")?,
            sync_items: variables.required("SYNC_ITEMS_TABLE")?,
            conflicts: variables.required("CONFLICTS_TABLE")?,
            submission_media: variables.required("SUBMISSION_MEDIA_TABLE")?,
            devices: variables.required("DEVICES_TABLE")?,
            unique_keys: variables.required("UNIQUE_KEYS_TABLE")?,
            audit_log: variables.required("AUDIT_LOG_TABLE")?,
        })
    }
}
