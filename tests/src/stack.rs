//! A whole deployment in memory: the function crates over an engine of their own, the tables and
//! settings of `template.yaml`.

mod store;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::{DateTime, Duration, Utc};
use futures_util::future::join_all;
use lambda_http::{
    Body, Context as LambdaContext, LambdaEvent, Response,
    http::{HeaderMap, HeaderValue, header},
};
use serde_json::{Value, json, value::RawValue};
use tidemark::{
    auth::{self, Identity},
    deployment::{self, Clients, StreamFunction},
    engine::{
        Engine,
        http::{EngineClient, Hook, NoHook, dynamodb_client},
    },
    event_source::EventSourceMapping,
    gateway::{
        ApiKind, Functions,
        event::{Inbound, http_event, placeholders, rest_event},
        invoke::Invocations,
    },
    store::{
        Store,
        client::{StoreClient, s3_client},
    },
    template::Template,
    topic::{Topic, TopicClient, sns_client},
};
use tidemark_aws::{Clock, Context, stream::StreamEvent};
use tidemark_core::pack::unpack;

use crate::{ApiResponse, Device, openapi, permissions::Watch, response::route};

/// When every stack's clock starts.
const START_MS: i64 = 1_790_000_000_000;
/// Where every stack's upload URLs lead: nowhere, for the store is asked in this process.
const STORE_URL: &str = "http://media.localhost";

/// A deployment.
pub struct Stack {
    /// Its tables.
    pub engine: Engine,
    /// Its media.
    pub store: Store,
    /// What it told subscribers.
    pub topic: Topic,
    template: Template,
    functions: Functions,
    invocations: Invocations,
    mappings: tokio::sync::Mutex<Vec<EventSourceMapping<StreamFunction>>>,
    clock_ms: Arc<AtomicI64>,
    requests: AtomicU64,
    api: ApiKind,
    watch: Watch,
}

impl Default for Stack {
    fn default() -> Self {
        Self::new()
    }
}

impl Stack {
    /// A new deployment with nothing in it.
    pub fn new() -> Self {
        Self::over(Engine::memory().unwrap(), Arc::new(NoHook))
    }

    /// A new deployment whose API functions' calls pass `hook`.
    pub fn hooked(hook: Arc<dyn Hook>) -> Self {
        Self::over(Engine::memory().unwrap(), hook)
    }

    /// A new deployment with these environment variables besides those of the template, or instead
    /// of them.
    pub fn configured(variables: &[(&str, &str)]) -> Self {
        Self::configured_over(Engine::memory().unwrap(), Arc::new(NoHook), variables)
    }

    /// The same over these tables, its API functions' calls passing `hook`.
    pub fn configured_over(
        engine: Engine,
        hook: Arc<dyn Hook>,
        variables: &[(&str, &str)],
    ) -> Self {
        let template = variables
            .iter()
            .fold(template(), |template, (name, value)| {
                template.with_variable(name, value)
            });
        Self::of(template, engine, hook)
    }

    /// A deployment over these tables, whose API functions' calls pass `hook`.
    pub fn over(engine: Engine, hook: Arc<dyn Hook>) -> Self {
        Self::of(template(), engine, hook)
    }

    /// The same deployment, tables, uploads, messages and clock included, whose API functions'
    /// calls pass `hook`.
    pub fn beside(&self, hook: Arc<dyn Hook>) -> Self {
        let (engine, store, topic) = (self.engine.clone(), self.store.clone(), self.topic.clone());
        Self::on(
            self.template.clone(),
            engine,
            store,
            topic,
            Arc::clone(&self.clock_ms),
            hook,
        )
    }

    fn of(template: Template, engine: Engine, hook: Arc<dyn Hook>) -> Self {
        let clock_ms = Arc::new(AtomicI64::new(START_MS));
        Self::on(
            template,
            engine,
            Store::temporary().unwrap(),
            Topic::default(),
            clock_ms,
            hook,
        )
    }

