//! Lambda's runtime API, as far as a function sees it: the next event, and what became of it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Path, Request, State},
    http::{Response, StatusCode},
    routing::{get, post},
};
use serde_json::json;
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc, watch},
    time::{Duration, Instant},
};

/// Bytes of an answer at most: 6 MB and a little.
pub const RESPONSE_BYTES_MAX: usize = 6_291_556;

const PREFIX: &str = "/2018-06-01/runtime";

/// What a function says of an event.
#[derive(Debug, PartialEq, Eq)]
pub enum FunctionResponse {
    /// Its answer.
    Body(String),
    /// That it failed, and how.
    Error(String),
    /// An answer of so many bytes, which was not taken.
    TooLarge(usize),
}

/// An event on its way.
struct Event {
    id: String,
    text: String,
    deadline: Duration,
}

/// The API of one process; without it nobody asks for events.
pub struct RuntimeApi {
    /// Where it listens.
    pub addr: SocketAddr,
    events: mpsc::UnboundedSender<Event>,
    told: mpsc::UnboundedReceiver<(String, FunctionResponse)>,
    polled: watch::Receiver<usize>,
    sent: usize,
}

struct SharedApi {
    events: Mutex<mpsc::UnboundedReceiver<Event>>,
    told: mpsc::UnboundedSender<(String, FunctionResponse)>,
    polled: watch::Sender<usize>,
}

impl RuntimeApi {
    /// Listens on a free port.
    pub async fn start() -> Self {
        let (events, next) = mpsc::unbounded_channel();
        let (tell, told) = mpsc::unbounded_channel();
        let (poll, polled) = watch::channel(0);
        let router = Router::new()
            .route(&format!("{PREFIX}/invocation/next"), get(next_event))
            .route(
                &format!("{PREFIX}/invocation/{{id}}/response"),
                post(take_response),
            )
            .route(
                &format!("{PREFIX}/invocation/{{id}}/error"),
                post(take_error),
            )
            .with_state(Arc::new(SharedApi {
                events: Mutex::new(next),
                told: tell,
                polled: poll,
            }));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            addr,
            events,
            told,
            polled,
            sent: 0,
        }
    }

    /// Hands an event to the function when it next asks, to be handled in this time.
    pub fn send(&mut self, text: &str, within: Duration) {
        self.sent += 1;
        let since_1970 = tidemark_aws::Clock::system()
            .now()
            .timestamp_millis()
            .unsigned_abs();
        let deadline = Duration::from_millis(since_1970) + within;
        self.events
            .send(Event {
                id: format!("invocation-{}", self.sent),
                text: text.to_owned(),
                deadline,
            })
            .unwrap();
    }

    /// Waits until the function has asked for an event once more than it was sent any: it is idle.
    pub async fn idle(&mut self) {
        let sent = self.sent;
        self.polled.wait_for(|polled| *polled > sent).await.unwrap();
    }

    /// What the function says of the event that was sent last.
    pub async fn told(&mut self) -> FunctionResponse {
        let (id, told) = self.told.recv().await.unwrap();
        assert_eq!(id, format!("invocation-{}", self.sent));
        told
    }
}

async fn next_event(State(shared): State<Arc<SharedApi>>) -> Response<Body> {
    shared.polled.send_modify(|polled| *polled += 1);
    let Some(event) = shared.events.lock().await.recv().await else {
        return std::future::pending().await;
    };
    let response = Response::builder()
        .header("content-type", "application/json")
        .header("lambda-runtime-aws-request-id", event.id)
        .header(
            "lambda-runtime-deadline-ms",
            event.deadline.as_millis().to_string(),
        )
        .header(
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:123456789012:function:test",
        )
        .header(
            "lambda-runtime-trace-id",
            "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0",
        );
    response.body(Body::from(event.text)).unwrap()
}

async fn take_response(
    State(shared): State<Arc<SharedApi>>,
    Path(id): Path<String>,
    request: Request,
) -> Response<Body> {
    let text = text(request).await;
    if text.len() > RESPONSE_BYTES_MAX {
        shared
            .told
            .send((id, FunctionResponse::TooLarge(text.len())))
            .unwrap();
        let message =
            format!("Exceeded maximum allowed payload size ({RESPONSE_BYTES_MAX} bytes).");
        let rejection =
            json!({"errorMessage": message, "errorType": "RequestEntityTooLarge"}).to_string();
        return Response::builder()
            .status(StatusCode::PAYLOAD_TOO_LARGE)
            .body(Body::from(rejection))
            .unwrap();
    }
    take(&shared, id, FunctionResponse::Body(text))
}

async fn take_error(
    State(shared): State<Arc<SharedApi>>,
    Path(id): Path<String>,
    request: Request,
) -> Response<Body> {
    take(&shared, id, FunctionResponse::Error(text(request).await))
}

fn take(shared: &SharedApi, id: String, told: FunctionResponse) -> Response<Body> {
    // Whoever waited for it may be gone.
    let _ = shared.told.send((id, told));
    Response::builder()
        .status(StatusCode::ACCEPTED)
        .body(Body::from(r#"{"status":"OK"}"#))
        .unwrap()
}

async fn text(request: Request) -> String {
    String::from_utf8(
        to_bytes(request.into_body(), usize::MAX)
            .await
            .unwrap()
            .to_vec(),
    )
    .unwrap()
}

/// Waits no longer than anything here may take on a busy machine.
pub async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let done = tokio::time::timeout(Duration::from_secs(60), work).await;
    done.unwrap_or_else(|_| panic!("{what}: nothing after {:?}", began.elapsed()))
}
