//! The notification topic (§5.5), which informs subscribers of resolved conflicts. `tidemark-core`
//! defines the content of a message.

use aws_sdk_sns::{
    Client,
    error::SdkError,
    operation::publish::PublishError,
    types::{MessageAttributeValue, builders::MessageAttributeValueBuilder},
};
use tidemark_core::wire::notifications::ConflictResolved;

use crate::error::Error;

/// The client of the notification topic.
#[derive(Debug, Clone)]
pub struct Notifications {
    client: Client,
    topic: String,
}

/// The outcome of publishing a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishOutcome {
    /// SNS accepted the message and delivers it to the subscribers.
    Done,
    /// SNS rejects the message permanently, for this reason.
    Rejected(String),
}

impl Notifications {
    /// Creates a client for a topic, given its ARN.
    pub fn new(client: Client, topic: &str) -> Self {
        Self {
            client,
            topic: topic.to_owned(),
        }
    }

    /// Publishes a message. If the response is lost, a retry may publish it twice.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if SNS is unavailable. A deleted topic and a missing permission
    /// count as unavailable, because an operator can restore them while the stream retains the
    /// record.
    pub async fn publish(&self, resolved: &ConflictResolved) -> Result<PublishOutcome, Error> {
        let mut publish = self
            .client
            .publish()
            .topic_arn(&self.topic)
            .message(resolved.message());

        for (name, value) in resolved.attributes() {
            let attribute = text(value)
                .build()
                .map_err(|error| Error::unencoded("attribute", error))?;
            publish = publish.message_attributes(name, attribute);
        }

        match publish.send().await {
            Ok(_) => Ok(PublishOutcome::Done),
            Err(error) if is_permanent(&error) => Ok(PublishOutcome::Rejected(
                Error::failed_call("publish", error).to_string(),
            )),
            Err(error) => Err(Error::failed_call("publish", error)),
        }
    }
}

fn text(value: &str) -> MessageAttributeValueBuilder {
    MessageAttributeValue::builder()
        .data_type("String")
        .string_value(value)
}

/// Returns whether SNS rejects the message itself.
fn is_permanent<R>(error: &SdkError<PublishError, R>) -> bool {
    error.as_service_error().is_some_and(|error| {
        error.is_invalid_parameter_exception()
            || error.is_invalid_parameter_value_exception()
            || error.is_validation_exception()
    })
}