    fn on(
        template: Template,
        engine: Engine,
        store: Store,
        topic: Topic,
        clock_ms: Arc<AtomicI64>,
        hook: Arc<dyn Hook>,
    ) -> Self {
        deployment::create_tables(&engine, &template).unwrap();
        let clock = clock(&clock_ms);
        let watch = Watch::default();
        let clients = |function: &str| {
            clients(
                &engine,
                &store,
                &topic,
                function,
                watch.over(function, Arc::clone(&hook)),
            )
        };
        let functions = deployment::functions(&template, &clients, &clock).unwrap();
        let invocations = deployment::invocations(&template, &clients, &clock).unwrap();
        let stack = Self {
            engine,
            store,
            topic,
            template,
            functions,
            invocations,
            mappings: tokio::sync::Mutex::default(),
            clock_ms,
            requests: AtomicU64::new(0),
            api: ApiKind::Rest,
            watch,
        };
        stack.streaming(Arc::new(NoHook))
    }

    /// The same deployment, the calls of whose functions behind streams pass `hook`.
    pub fn streaming(self, hook: Arc<dyn Hook>) -> Self {
        let mappings = self
            .template
            .stream_mappings()
            .unwrap()
            .into_iter()
            .map(|mapping| {
                let function = self.context(&mapping.function, Arc::clone(&hook));
                let function = deployment::stream_function(&mapping.function, function).unwrap();
                EventSourceMapping::new(self.engine.clone(), &mapping, function)
            });
        let mappings = tokio::sync::Mutex::new(mappings.collect());
        Self { mappings, ..self }
    }

    /// The same deployment behind an HTTP API.
    pub fn behind(self, api: ApiKind) -> Self {
        Self { api, ..self }
    }

    /// The same deployment with a clock that starts now: the media store compares an upload URL's
    /// time with the machine's.
    pub fn today(self) -> Self {
        self.clock_ms
            .store(Clock::system().now().timestamp_millis(), Ordering::SeqCst);
        self
    }

    /// What a function of this deployment stands on, its calls passing `hook`: to call the function
    /// itself with.
    pub fn context(&self, function: &str, hook: Arc<dyn Hook>) -> Context {
        self.context_over(function, self.watch.over(function, hook))
    }

    /// The same for tests that use its parts themselves: what they call with it is not what the
    /// function calls.
    pub fn parts(&self, function: &str, hook: Arc<dyn Hook>) -> Context {
        self.context_over(function, hook)
    }

    /// The hook of calls that a function of this deployment makes from elsewhere: its rights are
    /// watched, and `hook` steps in.
    pub fn watched(&self, function: &str, hook: Arc<dyn Hook>) -> Arc<dyn Hook> {
        self.watch.over(function, hook)
    }

    fn context_over(&self, function: &str, hook: Arc<dyn Hook>) -> Context {
        let clients = clients(&self.engine, &self.store, &self.topic, function, hook);
        let clock = clock(&self.clock_ms);
        match function {
            "changelog" | "notify" | "conflicts" => {
                deployment::stream_context(&self.template, function, clients, clock).unwrap()
            }
            "batches" | "presign" | "push" => {
                deployment::context_with_media(&self.template, function, clients, clock).unwrap()
            }
            _ => deployment::context(&self.template, function, clients.dynamodb, clock).unwrap(),
        }
    }

