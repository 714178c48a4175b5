//! A key set by URL (§1): fetched once an hour, asked for an unknown key at most once a minute, and
//! not missed while the keys are known.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicI64, AtomicUsize, Ordering},
};

use chrono::DateTime;
use lambda_http::http::header;
use serde_json::{Value, json};
use tidemark::engine::http::NoHook;
use tidemark_aws::{Clock, auth::Verifier, http};
use tidemark_core::protocol::problem::ProblemCode;
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
    /// What it answers: status line and body.
    response: Arc<Mutex<(String, String)>>,
    asked: Arc<AtomicUsize>,
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
        let asked = Arc::new(AtomicUsize::new(0));
        let (responses, count) = (Arc::clone(&response), Arc::clone(&asked));
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
            asked,
            task,
        }
    }

    fn responses(&self, status: &str, body: String) {
        *self.response.lock().unwrap() = (status.to_owned(), body);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Takes it off the network: connections are refused from here on.
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
    // A client that went away needs no answer.
    let _ = stream
        .write_all(&[head.as_bytes(), body.as_bytes()].concat())
        .await;
}

fn key_set(keys: &[&Key]) -> String {
    json!({"keys": keys.iter().map(|key| key.public()).collect::<Vec<_>>()}).to_string()
}

/// A verifier that fetches its keys, and its clock.
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

    /// Calls with a token of `key`: the user, or why not.
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
async fn the_key_set_is_fetched_once_an_hour() {
    let provider = Provider::start(&[&key(1), &key(2)]).await;
    let caller = Caller::new(&provider.url);
    assert_eq!(provider.asked(), 0);
    for hour in 1..4 {
        for _ in 0..3 {
            assert_eq!(
                (caller.call(&key(1)).await, caller.call(&key(2)).await),
                (ana(), ana())
            );
            caller.advance(1199);
        }
        assert_eq!(provider.asked(), hour);
        caller.advance(3);
    }
}

#[tokio::test]
async fn a_key_that_was_withdrawn_is_forgotten_within_an_hour() {
    let provider = Provider::start(&[&key(1), &key(2)]).await;
    let caller = Caller::new(&provider.url);
    assert_eq!(
        (caller.call(&key(1)).await, caller.call(&key(2)).await),
        (ana(), ana())
    );
    provider.responses("200 OK", key_set(&[&key(2)]));
    caller.advance(3600);
    assert_eq!(
        (caller.call(&key(1)).await, caller.call(&key(2)).await),
        (Err(ProblemCode::Unauthenticated), ana())
    );
}

#[tokio::test]
async fn unknown_key_ids_are_asked_for_at_most_once_a_minute() {
    let provider = Provider::start(&[&key(1)]).await;
    let caller = Caller::new(&provider.url);
    assert_eq!(caller.call(&key(1)).await, ana());
    for number in 2..20 {
        assert_eq!(
            caller.call(&key(number)).await,
            Err(ProblemCode::Unauthenticated)
        );
    }
    assert_eq!(provider.asked(), 1, "within the first minute");
    caller.advance(59);
    assert_eq!(
        caller.call(&key(2)).await,
        Err(ProblemCode::Unauthenticated)
    );
    assert_eq!(provider.asked(), 1, "a second before the minute is over");
    caller.advance(1);
    for number in 2..20 {
        assert_eq!(
            caller.call(&key(number)).await,
            Err(ProblemCode::Unauthenticated)
        );
    }
    assert_eq!(provider.asked(), 2, "when the minute is over");
}

#[tokio::test]
async fn a_rotated_key_is_found_within_a_minute() {
    let provider = Provider::start(&[&key(1)]).await;
    let caller = Caller::new(&provider.url);
    assert_eq!(caller.call(&key(1)).await, ana());
    provider.responses("200 OK", key_set(&[&key(2)]));
    caller.advance(60);
    assert_eq!(caller.call(&key(2)).await, ana());
    assert_eq!(
        caller.call(&key(1)).await,
        Err(ProblemCode::Unauthenticated),
        "the key that was taken out"
    );
    assert_eq!(provider.asked(), 2);
}

#[tokio::test]
async fn a_key_id_of_the_set_does_not_vouch_for_another_signature() {
    let provider = Provider::start(&[&key(1)]).await;
    let caller = Caller::new(&provider.url);
    let forged = Key::ed25519(&[9; 32], "key-1");
    assert_eq!(
        caller.call(&forged).await,
        Err(ProblemCode::Unauthenticated)
    );
}

#[tokio::test]
async fn without_any_key_nobody_can_be_told_apart_and_it_is_an_outage() {
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
async fn a_provider_that_comes_back_is_asked_at_once() {
    let provider = Provider::start(&[&key(1)]).await;
    let caller = Caller::new(&provider.url);
    provider.responses("500 Internal Server Error", key_set(&[&key(1)]));
    assert_eq!(caller.call(&key(1)).await, Err(ProblemCode::Unavailable));
    provider.responses("200 OK", key_set(&[&key(1)]));
    assert_eq!(caller.call(&key(1)).await, ana());
    assert_eq!(provider.asked(), 2);
}

#[tokio::test]
async fn keys_that_are_known_verify_while_the_provider_is_down() {
    let provider = Provider::start(&[&key(1)]).await;
    let caller = Caller::new(&provider.url);
    assert_eq!(caller.call(&key(1)).await, ana());
    provider.stop().await;
    for _ in 0..3 {
        caller.advance(3600);
        // It may have been rotated in: that nobody can say now.
        assert_eq!(caller.call(&key(2)).await, Err(ProblemCode::Unavailable));
        assert_eq!(caller.call(&key(1)).await, ana());
    }
}

#[tokio::test]
async fn stale_keys_are_not_trusted() {
    let provider = Provider::start(&[&key(1)]).await;
    let caller = Caller::new(&provider.url);
    assert_eq!(caller.call(&key(1)).await, ana());
    provider.responses("500 Internal Server Error", String::new());
    caller.advance(24 * 3600 - 1);
    assert_eq!(
        caller.call(&key(1)).await,
        ana(),
        "a second before the day is over"
    );
    caller.advance(1);
    // That a token is wrong cannot be told either.
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
    provider.responses("200 OK", key_set(&[&key(1)]));
    assert_eq!(caller.call(&key(1)).await, ana(), "the provider is back");
}

#[tokio::test]
async fn an_answer_that_is_no_key_set_changes_nothing() {
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
        provider.responses(status, body.to_owned());
        caller.advance(60);
        assert_eq!(
            caller.call(&key(2)).await,
            Err(ProblemCode::Unavailable),
            "{status}"
        );
        assert_eq!(caller.call(&key(1)).await, ana(), "{status}");
    }
    assert_eq!(provider.asked(), 6);
}

/// The clock of this test jumps to the next timer whenever nothing else can go on, so the wait
/// takes no time.
#[tokio::test(start_paused = true)]
async fn a_provider_that_never_answers_is_an_outage_within_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let caller = Caller::new(&format!("http://{}/", listener.local_addr().unwrap()));
    let began = tokio::time::Instant::now();
    assert_eq!(caller.call(&key(1)).await, Err(ProblemCode::Unavailable));
    assert!(began.elapsed().as_secs() <= 5, "{:?}", began.elapsed());
}

#[tokio::test]
async fn tokens_without_a_good_header_are_refused_before_anybody_is_asked() {
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
    assert_eq!(provider.asked(), 0);
}
