//! Pull tokens (§4.1): the progress of a device in each channel. A token is opaque to clients,
//! versioned and URL-safe, and contains no secret: each pull checks the caller's permissions again.
//! Its checksum detects corruption, not forgery: a forged token reads nothing that the caller could
//! not read without it.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc, serde::ts_milliseconds};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::model::{
    channel::Channel,
    json, key,
    limits::{SORT_KEY_BYTES_MAX, TOKEN_BYTES_MAX},
    position::Position,
    receipts::Receipts,
};

/// The prefix of every token of this version.
const VERSION: &str = "tm1_";
const CHECKSUM_BYTES: usize = 6;
/// The key of the receipts (§4.6) among the channels. No channel has that name.
const RECEIPTS: &str = "own";

/// The progress of a device in all channels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Token {
    /// The progress by channel; a channel that is missing starts with a snapshot.
    pub channels: BTreeMap<Channel, Progress>,
}

/// The progress of a device in one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// The device reads the change log.
    #[serde(rename = "l")]
    Log {
        /// Every change up to and including this position is delivered.
        #[serde(rename = "p")]
        position: Position,
        /// The time of the position (§4.5), at which the device was caught up, or at which the last
        /// change that it received was sequenced.
        #[serde(rename = "t", with = "ts_milliseconds")]
        at: DateTime<Utc>,
        /// The key of the segment that contains the position; `None` at the end of a segment.
        #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
        within: Option<Position>,
    },
    /// The device reads the snapshot with which the channel starts.
    #[serde(rename = "s")]
    Snapshot {
        /// The head of the log before the snapshot began: the log continues from here.
        #[serde(rename = "p")]
        noted: Position,
        /// The time at which the head was noted.
        #[serde(rename = "t", with = "ts_milliseconds")]
        noted_at: DateTime<Utc>,
        /// The sort key of the last row read; `None` at the start.
        #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
    },
}

impl Progress {
    /// Returns the progress at the end of a segment of the log.
    pub fn log(position: Position, at: DateTime<Utc>) -> Self {
        Self::Log {
            position,
            at,
            within: None,
        }
    }

    /// Returns whether a snapshot continues at a key that the table can contain.
    fn is_readable(&self) -> bool {
        match self {
            Self::Log { .. } | Self::Snapshot { after: None, .. } => true,
            Self::Snapshot {
                after: Some(after), ..
            } => {
                let names_a_resource = key::split::<2>(after)
                    .is_some_and(|parts| parts.iter().all(|part| !part.is_empty()));
                names_a_resource && after.len() <= SORT_KEY_BYTES_MAX
            }
        }
    }
}

/// The error for a text that is not a pull token of this service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a pull token of this service, or corrupt: pull again with since_token null")]
pub struct InvalidToken;

impl Token {
    /// Encodes the token without receipts.
    pub fn encode(&self) -> String {
        self.encode_with(&Receipts::default())
    }

    /// Encodes the token with receipts. They only save deliveries, so they are omitted if the text
    /// would exceed the bound.
    pub fn encode_with(&self, receipts: &Receipts) -> String {
        let channels = self
            .channels
            .iter()
            .map(|(channel, progress)| (channel.to_string(), Part::Channel(progress)));

        let receipts_part =
            (!receipts.is_empty()).then(|| (RECEIPTS.to_owned(), Part::Receipts(receipts)));
        let parts: BTreeMap<String, Part<'_>> = channels.chain(receipts_part).collect();
        let body = serde_json::to_vec(&parts).unwrap_or_default(); // text keys always serialize
        let mut bytes = checksum(&body).to_vec();
        bytes.extend(body);
        let text = format!("{VERSION}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes));

        if text.len() > TOKEN_BYTES_MAX && !receipts.is_empty() {
            self.encode()
        } else {
            text
        }
    }

    /// Decodes a token without its receipts.
    ///
    /// # Errors
    /// Returns [`InvalidToken`] for any text that [`encode`](Self::encode) and
    /// [`encode_with`](Self::encode_with) did not return.
    pub fn decode(text: &str) -> Result<Self, InvalidToken> {
        Self::decode_with(text).map(|(token, _)| token)
    }

    /// Decodes a token with its receipts. A token of a build without receipts has none.
    ///
    /// # Errors
    /// Returns [`InvalidToken`] for any text that [`encode`](Self::encode) and
    /// [`encode_with`](Self::encode_with) did not return.
    pub fn decode_with(text: &str) -> Result<(Self, Receipts), InvalidToken> {
        let encoded = text
            .strip_prefix(VERSION)
            .filter(|_| text.len() <= TOKEN_BYTES_MAX)
            .ok_or(InvalidToken)?;
        let bytes = BASE64_URL_SAFE_NO_PAD
            .decode(encoded)
            .map_err(|_| InvalidToken)?;

        let (sum, body) = bytes.split_at_checked(CHECKSUM_BYTES).ok_or(InvalidToken)?;
        if sum != checksum(body) {
            return Err(InvalidToken);
        }

        let parts: BTreeMap<String, &RawValue> =
            serde_json::from_slice(body).map_err(|_| InvalidToken)?;
        let (mut token, mut receipts) = (Self::default(), Receipts::default());
        for (name, part) in parts {
            if name == RECEIPTS {
                receipts = serde_json::from_str(part.get()).map_err(|_| InvalidToken)?;
                continue;
            }
            let channel = Channel::parse(&name).ok_or(InvalidToken)?;
            let progress: Progress = serde_json::from_str(part.get()).map_err(|_| InvalidToken)?;
            token.channels.insert(
                channel,
                Some(progress)
                    .filter(Progress::is_readable)
                    .ok_or(InvalidToken)?,
            );
        }

        Ok((token, receipts))
    }
}

/// One member of the body of a token.
#[derive(Serialize)]
#[serde(untagged)]
enum Part<'a> {
    Channel(&'a Progress),
    Receipts(&'a Receipts),
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest = json::digest([VERSION.as_bytes(), body]);
    std::array::from_fn(|index| digest[index])
}
