//! The system under test: the functions as they are deployed, over an engine in this process, in
//! virtual time.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    panic::AssertUnwindSafe,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicI64, Ordering},
    },
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::{DateTime, Duration, Utc};
use futures_util::FutureExt as _;
use lambda_http::{
    Context as LambdaContext, LambdaEvent,
    http::{HeaderMap, HeaderValue, header},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json, value::RawValue};
use tidemark::{
    auth::{self, Identity},
    deployment::{self, Clients},
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
use tidemark_aws::{Clock, Context, entry, stream::StreamEvent};
use tidemark_core::{
    gzip, key,
    pack::unpack,
    routes::{ROUTES, Route},
};
use tokio::time::Instant;

use crate::{
    bucket::Bucket,
    faults::{FaultProfile, INVOCATION, Invocation},
    table_faults::TableFaults,
    version::{KEPT, kept_apart, row_of},
};

/// When every run's clock starts.
const START_MS: i64 = 1_790_000_000_000;
/// The types of `catalog.toml`, and one for each policy that it does not show.
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

/// A deployment.
pub struct Cloud {
    /// Its tables.
    pub engine: Engine,
    table_faults: Arc<TableFaults>,
    /// Where stream records go that nobody can read.
    pub dead_letters: Bucket,
    /// What goes wrong.
    pub faults: Arc<FaultProfile>,
    functions: Functions,
    changelog: Context,
    began: Instant,
    jumped_ms: Arc<AtomicI64>,
}

/// The rows of every table.
pub type TableSnapshot = BTreeMap<String, Vec<Value>>;

/// What a caller hears.
#[derive(Debug, Clone)]
pub struct ApiResponse {
    /// HTTP status; 502 where the function died.
    pub status: u16,
    /// The body.
    pub text: String,
}

impl ApiResponse {
    /// The body, read.
    pub fn read<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

/// A request to the API.
#[derive(Debug, Clone)]
pub struct Request {
    /// HTTP method.
    pub method: &'static str,
    /// Path below `/api/v1/mobile/`, query included.
    pub path: String,
    /// The bearer token.
    pub token: String,
    /// The body as text; empty where there is none.
    pub body: String,
}

impl Cloud {
    /// A new deployment; runs in the runtime whose time is the run's.
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
            deployment::stream_context(&template, "changelog", clients("changelog"), clock.clone())
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

    /// The moment the run began.
    pub fn began_at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(START_MS).unwrap()
    }

    /// The moment it is, on a clock that is right.
    pub fn now(&self) -> DateTime<Utc> {
        moment(self.began, &self.jumped_ms)
    }

    /// Lets a long time pass at once.
    pub fn jump(&self, by: Duration) {
        self.jumped_ms
            .fetch_add(by.num_milliseconds(), Ordering::SeqCst);
    }

    /// How much time passed so.
    pub fn jumped(&self) -> Duration {
        Duration::milliseconds(self.jumped_ms.load(Ordering::SeqCst))
    }

    /// A token that is good for a day.
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

    /// Runs the function behind a route once. A panic is an answer too: `Err`.
    pub async fn serve(
        &self,
        invocation: Arc<Invocation>,
        request: &Request,
    ) -> Result<ApiResponse, String> {
        let path = format!("/api/v1/mobile/{}", request.path);
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let fits = |route: &&Route| route.method == request.method && route.is_of(path);
        let route = ROUTES.iter().find(fits).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        headers.insert(
            header::AUTHORIZATION,
            HeaderValue::from_str(&format!("Bearer {}", request.token)).unwrap(),
        );
        let inbound = Inbound {
            route,
            path,
            query,
            path_parameters: &placeholders(route, path),
            headers: &headers,
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
        let (parts, body) = ended
            .map_err(|_| format!("{} {} panicked", request.method, request.path))?
            .into_parts();
        let is_packed = parts.headers.contains_key(header::CONTENT_ENCODING);
        let body = if is_packed {
            gzip::gunzip(&body, 8 << 20).unwrap()
        } else {
            body.to_vec()
        };
        Ok(ApiResponse {
            status: parts.status.as_u16(),
            text: String::from_utf8(body).unwrap(),
        })
    }

    /// Hands a batch of stream records to the changelog function: how many from the front it took,
    /// 0 where it died.
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
        let function =
            AssertUnwindSafe(tidemark_changelog::handle(&self.changelog, event)).catch_unwind();
        let Some(ended) = invocation.run(function).await else {
            return Ok(0);
        };
        let response = ended
            .map_err(|_| "changelog panicked".to_owned())?
            .map_err(|error| error.to_string())?;
        let position = |identifier: &str| {
            let is_it = |record: &Value| record["dynamodb"]["SequenceNumber"] == identifier;
            records.iter().position(is_it).unwrap_or(0)
        };
        let dead_letters = response
            .batch_item_failures
            .iter()
            .filter_map(|failure| failure.item_identifier.as_deref());
        Ok(dead_letters.map(position).min().unwrap_or(records.len()))
    }

    /// Invokes the changelog function directly, as an operator does; `None` where it died.
    pub async fn operate(
        &self,
        invocation: Arc<Invocation>,
        event: &Value,
    ) -> Result<Option<Value>, String> {
        let event = LambdaEvent::new(
            RawValue::from_string(event.to_string()).unwrap(),
            LambdaContext::default(),
        );
        let function =
            AssertUnwindSafe(tidemark_changelog::invoked(&self.changelog, event)).catch_unwind();
        let Some(ended) = invocation.run(function).await else {
            return Ok(None);
        };
        let response = ended
            .map_err(|_| "changelog panicked".to_owned())?
            .map_err(|error| error.to_string())?;
        Ok(Some(serde_json::from_str(response.get()).unwrap()))
    }

    /// A copy of every table.
    pub fn copy(&self) -> TableSnapshot {
        let tables = self.call("ListTables", &json!({}))["TableNames"]
            .as_array()
            .unwrap()
            .clone();
        tables
            .iter()
            .map(|table| table.as_str().unwrap())
            .map(|table| (table.to_owned(), self.rows(table)))
            .collect()
    }

    /// Makes every table what it was.
    pub fn restore(&self, copy: &TableSnapshot) {
        for (table, rows) in copy {
            for row in self.rows(table) {
                self.call(
                    "DeleteItem",
                    &json!({"TableName": table, "Key": {"pk": row["pk"], "sk": row["sk"]}}),
                );
            }
            for row in rows {
                self.call("PutItem", &json!({"TableName": table, "Item": row}));
            }
        }
        self.table_faults.restored();
    }

    /// A stream record of a tombstone with the payload that its row does not hold, where there is
    /// one.
    pub fn with_kept_payload(&self, mut record: Value) -> Value {
        let Some(version) = kept_apart(&record["dynamodb"]["NewImage"]) else {
            return record;
        };
        let (_, name) = row_of(&record["dynamodb"]["Keys"]);
        let name = key::join([&name.resource_type, &name.id, &version.to_string()]);
        let keys =
            json!({"pk": record["dynamodb"]["Keys"]["pk"], "sk": {"S": format!("v#{name}")}});
        let row = self.call("GetItem", &json!({"TableName": "conflicts", "Key": keys}));
        let packed = BASE64_STANDARD
            .decode(row["Item"]["packed"]["B"].as_str().unwrap())
            .unwrap();
        let payload = String::from_utf8(unpack(&packed, 1 << 20).unwrap()).unwrap();
        record["dynamodb"]["NewImage"][KEPT] = json!({"S": payload});
        record
    }

    /// Every row of a table.
    pub fn rows(&self, table: &str) -> Vec<Value> {
        let (mut rows, mut request) = (Vec::new(), json!({"TableName": table}));
        loop {
            let response = self.call("Scan", &request);
            rows.extend(response["Items"].as_array().unwrap().iter().cloned());
            match response.get("LastEvaluatedKey") {
                None => return rows,
                Some(last) => request["ExclusiveStartKey"] = last.clone(),
            }
        }
    }

    /// A call to the engine itself.
    pub fn call(&self, operation: &str, request: &Value) -> Value {
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

/// The template, read once: that takes longer than making the tables.
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
