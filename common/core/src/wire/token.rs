//! Pull tokens (§4.1): the progress of a device in each channel. A token is opaque to clients,
//! versioned and URL-safe, and contains no secret: each pull checks the caller's permissions again.
//! Its checksum detects corruption, not forgery: a forged token reads nothing that the caller could
//! not read without it.

mod after_push;
mod member;

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::value::RawValue;

use crate::model::{
    channel::Channel,
    json,
    limits::TOKEN_BYTES_MAX,
    receipts::Receipts,
    token::{Progress, Token},
};

use member::{Part, ProgressMember};

pub use after_push::{sync_token, sync_token_with};

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
    ///
    /// See the example of [`decode`](Self::decode).
    pub fn encode(&self) -> String {
        self.encode_with(&Receipts::default())
    }

    /// Encodes the token with receipts. They only save deliveries, so they are omitted if the text
    /// would exceed the bound.
    ///
    /// See the example of [`decode_with`](Self::decode_with).
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
    ///
    /// # Example
    ///
    /// ```
    /// mod log { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/log.rs")); }
    /// use tidemark_core::{
    ///     model::{channel::Channel, token::{Progress, Token}},
    ///     wire::token::InvalidToken,
    /// };
    ///
    /// let progress = Progress::log(log::at("5"), Default::default());
    /// let token = Token { channels: [(Channel::Tenant, progress)].into() };
    /// let text = token.encode();
    /// assert_eq!(Token::decode(&text), Ok(token));
    /// assert_eq!(Token::decode(&text[..text.len() - 1]), Err(InvalidToken));
    /// ```
    pub fn decode(text: &str) -> Result<Self, InvalidToken> {
        Self::decode_with(text).map(|(token, _)| token)
    }

    /// Decodes a token with its receipts. A token of a build without receipts has none.
    ///
    /// # Errors
    /// Returns [`InvalidToken`] for any text that [`encode`](Self::encode) and
    /// [`encode_with`](Self::encode_with) did not return.
    ///
    /// # Example
    ///
    /// ```
    /// mod log { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/log.rs")); }
    /// use tidemark_core::model::{
    ///     receipts::{Receipts, WrittenVersion},
    ///     token::Token,
    /// };
    ///
    /// let made = WrittenVersion::new(&log::meter("m-1"), 1);
    /// let mut receipts = Receipts::default();
    /// receipts.add(made, Default::default());
    /// let text = Token::default().encode_with(&receipts);
    /// let (_, decoded) = Token::decode_with(&text).unwrap();
    /// assert!(decoded.holds(made));
    /// ```
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

fn checksum(body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest = json::digest([VERSION.as_bytes(), body]);
    std::array::from_fn(|index| digest[index])
}
