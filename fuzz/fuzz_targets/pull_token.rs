//! Pull tokens, and paging with them. The first line is a token: as text where it begins as one,
//! else what is to stand in it, for then the checksum is made here. The bytes behind it are a
//! script of changes, which are sequenced, and of how large the pages are that read them.
#![no_main]

use std::collections::{BTreeMap, HashMap};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Duration, Utc};
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::value::RawValue;
use tidemark_core::{
    channel::{Channel, Scope},
    json,
    limits::TOKEN_BYTES_MAX,
    principal::Author,
    protocol::Action,
    pull::{
        page::{Page, SnapshotItem, is_contiguous},
        start::{self, Start},
    },
    resource::ResourceKey,
    sequence::{
        plan::{Head, Record, Step, classify, end_of},
        position::{Position, Sequence},
        segment::{Entry, Segment},
    },
    token::{Progress, Token},
};

/// Days since 1970 of the pulls; what is older than 30 days is not kept.
const TODAY: i64 = 20_000;
const RETENTION_DAYS: i64 = 30;

fuzz_target!(|data: &[u8]| -> Corpus {
    let (line, script) = data
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or((data, [].as_slice()), |end| {
            (&data[..end], &data[end + 1..])
        });
    let text = if line.starts_with(b"tm1_") {
        String::from_utf8(line.to_vec()).ok()
    } else {
        Some(signed(line))
    };
    let Some(text) = text else {
        return Corpus::Reject;
    };
    let Ok(token) = Token::decode(&text) else {
        return Corpus::Keep;
    };
    check_token(&token, &text, script.first().copied().unwrap_or_default());
    pull(&token, Script(script));
    Corpus::Keep
});

/// The token whose content this is.
fn signed(body: &[u8]) -> String {
    let sum = json::digest([b"tm1_", body]);
    format!(
        "tm1_{}",
        BASE64_URL_SAFE_NO_PAD.encode([&sum[..6], body].concat())
    )
}

fn check_token(token: &Token, text: &str, damaged_at: u8) {
    assert!(text.len() <= TOKEN_BYTES_MAX);
    let encoded = token.encode();
    assert!(
        encoded
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'),
        "safe in a URL"
    );
    if encoded.len() <= TOKEN_BYTES_MAX {
        assert_eq!(Token::decode(&encoded).as_ref(), Ok(token));
    }
    let mut damaged = encoded.into_bytes();
    let at = usize::from(damaged_at) % damaged.len();
    damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
    assert!(
        Token::decode(std::str::from_utf8(&damaged).expect("ASCII")).is_err(),
        "damage shows"
    );
}

/// Numbers, one a byte; zero behind the end.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn next(&mut self) -> usize {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        usize::from(*first)
    }
}

/// A channel: its rows, and its log as the sequencer made it.
#[derive(Default)]
struct World {
    rows: BTreeMap<String, Record>,
    log: Vec<Segment>,
    head: Option<Head>,
}

fn pull(token: &Token, mut script: Script<'_>) {
    let limit = 1 + script.next() % 8;
    let reader = Author::device("ana", ["0", "1"][script.next() % 2]);
    let world = World::play(&mut script);
    world.check_log();
    for progress in token.channels.values().take(3).map(Some).chain([None]) {
        Reader::new(&world, progress, &reader).read_all(limit);
    }
}

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + Duration::days(TODAY)
}

