//! The cursor of a pull in one channel: the next read, and the progress after it.

use chrono::{DateTime, Duration, Utc};
use tidemark_aws::{
    Context, Error,
    tables::changes::{PackedSegment, StoredSegment},
};
use tidemark_core::{
    model::{
        channel::{Channel, Scope},
        position::Position,
        resource::ResourceKey,
    },
    rules::{
        ack::Positions,
        pull::{
            page::{Page, SnapshotItem, is_contiguous},
            start::{self, Start},
        },
        sequence::plan::{Head, log_end},
    },
    wire::token::Progress,
};

/// The number of segments in the first read of a channel. Two segments hold a hundred changes if
/// devices push batches of fifty. The number doubles with each further read.
const SEGMENTS_FIRST: i32 = 4;
const SEGMENTS_MAX: i32 = 64;

/// The progress of a pull in one channel.
#[derive(Debug, Clone)]
pub(crate) struct Cursor {
    scope: Scope,
    head: Option<Head>,
    progress: Progress,
    is_reset: bool,
    has_moved: bool,
}

/// The result of one read of a cursor.
#[derive(Debug)]
pub(crate) enum CursorRead {
    /// Consecutive segments of the change log.
    Segments(Vec<PackedSegment>),
    /// Rows of the snapshot, and whether more may follow.
    Rows(Vec<(ResourceKey, Option<SnapshotItem>)>, bool),
}

/// Whether a cursor has more to read for this page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FillOutcome {
    /// The cursor is caught up, the page is full, or the log is not contiguous.
    Done,
    /// The cursor has more to read.
    WantsMore,
}

impl Cursor {
    pub(crate) fn open(
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

    pub(crate) fn channel(&self) -> &Channel {
        &self.scope.channel
    }

    pub(crate) fn is_reset(&self) -> bool {
        self.is_reset
    }

    pub(crate) fn is_caught_up(&self) -> bool {
        matches!(&self.progress, Progress::Log { position, .. } if *position == self.end())
    }

    /// Returns whether the cursor is in the log before a position that the device has acknowledged,
    /// which means that the device lost state.
    pub(crate) fn is_before(&self, acknowledged: &Positions) -> bool {
        let Progress::Log { position, .. } = &self.progress else {
            return false;
        };
        acknowledged
            .get(self.channel())
            .is_some_and(|acknowledged| *position < acknowledged.position)
    }

    /// Returns the time since which the next change of the channel may be waiting.
    pub(crate) fn waits_since(&self) -> DateTime<Utc> {
        match &self.progress {
            Progress::Log { at, .. } => *at,
            Progress::Snapshot { noted_at, .. } => *noted_at,
        }
    }

    pub(crate) fn into_progress(self) -> (Channel, Progress) {
        (self.scope.channel, self.progress)
    }

    fn end(&self) -> Position {
        log_end(self.head.as_ref())
    }

    /// Reads the next part of the channel. `reads` is the number of earlier reads for this page,
    /// `room` the number of changes that still fit.
    pub(crate) async fn read(
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
                position, within, ..
            } => {
                let limit = SEGMENTS_MAX.min(SEGMENTS_FIRST << reads.min(4));
                let from = within.unwrap_or(*position);

                context
                    .tables
                    .changes
                    .packed_segments(&self.scope, from, self.end(), limit)
                    .await
                    .map(CursorRead::Segments)
            }
        }
    }

    /// Adds the contents of a read to the page, as long as it is contiguous and the page has room.
    ///
    /// # Errors
    /// Returns `Error::Corrupt` if a segment cannot be decoded.
    pub(crate) fn take(
        &mut self,
        page: &mut Page,
        read: CursorRead,
        now: DateTime<Utc>,
    ) -> Result<FillOutcome, Error> {
        let filled = match read {
            CursorRead::Rows(rows, more) => self.take_rows(page, rows, more),
            CursorRead::Segments(segments) => self.take_segments(page, segments, now)?,
        };

        self.note_caught_up(now);
        Ok(if self.is_caught_up() {
            FillOutcome::Done
        } else {
            filled
        })
    }

    fn note_caught_up(&mut self, now: DateTime<Utc>) {
        if self.is_caught_up() {
            self.progress = Progress::log(self.end(), now);
        }
    }

    fn take_rows(
        &mut self,
        page: &mut Page,
        rows: Vec<(ResourceKey, Option<SnapshotItem>)>,
        more: bool,
    ) -> FillOutcome {
        let Progress::Snapshot {
            noted,
            noted_at,
            after,
        } = &mut self.progress
        else {
            return FillOutcome::Done;
        };

        for (key, resource) in rows {
            let sort_key = key.sort_key();
            page.note_read(
                1,
                resource
                    .as_ref()
                    .map_or(0, |resource| resource.payload.get().len()),
            );
            if resource.is_some_and(|resource| page.take_row(key, resource).is_err()) {
                return FillOutcome::Done;
            }
            *after = Some(sort_key);
        }

        if !more {
            self.progress = Progress::log(*noted, *noted_at);
        }
        FillOutcome::WantsMore
    }

    fn take_segments(
        &mut self,
        page: &mut Page,
        segments: Vec<PackedSegment>,
        now: DateTime<Utc>,
    ) -> Result<FillOutcome, Error> {
        if segments.is_empty() {
            return Ok(self.reset_channel(now));
        }

        for packed in segments {
            let Progress::Log {
                position,
                at,
                within,
            } = &mut self.progress
            else {
                return Ok(FillOutcome::Done);
            };

            if page.room() == 0 || page.is_exhausted() {
                return Ok(FillOutcome::Done);
            }
            let StoredSegment {
                segment,
                sequenced_at,
            } = packed.unpack()?;
            page.note_read(segment.entries.len(), segment.bytes());
            if !is_contiguous(*position, &segment) {
                return Ok(self.reset_channel(now));
            }

            let read_before = *position;
            for entry in segment
                .entries
                .into_iter()
                .filter(|entry| entry.position > read_before)
            {
                let next = entry.position;
                if page.take_entry(&self.scope.channel, entry).is_err() {
                    return Ok(FillOutcome::Done);
                }
                (*position, *at, *within) = (next, sequenced_at, Some(segment.prev));
                self.has_moved = true;
            }
            (*position, *at, *within) = (segment.last, sequenced_at, None);
        }

        Ok(FillOutcome::WantsMore)
    }

    /// Resets the channel because its log is not contiguous. If this page already contains changes
    /// of the channel, the next pull resets it.
    fn reset_channel(&mut self, now: DateTime<Utc>) -> FillOutcome {
        if self.has_moved {
            return FillOutcome::Done;
        }
        let Start { progress, is_reset } = start::reset(self.head.as_ref(), now);
        (self.progress, self.is_reset) = (progress, is_reset);
        FillOutcome::WantsMore
    }
}
