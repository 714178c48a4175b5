//! `bench load`: simulated devices against a running Tidemark and, in the same run, against the
//! baseline.

pub mod drive;
pub mod work;

use std::path::{Path, PathBuf};

use clap::Args;
use drive::{Done, closed_loop, open_loop};
use indicatif::{ProgressBar, ProgressStyle};
use tidemark_aws::Clock;
use work::{LoadKind, Ready};

use crate::{
    client::{Api, Request},
    cpu::Usage,
    subject::{Kind, Subject},
    table::{Row, Table, number},
};

/// Number of concurrent clients.
const CLIENTS: usize = 8;
/// Number of parts into which the requests of a measurement are divided.
const ROUNDS: usize = 4;
/// Share of the measured throughput that is offered when latencies are measured.
const OFFERED: f64 = 0.6;
/// Number of items for which CPU time is reported.
const PER_ITEMS: f64 = 10_000.0;

/// Arguments for measuring a remote Tidemark.
#[derive(Debug, Clone, Default, Args)]
pub struct Remote {
    /// Measures the Tidemark at this URL (without /api/v1/mobile) instead of a local one: without
    /// baseline, CPU time and memory.
    #[arg(long, requires = "tokens")]
    pub url: Option<String>,
    /// A token that the remote deployment accepts. Several tokens are several users.
    #[arg(long = "token", requires = "url")]
    pub tokens: Vec<String>,
}

/// Arguments of `bench load`.
#[derive(Debug, Clone, Args)]
pub struct LoadArguments {
    /// A remote Tidemark to measure.
    #[command(flatten)]
    pub remote: Remote,
    /// Number of requests per measurement; five times as many for polls without changes.
    #[arg(long, default_value_t = 400)]
    pub requests: usize,
    /// Number of changes to pull, in pages of 100.
    #[arg(long, default_value_t = 10_000)]
    pub changes: usize,
}

/// Measures and returns the tables; `program` is the `bench` binary, which also runs Tidemark and
/// the baseline.
pub async fn tables(program: &Path, arguments: &LoadArguments) -> Vec<Table> {
    let mut tables = Vec::new();

    for work in [
        LoadKind::Push,
        LoadKind::Pull,
        LoadKind::Stale,
        LoadKind::Quiet,
    ] {
        let load = Load {
            program: program.to_owned(),
            arguments: arguments.clone(),
            work,
        };
        tables.push(load.table().await);
    }
    tables
}

struct Load {
    program: PathBuf,
    arguments: LoadArguments,
    work: LoadKind,
}

/// A server under measurement and the state of its requests.
struct Side {
    subject: Option<Subject>,
    api: Api,
    ready: Ready,
    next: usize,
}

/// How the requests are sent.
#[derive(Debug, Clone, Copy)]
enum Loop {
    /// By this number of clients, each after its last response.
    Closed(usize),
    /// At this number of requests per second, regardless of responses.
    Open(f64),
}

/// The results of one server.
struct SideResult {
    alone: Done,
    together: Done,
    offered: Done,
    /// Usage per 10,000 items of both closed loops.
    used: Option<Usage>,
}

impl Load {
    async fn table(&self) -> Table {
        let (name, title) = match self.work {
            LoadKind::Push => ("load-push", "Pushing new forms of 300 bytes, 50 at a time"),
            LoadKind::Pull => ("load-pull", "Pulling changes from the log, 100 a page"),
            LoadKind::Stale => (
                "load-stale",
                "Pushing updates of an old version, 50 at a time: all conflict and are stored",
            ),
            LoadKind::Quiet => ("load-quiet", "Polling without changes"),
        };

        let bar = self.bar(title);
        let mut sides = self.sides().await;
        let measured = self.measure(&mut sides, &bar).await;
        bar.finish_and_clear();

        let rate = number(OFFERED * slower(&measured[0].alone, &measured[0].together));
        let note = format!(
            "Latency at an offered load of {rate} {}s/s for both, measured from the due time of \
             each request. Functions are the whole process without the engine's calls: functions, \
             HTTP, and the streams, including the sequencing of pushed changes.",
            self.work.unit()
        );

        let mut table = Table::new(name, title, note);
        table.rows = self.rows(&measured);
        table
    }

