//! The change log under random stream deliveries: records repeated, delayed, out of order across items and late, from one stream
//! and then another. Whatever happens, a reader ends with the newest version of every resource.

use std::collections::HashMap;

use chrono::DateTime;
use proptest::prelude::*;
use serde_json::value::RawValue;
use tidemark_core::{
    channel::Channel,
    principal::Author,
    protocol::Action,
    pull::page::{Link, Page, link},
    resource::ResourceKey,
    sequence::{
        plan::{Head, Record, classify, end_of},
        position::{Position, Sequence},
        segment::{Entry, Segment},
    },
};

const RESOURCES: u64 = 4;

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// A resource is written; its record joins those to deliver.
    Write { resource: u64 },
    /// Some undelivered records arrive, chosen anywhere.
    Deliver { picks: Vec<prop::sample::Index> },
    /// Some records that were delivered arrive again, with some that were not.
    Redeliver { picks: Vec<prop::sample::Index> },
    /// The reader pulls a page.
    Pull { limit: usize },
    /// The stream is switched off and on: it starts a new one.
    NewStream,
}

fn step() -> impl Strategy<Value = Step> {
    let picks = || proptest::collection::vec(any::<prop::sample::Index>(), 1..6);
    prop_oneof![
        6 => (0..RESOURCES).prop_map(|resource| Step::Write { resource }),
        4 => picks().prop_map(|picks| Step::Deliver { picks }),
        2 => picks().prop_map(|picks| Step::Redeliver { picks }),
        3 => (1..5_usize).prop_map(|limit| Step::Pull { limit }),
        1 => Just(Step::NewStream),
    ]
}

#[derive(Default)]
struct World {
    versions: HashMap<ResourceKey, u64>,
    streams: u64,
    sequence: u64,
    undelivered: Vec<Record>,
    delivered: Vec<Record>,
    head: Option<Head>,
    segments: Vec<Segment>,
    reader: Reader,
}

struct Reader {
    position: Position,
    versions: HashMap<String, u64>,
}

impl Default for Reader {
    fn default() -> Self {
        Self { position: Position::START, versions: HashMap::new() }
    }
}

impl World {
    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Write { resource } => self.write(resource),
            Step::Deliver { picks } => {
                let batch = self.pick_undelivered(&picks);
                self.deliver(batch)?;
            }
            Step::Redeliver { picks } => {
                let mut batch = self.pick_undelivered(&picks[..1]);
                batch.extend(batch.first().cloned());
                if !self.delivered.is_empty() {
                    batch.extend(picks.iter().map(|pick| pick.get(&self.delivered).clone()).collect::<Vec<_>>());
                }
                self.deliver(batch)?;
            }
            Step::Pull { limit } => self.pull(limit)?,
            Step::NewStream => {
                self.streams += 1;
                self.sequence = 0;
            }
        }
        Ok(())
    }

    fn write(&mut self, resource: u64) {
        let key = ResourceKey { channel: Channel::Tenant, resource_type: "meter".into(), id: format!("m-{resource}") };
        let version = self.versions.entry(key.clone()).or_default();
        *version += 1;
        self.sequence += 7;
        self.undelivered.push(Record {
            stream: format!("{:04}", self.streams),
            sequence: Sequence::parse(&self.sequence.to_string()).expect("digits"),
            key,
            action: if *version == 1 { Action::Create } else { Action::Update },
            server_version: *version,
            changed_at: DateTime::UNIX_EPOCH,
            author: Author::device("ana", "phone"),
            decided: Vec::new(),
            is_echoed: false,
            payload: RawValue::from_string(format!("{{\"version\":{version}}}")).ok(),
        });
    }

    fn pick_undelivered(&mut self, picks: &[prop::sample::Index]) -> Vec<Record> {
        let mut batch = Vec::new();
        for pick in picks {
            if !self.undelivered.is_empty() {
                batch.push(self.undelivered.remove(pick.index(self.undelivered.len())));
            }
        }
        batch
    }

    /// What the changelog function does with a batch, on a log in memory.
    fn deliver(&mut self, batch: Vec<Record>) -> Result<(), TestCaseError> {
        self.delivered.extend(batch.iter().cloned());
        let standing: Vec<Entry> = self.segments.iter().flat_map(|segment| segment.entries.clone()).collect();
        let classified = classify(self.head.as_ref(), batch).without_repeats(&standing);
        for (segment, stream) in classified.segments(self.head.as_ref(), &self.versions) {
            let end = end_of(self.head.as_ref());
            prop_assert_eq!(segment.prev, end, "segments are linked");
            prop_assert!(segment.entries.is_sorted_by(|one, next| one.position < next.position));
            prop_assert!(segment.entries.first().is_some_and(|first| first.position > end));
            self.head = Some(Head { position: segment.last, stream, floor: None, moved_at: DateTime::UNIX_EPOCH });
            self.segments.push(segment);
        }
        Ok(())
    }

    /// What the pull function does, on a log in memory.
    fn pull(&mut self, limit: usize) -> Result<(), TestCaseError> {
        let mut page = Page::new(limit, None);
        let start = self.reader.position;
        'segments: for segment in self.segments.iter().filter(|segment| segment.last > start) {
            let joined = link(self.reader.position, segment.prev, DateTime::UNIX_EPOCH, &segment.entries, DateTime::UNIX_EPOCH);
            prop_assert_eq!(joined, Link::Linked);
            let read_before = self.reader.position;
            for entry in segment.entries.iter().filter(|entry| entry.position > read_before) {
                if page.take_entry(&Channel::Tenant, entry.clone()).is_err() {
                    break 'segments;
                }
                self.reader.position = entry.position;
            }
        }
        for change in page.into_changes() {
            let known = self.reader.versions.entry(change.id).or_default();
            prop_assert!(*known <= change.server_version, "versions do not go backwards in the log");
            *known = change.server_version;
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn every_reader_ends_with_the_newest_version_of_every_resource(steps in proptest::collection::vec(step(), 1..150)) {
        let mut world = World::default();
        for step in steps {
            world.step(step)?;
        }
        let rest = std::mem::take(&mut world.undelivered);
        world.deliver(rest)?;
        let end = end_of(world.head.as_ref());
        while world.reader.position < end {
            world.pull(3)?;
        }
        let newest: HashMap<String, u64> = world.versions.into_iter().map(|(key, version)| (key.id, version)).collect();
        prop_assert_eq!(world.reader.versions, newest);
    }
}
