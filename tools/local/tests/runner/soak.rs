//! A continuous load: many devices push, pull, acknowledge and conflict on a fixed set of
//! resources, and an admin resolves the conflicts. The runner's memory and folder must not grow,
//! and expired items must be deleted.
//!
//! The test cannot wait for the retention period, so it ages the items that expire: a few seconds
//! after an item was written, the test sets its expiry to the past through the runner's DynamoDB
//! entry point. Everything else is the unchanged runner.
//!
//! `TIDEMARK_SOAK_MINUTES=60 cargo test --workspace --test runner -- soak --nocapture` runs for the
//! given time and prints a table.
#![expect(
    clippy::print_stdout,
    reason = "a person follows the measurements of a long run"
)]

mod expiry;
mod load;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::Client;
use crate::process::{Runner, one_at_a_time, run};
use expiry::{EXPIRING, age, date_back, expiring};
use load::Load;

const DEVICES: usize = 8;
const METERS: usize = 20;
/// Bytes of random text in a meter's payload. Random text compresses poorly.
const NOISE_BYTES: usize = 6_000;
/// Duration and number of the measurements without `TIDEMARK_SOAK_MINUTES`.
const TICK_SHORT: Duration = Duration::from_secs(5);
const TICKS_SHORT: usize = 5;
const TICK_LONG: Duration = Duration::from_secs(60);
/// Number of pushes below which a measurement proves nothing.
const PUSHES_MIN: usize = 40;
/// Number of first measurements that are not evaluated, because memory and file still grow to their
/// working size.
const TICKS_WARM: usize = 2;
/// Bytes that conflicts and the audit log keep permanently for each resolved conflict.
const BYTES_KEPT_FOR_A_CONFLICT: u64 = 8 * 1024;

/// Counters of the operations so far.
#[derive(Default)]
struct Progress {
    pushes: AtomicUsize,
    conflicts: AtomicUsize,
    is_over: AtomicBool,
}

