//! The session of a user: the token of the identity provider, in cookies of the browser. The
//! console stores nothing on the server; a session ends when its token expires or the user signs
//! out.

use lambda_http::{Request, http::HeaderValue};

use crate::cookies::CookieKind;

/// The maximum bytes of a token in one cookie. Browsers accept 4,096 bytes for a cookie with its
/// name and attributes.
pub const PART_BYTES_MAX: usize = 3_500;
/// The maximum number of parts of a token. API Gateway accepts 10,240 bytes of headers, of which
/// the browser needs some for other headers.
pub const PARTS_MAX: usize = 2;

fn name(part: usize) -> String {
    format!("session-{part}")
}

/// Returns the token in the cookies of a request, not verified.
pub(crate) fn token(request: &Request, kind: CookieKind) -> Option<String> {
    let parts = (0..PARTS_MAX).map_while(|part| kind.value(request, &name(part)));
    let token: String = parts.collect();
    Some(token).filter(|token| !token.is_empty())
}

/// Returns the headers that store a token, split into parts. Returns `None` if it is too large, or
/// is not text that a cookie can contain.
pub(crate) fn store(token: &str, kind: CookieKind) -> Option<Vec<HeaderValue>> {
    let is_jwt = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if token.is_empty() || token.len() > PARTS_MAX * PART_BYTES_MAX || !token.bytes().all(is_jwt) {
        return None;
    }

    (0..PARTS_MAX)
        .map(|part| {
            let rest = token.get(part * PART_BYTES_MAX..).unwrap_or_default();
            let value = &rest[..rest.len().min(PART_BYTES_MAX)];
            // A part of an earlier, longer token must not be appended to this one.
            match value {
                "" => kind.clear(&name(part)),
                value => kind.set(&name(part), value, None),
            }
        })
        .collect()
}

/// Returns the headers that delete the parts of the token that a request contains. A token that has
/// expired must not be sent again: with the long address of a sign-in, the headers would exceed what
/// API Gateway accepts.
pub(crate) fn clear_sent(request: &Request, kind: CookieKind) -> Vec<HeaderValue> {
    (0..PARTS_MAX)
        .map(name)
        .filter(|name| kind.value(request, name).is_some())
        .filter_map(|name| kind.clear(&name))
        .collect()
}

/// Returns the headers that delete all parts of the token.
pub(crate) fn clear(kind: CookieKind) -> Vec<HeaderValue> {
    (0..PARTS_MAX)
        .filter_map(|part| kind.clear(&name(part)))
        .collect()
}

#[cfg(test)]
mod tests {
    use lambda_http::{Body, http::header};

    use super::*;

    /// Returns the request of a browser that accepted these cookies.
    fn returned(set: &[HeaderValue]) -> Request {
        let mut request = Request::new(Body::Empty);
        for cookie in set {
            let text = cookie.to_str().expect("text");
            let pair = text.split(';').next().expect("a pair").to_owned();
            let is_deleted = text.contains("Max-Age=0");
            if !is_deleted {
                let value = HeaderValue::from_str(&pair).expect("a header");
                request.headers_mut().append(header::COOKIE, value);
            }
        }
        request
    }

    #[test]
    fn token_survives_its_cookies() {
        for length in [
            1,
            PART_BYTES_MAX,
            PART_BYTES_MAX + 1,
            PARTS_MAX * PART_BYTES_MAX,
        ] {
            let token: String = ('a'..='z').cycle().take(length).collect();
            for kind in [CookieKind::Host, CookieKind::Local] {
                let set = store(&token, kind).expect("fits");
                assert!(set.iter().all(|cookie| cookie.len() < 4096));
                assert_eq!(super::token(&returned(&set), kind), Some(token.clone()));
            }
        }
    }

    #[test]
    fn unsuitable_tokens_are_not_stored() {
        let long = "a".repeat(PARTS_MAX * PART_BYTES_MAX + 1);
        for token in ["", &long, "a;b", "a b", "ä", "a\r\nb"] {
            assert_eq!(store(token, CookieKind::Host), None);
        }
    }

    #[test]
    fn shorter_token_deletes_later_parts() {
        let set = store("short", CookieKind::Host).expect("fits");
        assert_eq!(set.len(), PARTS_MAX);
        let last = set[1].to_str().expect("text");
        assert_eq!(
            last,
            "__Host-tidemark-session-1=; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=0"
        );
    }
}
