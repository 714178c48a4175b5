//! A device that pulls a channel page by page, and checks that it misses no change.

use std::collections::HashMap;

use chrono::{DateTime, Duration, Utc};
use serde_json::value::RawValue;
use tidemark_core::{
    model::{
        channel::{Channel, Scope},
        edit::Action,
        position::Position,
        principal::Author,
        resource::ResourceKey,
        token::{Progress, Token},
    },
    rules::{
        pull::{
            page::{Page, SnapshotItem, is_contiguous},
            start::{self, Start},
        },
        sequence::{
            plan::{Record, log_end},
            segment::Entry,
        },
    },
};

use super::{RETENTION_DAYS, now, world::World};

/// A device that pulls all pages of the channel.
pub(super) struct Reader<'a> {
    world: &'a World,
    author: &'a Author,
    progress: Progress,
    /// Whether the progress comes from the input, as opposed to a page of the log.
    is_given: bool,
    /// The version of each resource that the device has.
    has: HashMap<String, u64>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(world: &'a World, progress: Option<&Progress>, author: &'a Author) -> Self {
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
                assert!(start.is_reset, "a device without valid progress is reset");
                assert!(matches!(
                    &start.progress,
                    Progress::Snapshot { after: None, .. }
                ));
            }
        }

        reader.assume_progress_was_read();
        reader
    }

    /// Assumes that the device has read or written everything up to its progress: the log up to its
    /// position, or the rows of the snapshot up to its cursor.
    fn assume_progress_was_read(&mut self) {
        let (position, after) = match &self.progress {
            Progress::Log { position, .. } => (*position, None),
            Progress::Snapshot { after, .. } => (Position::START, after.as_deref()),
        };

        let own = |entry: &&Entry| {
            entry.position <= position || entry.author == *self.author && !entry.echo_to_author
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
        log_end(self.world.head.as_ref())
    }

    fn is_caught_up(&self) -> bool {
        matches!(&self.progress, Progress::Log { position, .. } if *position == self.end())
    }

    pub(super) fn read_all(mut self, limit: usize) {
        let pages_max = 4 + self.world.entries().count() + self.world.rows.len();

        let mut pages = 0;
        while !self.is_caught_up() {
            assert!(
                pages < pages_max,
                "pulling does not terminate: {:?}",
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
                "the token of the next pull can be decoded"
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
                head,
                head_read_at,
                after,
            } => self.read_rows(&mut page, head, head_read_at, after),
            Progress::Log {
                position,
                at,
                segment_key,
            } => {
                self.read_log(&mut page, position, at, segment_key);
                self.is_given = false; // after a snapshot, the log continues at a position from the input
            }
        }

        let changes = page.into_changes();
        assert!(changes.len() <= limit);
        for change in changes {
            assert_eq!(change.payload.is_none(), change.action == Action::Delete);
            let known = self.has.entry(change.key.id).or_default();
            *known = change.server_version.max(*known);
        }
    }

    fn read_rows(
        &mut self,
        page: &mut Page,
        head: Position,
        head_read_at: DateTime<Utc>,
        mut after: Option<String>,
    ) {
        let from = after.clone();

        for (sort_key, row) in self
            .world
            .rows
            .iter()
            .filter(|(key, _)| Some(*key) > from.as_ref())
        {
            if page.take_row(row.key.clone(), snapshot_item(row)).is_err() {
                self.progress = Progress::Snapshot {
                    head,
                    head_read_at,
                    after,
                };
                return;
            }
            after = Some(sort_key.clone());
        }

        self.progress = Progress::log(head, head_read_at);
    }

    fn read_log(
        &mut self,
        page: &mut Page,
        mut position: Position,
        at: DateTime<Utc>,
        segment_key: Option<Position>,
    ) {
        let (began_at, from) = (position, segment_key.unwrap_or(position));

        let mut read = self
            .world
            .log
            .iter()
            .filter(|segment| segment.follows >= from)
            .peekable();

        if read
            .peek()
            .is_none_or(|first| !is_contiguous(position, first))
        {
            assert!(self.is_given, "the log continues where a page ended");
            assert!(
                segment_key.is_some()
                    || self
                        .world
                        .log
                        .iter()
                        .all(|segment| segment.follows != position)
            );
            self.progress = start::reset(self.world.head.as_ref(), now()).progress;
            return;
        }

        for segment in read {
            assert!(
                is_contiguous(position, segment),
                "the segments of the log are linked"
            );
            for entry in segment
                .entries
                .iter()
                .filter(|entry| entry.position > began_at)
            {
                if page.take_entry(&Channel::Tenant, entry.clone()).is_err() {
                    let segment_key = Some(segment.follows).filter(|key| *key != position);
                    self.progress = Progress::Log {
                        position,
                        at,
                        segment_key,
                    };
                    return;
                }
                position = entry.position;
            }
        }

        self.progress = Progress::log(position, at);
    }
}

fn snapshot_item(row: &Record) -> SnapshotItem {
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
