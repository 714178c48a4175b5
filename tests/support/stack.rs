//! A whole deployment in memory: the function crates over an engine, with the tables and settings
//! of `template.yaml`.

mod api;
mod store;
mod tables;

pub use tables::stream_event;

use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use chrono::{DateTime, Duration, Utc};
use futures_util::future::join_all;
use serde_json::{Value, value::RawValue};
use tidemark::{
    auth::{self, Identity},
    deployment::{self, Clients, StreamConsumer, StreamFunction},
    engine::{
        Engine,
        http::{EngineClient, Hook, NoHook, dynamodb_client},
    },
    event_source::EventSourceMapping,
    gateway::{ApiKind, Functions, invoke::Invocations},
    store::{
        Store,
        client::{StoreClient, s3_client},
    },
    template::Template,
    topic::{Topic, TopicClient, sns_client},
};
use tidemark_aws::{Clock, Context, dead_letters::DeadLetters, media::Media};

use crate::permissions::Watch;

/// Start of the clock of every stack, in milliseconds since 1970.
const START_MS: i64 = 1_790_000_000_000;
/// The base of the upload URLs of every stack. It does not resolve, because requests go to the
/// store in this process.
const STORE_URL: &str = "http://media.localhost";

/// A deployment of the whole system.
pub struct Stack {
    /// The engine that holds the tables.
    pub engine: Engine,
    /// The store that holds the media and the dead letters.
    pub store: Store,
    /// The topic to which `notify` publishes.
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
    /// Creates a deployment without data.
    pub fn new() -> Self {
        Self::over(Engine::memory().unwrap(), Arc::new(NoHook))
    }

    /// Creates a deployment without data whose API functions call through `hook`.
    pub fn hooked(hook: Arc<dyn Hook>) -> Self {
        Self::over(Engine::memory().unwrap(), hook)
    }

    /// Creates a deployment without data. These environment variables extend or replace those of
    /// the template.
    pub fn configured(variables: &[(&str, &str)]) -> Self {
        Self::configured_over(Engine::memory().unwrap(), Arc::new(NoHook), variables)
    }

    /// Creates a deployment over this engine with these environment variables, whose API functions
    /// call through `hook`.
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

    /// Creates a deployment over this engine whose API functions call through `hook`.
    pub fn over(engine: Engine, hook: Arc<dyn Hook>) -> Self {
        Self::of(template(), engine, hook)
    }

    /// Creates a deployment that shares tables, uploads, messages and clock with this deployment,
    /// and whose API functions call through `hook`.
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

    /// Returns the same deployment with stream functions that call through `hook`.
    pub fn streaming(self, hook: Arc<dyn Hook>) -> Self {
        let mappings = self
            .template
            .stream_mappings()
            .unwrap()
            .into_iter()
            .map(|mapping| {
                let consumer = self.consumer(&mapping.function, Arc::clone(&hook));
                let function = deployment::stream_function(&mapping.function, consumer).unwrap();
                EventSourceMapping::new(self.engine.clone(), &mapping, function)
            });
        let mappings = tokio::sync::Mutex::new(mappings.collect());
        Self { mappings, ..self }
    }

    /// Returns the same deployment, invoked through an API of this kind.
    pub fn behind(self, api: ApiKind) -> Self {
        Self { api, ..self }
    }

    /// Returns the same deployment with a clock that starts now, because the media store compares
    /// the time of an upload URL with the machine's clock.
    pub fn today(self) -> Self {
        self.clock_ms
            .store(Clock::system().now().timestamp_millis(), Ordering::SeqCst);
        self
    }

    /// Returns the context of a function whose calls pass through `hook`, to call the function
    /// with. Its calls are checked against the function's permissions.
    pub fn context(&self, function: &str, hook: Arc<dyn Hook>) -> Context {
        self.context_over(function, self.watch.over(function, hook))
    }

    /// Returns a context for tests that use its parts themselves. Their calls do not count as calls
    /// of the function.
    pub fn parts(&self, function: &str, hook: Arc<dyn Hook>) -> Context {
        self.context_over(function, hook)
    }

    /// Returns the client of the media bucket of a function whose calls pass through `hook`. Its
    /// calls are checked against the function's permissions.
    pub fn media(&self, function: &str, hook: Arc<dyn Hook>) -> Media {
        let hook = self.watch.over(function, hook);
        let clients = clients(&self.engine, &self.store, &self.topic, function, hook);
        let clock = clock(&self.clock_ms);
        let (_, media) =
            deployment::context_with_media(&self.template, function, clients, clock).unwrap();
        media
    }

    /// Returns the dependencies of the console, whose calls pass through `hook`. Its calls are
    /// checked against the permissions of the console.
    pub fn console(&self, hook: Arc<dyn Hook>) -> (Context, Media, DeadLetters) {
        let hook = self.watch.over("console", hook);
        let clients = clients(&self.engine, &self.store, &self.topic, "console", hook);
        let clock = clock(&self.clock_ms);
        deployment::context_of_console(&self.template, clients, clock).unwrap()
    }

    /// Returns the dependencies of a function that consumes a stream, whose calls pass through
    /// `hook`. Its calls are checked against the function's permissions.
    pub fn consumer(&self, function: &str, hook: Arc<dyn Hook>) -> StreamConsumer {
        let hook = self.watch.over(function, hook);
        let clients = clients(&self.engine, &self.store, &self.topic, function, hook);
        let clock = clock(&self.clock_ms);
        deployment::stream_consumer(&self.template, function, clients, clock).unwrap()
    }

    /// Returns the hook for calls that a function of this deployment makes from another process: it
    /// checks their permissions and then calls `hook`.
    pub fn watched(&self, function: &str, hook: Arc<dyn Hook>) -> Arc<dyn Hook> {
        self.watch.over(function, hook)
    }

    fn context_over(&self, function: &str, hook: Arc<dyn Hook>) -> Context {
        let clients = clients(&self.engine, &self.store, &self.topic, function, hook);
        let clock = clock(&self.clock_ms);
        deployment::context(&self.template, function, clients.dynamodb, clock).unwrap()
    }

    /// Returns the current time of this deployment.
    pub fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.clock_ms.load(Ordering::SeqCst)).unwrap()
    }

    /// Advances the clock of this deployment.
    pub fn advance(&self, by: Duration) {
        self.clock_ms
            .fetch_add(by.num_milliseconds(), Ordering::SeqCst);
    }

    /// Delivers everything that was written so far to the stream functions: changes are sequenced,
    /// and subscribers are notified.
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

    /// Expires all stream records that were not delivered, as streams do after a day.
    pub async fn forget(&self) {
        self.mappings
            .lock()
            .await
            .iter_mut()
            .for_each(|mapping| mapping.skip().unwrap());
    }

    /// Returns a JWT for a user, signed with the development key.
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

    /// Invokes a function directly with this event, as an operator does, and returns its response.
    pub async fn invoke(&self, function: &str, event: &Value) -> Value {
        let response = self.invoke_text(function, &event.to_string()).await;
        serde_json::from_str(&response).unwrap()
    }

    /// Invokes a function directly with the text of an event, and returns the text of its response.
    pub async fn invoke_text(&self, function: &str, event: &str) -> String {
        let event = RawValue::from_string(event.to_owned()).unwrap();
        self.invocations[function](event)
            .await
            .unwrap()
            .get()
            .to_owned()
    }
}

/// Returns the clients of a function whose calls pass through `hook`.
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

/// Returns the template. It is parsed only once, because parsing takes longer than creating the
/// tables.
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
