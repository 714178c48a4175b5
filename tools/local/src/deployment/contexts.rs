//! The context of each function: its environment as settings, its clients, and the optional parts
//! that its binary links.

use aws_sdk_dynamodb::Client;
use tidemark_aws::dead_letters::DeadLetters;
use tidemark_aws::media::Media;
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

/// Returns a [`context`] and the client of the media bucket, for the functions that use the bucket.
///
/// # Errors
/// Returns an error if the environment lacks a setting or has an invalid one.
pub fn context_with_media(
    template: &Template,
    function: &str,
    clients: Clients,
    clock: Clock,
) -> Result<(Context, Media), DeploymentError> {
    let context = context(template, function, clients.dynamodb, clock)?;
    let media = Media::new(clients.bucket, &context.settings.media);
    let media = media.map_err(|error| DeploymentError::Settings {
        function: function.to_owned(),
        reason: error.to_string(),
    })?;
    Ok((context, media))
}

/// Returns a [`context`] and the client of the dead-letter bucket, for the functions that use the
/// bucket.
///
/// # Errors
/// Returns an error if the environment lacks a setting or has an invalid one.
pub fn context_with_dead_letters(
    template: &Template,
    function: &str,
    clients: Clients,
    clock: Clock,
) -> Result<(Context, DeadLetters), DeploymentError> {
    let context = context(template, function, clients.dynamodb, clock)?;
    let bucket =
        context
            .settings
            .failure_bucket
            .as_deref()
            .ok_or_else(|| DeploymentError::Settings {
                function: function.to_owned(),
                reason: "FAILURE_BUCKET is not set".to_owned(),
            })?;
    let dead_letters = DeadLetters::new(clients.bucket, bucket, function);
    Ok((context, dead_letters))
}
