//! The notification topic (§5.5): subscribers are told of decided conflicts. What a message says is
//! decided in `tidemark-core`.

use aws_sdk_sns::{
    Client,
    error::SdkError,
    operation::publish::PublishError,
    types::{MessageAttributeValue, builders::MessageAttributeValueBuilder},
};
use tidemark_core::protocol::notifications::ConflictResolved;

use crate::failure::Failure;

/// The notification topic.
#[derive(Debug, Clone)]
pub struct Notifications {
    client: Client,
    topic: String,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishOutcome {
    /// SNS has it, and tells the subscribers.
    Done,
    /// SNS will never take it, and why.
    Rejected(String),
}

impl Notifications {
    /// The topic of that name, which is an ARN.
    pub fn new(client: Client, topic: &str) -> Self {
        Self {
            client,
            topic: topic.to_owned(),
        }
    }

    /// Publishes a message. Where the answer is lost it may be published twice.
    ///
    /// # Errors
    /// An outage; so are a topic that is gone and a right that is missing, which somebody can mend
    /// while the stream keeps the record.
    pub async fn publish(&self, resolved: &ConflictResolved) -> Result<PublishOutcome, Failure> {
        let mut publish = self
            .client
            .publish()
            .topic_arn(&self.topic)
            .message(resolved.message());
        for (name, value) in resolved.attributes() {
            let attribute = text(value)
                .build()
                .map_err(|error| Failure::unreadable("attribute", error))?;
            publish = publish.message_attributes(name, attribute);
        }
        match publish.send().await {
            Ok(_) => Ok(PublishOutcome::Done),
            Err(error) if is_for_good(&error) => Ok(PublishOutcome::Rejected(
                Failure::outage("publish", error).to_string(),
            )),
            Err(error) => Err(Failure::outage("publish", error)),
        }
    }
}

fn text(value: &str) -> MessageAttributeValueBuilder {
    MessageAttributeValue::builder()
        .data_type("String")
        .string_value(value)
}

/// Whether SNS says that the message itself is at fault.
fn is_for_good<R>(error: &SdkError<PublishError, R>) -> bool {
    error.as_service_error().is_some_and(|error| {
        error.is_invalid_parameter_exception()
            || error.is_invalid_parameter_value_exception()
            || error.is_validation_exception()
    })
}
