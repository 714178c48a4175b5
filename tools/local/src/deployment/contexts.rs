//! The context of each function: its environment as settings, its clients, and the optional parts
//! that its binary links.

use aws_sdk_dynamodb::Client;
use tidemark_aws::dead_letters::DeadLetters;
use tidemark_aws::media::Media;
use tidemark_aws::notifications::Notifications;
use tidemark_aws::{Clock, Context, Settings};

use super::{DeploymentError, environment};
use crate::template::Template;

/// Returns the context of a function: its [`environment`], `dynamodb` and `clock`.
///
/// # Errors
/// Returns an error if the environment lacks a setting or has an invalid one.
pub fn context(
    template: &Template,
    function: &str,
    dynamodb: Client,
    clock: Clock,
) -> Result<Context, DeploymentError> {
    let environment = environment(template, function)?;
    let settings_error = |reason| DeploymentError::Settings {
        function: function.to_owned(),
        reason,
    };

    let settings = Settings::from_env(&|name| environment.get(name).cloned())
        .map_err(|error| settings_error(error.to_string()))?;
    Context::new(settings, dynamodb, clock).map_err(|failure| settings_error(failure.to_string()))
}

/// The AWS clients of a function. Each function has its own clients, as on AWS, so that a call
/// identifies its function.
#[derive(Debug, Clone)]
pub struct Clients {
    /// DynamoDB client for the tables.
    pub dynamodb: Client,
    /// S3 client for the buckets.
    pub bucket: aws_sdk_s3::Client,
    /// SNS client for the topic; `None` if there is no SNS.
    pub sns: Option<aws_sdk_sns::Client>,
}

/// Returns a [`context`] with the media bucket, for the functions whose binaries link S3.
///
/// # Errors
/// Returns an error if the environment lacks a setting or has an invalid one.
pub fn context_with_media(
    template: &Template,
    function: &str,
    clients: Clients,
    clock: Clock,
) -> Result<Context, DeploymentError> {
    let context = context(template, function, clients.dynamodb, clock)?;
    let media = Media::new(clients.bucket, &context.settings.media);
    let media = media.map_err(|error| DeploymentError::Settings {
        function: function.to_owned(),
        reason: error.to_string(),
    })?;
    Ok(context.with_media(media))
}

/// Returns a [`context`] with the dead-letter bucket, and with the notification topic if there is
/// an SNS. It is for the functions that consume streams and for the function that counts dead
/// letters.
///
/// # Errors
/// Returns an error if the environment lacks a setting or has an invalid one.
pub fn stream_context(
    template: &Template,
    function: &str,
    clients: Clients,
    clock: Clock,
) -> Result<Context, DeploymentError> {
    let context = context(template, function, clients.dynamodb, clock)?;
    let settings_error = |reason: &str| DeploymentError::Settings {
        function: function.to_owned(),
        reason: reason.to_owned(),
    };

    let dead_letters = context
        .settings
        .failure_bucket
        .as_deref()
        .ok_or_else(|| settings_error("FAILURE_BUCKET is not set"))?;
    let dead_letters = DeadLetters::new(clients.bucket, dead_letters, function);

    let topic = context.settings.notification_topic.as_deref();
    let notifications = topic
        .zip(clients.sns)
        .map(|(topic, sns)| Notifications::new(sns, topic));

    Ok(context
        .with_dead_letters(dead_letters)
        .with_notifications(notifications))
}
