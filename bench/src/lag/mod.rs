//! `bench lag`: how long after a push was answered a pull shows the change, and how many changes
//! one channel's log takes.

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

/// Users who push meanwhile.
const OTHERS: usize = 8;
/// Pushes that find how much goes through.
const CALIBRATION: usize = 40;
/// A change that takes longer than this will not come at all.
const VISIBLE_MAX: Duration = Duration::from_secs(120);

/// What is measured.
#[derive(Debug, Clone, Args)]
pub struct LagArguments {
    /// A Tidemark that runs somewhere. The first token is of the user who pushes and pulls, the
    /// others are of those who push meanwhile.
    #[command(flatten)]
    pub remote: Remote,
    /// How many changes are waited for.
    #[arg(long, default_value_t = 300)]
    pub pushes: usize,
    /// How many changes of one channel are sequenced, at most 1,000.
    #[arg(long, default_value_t = channel::CHANGES_MAX)]
    pub channel_changes: usize,
}

/// What was seen of so many pushes.
struct LagSamples {
    visible_us: Histogram<u64>,
    quiet_us: Histogram<u64>,
    pulls: usize,
}

/// The tables; `program` is the binary `bench`, which runs Tidemark.
pub async fn tables(program: &Path, arguments: &LagArguments) -> Vec<Table> {
    let mut tables = vec![visible(program, arguments).await];
    // It needs no server, so there is nothing of it to measure elsewhere.
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

async fn visible(program: &Path, arguments: &LagArguments) -> Table {
    let Remote { url, tokens } = &arguments.remote;
    let subject = url
        .is_none()
        .then(|| Subject::start(program, Kind::Tidemark));
    let (api, tokens) = match (&subject, url) {
        (Some(subject), _) => (
            subject.api.clone(),
            (0..=OTHERS)
                .map(|user| subject.token(&format!("user-{user}")))
                .collect(),
        ),
        (None, url) => (Api::new(url.as_deref().unwrap_or_default()), tokens.clone()),
    };
    let run = Clock::system().now().timestamp_millis();
    let (token, others) = tokens.split_first().expect("a token");
    let bar = ProgressBar::new((arguments.pushes * if others.is_empty() { 1 } else { 2 }) as u64);
    bar.set_style(
        ProgressStyle::with_template("push → pull {wide_bar} {pos}/{len}")
            .expect("a fixed template"),
    );
    let mut table = Table::new(
        "lag-visible",
        "From a push's answer to the pull that shows the change",
        "A second device of the user pulls again and again until the change is there. The floor is a pull that finds nothing, in the same run. \
         The others push half of what goes through.",
    );
    let seen = watch(&api, token, &format!("phone-{run}"), arguments.pushes, &bar).await;
    table.rows.extend(rows("alone", &seen));
    if !others.is_empty() {
        let crowd = Crowd::start(&api, others, run).await;
        let seen = watch(
            &api,
            token,
            &format!("phone-{run}-crowd"),
            arguments.pushes,
            &bar,
        )
        .await;
        table.rows.extend(rows(
            &format!("beside {} users who push 50s", others.len()),
            &seen,
        ));
        crowd.stop().await;
    }
    bar.finish_and_clear();
    table
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
        .floor(ms(&seen.quiet_us, quantile))
    };
    let pulls = seen.pulls as f64 / seen.visible_us.len() as f64;
    vec![
        quantile("p50", 0.50),
        quantile("p99", 0.99),
        Row::new(
            format!("{situation}: pulls until it is there, mean"),
            "pulls",
            pulls,
        )
        .floor(1.0),
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
        let asked = Instant::now();
        let page = api.ask(&Request::pull(token, "tablet", &since)).await;
        record(&mut seen.quiet_us, asked.elapsed());
        assert_eq!(
            page["changes"],
            Value::Array(Vec::new()),
            "somebody else uses this user's channels"
        );
        since = page["next_token"].clone();
        let item = workload::create(number, workload::form(number, 0, BYTES));
        let made = api.ask(&Request::push(token, phone, &[item])).await;
        let answered = Instant::now();
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
                answered.elapsed() < VISIBLE_MAX,
                "a change that nobody gets: {made}"
            );
        }
        record(&mut seen.visible_us, answered.elapsed());
        bar.inc(1);
    }
    seen
}

/// Clients that push at a steady rate, half of what goes through: beyond that, it would be the
/// waiting line that is measured.
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
