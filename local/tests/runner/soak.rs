//! A load that goes on: many devices push, pull, acknowledge, conflict and are decided, about a
//! fixed set of resources. What the runner then holds in memory and in its folder must stay what it
//! was, and what has expired must go.
//!
//! Nothing here can wait for the retention. So what the runner keeps for a while is aged through
//! its DynamoDB door: a few seconds after a row was written it is dated back, so that it has
//! expired. Everything else is the runner as it is.
//!
//! `TIDEMARK_SOAK_MINUTES=60 cargo test --workspace --test runner -- soak --nocapture` goes on for
//! as long as wanted, and prints a table.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Client;
use crate::load::Random;
use crate::process::{Runner, one_at_a_time, run, token};

const DEVICES: usize = 8;
const METERS: usize = 20;
/// How much a meter says, of noise, which packing does not make smaller.
const NOISE_BYTES: usize = 6_000;
/// How old a row gets: all devices have pulled by then.
const AGE: Duration = Duration::from_secs(3);
/// Without an argument: how long a measurement goes on, and how many there are.
const TICK_SHORT: Duration = Duration::from_secs(5);
const TICKS_SHORT: usize = 5;
const TICK_LONG: Duration = Duration::from_secs(60);
/// A measurement with less than that in it shows nothing.
const PUSHES_MIN: usize = 40;
/// Measurements that are not looked at: memory and file grow to what they need first.
const TICKS_WARM: usize = 2;
/// What conflicts and the audit log keep for ever, for each that was decided.
const BYTES_KEPT_FOR_A_CONFLICT: u64 = 8 * 1024;

/// What was done so far.
#[derive(Default)]
struct Done {
    pushes: AtomicUsize,
    conflicts: AtomicUsize,
    is_over: AtomicBool,
}