    fn bar(&self, title: &'static str) -> ProgressBar {
        let sides = if self.arguments.remote.url.is_some() {
            1
        } else {
            2
        };
        let bar = ProgressBar::new((sides * (3 * self.requests() + self.warm_up())) as u64)
            .with_message(title);
        bar.with_style(
            ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}").expect("a fixed template"),
        )
    }

    fn requests(&self) -> usize {
        self.arguments.requests * if self.work == LoadKind::Quiet { 5 } else { 1 }
    }

    fn warm_up(&self) -> usize {
        self.requests() / 4
    }

    /// Prepares Tidemark and, unless it is remote, the baseline.
    async fn sides(&self) -> Vec<Side> {
        let (run, changes) = (
            Clock::system().now().timestamp_millis(),
            self.arguments.changes,
        );

        let Remote { url, tokens } = &self.arguments.remote;
        if let Some(url) = url {
            let api = Api::new(url);
            let ready = Ready::new(self.work, &api, tokens.clone(), changes, run).await;
            return vec![Side {
                subject: None,
                api,
                ready,
                next: 0,
            }];
        }

        let mut sides = Vec::new();
        for kind in [Kind::Tidemark, Kind::Baseline] {
            let subject = Subject::start(&self.program, kind);
            let tokens = (0..CLIENTS)
                .map(|client| subject.token(&format!("user-{client}")))
                .collect();
            let api = subject.api.clone();
            let ready = Ready::new(self.work, &api, tokens, changes, run).await;
            // The preparations have used the first numbers.
            sides.push(Side {
                subject: Some(subject),
                api,
                ready,
                next: changes,
            });
        }
        sides
    }

    async fn measure(&self, sides: &mut [Side], bar: &ProgressBar) -> Vec<SideResult> {
        let mut before = Vec::new();
        for side in sides.iter_mut() {
            side.run(Loop::Closed(1), self.warm_up(), bar).await;
            before.push(side.idle().await);
        }

        let alone = self.in_rounds(sides, Loop::Closed(1), bar).await;
        let together = self.in_rounds(sides, Loop::Closed(CLIENTS), bar).await;

        let mut after = Vec::new();
        for side in sides.iter_mut() {
            after.push(side.idle().await);
        }

        let rate = OFFERED * slower(&alone[0], &together[0]) / self.work.items() as f64;
        let offered = self.in_rounds(sides, Loop::Open(rate), bar).await;

        let loops = alone
            .into_iter()
            .zip(together)
            .zip(offered)
            .zip(before.into_iter().zip(after));

        let measured = loops.map(|(((alone, together), offered), (before, after))| {
            let per = PER_ITEMS / (alone.items + together.items) as f64;
            let used = before.zip(after).map(|(before, after)| Usage {
                process_s: (after.process_s - before.process_s) * per,
                store_s: (after.store_s - before.store_s) * per,
                peak_mb: after.peak_mb,
            });
            SideResult {
                alone,
                together,
                offered,
                used,
            }
        });
        measured.collect()
    }

    /// Measures the servers alternately, a part of the requests at a time, so that other load on
    /// the machine affects both.
    async fn in_rounds(&self, sides: &mut [Side], how: Loop, bar: &ProgressBar) -> Vec<Done> {
        let mut done = vec![Done::default(); sides.len()];
        let mut left = self.requests();

        for round in (1..=ROUNDS).rev() {
            let requests = left / round;
            left -= requests;
            for (side, done) in sides.iter_mut().zip(&mut done) {
                if requests > 0 {
                    done.add(&side.run(how, requests, bar).await);
                    side.idle().await;
                }
            }
        }
        done
    }

    fn rows(&self, measured: &[SideResult]) -> Vec<Row> {
        let row = |what: String, unit, of: &dyn Fn(&SideResult) -> Option<f64>| {
            let row = Row::new(what, unit, of(&measured[0])?);
            Some(match measured.get(1).and_then(of) {
                Some(baseline) => row.baseline(baseline),
                None => row,
            })
        };

        let (rates, per) = match self.work {
            LoadKind::Quiet => ("polls/s", "10,000 polls"),
            _ => ("items/s", "10,000 items"),
        };
        let cpu = |side: &SideResult, of: fn(&Usage) -> f64| side.used.as_ref().map(of);

        let rows = [
            row("1 client".to_owned(), rates, &|side| {
                Some(side.alone.items_per_s())
            }),
            row(format!("{CLIENTS} clients"), rates, &|side| {
                Some(side.together.items_per_s())
            }),
            row("latency, p50".to_owned(), "ms", &|side| {
                Some(side.offered.ms_at(0.50))
            }),
            row("latency, p99".to_owned(), "ms", &|side| {
                Some(side.offered.ms_at(0.99))
            }),
            row(format!("functions, for {per}"), "CPU s", &|side| {
                cpu(side, |used| used.process_s - used.store_s)
            }),
            row(
                format!("engine (baseline: SQLite), for {per}"),
                "CPU s",
                &|side| cpu(side, |used| used.store_s),
            ),
            row("memory, largest".to_owned(), "MB", &|side| {
                cpu(side, |used| used.peak_mb)
            }),
        ];
        rows.into_iter().flatten().collect()
    }
}

impl Side {
    async fn run(&mut self, how: Loop, requests: usize, bar: &ProgressBar) -> Done {
        let numbers = self.next..self.next + requests;
        self.next = numbers.end;
        let requests: Vec<Request> = numbers.map(|number| self.ready.request(number)).collect();
        match how {
            Loop::Closed(clients) => {
                closed_loop(&self.api, &self.ready, requests, clients, bar).await
            }
            Loop::Open(rate_per_s) => {
                open_loop(&self.api, &self.ready, requests, rate_per_s, bar).await
            }
        }
    }

    async fn idle(&mut self) -> Option<Usage> {
        match &mut self.subject {
            Some(subject) => Some(subject.idle().await),
            None => None,
        }
    }
}

/// Returns the lower throughput of both in items per second.
fn slower(one: &Done, other: &Done) -> f64 {
    one.items_per_s().min(other.items_per_s())
}
