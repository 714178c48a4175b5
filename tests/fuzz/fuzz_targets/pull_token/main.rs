//! Fuzzes sync tokens and pagination with them. The first line is a token if it begins with the
//! token prefix; otherwise it is the content of a token, whose checksum is computed here. The
//! remaining bytes are a script that determines which changes are sequenced and how large the pages
//! are.
#![no_main]

mod reader;
mod world;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Duration, Utc};
use libfuzzer_sys::{Corpus, fuzz_target};
use tidemark_core::model::{json, limits::TOKEN_BYTES_MAX, principal::Author, token::Token};

use reader::Reader;
use world::World;

/// Day of the pulls, counted from 1970. Log entries older than 30 days have expired.
const TODAY: i64 = 20_000;
const RETENTION_DAYS: i64 = 30;

fuzz_target!(|data: &[u8]| -> Corpus {
    let (line, script) = data
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or((data, [].as_slice()), |end| {
            (&data[..end], &data[end + 1..])
        });
    let text = if line.starts_with(b"tm1_") {
        String::from_utf8(line.to_vec()).ok()
    } else {
        Some(signed(line))
    };

    let Some(text) = text else {
        return Corpus::Reject;
    };

    let Ok(token) = Token::decode(&text) else {
        return Corpus::Keep;
    };

    check_token(&token, &text, script.first().copied().unwrap_or_default());
    pull(&token, Script(script));
    Corpus::Keep
});

/// Encodes a token with this content and a valid checksum.
fn signed(body: &[u8]) -> String {
    let sum = json::digest([b"tm1_", body]);
    format!(
        "tm1_{}",
        BASE64_URL_SAFE_NO_PAD.encode([&sum[..6], body].concat())
    )
}

fn check_token(token: &Token, text: &str, damaged_at: u8) {
    assert!(text.len() <= TOKEN_BYTES_MAX);
    let encoded = token.encode();
    assert!(
        encoded
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'),
        "tokens are URL-safe"
    );

    if encoded.len() <= TOKEN_BYTES_MAX {
        assert_eq!(Token::decode(&encoded).as_ref(), Ok(token));
    }

    let mut damaged = encoded.into_bytes();
    let at = usize::from(damaged_at) % damaged.len();
    damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
    assert!(
        Token::decode(std::str::from_utf8(&damaged).expect("ASCII")).is_err(),
        "damaged tokens are rejected"
    );
}

/// A sequence of numbers, one per byte, and zero after the end.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn next(&mut self) -> usize {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        usize::from(*first)
    }
}

fn pull(token: &Token, mut script: Script<'_>) {
    let limit = 1 + script.next() % 8;
    let reader = Author::device("ana", ["0", "1"][script.next() % 2]);
    let world = World::play(&mut script);
    world.check_log();
    for progress in token.channels.values().take(3).map(Some).chain([None]) {
        Reader::new(&world, progress, &reader).read_all(limit);
    }
}

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + Duration::days(TODAY)
}
