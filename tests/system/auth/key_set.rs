//! Key sets that are loaded from a URL (§1): fetched once an hour, fetched for an unknown key id at
//! most once a minute, and cached while the provider is unavailable.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicI64, AtomicUsize, Ordering},
};

use chrono::DateTime;
use lambda_http::http::header;
use serde_json::{Value, json};
use tidemark::engine::http::NoHook;
use tidemark_aws::{Clock, auth::Verifier, http};
use tidemark_core::wire::problem::ProblemCode;
use tidemark_tests::Stack;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::{
    Key,
    settings::{request, settings},
};

/// An identity provider that serves a key set.
struct Provider {
    url: String,
    /// The status line and the body of each response.
    response: Arc<Mutex<(String, String)>>,
    requests: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Provider {
    async fn start(keys: &[&Key]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "http://{}/.well-known/jwks.json",
            listener.local_addr().unwrap()
        );
        let response = Arc::new(Mutex::new(("200 OK".to_owned(), key_set(keys))));
        let requests = Arc::new(AtomicUsize::new(0));
        let (responses, count) = (Arc::clone(&response), Arc::clone(&requests));

        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let response = responses.lock().unwrap().clone();
                serve(stream, &response.0, &response.1).await;
            }
        });

        Self {
            url,
            response,
            requests,
            task,
        }
    }

    fn set_response(&self, status: &str, body: String) {
        *self.response.lock().unwrap() = (status.to_owned(), body);
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Stops the provider: later connections fail.
    async fn stop(self) {
        self.task.abort();
        assert!(self.task.await.is_err_and(|error| error.is_cancelled()));
    }
}

async fn serve(mut stream: TcpStream, status: &str, body: &str) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n")
        && stream
            .read_buf(&mut request)
            .await
            .is_ok_and(|bytes| bytes > 0)
    {}

    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    // A client that has disconnected needs no response.
    let _ = stream
        .write_all(&[head.as_bytes(), body.as_bytes()].concat())
        .await;
}

fn key_set(keys: &[&Key]) -> String {
    json!({"keys": keys.iter().map(|key| key.public()).collect::<Vec<_>>()}).to_string()
}

/// A verifier that fetches its keys, and the clock that it reads.
struct Caller {
    verifier: Verifier,
    now_ms: Arc<AtomicI64>,
}

impl Caller {
    fn new(url: &str) -> Self {
        let long = ("TOKEN_SECONDS_MAX", "315360000");
        let settings = settings(&[
            ("JWT_ISSUER", "i"),
            ("JWT_AUDIENCE", "a"),
            ("JWKS_URL", url),
            long,
        ])
        .unwrap();

        let now_ms = Arc::new(AtomicI64::new(1_790_000_000_000));
        let clock = Arc::clone(&now_ms);
        let clock = Clock::from_fn(move || {
            DateTime::from_timestamp_millis(clock.load(Ordering::SeqCst)).unwrap()
        });

        Self {
            verifier: Verifier::new(settings.auth, clock).unwrap(),
            now_ms,
        }
    }

