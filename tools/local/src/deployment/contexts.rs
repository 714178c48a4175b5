//! The context of each function: its environment as settings, its clients, and the optional parts
//! that its binary links.

use aws_sdk_dynamodb::Client;
use tidemark_aws::dead_letters::DeadLetters;
use tidemark_aws::media::Media;
use tidemark_aws::{Clock, Context, Settings};

use super::{DeploymentError, environment};
use crate::auth;
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
    let settings = settings(template, function)?;
    Context::new(settings, dynamodb, clock)
        .map_err(|failure| settings_error(function, &failure.to_string()))
}

fn settings(template: &Template, function: &str) -> Result<Settings, DeploymentError> {
    let environment = environment(template, function)?;
    Settings::from_env(&|name| environment.get(name).cloned())
        .map_err(|error| settings_error(function, &error.to_string()))
}

fn settings_error(function: &str, reason: &str) -> DeploymentError {
    DeploymentError::Settings {
        function: function.to_owned(),
        reason: reason.to_owned(),
    }
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
    let media = media(&context.settings, function, clients.bucket)?;
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
    let dead_letters = dead_letters(&context.settings, function, clients.bucket)?;
    Ok((context, dead_letters))
}

/// Returns a [`context`] and the clients of both buckets, for the console. If the template configures
/// no identity provider, the console has the sign-in of the local runner, which accepts any user.
///
/// # Errors
/// Returns an error if the environment lacks a setting or has an invalid one.
pub fn context_of_console(
    template: &Template,
    clients: Clients,
    clock: Clock,
) -> Result<(Context, Media, DeadLetters), DeploymentError> {
    const CONSOLE: &str = "console";
    let mut settings = settings(template, CONSOLE)?;
    if settings.console.provider.is_none() {
        settings.console.development = Some(auth::mint_for_console);
    }

    let media = media(&settings, CONSOLE, clients.bucket.clone())?;
    let dead_letters = dead_letters(&settings, CONSOLE, clients.bucket)?;
    let context = Context::new(settings, clients.dynamodb, clock)
        .map_err(|failure| settings_error(CONSOLE, &failure.to_string()))?;
    Ok((context, media, dead_letters))
}

fn media(
    settings: &Settings,
    function: &str,
    bucket: aws_sdk_s3::Client,
) -> Result<Media, DeploymentError> {
    Media::new(bucket, &settings.media)
        .map_err(|error| settings_error(function, &error.to_string()))
}

fn dead_letters(
    settings: &Settings,
    function: &str,
    client: aws_sdk_s3::Client,
) -> Result<DeadLetters, DeploymentError> {
    let bucket = settings.failure_bucket.as_deref();
    let bucket = bucket.ok_or_else(|| settings_error(function, "FAILURE_BUCKET is not set"))?;
    Ok(DeadLetters::new(client, bucket, function))
}
