//! Cookies of the console. On AWS their names begin with `__Host-`: a browser accepts such a cookie
//! only with TLS, for this host alone and for all of its paths, so no other host of the domain can
//! set it.

use lambda_http::{
    Request,
    http::{HeaderValue, header},
};

/// The kind of cookies that an address permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CookieKind {
    /// `__Host-` and `Secure`.
    Host,
    /// Plain names without `Secure`, for the local runner, which has no TLS.
    Local,
}

impl CookieKind {
    /// Returns the kind of cookies for the local runner or for a deployment.
    pub(crate) const fn of(is_local: bool) -> Self {
        if is_local { Self::Local } else { Self::Host }
    }

    fn full_name(self, name: &str) -> String {
        match self {
            Self::Host => format!("__Host-tidemark-{name}"),
            Self::Local => format!("tidemark-{name}"),
        }
    }

    /// Returns the value of a cookie of the request.
    pub(crate) fn value<'a>(self, request: &'a Request, name: &str) -> Option<&'a str> {
        let name = self.full_name(name);
        let headers = request.headers().get_all(header::COOKIE).iter();
        // Another application of the domain may have set a cookie that is not text.
        let mut pairs = headers
            .flat_map(|header| header.as_bytes().split(|byte| *byte == b';'))
            .filter_map(|pair| std::str::from_utf8(pair).ok())
            .filter_map(|pair| pair.trim().split_once('='));
        pairs
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value)
    }

    /// Returns the header that sets a cookie. Without `max_age_s`, the cookie lives until the
    /// browser is closed. Returns `None` if `value` contains characters that a header cannot.
    pub(crate) fn set(
        self,
        name: &str,
        value: &str,
        max_age_s: Option<u32>,
    ) -> Option<HeaderValue> {
        let secure = match self {
            Self::Host => "; Secure",
            Self::Local => "",
        };
        let max_age = max_age_s.map_or_else(String::new, |age| format!("; Max-Age={age}"));
        let name = self.full_name(name);
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{max_age}");
        HeaderValue::from_str(&text).ok()
    }

    /// Returns the header that deletes a cookie.
    pub(crate) fn clear(self, name: &str) -> Option<HeaderValue> {
        self.set(name, "", Some(0))
    }
}

#[cfg(test)]
mod tests {
    use lambda_http::Body;

    use super::*;

    #[test]
    fn cookie_is_found_among_others() {
        let mut request = Request::new(Body::Empty);
        for bytes in [
            b"a=\xff; __Host-tidemark-x=1=2; tidemark-x=3".as_slice(),
            b"b; __Host-tidemark-y=4",
        ] {
            let value = HeaderValue::from_bytes(bytes).expect("a header");
            request.headers_mut().append(header::COOKIE, value);
        }

        let host = |name| CookieKind::Host.value(&request, name);
        assert_eq!((host("x"), host("y")), (Some("1=2"), Some("4")));
        assert_eq!(CookieKind::Local.value(&request, "x"), Some("3"));
        assert_eq!(
            (host("z"), CookieKind::Local.value(&request, "y")),
            (None, None)
        );
    }

    #[test]
    fn value_cannot_add_a_header() {
        assert_eq!(CookieKind::Host.set("x", "a\r\nb: c", None), None);
    }
}
