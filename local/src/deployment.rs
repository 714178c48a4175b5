//! `template.yaml` made real on this machine: its tables in the engine, its functions with the
//! environments it gives them. Tests build their own stacks from the same parts.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lambda_events::event::streams::DynamoDbEventResponse;
use aws_sdk_dynamodb::Client;
use lambda_http::{Context as LambdaContext, LambdaEvent};
use serde_json::Value;
use tidemark_aws::dead_letters::DeadLetters;
use tidemark_aws::media::Media;
use tidemark_aws::notifications::Notifications;
use tidemark_aws::stream::StreamEvent;
use tidemark_aws::{Clock, Context, Settings};

use crate::engine::Engine;
use crate::gateway::invoke::{Invocation, Invocations};
use crate::gateway::{Function, Functions};
use crate::store::{ACCESS_KEY, SECRET_KEY};
use crate::template::{Template, TemplateError};
use crate::{BoxFuture, auth};

/// The origins whose pages may use every runner: those that a development server on this machine
/// serves, on any port.
pub const LOCAL_ORIGINS: &str =
    "http://localhost:*,http://127.0.0.1:*,http://[::1]:*,https://localhost:*";
/// Authenticates media keys on this machine: like the development key of the tokens, it is no
/// secret at all.
const MEDIA_SECRET: &str = "tidemark-development-media-secret-for-this-machine-only";

/// Why the template cannot be made real.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentError {
    /// The template.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The engine refused a table.
    #[error("the embedded DynamoDB refused {operation} for the table {table}: {reply}")]
    Table {
        /// Which request.
        operation: &'static str,
        /// The table.
        table: String,
        /// The engine's answer.
        reply: String,
    },
    /// A function's environment is not what it needs.
    #[error(
        "the {function} function does not start with the environment template.yaml gives it: {reason}"
    )]
    Settings {
        /// The function.
        function: String,
        /// What it said.
        reason: String,
    },
    /// A stream mapping names a function that is not linked in.
    #[error("template.yaml maps a stream to the function {0:?}, which this build does not have")]
    NoStreamFunction(String),
    /// The runner sets a parameter the template does not have.
    #[error("template.yaml has no parameter {0}, which the local runner sets")]
    NoParameter(&'static str),
}

/// Creates the tables that do not exist yet. Existing ones are left as they are, with what they
/// hold, but for a stream and indexes that the template gave them since: those are added.
///
/// # Errors
/// A definition in the template is incomplete, or the engine refuses it.
pub fn create_tables(engine: &Engine, template: &Template) -> Result<(), DeploymentError> {
    for table in template.tables()? {
        let call = |operation: &'static str, request: &Value| {
            let reply = engine.call(operation, request.to_string().as_bytes());
            let words = String::from_utf8_lossy(&reply.body).into_owned();
            if reply.status == 200 {
                Ok(words)
            } else {
                Err((operation, words))
            }
        };
        let created = match call("CreateTable", &table.create) {
            // Switched on twice, a stream would start anew and forget what it holds.
            Err((_, words)) if words.contains("ResourceInUseException") => {
                call("DescribeTable", &table.describe()).and_then(|described| {
                    let mut updates = table
                        .enable_stream(&described)
                        .into_iter()
                        .chain(table.add_indexes(&described));
                    updates.try_for_each(|request| call("UpdateTable", &request).map(drop))
                })
            }
            Err(rejected) => Err(rejected),
            Ok(_) => table.update_time_to_live().map_or(Ok(()), |request| {
                call("UpdateTimeToLive", &request).map(drop)
            }),
        };
        created.map_err(|(operation, reply)| DeploymentError::Table {
            operation,
            table: table.name,
            reply,
        })?;
    }
    Ok(())
}

/// The environment that the template gives a function, with the development key as its identity
/// provider.
///
/// # Errors
/// The template does not give the function what it needs.
pub fn environment(
    template: &Template,
    function: &str,
) -> Result<BTreeMap<String, String>, DeploymentError> {
    let mut parameters = BTreeMap::new();
    for (name, value) in development_parameters() {
        if !template.has_parameter(name) {
            return Err(DeploymentError::NoParameter(name));
        }
        parameters.insert(name.to_owned(), value);
    }
    Ok(template.environment(function, &parameters)?)
}