    /// The moment it is in this deployment.
    pub fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.clock_ms.load(Ordering::SeqCst)).unwrap()
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.clock_ms
            .fetch_add(by.num_milliseconds(), Ordering::SeqCst);
    }

    /// Hands everything that was written so far to the functions behind the streams: it is
    /// sequenced, and subscribers are told.
    pub async fn settle(&self) {
        join_all(
            self.mappings
                .lock()
                .await
                .iter_mut()
                .map(EventSourceMapping::drain),
        )
        .await;
    }

    /// Has the streams forget everything that was written so far, as they do after a day: no
    /// function hears of it.
    pub async fn forget(&self) {
        self.mappings
            .lock()
            .await
            .iter_mut()
            .for_each(|mapping| mapping.skip().unwrap());
    }

    /// A token for a user, as the development key signs it.
    pub fn token(&self, tenant: &str, user: &str, roles: &[&str], channels: &[&str]) -> String {
        let owned = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        let (roles, channels) = (owned(roles), owned(channels));
        auth::mint(
            Identity {
                tenant,
                user,
                roles: &roles,
                channels: &channels,
            },
            self.now().timestamp(),
            auth::TTL_S,
        )
        .unwrap()
    }

    /// A device of a user of the tenant `acme`.
    pub fn device(&self, user: &str, device_id: &str) -> Device<'_> {
        Device::new(self, self.token("acme", user, &[], &[]), device_id)
    }

    /// Posts JSON to a route below `/api/v1/mobile/`.
    pub async fn post(&self, path: &str, token: &str, body: &Value) -> ApiResponse {
        self.post_bytes(path, Some(token), body.to_string().as_bytes())
            .await
    }

    /// Posts bytes to a route below `/api/v1/mobile/`, through the event that API Gateway would
    /// make of them.
    pub async fn post_bytes(&self, path: &str, token: Option<&str>, body: &[u8]) -> ApiResponse {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if let Some(token) = token {
            headers.insert(
                header::AUTHORIZATION,
                HeaderValue::from_str(&format!("Bearer {token}")).unwrap(),
            );
        }
        self.send(path, &headers, body).await
    }

    /// Posts bytes with these headers.
    pub async fn send(&self, path: &str, headers: &HeaderMap, body: &[u8]) -> ApiResponse {
        self.call("POST", path, headers, body).await
    }

    /// Gets what stands at a path, query included.
    pub async fn get(&self, path: &str, token: &str) -> ApiResponse {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::AUTHORIZATION,
            HeaderValue::from_str(&format!("Bearer {token}")).unwrap(),
        );
        self.call("GET", path, &headers, b"").await
    }

    /// Invokes a function directly with this event, as an operator does; gives its answer.
    pub async fn invoke(&self, function: &str, event: &Value) -> Value {
        let response = self.invoke_text(function, &event.to_string()).await;
        serde_json::from_str(&response).unwrap()
    }

    /// The same, with the texts of event and answer.
    pub async fn invoke_text(&self, function: &str, event: &str) -> String {
        let event = RawValue::from_string(event.to_owned()).unwrap();
        self.invocations[function](event)
            .await
            .unwrap()
            .get()
            .to_owned()
    }

    /// A request through the route that fits it. The answer must be one that `openapi.json`
    /// describes.
    pub async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> ApiResponse {
        let response = ApiResponse::read(self.respond(method, path, headers, body).await);
        openapi::check(route(method, path), &response);
        response
    }

    /// What the function behind the route hands to Lambda.
    pub async fn respond(
        &self,
        method: &str,
        path: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Response<Body> {
        let event = self.event_with(method, path, headers, body);
        self.deliver(route(method, path).function, &event).await
    }

    /// The event that API Gateway makes of a request with this token and this JSON; `Null` is no
    /// body.
    pub fn event(&self, method: &str, path: &str, token: &str, body: &Value) -> Value {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        headers.insert(
            header::AUTHORIZATION,
            HeaderValue::from_str(&format!("Bearer {token}")).unwrap(),
        );
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.event_with(method, path, &headers, body.as_bytes())
    }

    /// The event that API Gateway makes of a request with these headers and this body.
    pub(crate) fn event_with(
        &self,
        method: &str,
        path: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Value {
        let route = route(method, path);
        let path = format!("/api/v1/mobile/{path}");
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let request_id = format!("request-{}", self.requests.fetch_add(1, Ordering::Relaxed));
        let inbound = Inbound {
            route,
            path,
            query,
            path_parameters: &placeholders(route, path),
            headers,
            body,
            request_id: &request_id,
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            at: self.now(),
        };
        match self.api {
            ApiKind::Rest => rest_event(&inbound, "test"),
            ApiKind::Http => http_event(&inbound),
        }
    }

    /// Hands an event of the API to a function, as Lambda does.
    pub async fn deliver(&self, function: &str, event: &Value) -> Response<Body> {
        self.deliver_request(function, crate::request(&event.to_string()))
            .await
    }

    /// Hands a request to a function, as the runtime reads it from an event.
    pub async fn deliver_request(
        &self,
        function: &str,
        request: lambda_http::Request,
    ) -> Response<Body> {
        self.functions[function](request).await
    }

    /// The records the stream of `resources` holds now, as a Lambda event has them.
    pub fn stream_records(&self) -> Vec<Value> {
        self.stream_records_of("resources")
    }

    /// The records the stream of a table holds now.
    pub fn stream_records_of(&self, table: &str) -> Vec<Value> {
        let call = |operation: &str, request: Value| self.dynamodb(operation, &request);
        let arn =
            call("DescribeTable", json!({"TableName": table}))["Table"]["LatestStreamArn"].clone();
        let shards =
            call("DescribeStream", json!({"StreamArn": arn}))["StreamDescription"]["Shards"]
                .clone();
        let mut records = Vec::new();
        for shard in shards.as_array().unwrap() {
            let request = json!({"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"});
            let mut iterator = call("GetShardIterator", request)["ShardIterator"].clone();
            while !iterator.is_null() {
                let mut response = call(
                    "GetRecords",
                    json!({"ShardIterator": iterator, "Limit": 1000}),
                );
                match response["Records"].as_array_mut() {
                    Some(some) if !some.is_empty() => records.append(some),
                    _ => break,
                }
                iterator = response["NextShardIterator"].take();
            }
        }
        for record in &mut records {
            record["eventSourceARN"] = arn.clone();
        }
        records
    }

    /// Every row of a table.
    pub fn rows(&self, table: &str) -> Vec<Value> {
        self.dynamodb("Scan", &json!({"TableName": table}))["Items"]
            .as_array()
            .unwrap()
            .clone()
    }

    /// The rows of conflicts, without those of payloads apart and of counts.
    pub fn conflicts(&self) -> Vec<Value> {
        self.rows("conflicts")
            .into_iter()
            .filter(|row| row["id"].is_object())
            .collect()
    }

    /// The payload of a row of `resources`; of a deleted one the last, wherever it is kept.
    pub fn payload_of(&self, row: &Value) -> String {
        let unpacked = |packed: &Value| {
            let packed = BASE64_STANDARD
                .decode(packed["B"].as_str().unwrap())
                .unwrap();
            String::from_utf8(unpack(&packed, 4 << 20).unwrap()).unwrap()
        };
        if let Some(text) = row["payload"]["S"].as_str() {
            return text.to_owned();
        }
        let memory: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(&unpacked(&row["tombstone"])).unwrap();
        if let Some(payload) = memory.get("p") {
            return payload.get().to_owned();
        }
        let (version, _): (u64, usize) = serde_json::from_str(memory["k"].get()).unwrap();
        let key = format!("v#{}#{version}", row["sk"]["S"].as_str().unwrap());
        let kept = self
            .rows("conflicts")
            .into_iter()
            .find(|it| it["pk"] == row["pk"] && it["sk"]["S"] == key);
        unpacked(&kept.unwrap()["packed"])
    }

    /// The segments of all channels' logs.
    pub fn segments(&self) -> Vec<Value> {
        self.rows("changes")
            .into_iter()
            .filter(|row| row["sk"]["S"] != "head")
            .collect()
    }

    /// A call to the engine itself.
    pub fn dynamodb(&self, operation: &str, request: &Value) -> Value {
        let reply = self.engine.call(operation, request.to_string().as_bytes());
        assert_eq!(
            reply.status,
            200,
            "{operation}: {}",
            String::from_utf8_lossy(&reply.body)
        );
        serde_json::from_slice(&reply.body).unwrap()
    }
}

/// The clients of a function, their calls passing `hook`.
fn clients(
    engine: &Engine,
    store: &Store,
    topic: &Topic,
    function: &str,
    hook: Arc<dyn Hook>,
) -> Clients {
    Clients {
        dynamodb: dynamodb_client(EngineClient::with_hook(engine.clone(), Arc::clone(&hook))),
        bucket: s3_client(
            StoreClient::with_hook(store.clone(), Arc::clone(&hook)),
            STORE_URL,
            function,
        ),
        sns: Some(sns_client(TopicClient::with_hook(topic.clone(), hook))),
    }
}

/// The template, read once: that takes longer than making the tables.
fn template() -> Template {
    static TEMPLATE: LazyLock<Template> = LazyLock::new(|| Template::built_in().unwrap());
    TEMPLATE.clone()
}

fn clock(clock_ms: &Arc<AtomicI64>) -> Clock {
    let clock_ms = Arc::clone(clock_ms);
    Clock::from_fn(move || {
        DateTime::from_timestamp_millis(clock_ms.load(Ordering::SeqCst)).unwrap()
    })
}

/// A Lambda event of these stream records, in this order.
pub fn stream_event(records: &[Value]) -> LambdaEvent<StreamEvent> {
    let records = records
        .iter()
        .map(|record| RawValue::from_string(record.to_string()).unwrap())
        .collect();
    LambdaEvent::new(StreamEvent { records }, LambdaContext::default())
}
