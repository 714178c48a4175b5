//! Pull tokens (§4.1): the progress of a device in each channel. A token is opaque to clients,
//! versioned and URL-safe, and contains no secret: each pull checks the caller's permissions again.
//! Its checksum detects corruption, not forgery: a forged token reads nothing that the caller could
//! not read without it.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc, serde::ts_milliseconds};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    model::{
        channel::Channel,
        json,
        limits::TOKEN_BYTES_MAX,
        position::Position,
        receipts::{Receipts, WrittenVersion},
        token::{Progress, Token},
    },
    wire::text,
};

/// The prefix of every token of this version.
const VERSION: &str = "tm1_";
const CHECKSUM_BYTES: usize = 6;
/// The key of the receipts (§4.6) among the channels. No channel has that name.
const RECEIPTS: &str = "own";

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
        let channels = self.channels.iter().map(|(channel, progress)| {
            (channel.to_string(), Part::Channel(progress.clone().into()))
        });

        let receipts_part = (!receipts.is_empty()).then(|| {
            (
                RECEIPTS.to_owned(),
                Part::Receipts(receipts.numbers().collect()),
            )
        });
        let parts: BTreeMap<String, Part> = channels.chain(receipts_part).collect();
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
                let numbers = serde_json::from_str(part.get()).map_err(|_| InvalidToken)?;
                receipts = Receipts::from_numbers(numbers);
                continue;
            }
            let channel = Channel::parse(&name).ok_or(InvalidToken)?;
            let member: ProgressMember =
                serde_json::from_str(part.get()).map_err(|_| InvalidToken)?;
            token.channels.insert(
                channel,
                Some(Progress::from(member))
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
enum Part {
    Channel(ProgressMember),
    Receipts(Vec<(u64, u64, i64)>),
}

/// The member of a channel: its [`Progress`].
#[derive(Serialize, Deserialize)]
enum ProgressMember {
    #[serde(rename = "l")]
    Log {
        #[serde(rename = "p", with = "text")]
        position: Position,
        #[serde(rename = "t", with = "ts_milliseconds")]
        at: DateTime<Utc>,
        #[serde(
            rename = "s",
            default,
            skip_serializing_if = "Option::is_none",
            with = "text::option"
        )]
        within: Option<Position>,
    },
    #[serde(rename = "s")]
    Snapshot {
        #[serde(rename = "p", with = "text")]
        noted: Position,
        #[serde(rename = "t", with = "ts_milliseconds")]
        noted_at: DateTime<Utc>,
        #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
    },
}

impl From<Progress> for ProgressMember {
    fn from(progress: Progress) -> Self {
        match progress {
            Progress::Log {
                position,
                at,
                within,
            } => Self::Log {
                position,
                at,
                within,
            },
            Progress::Snapshot {
                noted,
                noted_at,
                after,
            } => Self::Snapshot {
                noted,
                noted_at,
                after,
            },
        }
    }
}

impl From<ProgressMember> for Progress {
    fn from(member: ProgressMember) -> Self {
        match member {
            ProgressMember::Log {
                position,
                at,
                within,
            } => Self::Log {
                position,
                at,
                within,
            },
            ProgressMember::Snapshot {
                noted,
                noted_at,
                after,
            } => Self::Snapshot {
                noted,
                noted_at,
                after,
            },
        }
    }
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest = json::digest([VERSION.as_bytes(), body]);
    std::array::from_fn(|index| digest[index])
}

/// Returns the token from which a device may pull after a push. This is the device's own token,
/// because a newer one would skip changes that others made in between. A missing or unknown token
/// is replaced by the empty one, which begins with snapshots and skips nothing either.
pub fn sync_token(client_sync_token: Option<&str>) -> String {
    client_sync_token
        .filter(|token| Token::decode(token).is_ok())
        .map_or_else(|| Token::default().encode(), ToOwned::to_owned)
}

/// Returns the token of [`sync_token`] with receipts (§4.6) for the `delivered_versions` versions,
/// which this response delivers at `responded_at`. A device that stores the token together with the
/// results does not need to receive its own changes again. A push never advances positions.
pub fn sync_token_with(
    client_sync_token: Option<&str>,
    delivered_versions: impl IntoIterator<Item = WrittenVersion>,
    responded_at: DateTime<Utc>,
) -> String {
    let (token, mut receipts) = client_sync_token
        .and_then(|text| Token::decode_with(text).ok())
        .unwrap_or_default();

    delivered_versions
        .into_iter()
        .for_each(|made| receipts.add(made, responded_at));

    token.encode_with(&receipts)
}