impl Progress {
    /// Waits for `time` and for at least `PUSHES_MIN` pushes, which take longer on a busy machine.
    fn wait(&self, time: Duration) {
        let (began, before) = (Instant::now(), self.pushes.load(Ordering::SeqCst));
        while began.elapsed() < time || self.pushes.load(Ordering::SeqCst) < before + PUSHES_MIN {
            assert!(
                began.elapsed() < time + Duration::from_secs(120),
                "the load made too few pushes"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Figures of one measurement.
#[derive(Debug, Clone, Copy)]
struct Sample {
    pushes: usize,
    conflicts: usize,
    resident_bytes: u64,
    folder_bytes: u64,
    /// Number of items that expire.
    rows: usize,
}

impl Sample {
    fn print(&self, elapsed: Duration) {
        let Self {
            pushes,
            conflicts,
            rows,
            ..
        } = self;
        let seconds = elapsed.as_secs();
        let [resident, on_disk] =
            [self.resident_bytes, self.folder_bytes].map(|bytes| bytes as f64 / 1_048_576.0);
        println!(
            "{seconds:>8} {pushes:>8} {conflicts:>9} {rows:>8} {resident:>9.1} {on_disk:>9.1}"
        );
    }
}

/// Interval and number of the measurements.
struct Schedule {
    tick: Duration,
    ticks: usize,
    /// Interval at which the runner deletes expired items.
    sweep_seconds: &'static str,
}

impl Schedule {
    /// Returns the schedule of `TIDEMARK_SOAK_MINUTES`, or a short one if it is not set.
    fn from_env() -> Self {
        let Ok(minutes) = std::env::var("TIDEMARK_SOAK_MINUTES") else {
            return Self {
                tick: TICK_SHORT,
                ticks: TICKS_SHORT,
                sweep_seconds: "1",
            };
        };
        Self {
            tick: TICK_LONG,
            ticks: minutes.parse::<usize>().unwrap().max(TICKS_WARM + 1),
            sweep_seconds: "60",
        }
    }
}

#[test]
fn soak_does_not_grow_memory_or_folder() {
    let _alone = one_at_a_time();
    let schedule = Schedule::from_env();
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("data");
    let data = folder.to_str().unwrap();
    let sweep = schedule.sweep_seconds;
    let runner = Runner::start(home.path(), &["--data", data, "--sweep-seconds", sweep]);
    let progress = Progress::default();

    let samples = sample_under_load(&runner, &folder, &progress, &schedule);
    assert_flat(&samples);

    let peak = samples.iter().map(|now| now.folder_bytes).max().unwrap();
    let left = wait_until_shrunk(&runner, &folder, &progress, peak);
    println!(
        "{:.1} MB after all of these items expired",
        left as f64 / 1_048_576.0
    );
    assert_eq!(runner.stop("TERM").code, Some(0));
}

/// Measures at each tick while devices push and pull, an admin resolves their conflicts, and items
/// expire.
fn sample_under_load(
    runner: &Runner,
    folder: &Path,
    progress: &Progress,
    schedule: &Schedule,
) -> Vec<Sample> {
    let (addr, admin) = (runner.addr, admin_token(folder.parent().unwrap()));
    let mut samples = Vec::new();
    println!(
        "{:>8} {:>8} {:>9} {:>8} {:>9} {:>9}",
        "seconds", "pushes", "conflicts", "rows", "rss MB", "folder MB"
    );

    std::thread::scope(|scope| {
        for number in 0..DEVICES {
            scope.spawn(move || Load::new(addr, number).run_until_stopped(progress));
        }
        scope.spawn(|| resolve_conflicts(addr, admin.trim_end(), progress));
        scope.spawn(|| age(addr, progress));

        let began = Instant::now();
        // Stops the threads even if a measurement fails, because the scope waits for them.
        let stop_on_drop = StopOnDrop(&progress.is_over);
        for _ in 0..schedule.ticks {
            progress.wait(schedule.tick);
            let now = measure(runner, folder, progress);
            now.print(began.elapsed());
            samples.push(now);
        }
        drop(stop_on_drop);
    });

    samples
}

/// Returns a token of an admin of the devices' tenant.
fn admin_token(home: &Path) -> String {
    let arguments = [
        "token", "--tenant", "acme", "--user", "root", "--role", "admin",
    ];
    run(home, &arguments).stdout
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Compares the last measurement with the last one of the warm-up.
fn assert_flat(samples: &[Sample]) {
    let (warm, last) = (samples[TICKS_WARM - 1], samples[samples.len() - 1]);
    assert!(last.conflicts > 0, "no conflict was resolved: {samples:?}");
    assert!(
        last.rows < warm.rows * 3 / 2 + 100,
        "expired items remain: {samples:?}"
    );

    let kept = (last.conflicts - warm.conflicts) as u64 * BYTES_KEPT_FOR_A_CONFLICT;
    // Free space is released once it is more than half of the file, and the write-ahead log adds to
    // the size.
    let folder_bytes = 2 * warm.folder_bytes + (8 << 20) + kept;

    assert!(
        last.resident_bytes < warm.resident_bytes * 5 / 4 + (8 << 20),
        "memory grows: {samples:?}"
    );
    assert!(
        last.folder_bytes < folder_bytes,
        "the folder grows: {samples:?}"
    );
}

/// Lets all items expire until none of them exist and the folder contains only the remaining data,
/// and returns the size of the folder in bytes.
fn wait_until_shrunk(runner: &Runner, folder: &Path, progress: &Progress, peak: u64) -> u64 {
    let deadline = Instant::now() + Duration::from_secs(90);
    let live = 4 * (DEVICES * METERS * NOISE_BYTES) as u64;
    let bound = live
        + (8 << 20)
        + progress.conflicts.load(Ordering::SeqCst) as u64 * BYTES_KEPT_FOR_A_CONFLICT;

    loop {
        date_back(&mut runner.client(), Duration::ZERO);
        let now = measure(runner, folder, progress);
        if now.rows == 0 && now.folder_bytes < bound {
            return now.folder_bytes;
        }
        assert!(
            Instant::now() < deadline,
            "not below {bound} bytes, after a peak of {peak}: {now:?}"
        );
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn measure(runner: &Runner, folder: &Path, progress: &Progress) -> Sample {
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len());
    let mut client = runner.client();
    Sample {
        pushes: progress.pushes.load(Ordering::SeqCst),
        conflicts: progress.conflicts.load(Ordering::SeqCst),
        resident_bytes: runner.resident_bytes(),
        folder_bytes: files.sum(),
        rows: EXPIRING
            .iter()
            .map(|table| expiring(&mut client, table).len())
            .sum(),
    }
}

/// Resolves open conflicts as an admin until the load ends.
fn resolve_conflicts(addr: SocketAddr, admin: &str, progress: &Progress) {
    let mut client = Client::connect(addr).unwrap();
    let headers = [("authorization", format!("Bearer {admin}"))];
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();

    while !progress.is_over.load(Ordering::SeqCst) {
        let open = client
            .send("GET /api/v1/mobile/conflicts?status=open", &headers, b"")
            .unwrap()
            .json();
        for conflict in open["conflicts"].as_array().unwrap() {
            let route = format!("conflicts/{}/resolve", conflict["id"].as_str().unwrap());
            // Another edit may join the conflict at this moment and cause a 409. A later round
            // resolves it.
            let response = client
                .post(
                    &route,
                    admin,
                    &json!({"resolution": "accept_server"}).to_string(),
                )
                .unwrap();
            assert!(
                response.status == 200 || response.status == 409,
                "{response:?}"
            );
            progress
                .conflicts
                .fetch_add(usize::from(response.status == 200), Ordering::SeqCst);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
