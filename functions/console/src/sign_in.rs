//! Sign-in and sign-out. A deployment uses the OpenID Connect provider of its settings; the local
//! runner has a form that names any user.

mod attempt;
mod development;
mod provider;

use lambda_http::{Body, Request, RequestExt as _, Response, http::HeaderValue};
use tidemark_aws::{Context, Error, http};
use tidemark_core::{
    model::principal::Principal,
    wire::problem::{Problem, ProblemCode},
};

use crate::{
    address::{Address, SIGN_IN, SIGNED_OUT},
    cookies::CookieKind,
    pages::{PAGES, home},
    response, session,
};

/// The maximum bytes of the page to which a user returns after the sign-in, encoded as in the query
/// of the sign-in and in its cookie. Browsers accept 4,096 bytes for a cookie.
const TARGET_BYTES_MAX: usize = 1_500;

/// Begins the sign-in: shows the form of the local runner, or redirects to the provider. The session
/// of the browser ends.
pub(crate) fn begin(
    context: &Context,
    request: &Request,
    address: &Address,
) -> Result<Response<Body>, Error> {
    let console = &context.settings.console;
    let target = checked(http::query_parameter(request, "target").unwrap_or_default());
    let response = match &console.provider {
        _ if console.development.is_some() => development::form(address, target),
        Some(provider) => provider::begin(provider, address, target)?,
        None => return Err(Problem::not_found().into()),
    };

    let kind = CookieKind::of(console.development.is_some());
    let ended = session::clear_sent(request, kind);
    Ok(response::with_cookies(response, ended))
}

/// Signs in the user whom the form of the local runner names.
///
/// # Errors
/// Returns a 404 problem in a deployment, and a 400 problem if a name is too long or empty.
pub(crate) async fn submit(
    context: &Context,
    request: &Request,
    address: &Address,
) -> Result<Response<Body>, Error> {
    let mint = context.settings.console.development;
    let mint = mint.ok_or_else(Problem::not_found)?;
    let form = development::read(request.body())?;
    let target = checked(&form.target).to_owned();

    let token = mint(&form.principal, context.clock.now())
        .ok_or_else(|| Error::unavailable("no development token can be signed"))?;
    let principal = context.verifier.principal_of(&token).await?;
    let cookies = stored(&token, CookieKind::Local)?;
    Ok(returned(address, &principal, &target, cookies))
}

/// Ends the sign-in at a provider, which redirected the user to the callback.
///
/// # Errors
/// Returns a 400 problem if the sign-in was not begun in this browser, and a 403 problem if the
/// provider or the verification of the token rejects the user.
pub(crate) async fn finish(
    context: &Context,
    request: &Request,
    address: &Address,
) -> Result<Response<Body>, Error> {
    let provider = context.settings.console.provider.as_ref();
    let provider = provider.ok_or_else(Problem::not_found)?;
    let done = provider::finish(context, provider, request, address).await?;

    let mut cookies = stored(&done.token, CookieKind::Host)?;
    cookies.extend(attempt::clear());
    let target = checked(&done.target);
    Ok(returned(address, &done.principal, target, cookies))
}

/// Returns the redirect of a user who signed in to `target`, or to the first page if it is empty.
fn returned(
    address: &Address,
    principal: &Principal,
    target: &str,
    cookies: Vec<HeaderValue>,
) -> Response<Body> {
    let path = if target.is_empty() {
        home(principal).path
    } else {
        target
    };
    response::see_other(&address.link(path), cookies)
}

/// Signs the user out: deletes the token, and lets the provider end its own session if the settings
/// name an address for it.
pub(crate) fn sign_out(context: &Context, address: &Address) -> Response<Body> {
    let console = &context.settings.console;
    let kind = CookieKind::of(console.development.is_some());
    let mut cookies = session::clear(kind);
    if kind == CookieKind::Host {
        cookies.extend(attempt::clear());
    }

    let provider = console.provider.as_ref();
    match provider.and_then(|provider| provider.logout_url.as_deref()) {
        Some(url) => response::see_other(url, cookies),
        None => response::see_other(&address.link(SIGNED_OUT), cookies),
    }
}

/// Returns the reference to the sign-in, after which the user returns to `target`.
pub(crate) fn location(address: &Address, target: &str) -> String {
    if target.is_empty() {
        return address.link(SIGN_IN);
    }
    address.link(&format!("{SIGN_IN}?target={}", encoded(target)))
}

fn encoded(target: &str) -> String {
    form_urlencoded::byte_serialize(target.as_bytes()).collect()
}

/// The page that a request without a session asks for, with its query.
pub(crate) struct RequestedPage(String);

impl RequestedPage {
    /// Returns the page of a request.
    pub(crate) fn of(request: &Request, address: &Address) -> Self {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let parameters = request.query_string_parameters_ref();
        let mut pairs: Vec<_> = parameters.into_iter().flat_map(|all| all.iter()).collect();
        pairs.sort_unstable();
        query.extend_pairs(pairs);

        let (page, query) = (&address.page, query.finish());
        Self(match query.as_str() {
            "" => page.clone(),
            query => format!("{page}?{query}"),
        })
    }

    /// Returns the path below the console, with the query.
    pub(crate) fn path(&self) -> &str {
        &self.0
    }

    /// Returns the page to return to after the sign-in; empty if it is none that can be opened, or
    /// too long.
    pub(crate) fn target(&self) -> &str {
        checked(&self.0)
    }
}

/// Returns `target` if it is the path of a page of the console, and otherwise the empty path. It
/// came from the address bar or from a cookie, so it must not lead to another site.
fn checked(target: &str) -> &str {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let is_page = PAGES
        .iter()
        .any(|page| page.method == "GET" && page.parameters(path).is_some());
    let is_printable = target.bytes().all(|byte| byte.is_ascii_graphic());
    if is_page && is_printable && encoded(target).len() <= TARGET_BYTES_MAX {
        target
    } else {
        ""
    }
}

fn stored(token: &str, kind: CookieKind) -> Result<Vec<HeaderValue>, Problem> {
    session::store(token, kind).ok_or_else(|| {
        let bytes_max = session::PARTS_MAX * session::PART_BYTES_MAX;
        let detail = format!(
            "the token of the provider has {} bytes, and the console accepts {bytes_max}: let the \
             provider issue fewer claims",
            token.len()
        );
        Problem::new(ProblemCode::Forbidden, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_is_a_page_of_the_console() {
        for target in [
            "help",
            "catalog?a=b",
            "help#terms",
            "help?next=//evil.example",
        ] {
            assert_eq!(checked(target), target);
        }
        for target in [
            "https://evil.example",
            "//evil.example",
            "/help",
            "\\\\evil.example",
            "../../evil",
            "javascript:alert(1)",
            "help\r\nset-cookie: a=b",
            "help ",
            "sign-out",
            "nothing",
        ] {
            assert_eq!(checked(target), "", "{target}");
        }
    }

    #[test]
    fn encoded_target_fits_into_the_cookie() {
        // Each escape is encoded as five bytes, and the beginning as 11.
        let target = |escapes: usize| format!("help?a={}", "%26".repeat(escapes));
        let longest = target(297);
        assert_eq!(checked(&longest), longest);
        assert_eq!(checked(&target(298)), "");

        let attempt = attempt::Attempt::new(&longest).expect("random bytes");
        let cookie = attempt.store().expect("a header");
        assert!(cookie.len() < 4096, "{}", cookie.len());
    }
}
