//! The four kinds of load, each as a series of requests without end. The same requests go to
//! Tidemark and to the floor.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{
    client::{Api, Request},
    workload,
};

/// Items in a push, and resources that stale updates are about.
pub const ITEMS: usize = 50;
/// Changes in a page.
pub const PAGE: usize = 100;
/// Bytes of a payload.
pub const BYTES: usize = 300;

/// Changes that take longer than this will not come at all.
const SEQUENCED_MAX: Duration = Duration::from_secs(120);

/// What devices do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadKind {
    /// They push 50 new forms at a time, each device into the channel of its user.
    Push,
    /// They pull what others changed, from the log, 100 a page.
    Pull,
    /// They push 50 updates that were made on an old version: all are refused, and kept.
    Stale,
    /// They ask, and there is nothing new.
    Quiet,
}

impl LoadKind {
    /// What is counted.
    pub fn unit(self) -> &'static str {
        if self == Self::Quiet { "poll" } else { "item" }
    }

    /// How many a request has.
    pub fn items(self) -> usize {
        match self {
            Self::Push | Self::Stale => ITEMS,
            Self::Pull => PAGE,
            Self::Quiet => 1,
        }
    }
}

/// Work whose preparations are done.
#[derive(Debug, Clone)]
pub struct Ready {
    work: LoadKind,
    /// Tells the devices of this run from those of others.
    run: i64,
    tokens: Vec<String>,
    /// Where full pages of changes begin; of quiet polls the end of the log.
    since: Vec<Value>,
    /// Resources at version 2.
    held: Vec<Value>,
}

impl Ready {
    /// Prepares: of pulls, this many changes that a device has not seen; of stale updates,
    /// resources that have moved on. Each token is a client's.
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
            LoadKind::Stale => ready.held = ready.moved_on(api).await,
            LoadKind::Quiet => {
                for token in &ready.tokens {
                    ready.since.push(end_of_log(api, token).await);
                }
            }
        }
        ready
    }

    /// The request of this number; no two pushes are alike.
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
                // A device of its own each time: a second refusal of the same device would join the
                // conflict of the first.
                Request::push(&self.tokens[0], &format!("late-{run}-{number}"), &items)
            }
        }
    }

    /// How many items were handled as they should be, which must be all.
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
            "not what was asked for: {response}"
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
                // Not everything is in the log yet.
                assert!(
                    began.elapsed() < SEQUENCED_MAX,
                    "{} full pages came of {changes} changes",
                    pages.len()
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        pages
    }

    async fn moved_on(&self, api: &Api) -> Vec<Value> {
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

/// Pulls until there is nothing more.
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
