//! Tests the change log with random stream deliveries: records are repeated, delayed, reordered
//! across resources and late, and come from one stream and then another; the stream loses records,
//! and repairs restore them. In every case a reader ends with the newest version of every resource,
//! and never receives an older version after a newer one.

use std::collections::HashMap;

use chrono::{DateTime, Duration, Utc};
use proptest::prelude::*;
use serde_json::value::RawValue;
use tidemark_core::{
    model::{
        channel::Channel,
        edit::Action,
        position::{Position, Sequence},
        principal::Author,
        repair::ResourceVersion,
        resource::{Creation, Resource, ResourceKey, Run},
    },
    rules::{
        pull::page::{Page, is_contiguous},
        sequence::{
            plan::{Head, LogStep, Record, classify, log_end},
            repair::Comparison,
            segment::{Entry, Segment},
        },
    },
};

const RESOURCES: u64 = 4;

/// One step of a history.
#[derive(Debug, Clone)]
enum SequencerStep {
    /// A resource is written; its record joins the undelivered ones.
    Write { resource: u64 },
    /// Some undelivered records arrive, chosen at random.
    Deliver { picks: Vec<prop::sample::Index> },
    /// Some delivered records arrive again, together with undelivered ones.
    Redeliver { picks: Vec<prop::sample::Index> },
    /// The reader pulls a page.
    Pull { limit: usize },
    /// The stream is disabled and enabled: a new stream begins.
    NewStream,
    /// The stream loses undelivered records: permanently, or until they are delivered later, as
    /// with a batch that Lambda keeps.
    Lose {
        picks: Vec<prop::sample::Index>,
        permanently: bool,
    },
    /// The log is compared with the resources and repaired.
    Repair,
}

fn step() -> impl Strategy<Value = SequencerStep> {
    let picks = || proptest::collection::vec(any::<prop::sample::Index>(), 1..6);
    prop_oneof![
        6 => (0..RESOURCES).prop_map(|resource| SequencerStep::Write { resource }),
        4 => picks().prop_map(|picks| SequencerStep::Deliver { picks }),
        2 => picks().prop_map(|picks| SequencerStep::Redeliver { picks }),
        3 => (1..5_usize).prop_map(|limit| SequencerStep::Pull { limit }),
        1 => Just(SequencerStep::NewStream),
        2 => (picks(), any::<bool>()).prop_map(|(picks, permanently)| SequencerStep::Lose { picks, permanently }),
        1 => Just(SequencerStep::Repair),
    ]
}

#[derive(Default)]
struct LogModel {
    versions: HashMap<ResourceKey, u64>,
    streams: u64,
    sequence: u64,
    /// Virtual time in seconds; each step takes some minutes.
    now: i64,
    changed_at: HashMap<ResourceKey, DateTime<Utc>>,
    undelivered: Vec<Record>,
    kept: Vec<Record>,
    delivered: Vec<Record>,
    head: Option<Head>,
    segments: Vec<Segment>,
    reader: LogReader,
}

struct LogReader {
    position: Position,
    versions: HashMap<String, u64>,
}

impl Default for LogReader {
    fn default() -> Self {
        Self {
            position: Position::START,
            versions: HashMap::new(),
        }
    }
}

impl LogModel {
    fn step(&mut self, step: SequencerStep) -> Result<(), TestCaseError> {
        self.now += 180;

        match step {
            SequencerStep::Write { resource } => self.write(resource),
            SequencerStep::Deliver { picks } => {
                let batch = self.pick_undelivered(&picks);
                self.deliver(batch)?;
            }
            SequencerStep::Redeliver { picks } => {
                let mut batch = self.pick_undelivered(&picks[..1]);
                batch.extend(batch.first().cloned());

                if !self.delivered.is_empty() {
                    batch.extend(
                        picks
                            .iter()
                            .map(|pick| pick.get(&self.delivered).clone())
                            .collect::<Vec<_>>(),
                    );
                }

                self.deliver(batch)?;
            }
            SequencerStep::Pull { limit } => self.pull(limit)?,
            SequencerStep::NewStream => {
                self.streams += 1;
                self.sequence = 0;
            }
            SequencerStep::Lose { picks, permanently } => {
                let lost = self.pick_undelivered(&picks);
                self.kept.extend(lost.into_iter().filter(|_| !permanently));
            }
            SequencerStep::Repair => self.repair()?,
        }
        Ok(())
    }

