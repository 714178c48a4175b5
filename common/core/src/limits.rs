//! Every bound of the protocol (§1, §2, §3.12, §4.7) in one place. A bound is inclusive: the value
//! named here is still accepted.

/// Bytes of one payload, as sent and as stored after merging.
pub const PAYLOAD_BYTES_MAX: usize = 350 * 1024;
/// Top-level fields of one payload.
pub const PAYLOAD_FIELDS_MAX: usize = 500;
/// Objects and arrays inside each other in one payload, the payload itself included.
pub const NESTING_MAX: usize = 64;
/// Items of one push.
pub const BATCH_ITEMS_MAX: usize = 50;
/// Bytes of one request body.
pub const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Bytes of one name: tenant, user, group, device id, temp id, batch id or resource id. Escaping at
/// most doubles it, which keeps every key below DynamoDB's 2,048 (partition) and 1,024 (sort)
/// bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// Bytes of a sort key, DynamoDB's own bound.
pub const SORT_KEY_BYTES_MAX: usize = 1024;
/// Groups one principal may belong to.
pub const GROUPS_MAX: usize = 100;
/// Largest version a client may name: beyond it JSON numbers lose digits in JavaScript.
pub const VERSION_MAX: u64 = (1 << 53) - 1;
/// Edits a resource remembers having applied; never fewer than those of the batch that wrote it
/// last.
pub const DEDUPLICATION_EDITS: usize = 16;
/// Devices a resource remembers that numbered their edits far ahead of the server.
pub const HIGH_WATER_MARKS_MAX: usize = 32;
/// Letters of one sentence about a request: what a client sent is not sent back at any length.
pub const SENTENCE_LETTERS_MAX: usize = 300;
/// Edits that may stand in one conflict; the next one opens its own.
pub const CONFLICT_EDITS_MAX: usize = 100;
/// Conflicts that one create supersedes at most; each is two rows of its transaction. Further ones
/// stay open.
pub const SUPERSEDED_MAX: usize = 10;
/// Bytes of the row of a deleted resource that holds its last payload itself: ten of them cost one
/// read unit. A larger payload is kept apart.
pub const TOMBSTONE_BYTES_MAX: usize = 400;
/// Conflicts of one device about one resource that its pushes know besides the first of them: those
/// that were opened last. An edit that joined an older one, and comes again after that is decided,
/// opens a conflict of its own.
pub const RESOLVED_CONFLICTS_MAX: usize = 4;
/// Open conflicts of one device. Beyond it an edit that would open one more is answered
/// `too_many_conflicts`. The count is approximate: requests that run at the same moment may exceed
/// it.
pub const OPEN_CONFLICTS_MAX: u64 = 10_000;
/// Minutes after which the open conflicts of a device that reached the bound are counted again.
pub const OPEN_CONFLICTS_RECOUNT_MINUTES: i64 = 5;
/// Parts into which the index of a tenant's conflicts by status is cut. A partition of DynamoDB
/// takes 1,000 write units a second.
pub const CONFLICT_SHARDS: u8 = 8;
/// Parts into which a tenant's audit log is cut, for the same reason.
pub const AUDIT_SHARDS: u8 = 8;
/// Resolutions of conflicts a resource remembers.
pub const RESOLUTIONS_MAX: usize = 4;
/// Media keys of one payload.
pub const MEDIA_KEYS_MAX: usize = 50;
/// Bytes of one upload, what S3 takes in one request; a deployment sets its own bound below it.
pub const MEDIA_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;
/// Letters of a tenant's or user's name that stands in media keys as it is: those of a UUID. Others
/// stand there as hashes.
pub const MEDIA_NAME_LETTERS_MAX: usize = 36;
/// Letters of a content type that is part of a media key as it is: those of `application/msword`.
/// Longer ones are hashed.
pub const MEDIA_TYPE_LETTERS_MAX: usize = 18;
/// Letters of the file extension of a media key.
pub const MEDIA_EXTENSION_LETTERS_MAX: usize = 4;
/// The same bound for media keys of the old form, which have no MAC.
pub const MEDIA_OLD_TYPE_LETTERS_MAX: usize = 24;
/// The same bound for media keys of the old form, whose extension came from the client's file name.
pub const MEDIA_OLD_EXTENSION_LETTERS_MAX: usize = 10;
/// Bytes of a media key, as the bounds above make it, in either form. The local store names a file
/// after the key in base64, of 255 bytes at most.
pub const MEDIA_KEY_BYTES_MAX: usize = 161;
/// Distinct media keys that one batch has looked up; items beyond it are retryable. Keys that the
/// resource holds, or that were verified for it before, do not count.
pub const MEDIA_LOOKUPS_MAX: usize = 250;
/// The part of these lookups that may be for keys of the old form: anybody can make them up.
pub const MEDIA_OLD_LOOKUPS_MAX: usize = 50;
/// Bytes of a secret that media keys are authenticated with, at least.
pub const MEDIA_SECRET_BYTES_MIN: usize = 32;
/// Letters of the note an admin adds to a resolution.
pub const NOTE_LETTERS_MAX: usize = 2000;
/// Entries of a list (conflicts, audit) when the caller names no limit.
pub const LIST_DEFAULT: usize = 50;
/// Entries of a list at most.
pub const LIST_MAX: usize = 200;
/// Bytes of the cursor of a list: two keys, with room.
pub const CURSOR_BYTES_MAX: usize = 8 * 1024;
/// Changes in a page when the caller names no limit.
pub const PAGE_CHANGES_DEFAULT: usize = 100;
/// Changes in a page at most.
pub const PAGE_CHANGES_MAX: usize = 500;
/// Bytes of a page's changes, escaped as those of an answer: the function holds them several times.
/// The largest payload takes 0.7 MB.
pub const PAGE_BYTES_MAX: usize = 3 * 1000 * 1000;
/// Bytes of entries, unpacked, and of rows that a page reads before it ends: whatever of that it
/// delivers. One more segment may begin below.
pub const PAGE_READ_BYTES_MAX: usize = 8 * 1000 * 1000;
/// Entries and rows that a page reads before it ends.
pub const PAGE_READ_ENTRIES_MAX: usize = 5_000;
/// Bytes of one answer as Lambda serialises it: the body escaped into a JSON string.
pub const RESPONSE_BYTES_MAX: usize = 5 * 1000 * 1000;
/// Bytes of an answer that is sent as it is even to a client that takes gzip. Below that, packing
/// saves no packet; above it, an answer shrinks to a fifth for 4 µs per KiB of CPU.
pub const UNCOMPRESSED_RESPONSE_BYTES_MAX: usize = 2 * 1024;
/// Bytes of one packed segment of the change log, before compression; below DynamoDB's 400 KB for a
/// row.
pub const SEGMENT_BYTES_MAX: usize = 390 * 1000;
/// Bytes of one row of packed raw items.
pub const CHUNK_BYTES_MAX: usize = 380 * 1000;
/// Times a lost race for a row is decided again before the item is answered as `contended`.
pub const COMMIT_ATTEMPTS_MAX: u32 = 10;
/// Changes of one segment: a page of the usual size. A reader takes a segment whole, so larger ones
/// are read again for each page of them. One that is stored with more than twice as many does not
/// read.
pub const SEGMENT_CHANGES_MAX: usize = 100;
/// Segments of the log that are read backwards to find out whether a change was delivered.
pub const DELIVERY_SEGMENTS_MAX: usize = 64;
/// Bytes of entries, unpacked, that one request reads to find out what was delivered; what is not
/// found by then counts as what is not found in [`DELIVERY_SEGMENTS_MAX`].
pub const DELIVERY_BYTES_MAX: usize = 8 * 1000 * 1000;
/// Seconds that the clocks of two functions may differ.
pub const CLOCK_SKEW_SECONDS_MAX: i64 = 60;
/// Hours that the stream keeps a change: it enters the log within them, or by a repair run.
pub const STREAM_HOURS: i64 = 24;
/// Seconds for which a change may be on its way into the log: a younger one is not compared with it
/// by a repair.
pub const REPAIR_AGE_SECONDS_MIN: i64 = 300;
/// Resources that a repair compares with the log at once; it keeps as many keys in memory.
pub const REPAIR_COMPARED_MAX: usize = 10_000;
/// Missing resources that a repair holds in memory at once: 17 MB of payload at most.
pub const REPAIR_ROWS_MAX: usize = 50;
/// Seconds after which a repair begins with no further resources, and answers a cursor to go on
/// with.
pub const REPAIR_SECONDS: i64 = 20;
/// Seconds after which a repair stops reading a log that does not come to an end, well before the
/// function's time is over.
pub const REPAIR_SECONDS_MAX: i64 = 45;
/// Channels that the answer to a repair names at most.
pub const REPAIR_CHANNELS_REPORTED_MAX: usize = 100;
/// Resources of a channel that a look at its status compares with the log: a page of them.
pub const STATUS_COMPARED_MAX: usize = 1000;
/// Segments of the log that a look at the status reads for that.
pub const STATUS_SEGMENTS_MAX: usize = 64;
/// Bytes of their entries, unpacked.
pub const STATUS_BYTES_MAX: usize = 16 * 1000 * 1000;
/// Seconds that it reads them at most.
pub const STATUS_SECONDS_MAX: i64 = 8;
/// Objects of the failure bucket that are counted.
pub const DEAD_LETTERS_COUNTED_MAX: i32 = 1000;
/// Open conflicts of one shard of a tenant that a list of devices counts: those that were detected
/// last.
pub const OPEN_LISTED_MAX: usize = 1000;
/// Decided conflicts of one shard of a tenant that a list of devices looks at: those that were
/// detected last.
pub const DEVICE_CONFLICTS_MAX: usize = 100;
/// Decided conflicts that a list of devices reads in all.
pub const DEVICE_DECISIONS_MAX: usize = 200;
/// Decisions for one device that a list of devices looks up in the log; further ones count as not
/// acknowledged.
pub const DEVICE_LOOKS_MAX: usize = 8;
/// Bytes of a pull token: what a principal with every channel needs, with room.
pub const TOKEN_BYTES_MAX: usize = 256 * 1024;
/// Receipts for a device's own changes in its token (§4.6), which take about 40 bytes each.
pub const RECEIPTS_MAX: usize = 256;

