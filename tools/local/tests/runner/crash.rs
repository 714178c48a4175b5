//! `kill -9` under a load of pushes, and a restart on the same folder. Acknowledged edits are
//! stored, retries are idempotent, unacknowledged batches complete, and every device ends with the
//! same resources.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::client::Client;
use crate::load::{Moment, run_load};
use crate::process::{Runner, WAIT_MAX, one_at_a_time, token};
use crate::reader::{Reader, Rows};
use crate::writer::{Batch, Edit, ItemResult, PushingDevice};

const KILLS: usize = 5;
const USERS: [&str; 3] = ["ana", "ben", "cleo"];

#[test]
fn kill_under_load_loses_and_repeats_nothing() {
    let _alone = one_at_a_time();
    let seed = std::env::var("TIDEMARK_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("again: TIDEMARK_SEED={seed} cargo test -p tidemark --test runner kill_under_load");
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("data");
    let tokens = USERS.map(token);
    let mut writers = writers(&tokens, seed);
    let mut readers = tokens.each_ref().map(|token| Reader::new("reader", token));

    let mut runner = Runner::on(&folder);
    let mut client = runner.client();
    writers[0].create_shared(&mut client);
    // From here on the readers receive every change. A snapshot would omit resources that were
    // deleted before it.
    readers
        .iter_mut()
        .for_each(|reader| reader.pull(&mut client));

    let mut random = Rng::with_seed(seed);
    for _ in 0..KILLS {
        // The joiners begin under load, so that the kill may interrupt them within a snapshot.
        let mut joiners = readers.each_ref().map(|reader| reader.another("joiner"));
        run_load(
            runner,
            &mut writers,
            readers.iter_mut().chain(&mut joiners),
            random_moment(&mut random),
        );

        runner = Runner::on(&folder);
        assert_recovered(&runner, &mut writers, &mut readers, &mut joiners);
    }

    every_retry_is_idempotent(&runner, &mut writers, usize::MAX);
    assert_eq!(runner.stop("TERM").code, Some(0));
}

/// Returns two devices of each user.
fn writers(tokens: &[String], seed: u64) -> Vec<PushingDevice> {
    let device = |number: usize| {
        PushingDevice::new(
            &format!("device-{number}"),
            &tokens[number % tokens.len()],
            seed ^ number as u64,
        )
    };
    (0..2 * tokens.len()).map(device).collect()
}

fn random_moment(random: &mut Rng) -> Moment {
    Moment {
        responses_min: 10 + random.usize(..50),
        pause: Duration::from_micros(random.u64(..5_000)),
    }
}

/// Checks the restarted runner. The order matters: the first check expects that no batch has been
/// sent again.
fn assert_recovered(
    runner: &Runner,
    writers: &mut [PushingDevice],
    readers: &mut [Reader],
    joiners: &mut [Reader],
) {
    every_acknowledged_edit_is_stored(runner, writers, readers);
    every_unacknowledged_batch_completes(runner, writers);
    every_retry_is_idempotent(runner, writers, 8);
    every_change_reaches_a_pull(runner, writers, readers, joiners);
    every_edit_was_applied_once(writers, readers);
    every_conflict_is_kept(runner, writers);
}

/// Checked with new devices before any batch is sent again. An unacknowledged delete may or may not
/// have been applied.
fn every_acknowledged_edit_is_stored(
    runner: &Runner,
    writers: &[PushingDevice],
    readers: &[Reader],
) {
    let held = versions(new_devices(runner, readers).iter().map(Reader::live));
    let may_be_deleted: BTreeSet<&str> = writers
        .iter()
        .flat_map(PushingDevice::unacknowledged_deletes)
        .collect();
    for (id, edits) in accepted(writers) {
        let is_deleted = edits.iter().any(|(edit, _)| edit.action == "delete");
        let is_there = match held.get(&id) {
            Some(version) => !is_deleted && *version >= newest(&edits),
            None => is_deleted || may_be_deleted.contains(id.as_str()),
        };
        assert!(is_there, "{id} is {:?} after {edits:?}", held.get(&id));
    }
}

fn every_unacknowledged_batch_completes(runner: &Runner, writers: &mut [PushingDevice]) {
    let unacknowledged = in_parallel(runner, writers, |writer, client| {
        writer.resend_unacknowledged(client)
    });
    assert!(
        unacknowledged.contains(&true),
        "the kill interrupted no push, so the test proves nothing"
    );
}

fn every_retry_is_idempotent(runner: &Runner, writers: &mut [PushingDevice], batches_max: usize) {
    in_parallel(runner, writers, |writer, client| {
        writer.retry_acknowledged(client, batches_max);
        writer.resend_in_another_batch(client);
    });
}

/// Readers and joiners continue with the tokens that they had before the kill, and end with the
/// same resources as a new device, byte for byte.
fn every_change_reaches_a_pull(
    runner: &Runner,
    writers: &[PushingDevice],
    readers: &mut [Reader],
    joiners: &mut [Reader],
) {
    let expected: Versions = accepted(writers)
        .into_iter()
        .map(|(id, edits)| (id, newest(&edits)))
        .collect();

    let deadline = Instant::now() + WAIT_MAX;
    let mut client = runner.client();
    loop {
        readers
            .iter_mut()
            .for_each(|reader| reader.pull(&mut client));
        let held = versions(readers.iter().map(Reader::rows));
        if held == expected {
            break;
        }

        let differs = |one: &Versions, other: &Versions| -> Versions {
            one.iter()
                .filter(|(id, version)| other.get(*id) != Some(version))
                .map(|(id, version)| (id.clone(), *version))
                .collect()
        };
        let (missing, odd) = (differs(&expected, &held), differs(&held, &expected));
        assert!(
            Instant::now() < deadline,
            "not pulled within {WAIT_MAX:?}: {missing:?}; pulled instead: {odd:?}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }

    joiners
        .iter_mut()
        .for_each(|joiner| joiner.pull(&mut client));
    for ((new, reader), joiner) in new_devices(runner, readers)
        .iter()
        .zip(readers)
        .zip(joiners)
    {
        assert_eq!(reader.live(), new.live());
        assert_eq!(joiner.live(), new.live());
    }
}

/// Every version of every resource is the result of exactly one edit, and the edit of the newest
/// version is stored.
fn every_edit_was_applied_once(writers: &[PushingDevice], readers: &[Reader]) {
    let rows: BTreeMap<_, _> = readers.iter().flat_map(Reader::rows).collect();
    let accepted = accepted(writers);

    for ((_, id), row) in rows {
        let edits = &accepted[&id];
        let mut by_version: Vec<_> = edits
            .iter()
            .map(|(edit, outcome)| (outcome.server_version.unwrap(), *edit))
            .collect();
        by_version.sort_by_key(|(version, _)| *version);
        let versions: Vec<u64> = by_version.iter().map(|(version, _)| *version).collect();
        assert_eq!(
            versions,
            (1..=row.version).collect::<Vec<_>>(),
            "{id}: {by_version:?}"
        );

        let (_, newest) = by_version[by_version.len() - 1];
        let is_stored = match &row.payload {
            Some(payload) => payload.contains(&format!(r#""edit":"{}""#, newest.name)),
            None => newest.action == "delete",
        };
        assert!(is_stored, "{id} is {row:?}, not {newest:?}");
    }
}

fn every_conflict_is_kept(runner: &Runner, writers: &[PushingDevice]) {
    let rows = runner.client().scan("conflicts");
    let kept: BTreeSet<_> = rows
        .iter()
        .filter_map(|row| row["id"]["S"].as_str())
        .collect();

    let outcomes = writers
        .iter()
        .flat_map(|writer| &writer.batches)
        .flat_map(|batch| batch.results.iter().flatten());
    let acknowledged: BTreeSet<_> = outcomes
        .filter_map(|outcome| outcome.conflict_id.as_deref())
        .collect();

    assert!(
        !acknowledged.is_empty(),
        "the load caused no conflict, so the test proves too little"
    );
    assert_eq!(acknowledged.difference(&kept).collect::<Vec<_>>(), [&""; 0]);
}

/// Returns the edits with the result `ok`, by resource.
fn accepted<'a>(writers: &'a [PushingDevice]) -> BTreeMap<String, Vec<(&'a Edit, &'a ItemResult)>> {
    let mut accepted: BTreeMap<String, Vec<_>> = BTreeMap::new();
    let acknowledged = |batch: &'a Batch| batch.edits.iter().zip(batch.results.iter().flatten());

    for (edit, outcome) in writers
        .iter()
        .flat_map(|writer| &writer.batches)
        .flat_map(acknowledged)
    {
        assert!(
            outcome.status != "error" || outcome.retryable,
            "{edit:?} got {outcome:?}"
        );
        if outcome.status == "ok" {
            accepted
                .entry(outcome.server_id.clone().unwrap())
                .or_default()
                .push((edit, outcome));
        }
    }
    accepted
}

fn newest(edits: &[(&Edit, &ItemResult)]) -> u64 {
    edits
        .iter()
        .filter_map(|(_, outcome)| outcome.server_version)
        .max()
        .unwrap()
}

/// Server versions by resource id.
type Versions = BTreeMap<String, u64>;

fn versions(rows: impl Iterator<Item = Rows>) -> Versions {
    rows.flatten()
        .map(|((_, id), row)| (id, row.version))
        .collect()
}

/// Returns for each reader a new device of the same user that has pulled once.
fn new_devices(runner: &Runner, readers: &[Reader]) -> Vec<Reader> {
    let mut client = runner.client();
    let pulled = |reader: &Reader| {
        let mut new = reader.another("new");
        new.pull(&mut client);
        new
    };
    readers.iter().map(pulled).collect()
}

/// Runs `act` for all devices at the same time, each on its own connection.
fn in_parallel<T: Send>(
    runner: &Runner,
    writers: &mut [PushingDevice],
    act: impl Fn(&mut PushingDevice, &mut Client) -> T + Sync,
) -> Vec<T> {
    let act = &act;
    std::thread::scope(|scope| {
        let start = |writer| {
            let mut client = runner.client();
            scope.spawn(move || act(writer, &mut client))
        };

        let threads: Vec<_> = writers.iter_mut().map(start).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}
