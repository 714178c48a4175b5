//! Every bound of the protocol (§1, §2, §3.12, §4.7) in one place. Bounds are inclusive: the value
//! named here is still accepted.

/// The maximum bytes of one payload, as sent and as stored after merging.
pub const PAYLOAD_BYTES_MAX: usize = 350 * 1024;
/// The maximum number of top-level fields of one payload.
pub const PAYLOAD_FIELDS_MAX: usize = 500;
/// The maximum nesting depth of objects and arrays in one payload, the payload itself included.
pub const NESTING_MAX: usize = 64;
/// The maximum bytes of the `was` of an item. A larger one is ignored.
pub const WAS_BYTES_MAX: usize = 8 * 1024;
/// The maximum number of items of one push.
pub const BATCH_ITEMS_MAX: usize = 50;
/// The maximum bytes of one request body.
pub const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;
/// The maximum bytes of one name: tenant, user, group, device id, temp id, batch id or resource id.
/// Escaping at most doubles it, which keeps every key below DynamoDB's 2,048 (partition) and 1,024
/// (sort) bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// The maximum bytes of a sort key, DynamoDB's own bound.
pub const SORT_KEY_BYTES_MAX: usize = 1024;
/// The maximum number of groups of one principal.
pub const GROUPS_MAX: usize = 100;
/// The largest version that a client may send: JavaScript loses digits of larger JSON numbers.
pub const VERSION_MAX: u64 = (1 << 53) - 1;
/// The number of applied edits in the deduplication window of a resource; the window never contains
/// fewer than the edits of the last batch that wrote the resource.
pub const DEDUPLICATION_EDITS: usize = 16;
/// The number of devices for which a resource stores a client-version high-water mark.
pub const HIGH_WATER_MARKS_MAX: usize = 32;
/// The maximum letters of one sentence about a request, which bounds the part of a client's input
/// that a response repeats.
pub const SENTENCE_CHARS_MAX: usize = 300;
/// The maximum number of edits of one conflict; the next edit opens another conflict.
pub const CONFLICT_EDITS_MAX: usize = 100;
/// The maximum number of conflicts that one create supersedes; each takes two rows of its
/// transaction. Further ones stay open.
pub const SUPERSEDED_MAX: usize = 10;
/// The maximum bytes of a tombstone row that contains the last payload: ten such rows cost one read
/// unit. A larger payload is stored separately.
pub const TOMBSTONE_BYTES_MAX: usize = 400;
/// The number of conflicts of one device about one resource that its pushes load besides the first:
/// the most recently opened ones. A retried edit that joined an older conflict opens a new conflict
/// once that older conflict is resolved.
pub const RESOLVED_CONFLICTS_MAX: usize = 4;
/// The maximum number of open conflicts of one device. An edit that would open another one is
/// rejected with `too_many_conflicts`. The count is approximate: concurrent requests may exceed it.
pub const OPEN_CONFLICTS_MAX: u64 = 10_000;
/// Minutes after which the open conflicts of a device that reached the bound are counted again.
pub const OPEN_CONFLICTS_RECOUNT_MINUTES: i64 = 5;
/// The number of shards of the index of a tenant's conflicts by status. A DynamoDB partition
/// accepts 1,000 write units per second.
pub const CONFLICT_SHARDS: u8 = 8;
/// The number of conflicts of each shard, open or resolved, that a request for a filtered list
/// examines.
pub const CONFLICTS_SCANNED_MAX: usize = 500;
/// The maximum number of open conflicts that a summary counts.
pub const CONFLICTS_COUNTED_MAX: usize = 1000;
/// The number of shards of a tenant's audit log, for the same reason.
pub const AUDIT_SHARDS: u8 = 8;
/// The number of shards of each index of a tenant's batches, for the same reason.
pub const BATCH_SHARDS: u8 = 8;
/// The maximum number of index entries of one shard that a list of failed batches examines for a
/// page.
pub const FAILED_BATCHES_EXAMINED_MAX: usize = 500;
/// The maximum number of index entries of all shards that a list of batches without results
/// examines for a page. Each costs a read of its results.
pub const UNANSWERED_BATCHES_EXAMINED_MAX: usize = 500;
/// Hours before now at which a list of batches without results begins if the caller names no time.
pub const UNANSWERED_HOURS_DEFAULT: i64 = 24;
/// Seconds for which a batch without results is not listed: its push may still be running.
pub const LISTED_BATCH_AGE_SECONDS_MIN: i64 = 60;
/// The maximum number of batches that one request replays.
pub const REPLAYED_BATCHES_MAX: usize = 10;
/// The maximum bytes of an id in a request to replay several batches. The server's ids are shorter.
pub const BATCH_ID_BYTES_MAX: usize = 2048;
/// The maximum bytes of an item in the audit entry of a correction: a payload of the largest size,
/// with room for the other members. A larger item is omitted from the entry.
pub const AUDITED_ITEM_BYTES_MAX: usize = 400 * 1024;
/// The number of conflict resolutions that a resource stores.
pub const RESOLUTIONS_MAX: usize = 4;
/// The maximum number of media keys of one payload.
pub const MEDIA_KEYS_MAX: usize = 50;
/// The maximum bytes of one upload, S3's bound for a single request; a deployment sets a lower
/// bound.
pub const MEDIA_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;
/// The maximum letters of a tenant or user name that is part of a media key verbatim: those of a
/// UUID. Longer names are hashed.
pub const MEDIA_NAME_CHARS_MAX: usize = 36;
/// The maximum letters of a content type that is part of a media key verbatim: those of
/// `application/msword`. Longer ones are hashed.
pub const MEDIA_TYPE_CHARS_MAX: usize = 18;
/// The maximum letters of the file extension of a media key.
pub const MEDIA_EXTENSION_CHARS_MAX: usize = 4;
/// The maximum letters of a content type in a media key of the old format, which has no MAC.
pub const MEDIA_OLD_TYPE_CHARS_MAX: usize = 24;
/// The maximum letters of a file extension in a media key of the old format, which takes it from
/// the client's file name.
pub const MEDIA_OLD_EXTENSION_CHARS_MAX: usize = 10;
/// The maximum bytes of a media key in either format, as it follows from the bounds above. The
/// local store names a file after the key in base64, which takes 255 bytes at most.
pub const MEDIA_KEY_BYTES_MAX: usize = 161;
/// The maximum number of distinct media keys that one batch looks up; items beyond it are
/// retryable. Keys that the resource already contains, or that were verified for it earlier, do not
/// count.
pub const MEDIA_LOOKUPS_MAX: usize = 250;
/// The maximum number of these lookups for keys of the old format, which any client can forge.
pub const MEDIA_OLD_LOOKUPS_MAX: usize = 50;
/// The minimum bytes of a secret that authenticates media keys.
pub const MEDIA_SECRET_BYTES_MIN: usize = 32;
/// The maximum letters of the note that an admin adds to a resolution.
pub const NOTE_CHARS_MAX: usize = 2000;
/// The maximum number of conflicts of one bulk resolution.
pub const BULK_CONFLICTS_MAX: usize = 25;
/// The payload bytes of stored rows that a bulk request loads, after which it defers its remaining
/// items.
pub const BULK_BYTES_MAX: usize = 8 * 1000 * 1000;
/// The seconds after which a bulk request defers its remaining items.
pub const BULK_SECONDS_MAX: i64 = 10;
/// The seconds after which a bulk request stops the work on an item and defers it, so that the
/// results of earlier items are returned before the deadline of the function.
pub const BULK_ITEM_SECONDS_MAX: u64 = 15;
/// Entries of a list (conflicts, audit) if the caller names no limit.
pub const LIST_DEFAULT: usize = 50;
/// The maximum entries of a list.
pub const LIST_MAX: usize = 200;
/// The maximum bytes of a list cursor: two keys, with room.
pub const CURSOR_BYTES_MAX: usize = 8 * 1024;
/// Changes in a page if the caller names no limit.
pub const PAGE_CHANGES_DEFAULT: usize = 100;
/// The maximum number of changes in a page.
pub const PAGE_CHANGES_MAX: usize = 500;
/// The maximum bytes of a page's changes, escaped as in a response: the function holds several
/// copies of them. The largest payload takes 0.7 MB.
pub const PAGE_BYTES_MAX: usize = 3 * 1000 * 1000;
/// Bytes of decompressed entries and of rows after which a page ends, whether or not it delivers
/// them. One more segment may begin below the bound.
pub const PAGE_READ_BYTES_MAX: usize = 8 * 1000 * 1000;
/// Entries and rows after which a page ends.
pub const PAGE_READ_ENTRIES_MAX: usize = 5_000;
/// The maximum bytes of one response as Lambda serializes it: the body escaped into a JSON string.
pub const RESPONSE_BYTES_MAX: usize = 5 * 1000 * 1000;
/// Bytes up to which a response is sent uncompressed even if the client accepts gzip. Below that,
/// compression saves no packet; above it, a response shrinks to a fifth for 4 µs of CPU per KiB.
pub const UNCOMPRESSED_RESPONSE_BYTES_MAX: usize = 2 * 1024;
/// The maximum bytes of one segment of the change log before compression; below DynamoDB's 400 KB
/// for a row.
pub const SEGMENT_BYTES_MAX: usize = 390 * 1000;
/// The maximum bytes of one row of compressed raw items.
pub const CHUNK_BYTES_MAX: usize = 380 * 1000;
/// The maximum number of attempts to write one resource whose condition fails because of concurrent
/// updates. After that, the remaining items of a batch about the resource, or the resolution of its
/// conflict, are rejected as `contended`. Other resources of the batch have their own attempts, so a
/// batch with `n` items about `g` resources makes at most `10 g + 2 n` attempts
/// (`common/app/src/push/batch/scheduler.rs`).
pub const COMMIT_ATTEMPTS_MAX: u32 = 10;
/// The maximum changes of one segment: a page of the usual size. A reader loads whole segments, so
/// larger ones would be loaded again for each of their pages. A stored segment with more than twice
/// as many changes is rejected as corrupt.
pub const SEGMENT_CHANGES_MAX: usize = 100;
/// The number of segments after which no further query is sent to find out whether a change was
/// delivered. A query may exceed it.
pub const DELIVERY_SEGMENTS_MAX: usize = 64;
/// The maximum bytes of decompressed entries that one request reads to find out what was delivered.
/// Reaching it has the same effect as reaching [`DELIVERY_SEGMENTS_MAX`].
pub const DELIVERY_BYTES_MAX: usize = 8 * 1000 * 1000;
/// The number of segments that one request reads backwards to find the base of a conflict. They
/// share the bytes of [`DELIVERY_BYTES_MAX`].
pub const BASE_SEGMENTS_MAX: usize = 16;
/// The maximum difference in seconds between the clocks of two functions.
pub const CLOCK_SKEW_SECONDS_MAX: i64 = 60;
/// Hours that the stream keeps a change: it enters the log within them, or by a repair.
pub const STREAM_HOURS: i64 = 24;
/// Seconds for which a change may still be on its way into the log: a repair does not compare
/// younger changes with the log.
pub const REPAIR_AGE_SECONDS_MIN: i64 = 300;
/// The number of resources that a repair compares with the log at a time; it holds as many keys in
/// memory.
pub const REPAIR_COMPARED_MAX: usize = 10_000;
/// The number of missing resources that a repair holds in memory at a time: 17 MB of payload at
/// most.
pub const REPAIR_ROWS_MAX: usize = 50;
/// Seconds after which a repair starts no further resources and returns a cursor with which to
/// continue.
pub const REPAIR_SECONDS: i64 = 20;
/// Seconds after which a repair stops reading a log that does not end, well before the function
/// times out.
pub const REPAIR_SECONDS_MAX: i64 = 45;
/// The maximum number of channels in the response to a repair.
pub const REPAIR_CHANNELS_REPORTED_MAX: usize = 100;
/// The number of resources of a channel that a status request compares with the log: one page.
pub const STATUS_COMPARED_MAX: usize = 1000;
/// The maximum number of log segments that a status request reads for that comparison.
pub const STATUS_SEGMENTS_MAX: usize = 64;
/// The maximum bytes of their decompressed entries.
pub const STATUS_BYTES_MAX: usize = 16 * 1000 * 1000;
/// The maximum seconds that it spends reading them.
pub const STATUS_SECONDS_MAX: i64 = 8;
/// The maximum number of objects in the dead-letter bucket that are counted.
pub const DEAD_LETTERS_COUNTED_MAX: i32 = 1000;
/// The number of open conflicts per shard of a tenant that a list of devices counts: the most
/// recently detected ones.
pub const OPEN_LISTED_MAX: usize = 1000;
/// The number of resolved conflicts per shard of a tenant that a list of devices considers: the
/// most recently detected ones.
pub const DEVICE_CONFLICTS_MAX: usize = 100;
/// The number of resolved conflicts that a list of devices reads in total.
pub const DEVICE_DECISIONS_MAX: usize = 200;
/// The number of resolutions per device that a list of devices looks up in the log; further ones
/// count as not acknowledged.
pub const DEVICE_LOOKUPS_MAX: usize = 8;
/// The maximum bytes of a pull token: the size for a principal with every channel, with room.
pub const TOKEN_BYTES_MAX: usize = 256 * 1024;
/// The maximum number of receipts for a device's own changes in its token (§4.6), about 40 bytes
/// each.
pub const RECEIPTS_MAX: usize = 256;