/// Whether `text` may name something: it has 1 to [`NAME_BYTES_MAX`] bytes.
pub fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len())
}

/// Bytes `text` takes once it stands escaped in a JSON string, which is how Lambda hands an answer
/// on.
pub fn escaped_bytes(text: &str) -> usize {
    text.bytes()
        .map(|byte| usize::from(ESCAPED_BYTES[usize::from(byte)]))
        .sum()
}

/// The same of each byte.
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

/// What has an escape of two bytes.
const SHORT_ESCAPES: &[u8; 7] = b"\"\\\n\r\t\x08\x0c";

/// A sentence no longer than the bound; what is cut shows as `…`.
pub fn sentence(text: impl Into<String>) -> String {
    let mut text = text.into();
    if let Some((end, _)) = text.char_indices().nth(SENTENCE_LETTERS_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn escaped_bytes_are_those_of_a_json_string() {
        for text in [
            "",
            "plain",
            "a\"b\\c\n\u{1}é",
            "{\"a\":[1,\"x\\n\"]}",
            "\u{8}\u{c}\t\r\n\u{1f}\u{0}\u{7f}",
        ] {
            let quoted = serde_json::to_string(text).expect("a string serialises");
            assert_eq!(super::escaped_bytes(text) + 2, quoted.len());
        }
    }
}
