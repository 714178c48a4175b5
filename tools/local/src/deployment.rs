//! Sets up on this machine what `template.yaml` declares: creates its tables in the engine and
//! builds its functions with their environments. Tests build their own stacks from the same parts.

mod contexts;
mod streams;

use std::collections::BTreeMap;
use std::sync::Arc;

use lambda_http::{Context as LambdaContext, LambdaEvent};
use serde_json::Value;
use tidemark_aws::Clock;
use tidemark_core::model::principal::{OPERATOR, VIEWER};

use crate::auth;
use crate::engine::Engine;
use crate::gateway::invoke::{Invocation, Invocations};
use crate::gateway::{Function, Functions};
use crate::store::{ACCESS_KEY, SECRET_KEY};
use crate::template::{Template, TemplateError};
pub use contexts::{
    Clients, context, context_of_console, context_with_dead_letters, context_with_media,
};
pub use streams::{StreamConsumer, StreamFunction, stream_consumer, stream_function};

/// Origins whose pages may use every runner: development servers on this machine, on any port.
pub const LOCAL_ORIGINS: &str =
    "http://localhost:*,http://127.0.0.1:*,http://[::1]:*,https://localhost:*";
/// Authenticates media keys on this machine. It is public, like the development key of the tokens.
const MEDIA_SECRET: &str = "tidemark-development-media-secret-for-this-machine-only";

/// Reasons why the template cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentError {
    /// The template cannot be read or evaluated.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The engine rejected a request about a table.
    #[error("the embedded DynamoDB rejected {operation} for the table {table}: {reply}")]
    Table {
        /// Name of the DynamoDB operation.
        operation: &'static str,
        /// Name of the table.
        table: String,
        /// Response body of the engine.
        reply: String,
    },
    /// The environment of a function lacks a setting or has an invalid one.
    #[error(
        "the environment that template.yaml gives the function {function} is invalid: {reason}"
    )]
    Settings {
        /// Name of the function.
        function: String,
        /// Error message of the settings.
        reason: String,
    },
    /// A stream mapping names a function that is not linked into this build.
    #[error("template.yaml maps a stream to the function {0:?}, which this build does not have")]
    NoStreamFunction(String),
    /// The runner sets a parameter that the template does not declare.
    #[error("template.yaml has no parameter {0}, which the local runner sets")]
    NoParameter(&'static str),
}

