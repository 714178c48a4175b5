//! From a request to the page, the sign-in or the file that it is for.

use std::sync::OnceLock;

use lambda_http::{
    Body, Request, Response,
    http::{HeaderMap, Method, StatusCode, header},
};
use tidemark_aws::{Context, Error};
use tidemark_core::{
    model::principal::Principal,
    wire::problem::{Problem, ProblemCode},
};

use crate::{
    address::{self, Address},
    assets,
    cookies::CookieKind,
    expired, form, layout,
    page::{Buckets, Page, PageReply, Parameters, Visit},
    pages::{self, PAGES},
    response, session,
    sign_in::{self, RequestedPage},
};

/// Returns the response to a request. Stores the user in `visitor` once it is known, so that the
/// page of an error shows it, too.
///
/// # Errors
/// Returns a 404 problem if the console is disabled or has no such page, a 403 problem if a page of
/// another site sent a form or the user lacks the role, and the errors of the page.
pub(crate) async fn respond(
    context: &Context,
    buckets: Buckets<'_>,
    request: &Request,
    at: &Address,
    visitor: &OnceLock<Principal>,
) -> Result<Response<Body>, Error> {
    let console = &context.settings.console;
    if console.provider.is_none() && console.development.is_none() {
        return Err(not_found("the console is disabled").into());
    }
    if request.method() == Method::POST && !is_same_origin(request.headers(), &at.origin) {
        return Err(forbidden("the form was sent by a page of another site").into());
    }

    let path = at.page.as_str();
    match (request.method().as_str(), path) {
        ("GET", address::SIGN_IN) => sign_in::begin(context, request, at),
        ("POST", address::SIGN_IN) => sign_in::submit(context, request, at).await,
        ("GET", address::CALLBACK) => sign_in::finish(context, request, at).await,
        ("POST", address::SIGN_OUT) => Ok(sign_in::sign_out(context, at)),
        ("GET", address::SIGNED_OUT) => Ok(layout::signed_out(at)),
        ("GET", path) if path.starts_with(assets::FOLDER) => {
            assets::respond(path).ok_or_else(|| not_found("the console has no such file").into())
        }
        _ => visit(context, buckets, request, at, visitor).await,
    }
}

/// Responds to a request for a page by its user, or to a request without a session.
async fn visit(
    context: &Context,
    buckets: Buckets<'_>,
    request: &Request,
    at: &Address,
    visitor: &OnceLock<Principal>,
) -> Result<Response<Body>, Error> {
    let Some(principal) = signed_in(context, request).await? else {
        return without_session(context, request, at);
    };
    let principal = visitor.get_or_init(|| principal);

    if at.page.is_empty() {
        let home = pages::home(principal);
        return Ok(response::see_other(&at.link(home.path), Vec::new()));
    }

    let (page, parameters) = find(request.method().as_str(), &at.page)
        .ok_or_else(|| not_found("the console has no such page"))?;
    if !page.may_be_used_by(principal) {
        let roles: Vec<_> = page.roles.iter().map(|role| role.name()).collect();
        let detail = format!("this page requires the role {}", roles.join(" or "));
        return Err(forbidden(&detail).into());
    }

    let form = match *request.method() {
        Method::POST => form::fields(request.body())?,
        _ => Vec::new(),
    };
    let visit = Visit::new(context, buckets, principal, request, at, parameters, form);
    let reply = (page.serve)(&visit).await?;
    Ok(respond_to(at, principal, reply))
}

/// Returns the response to a request without a valid token, and deletes its cookies: a redirect to
/// the sign-in, or, after a form, a page from which the form can be sent again.
///
/// # Errors
/// Returns a 404 problem for a form that is sent to no page, and the problems of [`form::fields`].
fn without_session(
    context: &Context,
    request: &Request,
    at: &Address,
) -> Result<Response<Body>, Error> {
    let kind = CookieKind::of(context.settings.console.development.is_some());
    let cookies = session::clear_sent(request, kind);
    let requested = RequestedPage::of(request, at);
    if request.method() == Method::POST {
        find("POST", &at.page).ok_or_else(|| not_found("the console has no such page"))?;
        let form = form::fields(request.body())?;
        return Ok(expired::respond(at, &requested, &form, cookies));
    }

    let target = match *request.method() {
        Method::GET => requested.target(),
        _ => "",
    };
    Ok(response::see_other(&sign_in::location(at, target), cookies))
}