/// Returns whether `text` is a valid name: it has 1 to [`NAME_BYTES_MAX`] bytes.
pub fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len())
}

/// Returns the bytes that `text` takes when it is escaped in a JSON string, as Lambda does with a
/// response body.
pub fn escaped_bytes(text: &str) -> usize {
    text.bytes()
        .map(|byte| usize::from(ESCAPED_BYTES[usize::from(byte)]))
        .sum()
}

/// The escaped length of each byte.
const ESCAPED_BYTES: [u8; 256] = {
    let mut bytes = [1; 256];
    let mut control = 0;
    while control < 0x20 {
        bytes[control] = 6;
        control += 1;
    }
    let mut short = 0;
    while short < SHORT_ESCAPES.len() {
        bytes[SHORT_ESCAPES[short] as usize] = 2;
        short += 1;
    }
    bytes
};

/// The bytes with an escape of two bytes.
const SHORT_ESCAPES: &[u8; 7] = b"\"\\\n\r\t\x08\x0c";

/// Truncates a sentence to [`SENTENCE_CHARS_MAX`] letters and marks the cut with `…`.
pub fn sentence(text: impl Into<String>) -> String {
    let mut text = text.into();
    if let Some((end, _)) = text.char_indices().nth(SENTENCE_CHARS_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;
