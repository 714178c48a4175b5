//! Adds what a cursor has read to the page, and advances the cursor.

use chrono::{DateTime, Utc};
use tidemark_aws::{
    Error,
    tables::changes::{PackedSegment, StoredSegment},
};
use tidemark_core::{
    model::{resource::ResourceKey, token::Progress},
    rules::pull::{
        page::{Page, SnapshotItem, is_contiguous},
        start::{self, Start},
    },
};

use super::{Cursor, CursorRead};

/// Whether a cursor has more to read for this page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pull) enum FillOutcome {
    /// The cursor is caught up, the page is full, or the log is not contiguous.
    Done,
    /// The cursor has more to read.
    WantsMore,
}

impl Cursor {
    /// Adds the contents of a read to the page, as long as it is contiguous and the page has room.
    ///
    /// # Errors
    /// Returns `Error::Corrupt` if a segment cannot be decoded.
    pub(in crate::pull) fn take(
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

    fn take_rows(
        &mut self,
        page: &mut Page,
        rows: Vec<(ResourceKey, Option<SnapshotItem>)>,
        more: bool,
    ) -> FillOutcome {
        let Progress::Snapshot {
            head,
            head_read_at,
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
            self.progress = Progress::log(*head, *head_read_at);
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
                segment_key,
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
                (*position, *at, *segment_key) = (next, sequenced_at, Some(segment.follows));
                self.has_moved = true;
            }
            (*position, *at, *segment_key) = (segment.last, sequenced_at, None);
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