/// Returns the response with the reply of a page.
fn respond_to(at: &Address, principal: &Principal, reply: PageReply) -> Response<Body> {
    match reply {
        PageReply::View { title, content } => {
            let page = layout::page(at, principal, &title, &content);
            response::page(StatusCode::OK, page)
        }
        PageReply::Rejected {
            status,
            title,
            content,
        } => {
            let page = layout::page(at, principal, &title, &content);
            response::page(status, page)
        }
        PageReply::File(file) => response::file(file),
        PageReply::SeeOther(path) => response::see_other(&at.link(&path), Vec::new()),
    }
}

/// Returns the user of a request, or `None` if it has no token or an invalid one.
async fn signed_in(context: &Context, request: &Request) -> Result<Option<Principal>, Error> {
    let kind = CookieKind::of(context.settings.console.development.is_some());
    let Some(token) = session::token(request, kind) else {
        return Ok(None);
    };
    match context.verifier.principal_of(&token).await {
        Ok(principal) => Ok(Some(principal)),
        Err(Error::Rejected(problem)) if problem.code == ProblemCode::Unauthenticated => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Returns the page with this method and path, and the values of its placeholders.
fn find(method: &str, path: &str) -> Option<(&'static Page, Parameters)> {
    let of_method = PAGES.iter().filter(|page| page.method == method);
    of_method
        .filter_map(|page| Some((page, page.parameters(path)?)))
        .next()
}

/// Returns whether a page of the console sent a form. Browsers with `Sec-Fetch-Site` state it
/// there, and send `Origin: null`, because the pages have the referrer policy `no-referrer`. Other
/// browsers must state the origin.
fn is_same_origin(headers: &HeaderMap, origin: &str) -> bool {
    let text = |name: &str| {
        let mut values = headers.get_all(name).iter();
        let first = values.next()?;
        let text = first.to_str().unwrap_or("?");
        Some(if values.next().is_some() { "?" } else { text })
    };

    let sent = text(header::ORIGIN.as_str());
    let is_own = sent.is_some_and(|sent| sent.eq_ignore_ascii_case(origin));
    match text("sec-fetch-site") {
        Some("same-origin") => is_own || matches!(sent, None | Some("null")),
        Some(_) => false,
        None => is_own,
    }
}

fn not_found(detail: &str) -> Problem {
    Problem::new(ProblemCode::NotFound, detail)
}

fn forbidden(detail: &str) -> Problem {
    Problem::new(ProblemCode::Forbidden, detail)
}

#[cfg(test)]
mod tests {
    use lambda_http::http::HeaderValue;

    use super::*;

    #[test]
    fn only_own_pages_may_send_forms() {
        const OWN: &str = "https://a.example";
        for (site, origin, expected) in [
            (Some("same-origin"), Some(OWN), true),
            (Some("same-origin"), Some("null"), true),
            (Some("same-origin"), None, true),
            (Some("same-origin"), Some("https://b.example"), false),
            (Some("same-site"), Some(OWN), false),
            (Some("cross-site"), Some(OWN), false),
            (Some("cross-site"), Some("null"), false),
            (Some("none"), None, false),
            (Some("none"), Some(OWN), false),
            (None, Some(OWN), true),
            (None, Some("http://a.example"), false),
            (None, Some("https://a.example:8443"), false),
            (None, Some("https://a.example.evil"), false),
            (None, Some("null"), false),
            (None, None, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(site) = site {
                headers.insert("sec-fetch-site", HeaderValue::from_static(site));
            }
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            }
            assert_eq!(
                is_same_origin(&headers, OWN),
                expected,
                "{site:?} {origin:?}"
            );
        }
    }

    #[test]
    fn repeated_origin_is_foreign() {
        let mut headers = HeaderMap::new();
        for _ in 0..2 {
            let origin = HeaderValue::from_static("https://a.example");
            headers.append(header::ORIGIN, origin);
        }
        assert!(!is_same_origin(&headers, "https://a.example"));
    }
}
