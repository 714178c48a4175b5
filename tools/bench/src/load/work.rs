//! The four kinds of load, each as an unbounded series of requests. Tidemark and the baseline
//! receive the same requests.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{
    client::{Api, Request},
    workload,
};

/// Items per push, and number of resources in stale updates.
pub const ITEMS: usize = 50;
/// Number of changes per page.
pub const PAGE: usize = 100;
/// Number of bytes per payload.
pub const BYTES: usize = 300;

/// Time after which changes are considered lost.
const SEQUENCED_MAX: Duration = Duration::from_secs(120);

/// The activity of the simulated devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadKind {
    /// Devices push 50 new forms at a time, each into the channel of its user.
    Push,
    /// Devices pull other devices' changes from the log, 100 per page.
    Pull,
    /// Devices push 50 updates based on an old version. All of them conflict and are stored.
    Stale,
    /// Devices pull when there are no changes.
    Quiet,
}

impl LoadKind {
    /// Returns the name of the counted unit.
    pub fn unit(self) -> &'static str {
        if self == Self::Quiet { "poll" } else { "item" }
    }

    /// Returns the number of items per request.
    pub fn items(self) -> usize {
        match self {
            Self::Push | Self::Stale => ITEMS,
            Self::Pull => PAGE,
            Self::Quiet => 1,
        }
    }
}

/// A load with its preparations completed.
#[derive(Debug, Clone)]
pub struct Ready {
    work: LoadKind,
    /// Distinguishes the devices of this run from those of other runs.
    run: i64,
    tokens: Vec<String>,
    /// Tokens at which full pages of changes begin; for polls, the end of the log.
    since: Vec<Value>,
    /// Ids of resources at version 2.
    held: Vec<Value>,
}

impl Ready {
    /// Prepares the load: for pulls, `changes` changes that a device has not seen; for stale
    /// updates, resources that have been updated. Each token belongs to one client.
    pub async fn new(
        work: LoadKind,
        api: &Api,
        tokens: Vec<String>,
        changes: usize,
        run: i64,
    ) -> Self {
        let mut ready = Self {
            work,
            run,
            tokens,
            since: Vec::new(),
            held: Vec::new(),
        };

        match work {
            LoadKind::Push => {}
            LoadKind::Pull => ready.since = ready.full_pages(api, changes).await,
            LoadKind::Stale => ready.held = ready.create_and_update(api).await,
            LoadKind::Quiet => {
                for token in &ready.tokens {
                    ready.since.push(end_of_log(api, token).await);
                }
            }
        }
        ready
    }

    /// Returns the request with this number. Each push is different.
    pub fn request(&self, number: usize) -> Request {
        let client = number % self.tokens.len();
        let (token, run) = (&self.tokens[client], self.run);

        match self.work {
            LoadKind::Push => self.creates(token, &format!("phone-{run}"), number),
            LoadKind::Pull => Request::pull(
                &self.tokens[0],
                &format!("tablet-{run}-{client}"),
                &self.since[number % self.since.len()],
            ),
            LoadKind::Quiet => Request::pull(token, &format!("tablet-{run}"), &self.since[client]),
            LoadKind::Stale => {
                let late = |(at, id)| {
                    workload::update(id, 1, workload::form(number * ITEMS + at, 2, BYTES))
                };
                let items: Vec<Value> = self.held.iter().enumerate().map(late).collect();
                // A new device each time: a second rejected edit of the same device would join its
                // first conflict.
                Request::push(&self.tokens[0], &format!("late-{run}-{number}"), &items)
            }
        }
    }

    /// Returns the number of items that were processed as expected, and panics unless that is all
    /// of them.
    pub fn count(&self, response: &Value) -> usize {
        let handled = match self.work {
            LoadKind::Push => statuses(response, "ok"),
            LoadKind::Stale => statuses(response, "conflict"),
            LoadKind::Pull => list(&response["changes"]).len(),
            LoadKind::Quiet => usize::from(list(&response["changes"]).is_empty()),
        };
        assert_eq!(
            handled,
            self.work.items(),
            "unexpected response: {response}"
        );
        handled
    }

    fn creates(&self, token: &str, device_id: &str, number: usize) -> Request {
        let create = |at| {
            workload::create(
                number * ITEMS + at,
                workload::form(number * ITEMS + at, 0, BYTES),
            )
        };
        Request::push(
            token,
            device_id,
            &(0..ITEMS).map(create).collect::<Vec<_>>(),
        )
    }

    async fn full_pages(&self, api: &Api, changes: usize) -> Vec<Value> {
        let token = &self.tokens[0];
        let start = end_of_log(api, token).await;
        for number in 0..changes.div_ceil(ITEMS) {
            api.send(&self.creates(token, &format!("phone-{}", self.run), number))
                .await;
        }

        let (mut since, mut pages, began) = (start, Vec::new(), Instant::now());
        while pages.len() < changes / PAGE {
            let page = api.ask(&Request::pull(token, "reader", &since)).await;
            if list(&page["changes"]).len() == PAGE {
                pages.push(std::mem::replace(&mut since, page["next_token"].clone()));
            } else {
                // The log does not contain all changes yet.
                assert!(
                    began.elapsed() < SEQUENCED_MAX,
                    "{} full pages after {changes} changes",
                    pages.len()
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        pages
    }

    async fn create_and_update(&self, api: &Api) -> Vec<Value> {
        let (token, phone) = (&self.tokens[0], format!("phone-{}", self.run));
        let made = api.ask(&self.creates(token, &phone, 0)).await;
        let ids: Vec<Value> = list(&made["results"])
            .iter()
            .map(|result| result["server_id"].clone())
            .collect();
        let update = |(at, id)| workload::update(id, 1, workload::form(at, 1, BYTES));

        let updates: Vec<Value> = ids.iter().enumerate().map(update).collect();

        assert_eq!(
            statuses(
                &api.ask(&Request::push(token, &phone, &updates)).await,
                "ok"
            ),
            ITEMS
        );

        ids
    }
}

/// Pulls all pages and returns the token of the end of the log.
pub async fn end_of_log(api: &Api, token: &str) -> Value {
    let mut since = Value::Null;
    loop {
        let page = api.ask(&Request::pull(token, "reader", &since)).await;
        since = page["next_token"].clone();
        if page["has_more"] == false {
            return since;
        }
    }
}

fn statuses(response: &Value, status: &str) -> usize {
    list(&response["results"])
        .iter()
        .filter(|result| result["status"] == status)
        .count()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
