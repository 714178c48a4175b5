//! Stream records of `resources` and `conflicts`, as the functions behind the streams read them.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::value::RawValue;
use tidemark_aws::stream::{self, Reading, StreamEvent, given_back};
use tidemark_core::{
    channel::Scope,
    protocol::Action,
    resource::ResourceKey,
    sequence::{
        plan::{Record, Step, classify},
        position::Sequence,
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
    let sequence = stream::sequence_of(&record);
    let reading = stream::read(&record);
    // As the batch of an event it is the same record.
    let event: StreamEvent =
        serde_json::from_str(&format!("{{\"Records\":[{}]}}", record.get())).expect("a batch");
    assert_eq!(event.records[0].get(), record.get());
    match reading {
        Reading::Change(scope, change) => check_change(&scope, *change, sequence),
        Reading::Nothing => {}
        Reading::Unreadable(reason) => assert!(!reason.is_empty()),
    }
    match stream::read_decision(&record) {
        Ok(Some(decision)) => assert!(
            serde_json::to_string(&decision).is_ok(),
            "what is told of a decision can be sent"
        ),
        Ok(None) => {}
        Err(reason) => assert!(!reason.is_empty()),
    }
    check_given_back(sequence);
    Corpus::Keep
});

/// What a batch that failed is given back by: the stream finds the record by it.
fn check_given_back(sequence: Sequence) {
    let dead_letters = given_back([sequence]).batch_item_failures;
    let [failure] = dead_letters.as_slice() else {
        panic!("one record is given back")
    };
    let number = failure.item_identifier.as_deref().expect("by its number");
    assert!(number.is_empty() == (sequence == Sequence::ZERO) && !number.starts_with('0'));
    assert!(number.is_empty() || Sequence::parse(number) == Some(sequence));
}

/// A change that was read stands in the right log with all that it says, and in a segment that
/// reads back.
fn check_change(scope: &Scope, change: Record, sequence: Sequence) {
    assert_eq!(
        change.sequence, sequence,
        "it is given back by its own number"
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
    let [Step { segment, head }] = steps.as_slice() else {
        panic!("a change makes one segment")
    };
    assert_eq!(
        (&head.stream, head.position),
        (&change.stream, segment.last)
    );
    let entries = Segment::unpack_entries(&segment.packed_entries()).expect("a segment reads back");
    let [entry] = entries.as_slice() else {
        panic!("a record that comes twice counts once")
    };
    assert_eq!(
        (&entry.id, &entry.resource_type, entry.action),
        (&change.key.id, &change.key.resource_type, change.action)
    );
    assert_eq!(
        (entry.server_version, entry.position.sequence),
        (change.server_version, sequence)
    );
    assert_eq!(
        (&entry.author, entry.is_echoed, &entry.decided),
        (&change.author, change.is_echoed, &change.decided)
    );
    assert_eq!(
        entry.payload.as_ref().map(|it| it.get()),
        change.payload.as_ref().map(|it| it.get()),
        "payloads keep their text"
    );
}
