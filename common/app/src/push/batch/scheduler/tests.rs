//! Tests of the scheduler with given decisions and outcomes. Nothing is evaluated or stored.

mod batch;

use tidemark_core::{
    model::result::{ItemCode, Status},
    rules::push::{decision::Decision, group::CarriedState},
};

use self::batch::{Fixture, Run, create, key, names, value};
use super::*;
use crate::push::batch::commit::Outcome;

#[test]
fn contended_group_does_not_reject_others() {
    let fixture = Fixture::default();
    // Both creates claim the value, so the second one waits for the first.
    let mut run = Run::new(&fixture, vec![create(0, "a", "x"), create(1, "b", "x")]);

    for attempt in 0..COMMIT_ATTEMPTS_MAX {
        let round = run.next();
        assert_eq!(names(&round), ["a"], "attempt {attempt}");
        run.apply(round, [Outcome::ConditionFailed]);
    }
    assert_eq!(run.code(0), Some(ItemCode::Contended));
    assert_eq!(run.results[&0].retryable, Some(true));

    let round = run.next();
    assert_eq!(names(&round), ["b"]);
    run.apply(round, [Outcome::Committed]);
    assert_eq!(run.results[&1].status, Status::Ok);
    assert!(run.is_done());
}

#[test]
fn each_group_has_its_own_attempts() {
    let fixture = Fixture::default();
    let mut run = Run::new(&fixture, vec![create(0, "a", "x"), create(1, "b", "y")]);

    for _ in 1..COMMIT_ATTEMPTS_MAX {
        let round = run.next();
        run.apply(round, [Outcome::ConditionFailed, Outcome::ConditionFailed]);
    }
    assert!(run.results.is_empty());

    let round = run.next();
    run.apply(round, [Outcome::ConditionFailed, Outcome::Committed]);
    assert_eq!(run.code(0), Some(ItemCode::Contended));
    assert_eq!(run.results[&1].status, Status::Ok);
    assert!(run.is_done());
}

#[test]
fn new_holder_is_not_counted() {
    let fixture = Fixture::default();
    let mut run = Run::new(&fixture, vec![create(0, "a", "x")]);
    let held = || Outcome::UniqueHeld(HashMap::from([(value("x"), key("other"))]));

    let round = run.next();
    run.apply(round, [held()]);
    assert_eq!(run.scheduler.holders[&value("x")], key("other"));

    // The holder is known now, so that all further attempts are counted.
    for _ in 0..COMMIT_ATTEMPTS_MAX {
        assert!(run.results.is_empty());
        let round = run.next();
        run.apply(round, [held()]);
    }
    assert_eq!(run.code(0), Some(ItemCode::Contended));
}

#[test]
fn new_holders_cannot_prolong_a_batch() {
    let fixture = Fixture::default();
    let mut run = Run::new(&fixture, vec![create(0, "a", "x")]);

    let mut attempts = 0;
    while !run.is_done() {
        let round = run.next();
        let new = (value(&attempts.to_string()), key("other"));
        run.apply(round, [Outcome::UniqueHeld(HashMap::from([new]))]);
        attempts += 1;
    }
    assert_eq!(attempts, COMMIT_ATTEMPTS_MAX + 1, "one item");
    assert_eq!(run.code(0), Some(ItemCode::Contended));
}

#[test]
fn failed_writer_is_not_a_holder() {
    let fixture = Fixture::default();
    let mut run = Run::new(&fixture, vec![create(0, "a", "x"), create(1, "b", "y")]);

    let held = Outcome::UniqueHeld(HashMap::from([(value("y"), key("a"))]));
    let round = run.next();
    run.apply(round, [Outcome::ConditionFailed, held]);

    assert!(run.scheduler.holders.is_empty());
    assert_eq!(run.scheduler.attempts[&key("b")], 1);
}

#[test]
fn freed_value_has_no_holder() {
    let fixture = Fixture::default();
    let mut run = Run::new(&fixture, vec![create(0, "a", "x"), create(1, "b", "y")]);
    run.scheduler.holders.insert(value("z"), key("a"));

    let mut round = run.next();
    round[0].decision.unique.frees.push(value("z"));
    run.apply(round, [Outcome::Committed, Outcome::ConditionFailed]);
    assert!(run.scheduler.holders.is_empty());
}

