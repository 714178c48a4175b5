//! The system under test: the functions as they are deployed, over an engine in this process, in
//! virtual time.

mod tables;

pub use tables::TableSnapshot;

use std::{
    net::{IpAddr, Ipv4Addr},
    panic::AssertUnwindSafe,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicI64, Ordering},
    },
};

use chrono::{DateTime, Duration, Utc};
use futures_util::FutureExt as _;
use lambda_http::{
    Body, Context as LambdaContext, LambdaEvent, Response,
    http::{HeaderMap, HeaderValue, header},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, value::RawValue};
use tidemark::{
    auth::{self, Identity},
    deployment::{self, Clients, StreamConsumer},
    engine::{
        Engine,
        http::{EngineClient, dynamodb_client},
    },
    gateway::{
        Functions,
        event::{Inbound, placeholders, rest_event},
    },
    template::Template,
};
use tidemark_aws::{Clock, entry, stream::StreamEvent};
use tidemark_core::wire::{
    gzip,
    routes::{ROUTES, Route},
};
use tokio::time::Instant;

use crate::{
    bucket::Bucket,
    faults::{FaultProfile, INVOCATION, Invocation},
    table_faults::TableFaults,
};

/// Start of the clock of every run, in milliseconds since 1970.
const START_MS: i64 = 1_790_000_000_000;
/// The types of `catalog.toml`, and one type for each policy that the file does not use.
const CATALOG: &str = r#"
[submission]
channel = "user"
id_prefix = "sub"
required = ["form_id", "data"]
policy = "manual"

[meter]
channel = "tenant"
id_prefix = "m"
unique = ["code"]
policy = "manual"

[task]
channel = "group"
id_prefix = "task"
references = { meter_id = "meter" }
policy = "field_merge"

[note]
channel = "tenant"
id_prefix = "n"
policy = "client_wins"

[reading]
channel = "tenant"
id_prefix = "r"
policy = "server_wins"
"#;

/// A deployment of the whole system.
pub struct Cloud {
    /// The engine that holds the tables.
    pub engine: Engine,
    table_faults: Arc<TableFaults>,
    /// The bucket for stream records that cannot be decoded.
    pub dead_letters: Bucket,
    /// The fault profile of the run.
    pub faults: Arc<FaultProfile>,
    functions: Functions,
    changelog: StreamConsumer,
    began: Instant,
    jumped_ms: Arc<AtomicI64>,
}

/// A response as the caller receives it.
#[derive(Debug, Clone)]
pub struct ApiResponse {
    /// HTTP status; 502 if the function died.
    pub status: u16,
    /// The response body as text.
    pub text: String,
}

impl ApiResponse {
    /// Returns the response as a client decodes it, decompressed.
    fn received(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let is_packed = parts.headers.contains_key(header::CONTENT_ENCODING);
        let body = if is_packed {
            gzip::gunzip(&body, 8 << 20).unwrap()
        } else {
            body.to_vec()
        };

        Self {
            status: parts.status.as_u16(),
            text: String::from_utf8(body).unwrap(),
        }
    }

    /// Returns the body, decoded from JSON.
    pub fn read<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

/// A request to the API.
#[derive(Debug, Clone)]
pub struct Request {
    /// The HTTP method of the request.
    pub method: &'static str,
    /// The path below `/api/v1/mobile/`, including the query.
    pub path: String,
    /// The bearer token of the caller.
    pub token: String,
    /// The body as text; empty if the request has no body.
    pub body: String,
}

impl Request {
    /// Returns the headers that a device sends.
    fn headers(&self) -> HeaderMap {
        let authorization = HeaderValue::from_str(&format!("Bearer {}", self.token)).unwrap();
        HeaderMap::from_iter([
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            ),
            (header::AUTHORIZATION, authorization),
        ])
    }
}

impl Cloud {
    /// Creates a deployment. The current runtime must be the one whose virtual time the run uses.
    pub fn new(faults: Arc<FaultProfile>) -> Self {
        let template = template();
        let engine = Engine::memory().unwrap();
        deployment::create_tables(&engine, &template).unwrap();
        let (began, jumped_ms) = (Instant::now(), Arc::new(AtomicI64::new(0)));

        let clock = {
            let jumped_ms = Arc::clone(&jumped_ms);
            Clock::from_fn(move || {
                let skew = INVOCATION
                    .try_with(|invocation| invocation.skew)
                    .unwrap_or_default();
                moment(began, &jumped_ms) + skew
            })
        };

        let dead_letters = Bucket::default();
        let hook = Arc::new(TableFaults::new(engine.clone()));
        let clients = |_: &str| Clients {
            dynamodb: dynamodb_client(EngineClient::with_hook(engine.clone(), hook.clone())),
            bucket: dead_letters.client(),
            sns: None,
        };
        let functions = deployment::functions(&template, &clients, &clock).unwrap();
        let changelog =
            deployment::stream_consumer(&template, "changelog", clients("changelog"), clock)
                .unwrap();

        Self {
            engine,
            table_faults: hook,
            dead_letters,
            faults,
            functions,
            changelog,
            began,
            jumped_ms,
        }
    }

