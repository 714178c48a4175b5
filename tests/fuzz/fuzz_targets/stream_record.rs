//! Fuzzes the decoding of stream records of `resources` and `conflicts`.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::value::RawValue;
use tidemark_aws::stream::{StreamEvent, StreamRecord, batch_item_failures, sequence_of};
use tidemark_aws::tables::changes::entries;
use tidemark_core::{
    model::{channel::Scope, edit::Action, position::Sequence, resource::ResourceKey},
    rules::sequence::{
        plan::{LogStep, Record, classify},
        segment::Segment,
    },
};

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(data) else {
        return Corpus::Reject;
    };
    let Ok(record) = RawValue::from_string(text.trim().to_owned()) else {
        return Corpus::Reject;
    };

    let sequence = sequence_of(&record);

    // The record has the same text as an element of an event's batch.
    let event: StreamEvent =
        serde_json::from_str(&format!("{{\"Records\":[{}]}}", record.get())).expect("a batch");
    assert_eq!(event.records[0].get(), record.get());

    match StreamRecord::change(record.clone()).content {
        Ok(Some((scope, change))) => check_change(&scope, change, sequence),
        Ok(None) => {}
        Err(reason) => assert!(!reason.is_empty()),
    }

    match StreamRecord::resolution(record).content {
        Ok(Some(resolution)) => assert!(
            serde_json::to_string(&resolution).is_ok(),
            "resolution notifications can be serialized"
        ),
        Ok(None) => {}
        Err(reason) => assert!(!reason.is_empty()),
    }

    check_batch_item_failure(sequence);
    Corpus::Keep
});

/// Checks the item identifier that reports a failed record in `batchItemFailures`.
fn check_batch_item_failure(sequence: Sequence) {
    let item_failures = batch_item_failures([sequence]).batch_item_failures;
    let [failure] = item_failures.as_slice() else {
        panic!("one record must be reported")
    };
    let number = failure
        .item_identifier
        .as_deref()
        .expect("the item identifier is set");
    assert!(number.is_empty() == (sequence == Sequence::ZERO) && !number.starts_with('0'));
    assert!(number.is_empty() || Sequence::parse(number) == Some(sequence));
}

/// Checks that a decoded change is sequenced into the log of its channel with all its data, in a
/// segment that can be decoded.
fn check_change(scope: &Scope, change: Record, sequence: Sequence) {
    assert_eq!(
        change.sequence, sequence,
        "a change keeps the sequence number of its record"
    );
    assert_eq!(change.payload.is_none(), change.action == Action::Delete);
    assert_eq!(Scope::parse(&scope.partition()).as_ref(), Some(scope));
    assert_eq!(
        ResourceKey::parse(scope, &change.key.sort_key()).as_ref(),
        Some(&change.key)
    );
    assert_eq!(change.key.channel, scope.channel);

    let steps = classify(None, vec![change.clone(), change.clone()]).steps(
        None,
        &Default::default(),
        change.changed_at,
    );
    let [LogStep { segment, next_head }] = steps.as_slice() else {
        panic!("one change must result in one segment")
    };

    assert_eq!(
        (&next_head.stream, next_head.position),
        (&change.stream, segment.last)
    );

    check_entry(segment, &change);
}

/// Checks that the only entry of a segment can be decoded and has all data of its change.
fn check_entry(segment: &Segment, change: &Record) {
    let entries =
        entries::unpack(&entries::pack(&segment.entries)).expect("segments can be decoded");
    let [entry] = entries.as_slice() else {
        panic!("a repeated record must be sequenced once")
    };

    assert_eq!(
        (&entry.id, &entry.resource_type, entry.action),
        (&change.key.id, &change.key.resource_type, change.action)
    );
    assert_eq!(
        (entry.server_version, entry.position.sequence),
        (change.server_version, change.sequence)
    );
    assert_eq!(
        (
            &entry.author,
            entry.echo_to_author,
            &entry.resolved_conflicts
        ),
        (
            &change.author,
            change.echo_to_author,
            &change.resolved_conflicts
        )
    );
    assert_eq!(
        entry.payload.as_ref().map(|it| it.get()),
        change.payload.as_ref().map(|it| it.get()),
        "payloads preserve their text"
    );
}