impl Done {
    /// Until so much time is over and enough was done in it, which takes longer on a busy machine.
    fn wait(&self, time: Duration) {
        let (began, before) = (Instant::now(), self.pushes.load(Ordering::SeqCst));
        while began.elapsed() < time || self.pushes.load(Ordering::SeqCst) < before + PUSHES_MIN {
            assert!(
                began.elapsed() < time + Duration::from_secs(120),
                "a soak without a load"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
struct Sample {
    pushes: usize,
    conflicts: usize,
    resident_bytes: u64,
    folder_bytes: u64,
    /// Rows that expire.
    rows: usize,
}

#[test]
fn a_soak_grows_neither_memory_nor_the_folder() {
    let _alone = one_at_a_time();
    let minutes = std::env::var("TIDEMARK_SOAK_MINUTES")
        .ok()
        .map(|minutes| minutes.parse::<usize>().unwrap());
    let (tick, ticks) = minutes.map_or((TICK_SHORT, TICKS_SHORT), |minutes| {
        (TICK_LONG, minutes.max(TICKS_WARM + 1))
    });
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("data");
    let data = folder.to_str().unwrap();
    let sweep = if minutes.is_some() { "60" } else { "1" };
    let runner = Runner::start(home.path(), &["--data", data, "--sweep-seconds", sweep]);
    let (addr, done) = (runner.addr, Done::default());
    let admin = run(
        home.path(),
        &[
            "token", "--tenant", "acme", "--user", "root", "--role", "admin",
        ],
    )
    .stdout;
    let mut measured: Vec<Sample> = Vec::new();
    println!(
        "{:>8} {:>8} {:>9} {:>8} {:>9} {:>9}",
        "seconds", "pushes", "conflicts", "rows", "rss MB", "folder MB"
    );
    std::thread::scope(|scope| {
        let done = &done;
        for number in 0..DEVICES {
            scope.spawn(move || Load::new(addr, number).go_on(done));
        }
        scope.spawn(|| decide(addr, admin.trim_end(), done));
        scope.spawn(|| age(addr, done));
        let began = Instant::now();
        // Also where a measurement fails: the threads are waited for.
        let over = Over(&done.is_over);
        for _ in 0..ticks {
            done.wait(tick);
            let now = measure(&runner, &folder, done);
            let seconds = began.elapsed().as_secs();
            let Sample {
                pushes,
                conflicts,
                rows,
                ..
            } = now;
            let [resident, on_disk] =
                [now.resident_bytes, now.folder_bytes].map(|bytes| bytes as f64 / 1_048_576.0);
            println!(
                "{seconds:>8} {pushes:>8} {conflicts:>9} {rows:>8} {resident:>9.1} {on_disk:>9.1}"
            );
            measured.push(now);
        }
        drop(over);
    });
    assert_flat(&measured);
    let peak = measured.iter().map(|now| now.folder_bytes).max().unwrap();
    let left = shrunk(&runner, &folder, &done, peak);
    println!(
        "{:.1} MB once all of that has expired",
        left as f64 / 1_048_576.0
    );
    assert_eq!(runner.stop("TERM").code, Some(0));
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The second half of what was measured after it was warm, against the first.
fn assert_flat(measured: &[Sample]) {
    let (warm, last) = (measured[TICKS_WARM - 1], measured[measured.len() - 1]);
    assert!(last.conflicts > 0, "nothing was decided: {measured:?}");
    assert!(
        last.rows < warm.rows * 3 / 2 + 100,
        "what has expired stays: {measured:?}"
    );
    let kept = (last.conflicts - warm.conflicts) as u64 * BYTES_KEPT_FOR_A_CONFLICT;
    // Room that is free is given back once it is more than half of the file; and there is the
    // write-ahead log.
    let folder_bytes = 2 * warm.folder_bytes + (8 << 20) + kept;
    assert!(
        last.resident_bytes < warm.resident_bytes * 5 / 4 + (8 << 20),
        "memory grows: {measured:?}"
    );
    assert!(
        last.folder_bytes < folder_bytes,
        "the folder grows: {measured:?}"
    );
}

/// Everything that may expire has, and the folder is as small as what is left.
fn shrunk(runner: &Runner, folder: &Path, done: &Done, peak: u64) -> u64 {
    let deadline = Instant::now() + Duration::from_secs(90);
    let live = 4 * (DEVICES * METERS * NOISE_BYTES) as u64;
    let bound =
        live + (8 << 20) + done.conflicts.load(Ordering::SeqCst) as u64 * BYTES_KEPT_FOR_A_CONFLICT;
    loop {
        date_back(&mut runner.client(), Duration::ZERO);
        let now = measure(runner, folder, done);
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

fn measure(runner: &Runner, folder: &Path, done: &Done) -> Sample {
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len());
    let mut client = runner.client();
    Sample {
        pushes: done.pushes.load(Ordering::SeqCst),
        conflicts: done.conflicts.load(Ordering::SeqCst),
        resident_bytes: runner.resident_bytes(),
        folder_bytes: files.sum(),
        rows: EXPIRING
            .iter()
            .map(|table| expiring(&mut client, table).len())
            .sum(),
    }
}

const EXPIRING: [&str; 3] = ["changes", "sync_items", "sync_batches"];

/// The rows of a table that expire once.
fn expiring(client: &mut Client, table: &str) -> Vec<Value> {
    client
        .scan(table)
        .into_iter()
        .filter(|row| row["expires_at"]["N"].is_string())
        .collect()
}

/// Lets time pass for what was written so long ago.
fn date_back(client: &mut Client, age: Duration) {
    let now = tidemark_aws::Clock::system().now().timestamp();
    let seconds = |text: &Value| {
        text["N"]
            .as_str()
            .map_or(0, |text| text.parse::<i64>().unwrap())
    };
    let written = |row: &Value| {
        ["moved_at", "received_at", "processed_at"]
            .map(|name| seconds(&row[name]) / 1000)
            .into_iter()
            .max()
    };
    for table in EXPIRING {
        let rows = expiring(client, table).into_iter();
        let old = |row: &Value| {
            seconds(&row["expires_at"]) > now && written(row).unwrap() <= now - age.as_secs() as i64
        };
        let statement = |row: Value| {
            let past = json!({"N": (now - 3600).to_string()});
            json!({"Statement": format!("UPDATE \"{table}\" SET expires_at=? WHERE pk=? AND sk=?"), "Parameters": [past, row["pk"], row["sk"]]})
        };
        let statements: Vec<Value> = rows.filter(old).map(statement).collect();
        for statements in statements.chunks(25) {
            let request = json!({"Statements": statements}).to_string();
            let target = [("x-amz-target", "DynamoDB_20120810.BatchExecuteStatement")];
            let response = client.send("POST /", &target, request.as_bytes()).unwrap();
            assert!(
                response.status == 200 && !response.text.contains("\"Error\""),
                "{response:?}"
            );
        }
    }
}

fn age(addr: SocketAddr, done: &Done) {
    let mut client = Client::connect(addr).unwrap();
    while !done.is_over.load(Ordering::SeqCst) {
        date_back(&mut client, AGE);
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// An admin decides what conflicts, as it comes.
fn decide(addr: SocketAddr, admin: &str, done: &Done) {
    let mut client = Client::connect(addr).unwrap();
    let headers = [("authorization", format!("Bearer {admin}"))];
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    while !done.is_over.load(Ordering::SeqCst) {
        let open = client
            .send("GET /api/v1/mobile/conflicts?status=open", &headers, b"")
            .unwrap()
            .json();
        for conflict in open["conflicts"].as_array().unwrap() {
            let route = format!("conflicts/{}/resolve", conflict["id"].as_str().unwrap());
            // Another edit may join at that moment, again and again; then it is decided the next
            // time.
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
            done.conflicts
                .fetch_add(usize::from(response.status == 200), Ordering::SeqCst);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// A device with meters of its own, all of which everybody pulls.
struct Load {
    client: Client,
    token: String,
    device_id: String,
    number: usize,
    /// By meter, which version the device knows.
    versions: Vec<u64>,
    /// Of the small meter too.
    small: u64,
    since: Value,
    random: Random,
}

impl Load {
    fn new(addr: SocketAddr, number: usize) -> Self {
        let client = Client::connect(addr).unwrap();
        let (token, device_id) = (token(&format!("user-{number}")), format!("device-{number}"));
        let random = Random::new(number as u64);
        Self {
            client,
            token,
            device_id,
            number,
            versions: vec![0; METERS],
            small: 0,
            since: Value::Null,
            random,
        }
    }

    fn go_on(mut self, done: &Done) {
        for round in 0.. {
            if done.is_over.load(Ordering::SeqCst) {
                return;
            }
            self.push(round, done);
            self.pull();
            // A few conflicts, for they are kept for ever.
            if round % 10 == 3 {
                self.conflict();
            }
        }
    }

    fn push(&mut self, round: usize, done: &Done) {
        let meters: Vec<usize> = (0..5).map(|at| (round * 5 + at) % METERS).collect();
        let items: Vec<Value> = meters
            .iter()
            .map(|meter| self.item(*meter, self.versions[*meter]))
            .collect();
        let results = self.send(&items);
        for (meter, result) in meters.into_iter().zip(results) {
            // An admin's decision makes a version that the device has not pulled yet.
            assert!(
                result["status"] == "ok" || result["status"] == "conflict",
                "{result}"
            );
            self.versions[meter] = result["server_version"]
                .as_u64()
                .unwrap_or(self.versions[meter]);
        }
        done.pushes.fetch_add(1, Ordering::SeqCst);
    }

    /// An edit of a copy that is out of date, by another device of the user.
    fn conflict(&mut self) {
        while self.small < 3 {
            let item = self.small_item(self.small);
            self.small = self.send(&[item])[0]["server_version"].as_u64().unwrap();
        }
        let own = std::mem::replace(&mut self.device_id, "another".to_owned());
        let item = self.small_item(1);
        let results = self.send(&[item]);
        assert_eq!(results[0]["status"], "conflict", "{results:?}");
        self.device_id = own;
    }

    fn item(&mut self, meter: usize, base: u64) -> Value {
        let action = if base == 0 { "create" } else { "update" };
        let random = &mut self.random;
        let noise: String = (0..NOISE_BYTES)
            .map(|_| char::from(b'a' + random.below(26) as u8))
            .collect();
        json!({"resource_type": "meter", "action": action, "client_version": base, "base_version": base,
            "payload": {"id": format!("m-{}-{meter}", self.number), "noise": noise}})
    }

    /// An edit of a meter of its own for this, which says little: conflicts and what the audit log
    /// says of them are kept for ever.
    fn small_item(&mut self, base: u64) -> Value {
        let action = if base == 0 { "create" } else { "update" };
        json!({"resource_type": "meter", "action": action, "client_version": base, "base_version": base,
            "payload": {"id": format!("m-{}-small", self.number), "reading": self.random.below(1_000_000_000)}})
    }

    fn send(&mut self, items: &[Value]) -> Vec<Value> {
        let body =
            json!({"device_id": self.device_id, "client_sync_token": self.since, "items": items});
        let response = self
            .client
            .post("sync/push", &self.token, &body.to_string())
            .unwrap();
        assert_eq!(response.status, 200, "{response:?}");
        response.json()["results"].as_array().unwrap().clone()
    }

    fn pull(&mut self) {
        loop {
            let body = json!({"since_token": self.since, "device_id": self.device_id}).to_string();
            let response = self.client.post("sync/pull", &self.token, &body).unwrap();
            assert_eq!(response.status, 200, "{response:?}");
            let page = response.json();
            self.since = page["next_token"].clone();
            if page["has_more"] == false {
                break;
            }
        }
        let ack = json!({"ack_token": self.since, "device_id": self.device_id}).to_string();
        assert_eq!(
            self.client
                .post("sync/ack", &self.token, &ack)
                .unwrap()
                .status,
            200
        );
    }
}
