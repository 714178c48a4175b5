//! SNS for the AWS SDK without a socket. It stores the published messages, with the same hook
//! before and after each call as the engine's client. Tests read the messages; the runner has no
//! topic, because no client could subscribe to it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_sns::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_sns::config::{
    BehaviorVersion, Builder, Credentials, Region, StalledStreamProtectionConfig,
};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

use crate::engine::Reply;
use crate::engine::http::{Call, Hook, NoHook, evaluate, respond};

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

/// An HTTP client for the SDK that calls a [`Topic`].
#[derive(Clone)]
pub struct TopicClient {
    topic: Topic,
    hook: Arc<dyn Hook>,
}

impl TopicClient {
    /// Returns a client without a hook.
    #[must_use]
    pub fn new(topic: Topic) -> Self {
        Self::with_hook(topic, Arc::new(NoHook))
    }

    /// Returns a client that calls `hook` before and after each request.
    #[must_use]
    pub fn with_hook(topic: Topic, hook: Arc<dyn Hook>) -> Self {
        Self { topic, hook }
    }

    async fn exchange(&self, body: &[u8]) -> Result<HttpResponse, ConnectorError> {
        let call = Call {
            operation: "Publish",
            body,
        };

        if let Some(forged) = evaluate(self.hook.before(&call).await).await? {
            return respond(forged);
        }
        let reply = self.topic.take(body);
        respond(
            evaluate(self.hook.after(&call, &reply).await)
                .await?
                .unwrap_or(reply),
        )
    }
}

impl std::fmt::Debug for TopicClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TopicClient")
    }
}

impl HttpConnector for TopicClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.clone();
        HttpConnectorFuture::new(async move {
            client
                .exchange(request.body().bytes().unwrap_or_default())
                .await
        })
    }
}

impl HttpClient for TopicClient {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// Returns an SNS client over `client`, with fixed credentials and its own retry budget.
#[must_use]
pub fn sns_client(client: TopicClient) -> aws_sdk_sns::Client {
    static CLIENTS: AtomicU64 = AtomicU64::new(0);
    let partition = format!("tidemark-topic-{}", CLIENTS.fetch_add(1, Ordering::Relaxed));

    let config = Builder::new()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static("us-east-1"))
        .endpoint_url("http://sns.localhost")
        .credentials_provider(Credentials::new(
            "tidemark", "tidemark", None, None, "topic",
        ))
        .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(10)))
        .retry_partition(RetryPartition::new(partition))
        // The protection measures real time, while tests advance virtual time. Nothing streams
        // here.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(client);
    aws_sdk_sns::Client::from_conf(config.build())
}
