//! The functions that consume streams.

use aws_lambda_events::event::streams::DynamoDbEventResponse;
use lambda_http::LambdaEvent;
use tidemark_aws::dead_letters::DeadLetters;
use tidemark_aws::notifications::Notifications;
use tidemark_aws::stream::StreamEvent;
use tidemark_aws::{Clock, Context};
use tidemark_core::model::json::Json;

use super::{Clients, DeploymentError, context_with_dead_letters, lambda_context};
use crate::BoxFuture;
use crate::template::Template;

/// The dependencies of a function that consumes a stream.
#[derive(Debug, Clone)]
pub struct StreamConsumer {
    /// The context of the function.
    pub context: Context,
    /// Client of the dead-letter bucket.
    pub dead_letters: DeadLetters,
    /// Client of the notification topic; `None` if the deployment has no topic or there is no SNS.
    pub topic: Option<Notifications>,
}

impl StreamConsumer {
    /// Handles a batch of the stream of `resources` with the function `changelog`.
    pub async fn sequence(&self, event: LambdaEvent<StreamEvent>) -> DynamoDbEventResponse {
        tidemark_changelog::handle(&self.context, &self.dead_letters, event).await
    }

    /// Handles any event of the function `changelog`.
    ///
    /// # Errors
    /// Returns an error if the event is a batch that cannot be decoded.
    pub async fn invoke_changelog(
        &self,
        event: LambdaEvent<Json>,
    ) -> Result<Json, lambda_http::Error> {
        tidemark_changelog::invoked(&self.context, &self.dead_letters, event).await
    }

    /// Handles a batch of the stream of `conflicts` with the function `notify`.
    pub async fn notify(&self, event: LambdaEvent<StreamEvent>) -> DynamoDbEventResponse {
        let topic = self.topic.as_ref();
        tidemark_notify::handle(&self.context, &self.dead_letters, topic, event).await
    }
}

/// Returns the dependencies of a function that consumes a stream.
///
/// # Errors
/// Returns an error if the environment lacks a setting or has an invalid one.
pub fn stream_consumer(
    template: &Template,
    function: &str,
    clients: Clients,
    clock: Clock,
) -> Result<StreamConsumer, DeploymentError> {
    let sns = clients.sns.clone();
    let (context, dead_letters) = context_with_dead_letters(template, function, clients, clock)?;
    let topic = context.settings.notification_topic.as_deref();
    let topic = topic
        .zip(sns)
        .map(|(topic, sns)| Notifications::new(sns, topic));
    Ok(StreamConsumer {
        context,
        dead_letters,
        topic,
    })
}

/// A function that consumes stream batches, as the event source mapping calls it.
pub type StreamFunction = Box<
    dyn Fn(StreamEvent) -> BoxFuture<'static, Result<DynamoDbEventResponse, String>> + Send + Sync,
>;

/// Returns the stream consumer with this name. A panic in it fails the batch, as on Lambda.
///
/// # Errors
/// Returns `NoStreamFunction` if no function of that name consumes stream batches.
pub fn stream_function(
    name: &str,
    consumer: StreamConsumer,
) -> Result<StreamFunction, DeploymentError> {
    let is_changelog = match name {
        "changelog" => true,
        "notify" => false,
        _ => return Err(DeploymentError::NoStreamFunction(name.to_owned())),
    };

    Ok(Box::new(move |event| {
        let consumer = consumer.clone();
        let event = LambdaEvent::new(event, lambda_context(&consumer.context.clock));
        let handling = async move {
            if is_changelog {
                consumer.sequence(event).await
            } else {
                consumer.notify(event).await
            }
        };
        Box::pin(async move {
            let handled = tokio::spawn(handling).await;
            handled.map_err(|error| error.to_string())
        })
    }))
}
