//! The part of Lambda's runtime API that a function uses: the next event, and the response to it.

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

/// Maximum bytes of a response: 6 MB and a small margin.
pub const RESPONSE_BYTES_MAX: usize = 6_291_556;

const PREFIX: &str = "/2018-06-01/runtime";

/// The response of a function to an event.
#[derive(Debug, PartialEq, Eq)]
pub enum FunctionResponse {
    /// The body of a successful response.
    Body(String),
    /// The report of an error.
    Error(String),
    /// A response of this many bytes, which was rejected.
    TooLarge(usize),
}

/// An event that waits for the function.
struct Event {
    id: String,
    text: String,
    deadline: Duration,
}

/// The runtime API of one process. After it is dropped, requests for an event do not complete.
pub struct RuntimeApi {
    /// The address at which the API listens.
    pub addr: SocketAddr,
    events: mpsc::UnboundedSender<Event>,
    responses: mpsc::UnboundedReceiver<(String, FunctionResponse)>,
    polled: watch::Receiver<usize>,
    sent: usize,
}

struct SharedApi {
    events: Mutex<mpsc::UnboundedReceiver<Event>>,
    responses: mpsc::UnboundedSender<(String, FunctionResponse)>,
    polled: watch::Sender<usize>,
}

impl RuntimeApi {
    /// Starts the API on a free port.
    pub async fn start() -> Self {
        let (events, next) = mpsc::unbounded_channel();
        let (respond, responses) = mpsc::unbounded_channel();
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
                responses: respond,
                polled: poll,
            }));

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });

        Self {
            addr,
            events,
            responses,
            polled,
            sent: 0,
        }
    }

    /// Queues an event for the function's next request, with a deadline of `within` from now.
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

    /// Waits until the function is idle, that is, until it has requested one event more than were
    /// sent.
    pub async fn idle(&mut self) {
        let sent = self.sent;
        self.polled.wait_for(|polled| *polled > sent).await.unwrap();
    }

    /// Returns the function's response to the event that was sent last.
    pub async fn next_response(&mut self) -> FunctionResponse {
        let (id, response) = self.responses.recv().await.unwrap();
        assert_eq!(id, format!("invocation-{}", self.sent));
        response
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
            .responses
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

fn take(shared: &SharedApi, id: String, response: FunctionResponse) -> Response<Body> {
    // The receiver may have been dropped.
    let _ = shared.responses.send((id, response));
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

/// Waits for `work` for at most 60 seconds, which suffices on a busy machine.
pub async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let done = tokio::time::timeout(Duration::from_secs(60), work).await;
    done.unwrap_or_else(|_| panic!("{what}: timed out after {:?}", began.elapsed()))
}
