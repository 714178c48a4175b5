//! Pull tokens (§4.1): where a device stands in each channel. Opaque to clients, versioned,
//! URL-safe, and bound to nothing secret: what a token may read is decided anew at each pull. A
//! checksum tells damage, not forgery: whoever makes a token up reads nothing that they could not
//! read without it.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc, serde::ts_milliseconds};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    channel::Channel,
    json, key,
    limits::{SORT_KEY_BYTES_MAX, TOKEN_BYTES_MAX},
    receipts::Receipts,
    sequence::position::Position,
};

/// What every token of this version begins with.
const VERSION: &str = "tm1_";
const CHECKSUM_BYTES: usize = 6;
/// In place of a channel: the receipts (§4.6). No channel has that name.
const RECEIPTS: &str = "own";

/// Where a device stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Token {
    /// By channel; a channel that is missing starts with a snapshot.
    pub channels: BTreeMap<Channel, Progress>,
}

/// Where a device stands in one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// In the change log.
    #[serde(rename = "l")]
    Log {
        /// Everything up to here is delivered.
        #[serde(rename = "p")]
        position: Position,
        /// How old the position is (§4.5): when the device was caught up, or when the last change
        /// it got was sequenced.
        #[serde(rename = "t", with = "ts_milliseconds")]
        at: DateTime<Utc>,
        /// Key of the segment that holds the position; `None` at the end of one.
        #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
        within: Option<Position>,
    },
    /// In the snapshot the channel starts with.
    #[serde(rename = "s")]
    Snapshot {
        /// The head of the log before the snapshot began: from here the log goes on.
        #[serde(rename = "p")]
        noted: Position,
        /// When it was noted.
        #[serde(rename = "t", with = "ts_milliseconds")]
        noted_at: DateTime<Utc>,
        /// Sort key of the last row read; `None` at the start.
        #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
    },
}

impl Progress {
    /// In the log, where a segment ends.
    pub fn log(position: Position, at: DateTime<Utc>) -> Self {
        Self::Log {
            position,
            at,
            within: None,
        }
    }

    /// Whether a snapshot goes on at a key that the table can have.
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

/// A text that is no pull token of this service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a pull token of this service, or damaged: start over with since_token null")]
pub struct InvalidToken;

impl Token {
    /// The text a client gets.
    pub fn encode(&self) -> String {
        self.encode_with(&Receipts::default())
    }

    /// The text a client gets that has receipts. They only save deliveries: a text that would
    /// outgrow the bound has none.
    pub fn encode_with(&self, receipts: &Receipts) -> String {
        let channels = self
            .channels
            .iter()
            .map(|(channel, progress)| (channel.to_string(), Part::Channel(progress)));
        let receipts_part =
            (!receipts.is_empty()).then(|| (RECEIPTS.to_owned(), Part::Receipts(receipts)));
        let parts: BTreeMap<String, Part<'_>> = channels.chain(receipts_part).collect();
        let body = serde_json::to_vec(&parts).unwrap_or_default(); // text keys always serialise
        let mut bytes = checksum(&body).to_vec();
        bytes.extend(body);
        let text = format!("{VERSION}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes));
        if text.len() > TOKEN_BYTES_MAX && !receipts.is_empty() {
            self.encode()
        } else {
            text
        }
    }

    /// Reads a text back, without its receipts.
    ///
    /// # Errors
    /// [`InvalidToken`] for anything [`encode`](Self::encode) and
    /// [`encode_with`](Self::encode_with) did not make.
    pub fn decode(text: &str) -> Result<Self, InvalidToken> {
        Self::decode_with(text).map(|(token, _)| token)
    }

    /// Reads a text back, with its receipts. A text of before there were receipts has none.
    ///
    /// # Errors
    /// [`InvalidToken`] for anything [`encode`](Self::encode) and
    /// [`encode_with`](Self::encode_with) did not make.
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

/// A part of the body of a token.
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
