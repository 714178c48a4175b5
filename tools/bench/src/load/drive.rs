//! Sends requests in one of two ways. A *closed loop* sends the next request after the last
//! response and measures throughput. An *open loop* sends each request at its due time, like
//! independent devices, and measures latency. Its latencies start at the due time, so that a
//! request delayed by slow predecessors counts in full (no coordinated omission).

mod done;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use indicatif::ProgressBar;
use tokio::runtime::Handle;

use super::work::Ready;
use crate::client::{Api, Request};

pub use done::{Done, latencies, record};

/// Runs `clients` concurrent clients, each sending its next request after its last response, until
/// all requests have been sent.
pub async fn closed_loop(
    api: &Api,
    ready: &Ready,
    requests: Vec<Request>,
    clients: usize,
    bar: &ProgressBar,
) -> Done {
    let (requests, next) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)));
    let began = Instant::now();

    let running = (0..clients).map(|_| {
        let (api, requests, next, bar) = (
            api.clone(),
            Arc::clone(&requests),
            Arc::clone(&next),
            bar.clone(),
        );
        tokio::spawn(async move {
            let mut responses = Vec::new();
            while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                let sent = Instant::now();
                responses.push((api.send(request).await, sent.elapsed()));
                bar.inc(1);
            }
            responses
        })
    });

    let responses = join_all(running).await;
    // Responses are checked afterwards, because the clients share the machine with the measured
    // server.
    done(
        ready,
        began.elapsed(),
        responses.into_iter().flat_map(Result::unwrap),
    )
}

/// Sends requests at a constant rate, each at its due time, regardless of the number of requests in
/// flight.
pub async fn open_loop(
    api: &Api,
    ready: &Ready,
    requests: Vec<Request>,
    rate_per_s: f64,
    bar: &ProgressBar,
) -> Done {
    let (api, bar, runtime) = (api.clone(), bar.clone(), Handle::current());
    let began = Instant::now();

    // Uses a separate thread, because the timer of the runtime has millisecond resolution.
    let sending = tokio::task::spawn_blocking(move || {
        let due_of = |number: usize| began + Duration::from_secs_f64(number as f64 / rate_per_s);
        let send = |(number, request): (usize, Request)| {
            let due = due_of(number);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let (api, bar) = (api.clone(), bar.clone());
            runtime.spawn(async move {
                let body = api.send(&request).await;
                let latency = due.elapsed();
                bar.inc(1);
                (body, latency)
            })
        };
        requests
            .into_iter()
            .enumerate()
            .map(send)
            .collect::<Vec<_>>()
    });

    let responses = join_all(sending.await.unwrap()).await;
    done(
        ready,
        began.elapsed(),
        responses.into_iter().map(Result::unwrap),
    )
}

fn done(
    ready: &Ready,
    took: Duration,
    responses: impl Iterator<Item = (bytes::Bytes, Duration)>,
) -> Done {
    let (mut items, mut latency_us) = (0, latencies());
    for (body, latency) in responses {
        items += ready.count(&serde_json::from_slice(&body).unwrap());
        record(&mut latency_us, latency);
    }
    Done {
        items,
        took,
        latency_us,
    }
}