#[test]
fn backoff_follows_only_contended_rounds() {
    let fixture = Fixture::default();
    let groups = vec![
        create(0, "a", "x"),
        create(1, "b", "y"),
        create(2, "c", "y"),
    ];
    let mut run = Run::new(&fixture, groups);
    let contended = || Outcome::ConditionFailed;
    assert_eq!(run.scheduler.backoff(), None);

    let round = run.next();
    assert_eq!(names(&round), ["a", "b"]);
    run.apply(round, [contended(), contended()]);
    assert_eq!(run.scheduler.backoff(), None, "the first retry");

    let round = run.next();
    run.apply(round, [contended(), contended()]);
    assert_eq!(run.scheduler.backoff(), Some(2));

    let round = run.next();
    run.apply(round, [Outcome::Committed, Outcome::Committed]);
    assert_eq!(run.scheduler.backoff(), None, "no write failed");

    let round = run.next();
    assert_eq!(names(&round), ["c"]);
    run.apply(round, [contended()]);
    assert_eq!(run.scheduler.backoff(), None, "the first retry of c");
}

#[test]
fn throttled_items_fail_the_rest() {
    let fixture = Fixture::default();
    let mut group = create(0, "a", "x");
    group.items.extend(create(1, "a", "x").items);
    let mut run = Run::new(&fixture, vec![group]);

    // The create that follows another item of its resource begins a round.
    let round = run.next();
    assert_eq!(round[0].group.items.len(), 1);
    run.apply(round, [Outcome::Throttled]);
    assert_eq!(run.code(0), Some(ItemCode::Unavailable));
    assert_eq!(run.scheduler.pending[0].carried.failed, Some(true));
}

#[test]
fn committed_row_is_kept_for_rest() {
    let fixture = Fixture::default();
    let mut group = create(0, "a", "x");
    group.items.extend(create(1, "a", "x").items);
    let mut run = Run::new(&fixture, vec![group]);

    let mut round = run.next();
    round[0].decision = Decision {
        results: std::mem::take(&mut round[0].decision.results),
        carried: CarriedState {
            recorded: 1,
            ..CarriedState::default()
        },
        ..Decision::default()
    };
    run.apply(round, [Outcome::Committed]);

    let round = run.next();
    assert_eq!(round[0].group.carried.recorded, 1);
    assert_eq!(round[0].group.indexes().collect::<Vec<_>>(), [1]);
}

#[test]
fn given_up_group_rejects_undecided_items() {
    let fixture = Fixture::default();
    let mut group = create(0, "a", "x");
    group.items.extend(create(1, "a", "x").items);
    let mut run = Run::new(&fixture, vec![group]);

    for _ in 0..COMMIT_ATTEMPTS_MAX {
        let round = run.next();
        run.apply(round, [Outcome::ConditionFailed]);
    }
    assert_eq!(run.code(0), Some(ItemCode::Contended));
    assert_eq!(run.code(1), Some(ItemCode::Contended));
    assert!(run.is_done());
}

#[test]
fn reference_waits_for_its_create() {
    let fixture = Fixture::default();
    let groups = vec![
        batch::referring(create(0, "a", "x"), 1),
        create(1, "b", "y"),
    ];
    let mut run = Run::new(&fixture, groups);

    for _ in 0..COMMIT_ATTEMPTS_MAX {
        let round = run.next();
        assert_eq!(names(&round), ["b"]);
        run.apply(round, [Outcome::ConditionFailed]);
    }

    // The create has a result, so that the group that references it is decided.
    let round = run.next();
    assert_eq!(names(&round), ["a"]);
}

#[test]
fn reference_cycle_is_broken() {
    let fixture = Fixture::default();
    let groups = vec![
        batch::referring(create(0, "a", "x"), 1),
        batch::referring(create(1, "b", "y"), 0),
    ];
    let mut run = Run::new(&fixture, groups);

    let round = run.next();
    assert_eq!(names(&round), ["a"]);
    run.apply(round, [Outcome::Committed]);
    let round = run.next();
    assert_eq!(names(&round), ["b"]);
}

#[test]
fn applied_and_corrected_items_are_not_scheduled() {
    let fixture = Fixture::default();
    let applied = batch::ok(&create(0, "a", "x")).next().unwrap();
    let corrected = ItemResult {
        status: Status::Conflict,
        correction: Some(7),
        ..applied.clone()
    };

    for settled in [applied, corrected] {
        let mut group = create(0, "a", "x");
        group.items.extend(create(1, "a", "x").items);
        let results = BTreeMap::from([(0, settled)]);
        let earlier = EarlierCreates::default();
        let mut scheduler = Scheduler::new(vec![group], earlier, fixture.sender(), &results);

        let round = scheduler.next_round(&Rows::default(), &mut results.clone());
        let indexes: Vec<usize> = round.unwrap().iter().flat_map(Group::indexes).collect();
        assert_eq!(indexes, [1], "{results:?}");
    }
}
