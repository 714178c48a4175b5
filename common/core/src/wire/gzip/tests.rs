//! Compressed texts up to the bound, damaged bodies, and the negotiation of gzip.

use super::*;

fn damaged(packed: &[u8]) -> bool {
    matches!(gunzip(packed, 1 << 20), Err(GunzipError::Damaged(_)))
}

#[test]
fn compressed_text_decompresses_up_to_bound() {
    let text = br#"{"reading":42}"#.repeat(1000);
    let packed = gzip(&text);

    assert!(packed.len() < text.len() / 10);
    assert_eq!(gunzip(&packed, text.len()), Ok(text.clone()));
    assert_eq!(
        gunzip(&packed, text.len() - 1),
        Err(GunzipError::TooLarge(text.len() - 1))
    );

    assert_eq!(gunzip(&gzip(b""), 0), Ok(Vec::new()));
}

#[test]
fn decompression_bomb_stops_at_bound() {
    let packed = gzip(&vec![b' '; 64 << 20]);
    let text = gunzip(&packed, 1 << 10);
    assert_eq!(text, Err(GunzipError::TooLarge(1 << 10)));
}

#[test]
fn concatenated_members_are_one_text() {
    let packed = [gzip(b"{\"a\":"), gzip(b"1}")].concat();
    assert_eq!(gunzip(&packed, 7), Ok(b"{\"a\":1}".to_vec()));
    assert_eq!(gunzip(&packed, 6), Err(GunzipError::TooLarge(6)));
}

#[test]
fn corrupt_or_trailing_bytes_are_rejected() {
    let packed = gzip(br#"{"device_id":"phone","items":[]}"#);
    for cut in 0..packed.len() {
        assert!(damaged(&packed[..cut]), "cut at {cut}");
    }

    for (place, part) in [
        (packed.len() - 1, "size"),
        (packed.len() - 5, "checksum"),
        (0, "magic"),
        (2, "method"),
    ] {
        let mut changed = packed.clone();
        changed[place] ^= 1;
        assert!(damaged(&changed), "another {part}");
    }

    for trailing in [
        b"\0".as_slice(),
        b"x",
        b"\x1f",
        b"{}",
        b"\0\0\0\0\0\0\0\0\0\0",
    ] {
        assert!(
            damaged(&[packed.as_slice(), trailing].concat()),
            "{trailing:?} after the end"
        );
    }

    assert!(damaged(b"{}"));
}

#[test]
fn accept_encoding_header_negotiates_gzip() {
    for accepted in [
        "gzip",
        "GZip",
        "deflate, gzip",
        "gzip;q=0.1",
        "gzip ; Q=1.0",
        "x-gzip",
        "*",
        "br, *;q=0.5",
        "identity;q=0.5, gzip",
    ] {
        assert!(is_accepted(accepted), "{accepted}");
    }

    for rejected in [
        "",
        "identity",
        "br",
        "gzip;q=0",
        "gzip;q=0.000",
        "*, gzip;q=0",
        "*;q=0",
        "gzip;q=0.5, identity",
        "gzip;q=x",
        "gzipped",
    ] {
        assert!(!is_accepted(rejected), "{rejected}");
    }
}
