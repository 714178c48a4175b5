//! The dead-letter bucket: stores stream records that can never be processed, so that the records
//! after them are processed and none is lost. The bucket sends an event for each new object to a
//! queue that an alarm watches.

use aws_sdk_s3::{Client, error::ProvideErrorMetadata as _, primitives::ByteStream};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use tidemark_core::{
    model::{json, limits::DEAD_LETTERS_COUNTED_MAX, time::timestamp},
    wire::status::FailureCount,
};

use crate::error::Error;

/// The error code of S3 for a put with `If-None-Match: *` under a key that exists.
const PRECONDITION_FAILED: &str = "PreconditionFailed";

/// The client of the dead-letter bucket for one function.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    client: Client,
    bucket: String,
    function: String,
}

/// The stored object of a dead-lettered record.
#[derive(Debug, Serialize)]
struct DeadLetter<'a> {
    function: &'a str,
    reason: &'a str,
    set_aside_at: String,
    record: &'a RawValue,
}

impl DeadLetters {
    /// Creates a client that writes under the prefix of the function of that name.
    pub fn new(client: Client, bucket: &str, function: &str) -> Self {
        Self {
            client,
            bucket: bucket.to_owned(),
            function: function.to_owned(),
        }
    }

    /// Counts the objects under a prefix and returns the time of the oldest, from one list request
    /// of at most `DEAD_LETTERS_COUNTED_MAX` keys. Does not read the objects.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if S3 is unavailable.
    pub async fn count(&self, prefix: &str) -> Result<FailureCount, Error> {
        let list = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(prefix)
            .max_keys(DEAD_LETTERS_COUNTED_MAX);
        let listed = list
            .send()
            .await
            .map_err(|error| Error::failed_call("list_objects_v2", error))?;

        let put_at = listed
            .contents()
            .iter()
            .filter_map(|object| object.last_modified()?.to_millis().ok());
        let oldest_at = put_at.min().and_then(DateTime::from_timestamp_millis);

        Ok(FailureCount {
            objects: listed.contents().len(),
            has_more: listed.is_truncated() == Some(true),
            oldest_at,
        })
    }

    /// Stores a record unchanged with the reason as `set-aside/<function>/<digest of the
    /// record>.json`. Returns that key.
    ///
    /// The key is derived from the record and an existing object is not replaced: a record that is
    /// redelivered because another record of its batch failed is announced once. Sequence numbers
    /// are no substitute, because two shards may assign one number to two records.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if S3 is unavailable.
    pub async fn dead_letter(
        &self,
        record: &RawValue,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<String, Error> {
        let key = format!(
            "set-aside/{}/{}.json",
            self.function,
            json::hex(&json::digest([record.get().as_bytes()]))
        );

        let object = DeadLetter {
            function: &self.function,
            reason,
            set_aside_at: timestamp(now),
            record,
        };
        let object =
            serde_json::to_vec(&object).map_err(|error| Error::unencoded("dead letter", error))?;

        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(&key)
            .if_none_match("*");
        match put
            .content_type("application/json")
            .body(ByteStream::from(object))
            .send()
            .await
        {
            Ok(_) => Ok(key),
            Err(error) if error.code() == Some(PRECONDITION_FAILED) => Ok(key),
            Err(error) => Err(Error::failed_call("put_object", error)),
        }
    }
}