    fn write(&mut self, resource: u64) {
        let key = ResourceKey {
            channel: Channel::Tenant,
            resource_type: "meter".into(),
            id: format!("m-{resource}"),
        };

        let changed_at = self.moment();
        let version = self.versions.entry(key.clone()).or_default();
        *version += 1;
        self.sequence += 7;
        self.changed_at.insert(key.clone(), changed_at);

        self.undelivered.push(Record {
            stream: format!("{:04}", self.streams),
            sequence: Sequence::parse(&self.sequence.to_string()).expect("digits"),
            key,
            action: if *version == 1 {
                Action::Create
            } else {
                Action::Update
            },
            server_version: *version,
            changed_at,
            author: Author::device("ana", "phone"),
            resolved_conflicts: Vec::new(),
            echo_to_author: false,
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

    /// Does what the changelog function does with a batch, on a log in memory.
    fn deliver(&mut self, batch: Vec<Record>) -> Result<(), TestCaseError> {
        self.delivered.extend(batch.iter().cloned());
        let current: Vec<Entry> = self
            .segments
            .iter()
            .flat_map(|segment| segment.entries.clone())
            .collect();

        let classified = classify(self.head.as_ref(), batch).without_duplicates(&current);
        for step in classified.steps(self.head.as_ref(), &self.versions, self.moment()) {
            self.append(step)?;
        }
        Ok(())
    }

    fn append(&mut self, LogStep { segment, next_head }: LogStep) -> Result<(), TestCaseError> {
        let end = log_end(self.head.as_ref());
        prop_assert_eq!(segment.follows, end, "segments are linked");

        prop_assert!(
            segment
                .entries
                .is_sorted_by(|one, next| one.position < next.position)
        );
        prop_assert!(
            segment
                .entries
                .first()
                .is_some_and(|first| first.position > end)
        );
        prop_assert_eq!(
            segment.entries.last().map(|last| last.position),
            Some(segment.last)
        );
        prop_assert_eq!(segment.last, next_head.position);

        self.head = Some(next_head);
        self.segments.push(segment);
        Ok(())
    }

    fn moment(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + Duration::seconds(self.now)
    }

    /// Does what a repair does, on a log in memory. Checks that it appends exactly the missing
    /// changes, and that no change is missing afterwards.
    fn repair(&mut self) -> Result<(), TestCaseError> {
        let mut newest: HashMap<&str, u64> = HashMap::new();
        for entry in self.segments.iter().flat_map(|segment| &segment.entries) {
            newest.insert(&entry.id, entry.server_version);
        }

        let is_missing =
            |(key, version): &(&ResourceKey, &u64)| newest.get(key.id.as_str()) != Some(version);
        let mut expected: Vec<(String, u64)> = self
            .versions
            .iter()
            .filter(is_missing)
            .map(|(key, version)| (key.id.clone(), *version))
            .collect();
        expected.sort();

        let mut comparison = self.compared();
        let rows = self
            .versions
            .iter()
            .map(|(key, version)| (key.clone(), row(*version, self.changed_at[key])));
        let steps = comparison.steps(self.head.as_ref(), rows.collect::<Vec<_>>(), self.moment());

        let entries = steps.iter().flat_map(|step| &step.segment.entries);
        let mut appended: Vec<(String, u64)> = entries
            .map(|entry| (entry.id.clone(), entry.server_version))
            .collect();
        appended.sort();
        prop_assert_eq!(appended, expected);

        for step in steps {
            comparison.add_segment(&step.segment);
            self.append(step)?;
        }

        prop_assert!(comparison.missing().is_empty());
        prop_assert!(
            self.compared().missing().is_empty(),
            "a second repair finds nothing"
        );
        Ok(())
    }

    /// Returns the comparison of the resources with the log, read backwards from its head while
    /// that can find further resources.
    fn compared(&self) -> Comparison {
        let current = |(key, version): (&ResourceKey, &u64)| ResourceVersion {
            key: key.clone(),
            server_version: *version,
            changed_at: self.changed_at[key],
        };
        let mut comparison = Comparison::new(self.versions.iter().map(current));

        for segment in self.segments.iter().rev() {
            let newest = segment
                .entries
                .iter()
                .map(|entry| entry.changed_at)
                .max()
                .expect("a segment has entries");
            if comparison.may_find_more(newest) {
                comparison.add_segment(segment);
            }
        }
        comparison
    }

    /// Does what the pull function does, on a log in memory.
    fn pull(&mut self, limit: usize) -> Result<(), TestCaseError> {
        let mut page = Page::new(limit, None);
        let start = self.reader.position;

        'segments: for segment in self.segments.iter().filter(|segment| segment.last > start) {
            prop_assert!(is_contiguous(self.reader.position, segment));
            let read_before = self.reader.position;
            for entry in segment
                .entries
                .iter()
                .filter(|entry| entry.position > read_before)
            {
                if page.take_entry(&Channel::Tenant, entry.clone()).is_err() {
                    break 'segments;
                }
                self.reader.position = entry.position;
            }
        }

        for change in page.into_changes() {
            let known = self.reader.versions.entry(change.key.id).or_default();
            prop_assert!(
                *known <= change.server_version,
                "versions do not go backwards in the log"
            );
            *known = change.server_version;
        }
        Ok(())
    }
}

fn row(version: u64, changed_at: DateTime<Utc>) -> Resource {
    let author = Author::device("ana", "phone");
    let run = Run {
        author: author.clone(),
        began: 1,
        client_version_max: 0,
        echo_to_author: false,
    };
    let creation = Creation {
        author,
        client_temp_id: None,
        digest: [0; 16],
    };

    let payload = RawValue::from_string(format!("{{\"version\":{version}}}")).expect("JSON");
    Resource {
        server_version: version,
        ..Resource::new(payload, changed_at, run, creation)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn reader_ends_with_newest_versions(steps in proptest::collection::vec(step(), 1..150)) {
        let mut model = LogModel::default();
        for step in steps {
            model.step(step)?;
        }

        let rest = std::mem::take(&mut model.undelivered);
        model.deliver(rest)?;
        model.repair()?;

        // Batches that exhausted their retries are delivered again after the repair.
        let kept = std::mem::take(&mut model.kept);
        model.deliver(kept)?;

        let end = log_end(model.head.as_ref());
        while model.reader.position < end {
            model.pull(3)?;
        }

        let newest: HashMap<String, u64> = model.versions.into_iter().map(|(key, version)| (key.id, version)).collect();
        prop_assert_eq!(model.reader.versions, newest);
    }
}