/// The environment in which the binary of any function stands on a runner that listens on this
/// port.
///
/// # Errors
/// The template does not give a function what it needs.
pub fn binaries_environment(port: u16) -> Result<BTreeMap<String, String>, DeploymentError> {
    let template = Template::built_in()?;
    let mut all = BTreeMap::new();
    for function in template.functions() {
        all.extend(environment(&template, &function)?);
    }
    // There is no SNS on this machine.
    all.remove("NOTIFICATION_TOPIC");
    all.extend(
        [
            ("ALLOWED_ORIGINS", LOCAL_ORIGINS.to_owned()),
            ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}")),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    Ok(all)
}

/// A function's platform: its [`environment`] over the given client and clock.
///
/// # Errors
/// The template does not give the function what it needs.
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

/// What a function calls with. Each function has clients of its own, as it has on AWS, so that a
/// call tells whose it is.
#[derive(Debug, Clone)]
pub struct Clients {
    /// For the tables.
    pub dynamodb: Client,
    /// For the buckets.
    pub bucket: aws_sdk_s3::Client,
    /// For the topic, where there is one.
    pub sns: Option<aws_sdk_sns::Client>,
}

/// A [`context`] on the media bucket too, for the functions whose binaries link S3.
///
/// # Errors
/// The template does not give the function what it needs.
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

/// A [`context`] on the failure bucket too, for the functions behind streams and the one that
/// counts what they set aside, and on the topic that the template gives it, where there is an SNS.
///
/// # Errors
/// The template does not give the function what it needs.
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

/// A function crate as a function behind the API. A macro, because "an async function whose future
/// can be sent" has no name that a parameter could ask for.
macro_rules! serving {
    ($context:expr, $function:ident) => {{
        let context = $context;
        let serve: Function = Arc::new(move |request| {
            let context = context.clone();
            Box::pin(async move { $function::handle(&context, request).await })
        });
        serve
    }};
}

/// The functions behind the API: name and handler, the one place that links them. `clients` makes
/// each function's.
///
/// # Errors
/// The template does not give one of them what it needs.
pub fn functions(
    template: &Template,
    clients: &dyn Fn(&str) -> Clients,
    clock: &Clock,
) -> Result<Functions, DeploymentError> {
    let context = |function| {
        context(
            template,
            function,
            clients(function).dynamodb,
            clock.clone(),
        )
    };
    let with_dead_letters =
        |function| stream_context(template, function, clients(function), clock.clone());
    let with_media =
        |function| context_with_media(template, function, clients(function), clock.clone());
    Ok(BTreeMap::from([
        ("ack", serving!(context("ack")?, tidemark_ack)),
        (
            "batches",
            serving!(with_media("batches")?, tidemark_batches),
        ),
        (
            "conflicts",
            serving!(with_dead_letters("conflicts")?, tidemark_conflicts),
        ),
        (
            "presign",
            serving!(with_media("presign")?, tidemark_presign),
        ),
        ("pull", serving!(context("pull")?, tidemark_pull)),
        ("push", serving!(with_media("push")?, tidemark_push)),
        ("resolve", serving!(context("resolve")?, tidemark_resolve)),
    ]))
}

/// A function crate as a function that is invoked directly; a macro for the same reason.
macro_rules! invoking {
    ($context:expr, $function:ident) => {{
        let context = $context;
        let invoke: Invocation = Arc::new(move |event| {
            let context = context.clone();
            Box::pin(async move {
                let event = LambdaEvent::new(event, lambda_context(&context.clock));
                $function::invoked(&context, event)
                    .await
                    .map_err(|error| error.to_string())
            })
        });
        invoke
    }};
}

/// The functions that operators invoke directly.
///
/// # Errors
/// The template does not give one of them what it needs.
pub fn invocations(
    template: &Template,
    clients: &dyn Fn(&str) -> Clients,
    clock: &Clock,
) -> Result<Invocations, DeploymentError> {
    let changelog = stream_context(template, "changelog", clients("changelog"), clock.clone())?;
    let resolve = context(
        template,
        "resolve",
        clients("resolve").dynamodb,
        clock.clone(),
    )?;
    Ok(BTreeMap::from([
        ("changelog", invoking!(changelog, tidemark_changelog)),
        ("resolve", invoking!(resolve, tidemark_resolve)),
    ]))
}

/// What Lambda says of an invocation, as far as the functions ask: its id.
fn lambda_context(clock: &Clock) -> LambdaContext {
    let mut context = LambdaContext::default();
    context.request_id = clock.unique_id().to_string();
    context
}

/// A function that takes stream batches, as a pump calls it.
pub type StreamFunction = Box<
    dyn Fn(StreamEvent) -> BoxFuture<'static, Result<DynamoDbEventResponse, String>> + Send + Sync,
>;

/// A function crate as a function behind a stream; a macro for the reason that `serving` is one.
macro_rules! consuming {
    ($context:expr, $function:ident) => {{
        let context = $context;
        let consume: StreamFunction = Box::new(move |event| {
            let context = context.clone();
            let event = LambdaEvent::new(event, lambda_context(&context.clock));
            Box::pin(async move {
                match tokio::spawn(async move { $function::handle(&context, event).await }).await {
                    Ok(response) => response.map_err(|error| error.to_string()),
                    Err(error) => Err(error.to_string()),
                }
            })
        });
        consume
    }};
}

/// The function that a stream mapping names. A panic in it is a failed batch, as it is for Lambda.
///
/// # Errors
/// No function of that name takes stream batches.
pub fn stream_function(name: &str, context: Context) -> Result<StreamFunction, DeploymentError> {
    match name {
        "changelog" => Ok(consuming!(context, tidemark_changelog)),
        "notify" => Ok(consuming!(context, tidemark_notify)),
        _ => Err(DeploymentError::NoStreamFunction(name.to_owned())),
    }
}

fn development_parameters() -> [(&'static str, String); 6] {
    [
        ("JwtIssuer", auth::ISSUER.to_owned()),
        ("JwtAudience", auth::AUDIENCE.to_owned()),
        ("Jwks", auth::jwks()),
        ("JwksUrl", String::new()),
        ("TokenSecondsMax", auth::TTL_S.to_string()),
        ("MediaSecret", MEDIA_SECRET.to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(engine: &Engine, operation: &str, request: &Value) -> Value {
        let reply = engine.call(operation, request.to_string().as_bytes());
        assert_eq!(
            reply.status,
            200,
            "{operation}: {}",
            String::from_utf8_lossy(&reply.body)
        );
        serde_json::from_slice(&reply.body).unwrap()
    }

    fn stream_of(engine: &Engine, table: &str) -> Value {
        call(engine, "DescribeTable", &json!({"TableName": table}))["Table"]["LatestStreamArn"]
            .clone()
    }

    /// Data of an earlier build, whose table lacked an index.
    #[test]
    fn an_index_that_a_table_lacks_is_added_once() {
        let (engine, template) = (Engine::memory().unwrap(), Template::built_in().unwrap());
        let mut table = template
            .tables()
            .unwrap()
            .into_iter()
            .find(|table| table.name == "devices")
            .unwrap();
        let create = table.create.as_object_mut().unwrap();
        create.remove("GlobalSecondaryIndexes").unwrap();
        create["AttributeDefinitions"]
            .as_array_mut()
            .unwrap()
            .retain(|attribute| attribute["AttributeName"] != "tenant");
        call(&engine, "CreateTable", &table.create);
        for _ in 0..2 {
            create_tables(&engine, &template).unwrap();
            let row =
                json!({"pk": {"S": "acme#ana"}, "sk": {"S": "phone"}, "tenant": {"S": "acme"}});
            call(
                &engine,
                "PutItem",
                &json!({"TableName": "devices", "Item": row}),
            );
            let query = json!({"TableName": "devices", "IndexName": "by_tenant", "KeyConditionExpression": "tenant = :tenant",
                "ExpressionAttributeValues": {":tenant": {"S": "acme"}}});
            assert_eq!(call(&engine, "Query", &query)["Items"], json!([row]));
        }
    }

    /// Data of an earlier build, whose table had no stream yet.
    #[test]
    fn a_stream_that_a_table_lacks_is_switched_on_once_and_rows_stay() {
        let (engine, template) = (Engine::memory().unwrap(), Template::built_in().unwrap());
        let mut table = template
            .tables()
            .unwrap()
            .into_iter()
            .find(|table| table.name == "conflicts")
            .unwrap();
        table
            .create
            .as_object_mut()
            .unwrap()
            .remove("StreamSpecification");
        call(&engine, "CreateTable", &table.create);
        let row = json!({"pk": {"S": "acme"}, "sk": {"S": "conf-1"}});
        call(
            &engine,
            "PutItem",
            &json!({"TableName": "conflicts", "Item": row}),
        );

        create_tables(&engine, &template).unwrap();
        let stream = stream_of(&engine, "conflicts");
        assert!(stream.is_string());
        assert_eq!(
            call(&engine, "Scan", &json!({"TableName": "conflicts"}))["Items"],
            json!([row])
        );
        let others = stream_of(&engine, "resources");
        std::thread::sleep(std::time::Duration::from_millis(5)); // a stream is named after the moment it was switched on
        create_tables(&engine, &template).unwrap();
        assert_eq!(
            (
                stream_of(&engine, "conflicts"),
                stream_of(&engine, "resources")
            ),
            (stream, others)
        );
    }
}