    fn advance(&self, seconds: i64) {
        self.now_ms.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    fn claims() -> Value {
        json!({"iss": "i", "aud": "a", "tenant": "acme", "sub": "ana", "exp": 2_000_000_000})
    }

    /// Calls with a token of `key`. Returns the user, or the code of the rejection.
    async fn call(&self, key: &Key) -> Result<String, ProblemCode> {
        let called = self
            .verifier
            .principal(&request(&key.sign(&Self::claims())))
            .await;
        called
            .map(|principal| principal.user)
            .map_err(|failure| failure.problem().code)
    }
}

fn ana() -> Result<String, ProblemCode> {
    Ok("ana".to_owned())
}

fn key(number: u8) -> Key {
    Key::ed25519(&[number; 32], &format!("key-{number}"))
}

#[tokio::test]
async fn key_set_is_fetched_once_an_hour() {
    let provider = Provider::start(&[&key(1), &key(2)]).await;
    let caller = Caller::new(&provider.url);
    assert_eq!(provider.requests(), 0);
    for hour in 1..4 {
        for _ in 0..3 {
            assert_eq!(
                (caller.call(&key(1)).await, caller.call(&key(2)).await),
                (ana(), ana())
            );
            caller.advance(1199);
        }
        assert_eq!(provider.requests(), hour);
        caller.advance(3);
    }
}

#[tokio::test]
async fn withdrawn_key_expires_within_an_hour() {
    let provider = Provider::start(&[&key(1), &key(2)]).await;
    let caller = Caller::new(&provider.url);
    assert_eq!(
        (caller.call(&key(1)).await, caller.call(&key(2)).await),
        (ana(), ana())
    );
    provider.set_response("200 OK", key_set(&[&key(2)]));
    caller.advance(3600);
    assert_eq!(
        (caller.call(&key(1)).await, caller.call(&key(2)).await),
        (Err(ProblemCode::Unauthenticated), ana())
    );
}

#[tokio::test]
async fn unknown_key_ids_refetch_once_a_minute() {
    let provider = Provider::start(&[&key(1)]).await;
    let caller = Caller::new(&provider.url);
    assert_eq!(caller.call(&key(1)).await, ana());

    for number in 2..20 {
        assert_eq!(
            caller.call(&key(number)).await,
            Err(ProblemCode::Unauthenticated)
        );
    }
    assert_eq!(provider.requests(), 1, "within the first minute");

    caller.advance(59);
    assert_eq!(
        caller.call(&key(2)).await,
        Err(ProblemCode::Unauthenticated)
    );
    assert_eq!(provider.requests(), 1, "a second before the minute is over");

    caller.advance(1);
    for number in 2..20 {
        assert_eq!(
            caller.call(&key(number)).await,
            Err(ProblemCode::Unauthenticated)
        );
    }
    assert_eq!(provider.requests(), 2, "when the minute is over");
}

#[tokio::test]
async fn rotated_key_is_found_within_a_minute() {
    let provider = Provider::start(&[&key(1)]).await;
    let caller = Caller::new(&provider.url);
    assert_eq!(caller.call(&key(1)).await, ana());
    provider.set_response("200 OK", key_set(&[&key(2)]));
    caller.advance(60);
    assert_eq!(caller.call(&key(2)).await, ana());
    assert_eq!(
        caller.call(&key(1)).await,
        Err(ProblemCode::Unauthenticated),
        "the removed key"
    );
    assert_eq!(provider.requests(), 2);
}

#[tokio::test]
async fn forged_signature_with_known_key_is_rejected() {
    let provider = Provider::start(&[&key(1)]).await;
    let caller = Caller::new(&provider.url);
    let forged = Key::ed25519(&[9; 32], "key-1");
    assert_eq!(
        caller.call(&forged).await,
        Err(ProblemCode::Unauthenticated)
    );
}

#[tokio::test]
async fn unreachable_provider_without_keys_returns_unavailable() {
    let provider = Provider::start(&[&key(1)]).await;
    let url = provider.url.clone();
    provider.stop().await;
    let caller = Caller::new(&url);

    let request = request(&key(1).sign(&Caller::claims()));
    let work = async {
        caller
            .verifier
            .principal(&request)
            .await
            .map(|principal| principal.user)
    };

    let context = Stack::new().context("pull", Arc::new(NoHook));
    let response = http::serve(&context, "pull", &request, work).await;
    assert_eq!(response.status(), 503);
    assert!(
        response.headers().contains_key(header::RETRY_AFTER)
            && !response.headers().contains_key(header::WWW_AUTHENTICATE)
    );
}

#[tokio::test]
async fn recovered_provider_is_used_immediately() {
    let provider = Provider::start(&[&key(1)]).await;
    let caller = Caller::new(&provider.url);
    provider.set_response("500 Internal Server Error", key_set(&[&key(1)]));
    assert_eq!(caller.call(&key(1)).await, Err(ProblemCode::Unavailable));
    provider.set_response("200 OK", key_set(&[&key(1)]));
    assert_eq!(caller.call(&key(1)).await, ana());
    assert_eq!(provider.requests(), 2);
}

#[tokio::test]
async fn cached_keys_verify_while_provider_is_down() {
    let provider = Provider::start(&[&key(1)]).await;
    let caller = Caller::new(&provider.url);
    assert_eq!(caller.call(&key(1)).await, ana());
    provider.stop().await;
    for _ in 0..3 {
        caller.advance(3600);
        // The set may contain this key by now, which cannot be checked.
        assert_eq!(caller.call(&key(2)).await, Err(ProblemCode::Unavailable));
        assert_eq!(caller.call(&key(1)).await, ana());
    }
}

#[tokio::test]
async fn stale_keys_are_not_trusted() {
    let provider = Provider::start(&[&key(1)]).await;
    let caller = Caller::new(&provider.url);
    assert_eq!(caller.call(&key(1)).await, ana());

    provider.set_response("500 Internal Server Error", String::new());
    caller.advance(24 * 3600 - 1);
    assert_eq!(
        caller.call(&key(1)).await,
        ana(),
        "a second before the day is over"
    );

    caller.advance(1);
    // An invalid token cannot be recognized either.
    assert_eq!(
        caller.call(&key(1)).await,
        Err(ProblemCode::Unavailable),
        "when the day is over"
    );
    assert_eq!(caller.call(&key(2)).await, Err(ProblemCode::Unavailable));

    caller.advance(7 * 24 * 3600);
    assert_eq!(
        caller.call(&key(1)).await,
        Err(ProblemCode::Unavailable),
        "a week later"
    );

    provider.set_response("200 OK", key_set(&[&key(1)]));
    assert_eq!(caller.call(&key(1)).await, ana(), "the provider is back");
}

#[tokio::test]
async fn invalid_key_set_response_changes_nothing() {
    let provider = Provider::start(&[&key(1)]).await;
    let caller = Caller::new(&provider.url);
    assert_eq!(caller.call(&key(1)).await, ana());
    let too_long = format!(r#"{{"keys":[],"padding":"{}"}}"#, "x".repeat(256 * 1024));

    for (status, body) in [
        ("200 OK", "<html>"),
        ("200 OK", ""),
        ("404 Not Found", "{}"),
        ("302 Found", r#"{"keys":[]}"#),
        ("200 OK", &too_long),
    ] {
        provider.set_response(status, body.to_owned());
        caller.advance(60);
        assert_eq!(
            caller.call(&key(2)).await,
            Err(ProblemCode::Unavailable),
            "{status}"
        );
        assert_eq!(caller.call(&key(1)).await, ana(), "{status}");
    }

    assert_eq!(provider.requests(), 6);
}

/// The paused clock advances to the next timer whenever no task can run, so the wait takes no time.
#[tokio::test(start_paused = true)]
async fn silent_provider_is_unavailable_within_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let caller = Caller::new(&format!("http://{}/", listener.local_addr().unwrap()));
    let began = tokio::time::Instant::now();
    assert_eq!(caller.call(&key(1)).await, Err(ProblemCode::Unavailable));
    assert!(began.elapsed().as_secs() <= 5, "{:?}", began.elapsed());
}

#[tokio::test]
async fn malformed_tokens_are_rejected_without_a_fetch() {
    let provider = Provider::start(&[&key(1)]).await;
    let caller = Caller::new(&provider.url);
    for token in ["garbage", "e30.e30.", "eyJhbGciOiJub25lIn0.e30."] {
        let rejected = caller
            .verifier
            .principal(&request(token))
            .await
            .map_err(|failure| failure.problem().code);
        assert_eq!(rejected, Err(ProblemCode::Unauthenticated));
    }
    assert_eq!(provider.requests(), 0);
}
