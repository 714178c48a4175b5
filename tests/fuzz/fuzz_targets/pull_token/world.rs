//! A channel whose changes are sequenced as the changelog function sequences them.

use std::collections::{BTreeMap, HashMap};

use serde_json::value::RawValue;
use tidemark_core::{
    model::{
        channel::Channel,
        edit::Action,
        position::{Position, Sequence},
        principal::Author,
        resource::ResourceKey,
    },
    rules::sequence::{
        plan::{Head, LogStep, Record, classify, log_end},
        segment::{Entry, Segment},
    },
};

use super::{Script, now};

/// A channel: its rows, and its log as the sequencer produced it.
#[derive(Default)]
pub(super) struct World {
    pub(super) rows: BTreeMap<String, Record>,
    pub(super) log: Vec<Segment>,
    pub(super) head: Option<Head>,
}

impl World {
    /// Makes changes and passes them to the sequencer in batches: in order, repeatedly or late.
    pub(super) fn play(script: &mut Script<'_>) -> Self {
        let mut world = Self::default();
        let mut records: Vec<Record> = Vec::new();
        let mut sequenced = 0;
        while !script.0.is_empty() && records.len() < 24 {
            match script.next() {
                step @ 0..200 => {
                    let record = world.change(step, records.len());
                    records.push(record);
                }

                step => {
                    // The batch repeats some records and omits some of the new ones, which then
                    // arrive late.
                    let first = sequenced.min(records.len().saturating_sub(step % 5));
                    let batch = records[first..]
                        .iter()
                        .enumerate()
                        .filter(|(index, _)| step % 7 != index % 7 + 1);
                    world.sequence(batch.map(|(_, record)| record.clone()).collect());
                    sequenced = records.len().saturating_sub(step % 3);
                }
            }
        }

        world.sequence(records);
        world
    }

    fn change(&mut self, step: usize, number: usize) -> Record {
        let id = format!("m-{}", step % 3);
        let key = ResourceKey {
            channel: Channel::Tenant,
            resource_type: "meter".into(),
            id,
        };

        let before = self.rows.get(&key.sort_key());
        let action = match before {
            None => Action::Create,
            Some(_) if step % 11 == 0 => Action::Delete,
            Some(_) => Action::Update,
        };

        let record = Record {
            stream: if number < 12 { "2026-01" } else { "2026-02" }.into(),
            sequence: Sequence::parse(&(number + 1).to_string()).expect("digits"),
            action,
            server_version: before.map_or(0, |before| before.server_version) + 1,
            changed_at: now(),
            author: Author::device("ana", ["0", "1"][step / 3 % 2]),
            echo_to_author: step % 5 == 0,
            resolved_conflicts: Vec::new(),
            payload: (action != Action::Delete)
                .then(|| RawValue::from_string(format!("{{\"n\":{number}}}")).expect("JSON")),
            key,
        };

        self.rows.insert(record.key.sort_key(), record.clone());
        record
    }

    /// Sequences a batch of records like the changelog function.
    fn sequence(&mut self, records: Vec<Record>) {
        let mut classified = classify(self.head.as_ref(), records);
        let wanted = classified.positions_to_look_up();
        let held: Vec<Entry> = self
            .entries()
            .filter(|entry| wanted.contains(&entry.position))
            .cloned()
            .collect();
        classified = classified.without_duplicates(&held);

        let versions: HashMap<_, _> = self
            .rows
            .values()
            .map(|row| (row.key.clone(), row.server_version))
            .collect();

        for LogStep { segment, next_head } in classified.steps(self.head.as_ref(), &versions, now())
        {
            self.head = Some(next_head);
            self.log.push(segment);
        }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.log.iter().flat_map(|segment| &segment.entries)
    }

    /// Checks that segments are linked, positions increase, versions never decrease, and the log
    /// contains the newest state of every row.
    pub(super) fn check_log(&self) {
        let mut end = Position::START;

        for segment in &self.log {
            assert_eq!(segment.follows, end);
            for entry in &segment.entries {
                assert!(entry.position > end);
                end = entry.position;
            }
            assert_eq!(segment.last, end);
        }

        assert_eq!(end, log_end(self.head.as_ref()));

        let mut newest: HashMap<&str, u64> = HashMap::new();
        for entry in self.entries() {
            let version = newest.entry(&entry.id).or_default();
            assert!(
                entry.server_version >= *version,
                "the log contains an older version after a newer one"
            );
            *version = entry.server_version;
        }

        assert!(
            self.rows
                .values()
                .all(|row| newest.get(row.key.id.as_str()) == Some(&row.server_version)),
            "the log lacks a change"
        );
    }
}
