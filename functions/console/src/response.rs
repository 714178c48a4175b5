//! The responses of the console, and the headers that protect its pages.

use lambda_http::{
    Body, Response,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
};
use maud::Markup;
use tidemark_aws::settings::ConsoleSettings;

use crate::csv::CsvFile;

/// Returns a response with a page.
pub(crate) fn page(status: StatusCode, page: Markup) -> Response<Body> {
    text(status, "text/html; charset=utf-8", page.into_string())
}

/// Returns a response with a text of this type.
pub(crate) fn text(status: StatusCode, content_type: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let value = HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, value);
    response
}

/// Returns a response with a file, which the browser saves under its name.
pub(crate) fn file(file: CsvFile) -> Response<Body> {
    let mut response = text(StatusCode::OK, "text/csv; charset=utf-8", file.text);
    let disposition = format!("attachment; filename=\"{}\"", file.name);
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}

/// Returns a redirect with the method GET, which sets these cookies. A location that a header
/// cannot contain results in a response without a location.
pub(crate) fn see_other(location: &str, cookies: Vec<HeaderValue>) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::from_str(location) {
        headers.insert(header::LOCATION, location);
    }
    with_cookies(response, cookies)
}

/// Returns the response, which also sets these cookies.
pub(crate) fn with_cookies(
    mut response: Response<Body>,
    cookies: Vec<HeaderValue>,
) -> Response<Body> {
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Adds the headers of every response: only files of the console may be loaded, only the console
/// and the provider may receive its forms, no other page may contain it in a frame or keep a
/// reference to its window, and pages are not cached.
pub(crate) fn complete(headers: &mut HeaderMap, console: &ConsoleSettings) {
    if let Ok(policy) = HeaderValue::from_str(&content_policy(console)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }

    let no_store = HeaderValue::from_static("no-store");
    headers.entry(header::CACHE_CONTROL).or_insert(no_store);
}

/// Returns the content security policy. Browsers apply `form-action` also to each redirect after a
/// form: sign-out redirects to the provider, and the page after an action may redirect to the
/// sign-in. Further redirects from there to another origin are blocked (docs/console.md).
fn content_policy(console: &ConsoleSettings) -> String {
    let provider = console.provider.iter().flat_map(|provider| {
        [Some(&provider.authorize_url), provider.logout_url.as_ref()]
            .into_iter()
            .flatten()
    });
    let mut targets: Vec<&str> = provider.filter_map(|url| origin(url)).collect();
    targets.dedup();
    let targets: String = targets.iter().map(|target| format!(" {target}")).collect();

    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         form-action 'self'{targets}; base-uri 'none'; frame-ancestors 'none'"
    )
}

/// Returns the scheme and the host of an address, if it has both.
fn origin(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_plain) {
        return None;
    }
    url.get(..scheme.len() + "://".len() + host.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_is_scheme_and_host() {
        for (url, expected) in [
            ("https://a.example/authorize?x=1", Some("https://a.example")),
            ("http://127.0.0.1:8080", Some("http://127.0.0.1:8080")),
            ("https://a.example;script-src/x", None),
            ("https:///x", None),
            ("a.example", None),
        ] {
            assert_eq!(origin(url), expected, "{url}");
        }
    }
}
