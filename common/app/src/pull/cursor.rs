//! The cursor of a pull in one channel: the next read, and the progress after it.

mod take;

use chrono::{DateTime, Duration, Utc};
use tidemark_aws::{Context, Error, tables::changes::PackedSegment};
use tidemark_core::{
    model::{
        channel::{Channel, Scope},
        position::Position,
        resource::ResourceKey,
        token::Progress,
    },
    rules::{
        ack::Positions,
        pull::{
            page::SnapshotItem,
            start::{self, Start},
        },
        sequence::plan::{Head, log_end},
    },
};

pub(super) use take::FillOutcome;

/// The number of segments in the first read of a channel, enough for a page of a hundred changes if
/// devices push batches of 25. The number doubles with each further read, up to [`SEGMENTS_MAX`].
const SEGMENTS_FIRST: i32 = 4;
/// The maximum number of segments in one read.
const SEGMENTS_MAX: i32 = 64;

/// The progress of a pull in one channel.
#[derive(Debug, Clone)]
pub(super) struct Cursor {
    scope: Scope,
    head: Option<Head>,
    progress: Progress,
    is_reset: bool,
    has_moved: bool,
}

/// The result of one read of a cursor.
#[derive(Debug)]
pub(super) enum CursorRead {
    /// Consecutive segments of the change log.
    Segments(Vec<PackedSegment>),
    /// Rows of the snapshot, and whether more may follow.
    Rows(Vec<(ResourceKey, Option<SnapshotItem>)>, bool),
}

impl Cursor {
    pub(super) fn open(
        scope: Scope,
        head: Option<Head>,
        progress: Option<&Progress>,
        now: DateTime<Utc>,
        retention: Duration,
    ) -> Self {
        let Start { progress, is_reset } = start::start(progress, head.as_ref(), now, retention);
        let mut cursor = Self {
            scope,
            head,
            progress,
            is_reset,
            has_moved: false,
        };

        cursor.note_caught_up(now);
        cursor
    }

    pub(super) fn channel(&self) -> &Channel {
        &self.scope.channel
    }

    pub(super) fn is_reset(&self) -> bool {
        self.is_reset
    }

    pub(super) fn is_caught_up(&self) -> bool {
        matches!(&self.progress, Progress::Log { position, .. } if *position == self.end())
    }

    /// Returns whether the cursor is in the log before a position that the device has acknowledged,
    /// which means that the device lost state.
    pub(super) fn is_before(&self, acknowledged: &Positions) -> bool {
        let Progress::Log { position, .. } = &self.progress else {
            return false;
        };
        acknowledged
            .get(self.channel())
            .is_some_and(|acknowledged| *position < acknowledged.position)
    }

    /// Returns the time since which the next change of the channel may be waiting.
    pub(super) fn waits_since(&self) -> DateTime<Utc> {
        match &self.progress {
            Progress::Log { at, .. } => *at,
            Progress::Snapshot { head_read_at, .. } => *head_read_at,
        }
    }

    pub(super) fn into_progress(self) -> (Channel, Progress) {
        (self.scope.channel, self.progress)
    }

    fn end(&self) -> Position {
        log_end(self.head.as_ref())
    }

    /// Reads the next part of the channel. `reads` is the number of earlier reads for this page,
    /// `room` the number of changes that still fit.
    pub(super) async fn read(
        &self,
        context: &Context,
        room: usize,
        reads: u32,
    ) -> Result<CursorRead, Error> {
        match &self.progress {
            Progress::Snapshot { after, .. } => {
                let (rows, more) = context
                    .tables
                    .resources
                    .list(&self.scope, after.as_deref(), room)
                    .await?;
                Ok(CursorRead::Rows(rows, more))
            }
            Progress::Log {
                position,
                segment_key,
                ..
            } => {
                let limit = SEGMENTS_MAX.min(SEGMENTS_FIRST << reads.min(4));
                let from = segment_key.unwrap_or(*position);

                context
                    .tables
                    .changes
                    .packed_segments(&self.scope, from, self.end(), limit)
                    .await
                    .map(CursorRead::Segments)
            }
        }
    }

    fn note_caught_up(&mut self, now: DateTime<Utc>) {
        if self.is_caught_up() {
            self.progress = Progress::log(self.end(), now);
        }
    }
}