    /// Returns the time at which the run began.
    pub fn began_at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(START_MS).unwrap()
    }

    /// Returns the current time of a correct clock.
    pub fn now(&self) -> DateTime<Utc> {
        moment(self.began, &self.jumped_ms)
    }

    /// Advances the clock by a long duration without running timers.
    pub fn jump(&self, by: Duration) {
        self.jumped_ms
            .fetch_add(by.num_milliseconds(), Ordering::SeqCst);
    }

    /// Returns the duration by which [`Self::jump`] has advanced the clock.
    pub fn jumped(&self) -> Duration {
        Duration::milliseconds(self.jumped_ms.load(Ordering::SeqCst))
    }

    /// Returns a JWT that is valid for a day.
    pub fn token(&self, tenant: &str, user: &str, roles: &[&str], groups: &[String]) -> String {
        let roles: Vec<String> = roles.iter().map(|role| (*role).to_owned()).collect();
        let identity = Identity {
            tenant,
            user,
            roles: &roles,
            channels: groups,
        };
        auth::mint(identity, self.now().timestamp(), 86_400).unwrap()
    }

    /// Invokes the function of a route once. Returns `Err` if the function panics.
    pub async fn serve(
        &self,
        invocation: Arc<Invocation>,
        request: &Request,
    ) -> Result<ApiResponse, String> {
        let path = format!("/api/v1/mobile/{}", request.path);
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let fits = |route: &&Route| route.method == request.method && route.is_of(path);
        let route = ROUTES.iter().find(fits).unwrap();

        let inbound = Inbound {
            route,
            path,
            query,
            path_parameters: &placeholders(route, path),
            headers: &request.headers(),
            body: request.body.as_bytes(),
            request_id: "request",
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            at: self.now(),
        };
        let event = entry::request(
            &rest_event(&inbound, "test").to_string(),
            LambdaContext::default(),
        )
        .0;

        let function = AssertUnwindSafe(self.functions[route.function](event)).catch_unwind();
        let Some(ended) = invocation.run(function).await else {
            return Ok(ApiResponse {
                status: 502,
                text: "null".into(),
            });
        };
        ended
            .map(ApiResponse::received)
            .map_err(|_| format!("{} {} panicked", request.method, request.path))
    }

    /// Invokes the changelog function with a batch of stream records. Returns how many records from
    /// the front it processed, 0 if it died.
    pub async fn sequence(
        &self,
        invocation: Arc<Invocation>,
        records: &[Value],
    ) -> Result<usize, String> {
        let texts = records
            .iter()
            .map(|record| RawValue::from_string(record.to_string()).unwrap())
            .collect();
        let event = LambdaEvent::new(StreamEvent { records: texts }, LambdaContext::default());

        let function = AssertUnwindSafe(self.changelog.sequence(event)).catch_unwind();
        let Some(ended) = invocation.run(function).await else {
            return Ok(0);
        };
        let response = ended.map_err(|_| "changelog panicked".to_owned())?;

        let position = |identifier: &str| {
            let is_it = |record: &Value| record["dynamodb"]["SequenceNumber"] == identifier;
            records.iter().position(is_it).unwrap_or(0)
        };
        let failed = response
            .batch_item_failures
            .iter()
            .filter_map(|failure| failure.item_identifier.as_deref());
        Ok(failed.map(position).min().unwrap_or(records.len()))
    }

    /// Invokes the changelog function directly, as an operator does. Returns `None` if it died.
    ///
    /// # Errors
    /// Returns a message if the function panicked, or the error that it returned.
    pub async fn invoke_changelog(
        &self,
        invocation: Arc<Invocation>,
        event: &Value,
    ) -> Result<Option<Value>, String> {
        let event = LambdaEvent::new(
            RawValue::from_string(event.to_string()).unwrap(),
            LambdaContext::default(),
        );

        let function = AssertUnwindSafe(self.changelog.invoke_changelog(event)).catch_unwind();
        let Some(ended) = invocation.run(function).await else {
            return Ok(None);
        };

        let response = ended
            .map_err(|_| "changelog panicked".to_owned())?
            .map_err(|error| error.to_string())?;
        Ok(Some(serde_json::from_str(response.get()).unwrap()))
    }
}

/// Returns the template. It is parsed only once, because parsing takes longer than creating the
/// tables.
fn template() -> Template {
    static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
        Template::built_in()
            .unwrap()
            .with_variable("CATALOG", CATALOG)
    });
    TEMPLATE.clone()
}

fn moment(began: Instant, jumped_ms: &AtomicI64) -> DateTime<Utc> {
    let passed = i64::try_from(began.elapsed().as_millis()).unwrap();
    DateTime::from_timestamp_millis(START_MS + passed + jumped_ms.load(Ordering::SeqCst)).unwrap()
}