impl World {
    /// Makes changes, and hands them to the sequencer in batches: in their order, again, or late.
    fn play(script: &mut Script<'_>) -> Self {
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
                    // Some that were handed over before, and not all of the new ones, of which the
                    // others come late.
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
            is_echoed: step % 5 == 0,
            decided: Vec::new(),
            payload: (action != Action::Delete)
                .then(|| RawValue::from_string(format!("{{\"n\":{number}}}")).expect("JSON")),
            key,
        };
        self.rows.insert(record.key.sort_key(), record.clone());
        record
    }

    /// What the sequencer does with a batch.
    fn sequence(&mut self, records: Vec<Record>) {
        let mut classified = classify(self.head.as_ref(), records);
        let wanted = classified.positions_to_find();
        let held: Vec<Entry> = self
            .entries()
            .filter(|entry| wanted.contains(&entry.position))
            .cloned()
            .collect();
        classified = classified.without_repeats(&held);
        let versions: HashMap<_, _> = self
            .rows
            .values()
            .map(|row| (row.key.clone(), row.server_version))
            .collect();
        for Step { segment, head } in classified.steps(self.head.as_ref(), &versions, now()) {
            self.head = Some(head);
            self.log.push(segment);
        }
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.log.iter().flat_map(|segment| &segment.entries)
    }

    /// Segments are linked, positions grow, versions never go backwards, and the newest state of
    /// every row is told.
    fn check_log(&self) {
        let mut end = Position::START;
        for segment in &self.log {
            assert_eq!(segment.prev, end);
            for entry in &segment.entries {
                assert!(entry.position > end);
                end = entry.position;
            }
            assert_eq!(segment.last, end);
        }
        assert_eq!(end, end_of(self.head.as_ref()));
        let mut newest: HashMap<&str, u64> = HashMap::new();
        for entry in self.entries() {
            let version = newest.entry(&entry.id).or_default();
            assert!(entry.server_version >= *version, "the log goes back");
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

/// A device that pulls the channel, page after page.
struct Reader<'a> {
    world: &'a World,
    author: &'a Author,
    progress: Progress,
    /// Whether the progress is what the input says, and not what a page of the log led to.
    is_given: bool,
    /// The version it has of each resource.
    has: HashMap<String, u64>,
}

impl<'a> Reader<'a> {
    fn new(world: &'a World, progress: Option<&Progress>, author: &'a Author) -> Self {
        let start = start::start(
            progress,
            world.head.as_ref(),
            now(),
            Duration::days(RETENTION_DAYS),
        );
        let mut reader = Self {
            world,
            author,
            progress: start.progress.clone(),
            is_given: true,
            has: HashMap::new(),
        };
        match (progress, &start) {
            (
                Some(given),
                Start {
                    progress,
                    is_reset: false,
                },
            ) => assert_eq!(given, progress),
            (_, start) => {
                assert!(start.is_reset, "whoever starts over replaces what it has");
                assert!(matches!(
                    &start.progress,
                    Progress::Snapshot { after: None, .. }
                ));
            }
        }
        reader.know_what_was_read();
        reader
    }

    /// Whoever stands here in the log has read what stands before, or made it; whoever stands here
    /// in the snapshot, the rows before.
    fn know_what_was_read(&mut self) {
        let (position, after) = match &self.progress {
            Progress::Log { position, .. } => (*position, None),
            Progress::Snapshot { after, .. } => (Position::START, after.as_deref()),
        };
        let own = |entry: &&Entry| {
            entry.position <= position || entry.author == *self.author && !entry.is_echoed
        };
        let read = self
            .world
            .entries()
            .filter(own)
            .map(|entry| (entry.id.clone(), entry.server_version));
        let rows = self
            .world
            .rows
            .iter()
            .filter(|(key, _)| Some(key.as_str()) <= after);
        let rows = rows.map(|(_, row)| (row.key.id.clone(), row.server_version));
        let mut has = HashMap::new();
        for (id, version) in read.chain(rows) {
            let known: &mut u64 = has.entry(id).or_default();
            *known = version.max(*known);
        }
        self.has = has;
    }

    fn end(&self) -> Position {
        end_of(self.world.head.as_ref())
    }

    fn is_caught_up(&self) -> bool {
        matches!(&self.progress, Progress::Log { position, .. } if *position == self.end())
    }

    fn read_all(mut self, limit: usize) {
        let pages_max = 4 + self.world.entries().count() + self.world.rows.len();
        let mut pages = 0;
        while !self.is_caught_up() {
            assert!(
                pages < pages_max,
                "pulling comes to no end: {:?}",
                self.progress
            );
            pages += 1;
            self.read_page(limit);
            let token = Token {
                channels: [(Channel::Tenant, self.progress.clone())].into(),
            };
            assert_eq!(
                Token::decode(&token.encode()),
                Ok(token),
                "the next pull takes up the token"
            );
        }
        for row in self
            .world
            .rows
            .values()
            .filter(|row| row.action != Action::Delete)
        {
            assert_eq!(
                self.has.get(&row.key.id),
                Some(&row.server_version),
                "a change was skipped: {:?}",
                row.key
            );
        }
    }

    fn read_page(&mut self, limit: usize) {
        let mut page = Page::new(limit, Some(self.author));
        match self.progress.clone() {
            Progress::Snapshot {
                noted,
                noted_at,
                after,
            } => self.read_rows(&mut page, noted, noted_at, after),
            Progress::Log {
                position,
                at,
                within,
            } => {
                self.read_log(&mut page, position, at, within);
                self.is_given = false; // a snapshot's is where it goes on in the log
            }
        }
        let changes = page.into_changes();
        assert!(changes.len() <= limit);
        for change in changes {
            assert_eq!(change.payload.is_none(), change.action == Action::Delete);
            let known = self.has.entry(change.id).or_default();
            *known = change.server_version.max(*known);
        }
    }

    fn read_rows(
        &mut self,
        page: &mut Page,
        noted: Position,
        noted_at: DateTime<Utc>,
        mut after: Option<String>,
    ) {
        let from = after.clone();
        for (sort_key, row) in self
            .world
            .rows
            .iter()
            .filter(|(key, _)| Some(*key) > from.as_ref())
        {
            if page.take_row(row.key.clone(), shown(row)).is_err() {
                self.progress = Progress::Snapshot {
                    noted,
                    noted_at,
                    after,
                };
                return;
            }
            after = Some(sort_key.clone());
        }
        self.progress = Progress::log(noted, noted_at);
    }

    fn read_log(
        &mut self,
        page: &mut Page,
        mut position: Position,
        at: DateTime<Utc>,
        within: Option<Position>,
    ) {
        let (began_at, from) = (position, within.unwrap_or(position));
        let mut read = self
            .world
            .log
            .iter()
            .filter(|segment| segment.prev >= from)
            .peekable();
        if read.peek().is_none_or(|first| !is_contiguous(position, first)) {
            assert!(self.is_given, "the log leads on from where a page ended");
            assert!(
                within.is_some()
                    || self
                        .world
                        .log
                        .iter()
                        .all(|segment| segment.prev != position)
            );
            self.progress = start::reset(self.world.head.as_ref(), now()).progress;
            return;
        }
        for segment in read {
            assert!(is_contiguous(position, segment), "the log itself is linked");
            for entry in segment
                .entries
                .iter()
                .filter(|entry| entry.position > began_at)
            {
                if page.take_entry(&Channel::Tenant, entry.clone()).is_err() {
                    let within = Some(segment.prev).filter(|prev| *prev != position);
                    self.progress = Progress::Log {
                        position,
                        at,
                        within,
                    };
                    return;
                }
                position = entry.position;
            }
        }
        self.progress = Progress::log(position, at);
    }
}

fn shown(row: &Record) -> SnapshotItem {
    let scope = Scope {
        tenant: "acme".into(),
        channel: Channel::Tenant,
    };
    assert_eq!(
        ResourceKey::parse(&scope, &row.key.sort_key()).as_ref(),
        Some(&row.key)
    );
    SnapshotItem {
        payload: row
            .payload
            .clone()
            .unwrap_or_else(|| RawValue::NULL.to_owned()),
        server_version: row.server_version,
        deleted: row.action == Action::Delete,
        changed_at: row.changed_at,
        resolutions: Vec::new(),
    }
}
