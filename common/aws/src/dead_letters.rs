//! The failure bucket: stream records that can never be handled, kept whole, so that those behind
//! them go on and none is lost. The bucket announces each new object on a queue, where somebody is
//! told.

use aws_sdk_s3::{Client, error::ProvideErrorMetadata as _, primitives::ByteStream};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use tidemark_core::{
    json,
    limits::DEAD_LETTERS_COUNTED_MAX,
    protocol::{status::FailureCount, timestamp},
};

use crate::failure::Failure;

/// What S3 answers to a put under a key that is taken, where the put asks for a free one.
const TAKEN: &str = "PreconditionFailed";

/// The failure bucket, as one function writes to it.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    client: Client,
    bucket: String,
    function: String,
}

/// The object that keeps a record.
#[derive(Debug, Serialize)]
struct DeadLetter<'a> {
    function: &'a str,
    reason: &'a str,
    set_aside_at: String,
    record: &'a RawValue,
}

impl DeadLetters {
    /// The bucket, for the function of that name.
    pub fn new(client: Client, bucket: &str, function: &str) -> Self {
        Self {
            client,
            bucket: bucket.to_owned(),
            function: function.to_owned(),
        }
    }

    /// How many objects lie below a prefix, and since when, from one listing: their contents are
    /// not read.
    ///
    /// # Errors
    /// An outage.
    pub async fn count(&self, prefix: &str) -> Result<FailureCount, Failure> {
        let list = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(prefix)
            .max_keys(DEAD_LETTERS_COUNTED_MAX);
        let listed = list
            .send()
            .await
            .map_err(|error| Failure::outage("list_objects_v2", error))?;
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

    /// Keeps a record as it came, with the reason, as `set-aside/<function>/<digest of the
    /// record>.json`; gives that key.
    ///
    /// The key follows from the record, and a key that is taken is left as it is: a record that
    /// comes again, for the sake of others in its batch, is announced once. Sequence numbers would
    /// not do: two shards may give one number to two records.
    ///
    /// # Errors
    /// An outage.
    pub async fn dead_letter(
        &self,
        record: &RawValue,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<String, Failure> {
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
        let object = serde_json::to_vec(&object)
            .map_err(|error| Failure::unreadable("record to set aside", error))?;
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
            Err(error) if error.code() == Some(TAKEN) => Ok(key),
            Err(error) => Err(Failure::outage("put_object", error)),
        }
    }
}
