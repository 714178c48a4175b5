//! The answer to a push: small enough for Lambda (§3.12), with a token that skips nothing (§3.13).

use crate::{
    limits::{ANSWER_BYTES_MAX, escaped_bytes},
    protocol::push::ItemResult,
    token::Token,
};

/// Bytes kept for what stands around the results.
const ENVELOPE_BYTES: usize = 300 * 1024;

/// Bytes of the payloads of an answer, escaped.
pub(super) const PAYLOADS_BYTES_MAX: usize = ANSWER_BYTES_MAX - ENVELOPE_BYTES;

/// Leaves out `server_payload` where the answer would outgrow the bound, and says so.
pub fn fit(results: &mut [ItemResult]) {
    let mut left = PAYLOADS_BYTES_MAX;
    for result in results {
        let Some(payload) = &result.server_payload else { continue };
        match left.checked_sub(escaped_bytes(payload.get())) {
            Some(rest) => left = rest,
            None => {
                result.server_payload = None;
                result.server_payload_omitted = true;
            }
        }
    }
}

/// The token a device may pull from after a push: its own, for answering with a newer one would skip what others changed in
/// between. A token that is not ours (or none) becomes the empty one, which starts over with snapshots and skips nothing either.
pub fn sync_token(client_sync_token: Option<&str>) -> String {
    client_sync_token.filter(|token| Token::decode(token).is_ok()).map_or_else(|| Token::default().encode(), ToOwned::to_owned)
}
