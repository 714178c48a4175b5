//! The token in the response to a push (§3.4, §4.6).

use chrono::{DateTime, Utc};

use crate::model::{receipts::WrittenVersion, token::Token};

/// Returns the token from which a device may pull after a push. This is the device's own token,
/// because a newer one would skip changes that others made in between. A missing or unknown token
/// is replaced by the empty one, which begins with snapshots and skips nothing either.
///
/// # Example
///
/// ```
/// mod log { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/log.rs")); }
/// use tidemark_core::{
///     model::{channel::Channel, token::{Progress, Token}},
///     wire::token::sync_token,
/// };
///
/// let progress = Progress::log(log::at("5"), Default::default());
/// let token = Token { channels: [(Channel::Tenant, progress)].into() }.encode();
/// assert_eq!(sync_token(Some(&token)), token);
/// assert_eq!(sync_token(Some("unknown")), Token::default().encode());
/// ```
pub fn sync_token(client_sync_token: Option<&str>) -> String {
    client_sync_token
        .filter(|token| Token::decode(token).is_ok())
        .map_or_else(|| Token::default().encode(), ToOwned::to_owned)
}

/// Returns the token of [`sync_token`] with receipts (§4.6) for the `delivered_versions` versions,
/// which this response delivers at `responded_at`. A device that stores the token together with the
/// results does not need to receive its own changes again. A push never advances positions.
///
/// # Example
///
/// ```
/// mod log { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/log.rs")); }
/// use chrono::DateTime;
/// use tidemark_core::{
///     model::{receipts::WrittenVersion, token::Token},
///     wire::token::sync_token_with,
/// };
///
/// let made = WrittenVersion::new(&log::meter("m-1"), 1);
/// let text = sync_token_with(None, [made], DateTime::UNIX_EPOCH);
/// let (token, receipts) = Token::decode_with(&text).unwrap();
/// assert!(token.channels.is_empty() && receipts.holds(made));
/// ```
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
