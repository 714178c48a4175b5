//! SNS for the AWS SDK without a socket. It stores the published messages, with the same hook
//! before and after each call as the engine's client. Tests read the messages; the runner has no
//! topic, because no client could subscribe to it.

mod client;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::Reply;

pub use client::{TopicClient, sns_client};

/// A message that was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedMessage {
    /// ARN of the topic.
    pub topic: String,
    /// Text of the message.
    pub message: String,
    /// Message attributes, all of type `String`.
    pub attributes: BTreeMap<String, String>,
}

/// The published messages. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Topic(Arc<Mutex<Vec<PublishedMessage>>>);

impl Topic {
    /// Returns all published messages in the order of their arrival.
    #[must_use]
    pub fn published(&self) -> Vec<PublishedMessage> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Handles one request of SNS's query protocol and returns the response.
    #[must_use]
    pub fn take(&self, body: &[u8]) -> Reply {
        let fields: BTreeMap<String, String> = form_urlencoded::parse(body).into_owned().collect();

        match publish(&fields) {
            Ok(published) => {
                let mut messages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                messages.push(published);
                let id = messages.len();
                let namespace = "http://sns.amazonaws.com/doc/2010-03-31/";
                let xml = format!(
                    "<PublishResponse xmlns=\"{namespace}\"><PublishResult><MessageId>{id}</MessageId></PublishResult></PublishResponse>"
                );
                Reply {
                    status: 200,
                    body: xml.into_bytes(),
                }
            }
            Err(reason) => rejection(
                400,
                "InvalidParameter",
                &format!("Invalid parameter: {reason}"),
            ),
        }
    }
}

/// Returns an error response of SNS, for example for `(500, "InternalError", "try again")`.
#[must_use]
pub fn rejection(status: u16, code: &str, message: &str) -> Reply {
    let xml = format!(
        "<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    );
    Reply {
        status,
        body: xml.into_bytes(),
    }
}

/// Parses a `Publish` request. Rejects the parameters that the documentation of SNS excludes.
fn publish(fields: &BTreeMap<String, String>) -> Result<PublishedMessage, &'static str> {
    let field = |name: &str| fields.get(name).filter(|value| !value.is_empty());
    if field("Action").is_none_or(|action| action != "Publish") {
        return Err("Action");
    }

    let mut attributes = BTreeMap::new();
    for number in 1.. {
        let entry = |part: &str| field(&format!("MessageAttributes.entry.{number}.{part}"));
        let Some(name) = entry("Name") else { break };
        let value = entry("Value.StringValue").ok_or("Message attribute value")?;
        if entry("Value.DataType").is_none_or(|kind| kind != "String")
            || !value.chars().all(is_text)
        {
            return Err("Message attribute value");
        }
        attributes.insert(name.clone(), value.clone());
    }

    let message = field("Message")
        .filter(|message| message.chars().all(is_text))
        .ok_or("Message")?
        .clone();

    Ok(PublishedMessage {
        topic: field("TopicArn").ok_or("TopicArn")?.clone(),
        message,
        attributes,
    })
}

/// Returns whether SNS allows the character in a message.
fn is_text(letter: char) -> bool {
    !matches!(letter, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}')
}
