//! `bench lag`: measures the time from the response of a push until a pull returns the change, and
//! the throughput of one channel's log.

pub mod channel;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Args;
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tidemark_aws::Clock;
use tokio::task::{JoinHandle, JoinSet};

use crate::{
    client::{Api, Request},
    load::{
        Remote,
        drive::{closed_loop, latencies, record},
        work::{BYTES, LoadKind, Ready, end_of_log},
    },
    subject::{Kind, Subject},
    table::{Row, Table},
    workload,
};

/// Users who push concurrently.
const OTHERS: usize = 8;
/// Pushes that determine the maximum throughput.
const CALIBRATION: usize = 40;
/// Time after which a change is considered lost.
const VISIBLE_MAX: Duration = Duration::from_secs(120);

/// Arguments of `bench lag`.
#[derive(Debug, Clone, Args)]
pub struct LagArguments {
    /// A remote Tidemark. The first token belongs to the user who pushes and pulls, further tokens
    /// to users who push concurrently.
    #[command(flatten)]
    pub remote: Remote,
    /// Number of changes whose visibility is measured.
    #[arg(long, default_value_t = 300)]
    pub pushes: usize,
    /// Number of changes of one channel to sequence, at most 1,000.
    #[arg(long, default_value_t = channel::CHANGES_MAX)]
    pub channel_changes: usize,
}

/// Samples of a series of pushes.
struct LagSamples {
    visible_us: Histogram<u64>,
    quiet_us: Histogram<u64>,
    pulls: usize,
}

/// Measures and returns the tables; `program` is the `bench` binary, which also runs Tidemark.
pub async fn tables(program: &Path, arguments: &LagArguments) -> Vec<Table> {
    let mut tables = vec![visible(program, arguments).await];

    // The channel's throughput is measured in this process, so it does not apply to a remote
    // deployment.
    if arguments.remote.url.is_none() {
        let changes = arguments.channel_changes;
        tables.push(
            tokio::task::spawn_blocking(move || channel::table(changes))
                .await
                .unwrap(),
        );
    }
    tables
}

/// Measures the time until a change is visible, alone and while other users push.
async fn visible(program: &Path, arguments: &LagArguments) -> Table {
    let Target {
        api,
        tokens,
        _subject,
    } = Target::start(program, &arguments.remote);
    let (token, others) = tokens.split_first().expect("a token");
    let run = Clock::system().now().timestamp_millis();
    let pushes = arguments.pushes;
    let bar = progress(pushes * if others.is_empty() { 1 } else { 2 });

    let mut table = Table::new(
        "lag-visible",
        "From the response of a push to the pull that returns the change",
        "A second device of the user pulls repeatedly until it receives the change. The baseline \
         is a pull without changes in the same run. The other users push at half of the maximum \
         throughput.",
    );

    let seen = watch(&api, token, &format!("phone-{run}"), pushes, &bar).await;
    table.rows.extend(rows("alone", &seen));

    if !others.is_empty() {
        let crowd = Crowd::start(&api, others, run).await;
        let seen = watch(&api, token, &format!("phone-{run}-crowd"), pushes, &bar).await;
        let situation = format!("with {} users who push 50s", others.len());
        table.rows.extend(rows(&situation, &seen));
        crowd.stop().await;
    }

    bar.finish_and_clear();
    table
}

/// The measured deployment, and the tokens of its users.
struct Target {
    api: Api,
    tokens: Vec<String>,
    /// Keeps a local deployment running.
    _subject: Option<Subject>,
}

impl Target {
    /// Returns the remote deployment, or starts one if no URL is given.
    fn start(program: &Path, remote: &Remote) -> Self {
        if let Some(url) = &remote.url {
            return Self {
                api: Api::new(url),
                tokens: remote.tokens.clone(),
                _subject: None,
            };
        }

        let subject = Subject::start(program, Kind::Tidemark);
        let tokens = (0..=OTHERS)
            .map(|user| subject.token(&format!("user-{user}")))
            .collect();
        Self {
            api: subject.api.clone(),
            tokens,
            _subject: Some(subject),
        }
    }
}

fn progress(pushes: usize) -> ProgressBar {
    ProgressBar::new(pushes as u64).with_style(
        ProgressStyle::with_template("push → pull {wide_bar} {pos}/{len}")
            .expect("a fixed template"),
    )
}

fn rows(situation: &str, seen: &LagSamples) -> Vec<Row> {
    let ms =
        |histogram: &Histogram<u64>, quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
    let quantile = |name: &str, quantile| {
        Row::new(
            format!("{situation}: {name}"),
            "ms",
            ms(&seen.visible_us, quantile),
        )
        .baseline(ms(&seen.quiet_us, quantile))
    };

    let pulls = seen.pulls as f64 / seen.visible_us.len() as f64;
    vec![
        quantile("p50", 0.50),
        quantile("p99", 0.99),
        Row::new(
            format!("{situation}: pulls until it is returned, mean"),
            "pulls",
            pulls,
        )
        .baseline(1.0),
    ]
}

async fn watch(
    api: &Api,
    token: &str,
    phone: &str,
    pushes: usize,
    bar: &ProgressBar,
) -> LagSamples {
    let mut since = end_of_log(api, token).await;
    let mut seen = LagSamples {
        visible_us: latencies(),
        quiet_us: latencies(),
        pulls: 0,
    };

    for number in 0..pushes {
        let sent_at = Instant::now();
        let page = api.ask(&Request::pull(token, "tablet", &since)).await;
        record(&mut seen.quiet_us, sent_at.elapsed());
        assert_eq!(
            page["changes"],
            Value::Array(Vec::new()),
            "no other client may write to this user's channels"
        );
        since = page["next_token"].clone();

        let item = workload::create(number, workload::form(number, 0, BYTES));
        let made = api.ask(&Request::push(token, phone, &[item])).await;
        let responded_at = Instant::now();

        loop {
            let page = api.ask(&Request::pull(token, "tablet", &since)).await;
            seen.pulls += 1;
            since = page["next_token"].clone();
            let id = &made["results"][0]["server_id"];
            if page["changes"]
                .as_array()
                .is_some_and(|changes| changes.iter().any(|change| change["id"] == *id))
            {
                break;
            }
            assert!(
                responded_at.elapsed() < VISIBLE_MAX,
                "the change did not become visible: {made}"
            );
        }
        record(&mut seen.visible_us, responded_at.elapsed());
        bar.inc(1);
    }
    seen
}

/// Clients that push at a constant rate of half the maximum throughput. At a higher rate, the
/// measurement would be dominated by queuing.
struct Crowd {
    is_over: Arc<AtomicBool>,
    sending: JoinHandle<()>,
}

impl Crowd {
    async fn start(api: &Api, tokens: &[String], run: i64) -> Self {
        let (api, ready) = (
            api.clone(),
            Ready::new(LoadKind::Push, api, tokens.to_vec(), 0, run).await,
        );

        let requests = (0..CALIBRATION)
            .map(|number| ready.request(number))
            .collect();
        let most = closed_loop(&api, &ready, requests, tokens.len(), &ProgressBar::hidden()).await;
        let period = most.took.mul_f64(2.0 / CALIBRATION as f64);

        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);

        let sending = tokio::spawn(async move {
            let (mut due, mut under_way) = (tokio::time::interval(period), JoinSet::new());
            for number in CALIBRATION.. {
                due.tick().await;
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let (api, request) = (api.clone(), ready.request(number));
                under_way.spawn(async move { api.send(&request).await });
            }
            under_way.join_all().await;
        });

        Self { is_over, sending }
    }

    async fn stop(self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.sending.await.unwrap();
    }
}