/// Creates the missing tables. Existing tables keep their items; a stream and indexes that the
/// template declares and an existing table lacks are added.
///
/// # Errors
/// Returns an error if a table definition in the template is incomplete or the engine rejects a
/// request.
pub fn create_tables(engine: &Engine, template: &Template) -> Result<(), DeploymentError> {
    for table in template.tables()? {
        let call = |operation: &'static str, request: &Value| {
            let reply = engine.call(operation, request.to_string().as_bytes());
            let text = String::from_utf8_lossy(&reply.body).into_owned();
            if reply.status == 200 {
                Ok(text)
            } else {
                Err((operation, text))
            }
        };

        let created = match call("CreateTable", &table.create) {
            // Enabling a stream twice would start a new one and lose the records, so only missing
            // parts are added.
            Err((_, text)) if text.contains("ResourceInUseException") => {
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

/// Returns the environment that the template gives a function, with the development key as the
/// identity provider.
///
/// # Errors
/// Returns an error if the template does not define the environment of the function, or lacks a
/// parameter that the runner sets.
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

/// Returns one environment with which the binary of any function can use a runner that listens on
/// `port`.
///
/// # Errors
/// Returns an error if the template does not define the environment of a function.
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

/// Wraps a function crate as a [`Function`] behind the API whose `handle` takes these dependencies.
/// It is a macro because no parameter type can require an async function whose future is `Send`.
macro_rules! serving {
    ($function:ident($($dependency:ident),+) = $dependencies:expr) => {{
        #[allow(unused_parens, reason = "one dependency is not a tuple")]
        let ($($dependency),+) = $dependencies;
        let serve: Function = Arc::new(move |request| {
            $(let $dependency = $dependency.clone();)+
            Box::pin(async move { $function::handle($(&$dependency,)+ request).await })
        });
        serve
    }};
}

/// Returns the functions behind the API by name. Only this function links them. `clients` creates
/// the clients of each function.
///
/// # Errors
/// Returns an error if the environment of a function lacks a setting or has an invalid one.
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
        |function| context_with_dead_letters(template, function, clients(function), clock.clone());
    let with_media =
        |function| context_with_media(template, function, clients(function), clock.clone());

    Ok(BTreeMap::from([
        ("ack", serving!(tidemark_ack(context) = context("ack")?)),
        (
            "admin",
            serving!(tidemark_admin(context, dead_letters) = with_dead_letters("admin")?),
        ),
        (
            "batches",
            serving!(tidemark_batches(context, media) = with_media("batches")?),
        ),
        (
            "console",
            serving!(
                tidemark_console(context, media, dead_letters) =
                    context_of_console(template, clients("console"), clock.clone())?
            ),
        ),
        (
            "presign",
            serving!(tidemark_presign(context, media) = with_media("presign")?),
        ),
        ("pull", serving!(tidemark_pull(context) = context("pull")?)),
        (
            "push",
            serving!(tidemark_push(context, media) = with_media("push")?),
        ),
        (
            "resolve",
            serving!(tidemark_resolve(context) = context("resolve")?),
        ),
    ]))
}

/// Wraps a function crate as a function that is invoked directly, whose `invoked` takes these
/// dependencies; a macro for the same reason as `serving`.
macro_rules! invoking {
    ($function:ident($context:ident $(, $dependency:ident)*) = $dependencies:expr) => {{
        #[allow(unused_parens, reason = "one dependency is not a tuple")]
        let ($context $(, $dependency)*) = $dependencies;
        let invoke: Invocation = Arc::new(move |event| {
            let $context = $context.clone();
            $(let $dependency = $dependency.clone();)*
            Box::pin(async move {
                let event = LambdaEvent::new(event, lambda_context(&$context.clock));
                $function::invoked(&$context, $(&$dependency,)* event)
                    .await
                    .map_err(|error| error.to_string())
            })
        });
        invoke
    }};
}

/// Returns the functions that operators invoke directly, by name.
///
/// # Errors
/// Returns an error if the environment of a function lacks a setting or has an invalid one.
pub fn invocations(
    template: &Template,
    clients: &dyn Fn(&str) -> Clients,
    clock: &Clock,
) -> Result<Invocations, DeploymentError> {
    let changelog =
        context_with_dead_letters(template, "changelog", clients("changelog"), clock.clone())?;
    let resolve = context(
        template,
        "resolve",
        clients("resolve").dynamodb,
        clock.clone(),
    )?;

    Ok(BTreeMap::from([
        (
            "changelog",
            invoking!(tidemark_changelog(context, dead_letters) = changelog),
        ),
        ("resolve", invoking!(tidemark_resolve(context) = resolve)),
    ]))
}

/// Returns the Lambda context of an invocation. The functions read only its request id.
fn lambda_context(clock: &Clock) -> LambdaContext {
    let mut context = LambdaContext::default();
    context.request_id = clock.unique_id().to_string();
    context
}

fn development_parameters() -> [(&'static str, String); 8] {
    [
        ("JwtIssuer", auth::ISSUER.to_owned()),
        ("JwtAudience", auth::AUDIENCE.to_owned()),
        ("Jwks", auth::jwks()),
        ("JwksUrl", String::new()),
        ("RoleViewer", VIEWER.to_owned()),
        ("RoleOperator", OPERATOR.to_owned()),
        ("TokenSecondsMax", auth::TTL_S.to_string()),
        ("MediaSecret", MEDIA_SECRET.to_owned()),
    ]
}

#[cfg(test)]
mod tests;
