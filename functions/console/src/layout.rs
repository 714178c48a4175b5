//! The frame of every page: header, navigation and main part, and the pages of problems.

use lambda_http::{
    Body, Response,
    http::{HeaderValue, StatusCode, header},
};
use maud::{DOCTYPE, Markup, html};
use tidemark_core::{model::principal::Principal, wire::problem::Problem};

use crate::{
    address::{Address, SIGN_IN, SIGN_OUT},
    assets,
    page::Role,
    pages::PAGES,
    response, text,
};

/// The name of the console in the title of every page.
const PRODUCT: &str = "Tidemark console";

/// Returns a page for a signed-in user.
pub(crate) fn page(
    address: &Address,
    principal: &Principal,
    title: &str,
    content: &Markup,
) -> Markup {
    let header = html! {
        (navigation(address, principal))
        (account(address, principal))
    };
    frame(address, title, &header, content)
}

/// Returns a page without a user: the sign-in, or a problem before it.
pub(crate) fn plain(address: &Address, title: &str, content: &Markup) -> Markup {
    frame(address, title, &html! {}, content)
}

/// Returns the page after the sign-out.
pub(crate) fn signed_out(address: &Address) -> Response<Body> {
    let content = html! {
        p { "You have signed out of the console." }
        p { a.button href=(address.link(SIGN_IN)) { "Sign in" } }
    };
    let page = plain(address, "Signed out", &content);
    response::page(StatusCode::OK, page)
}

/// Returns the page of a problem, with the id of the request for support. A browser may repeat a
/// request that failed with status 503 after `retry_after_s` seconds.
pub(crate) fn problem_page(
    address: &Address,
    principal: Option<&Principal>,
    problem: &Problem,
    request_id: &str,
    retry_after_s: u64,
) -> Response<Body> {
    let status = StatusCode::from_u16(problem.code.status()).unwrap_or_default();
    let (title, content) = (problem.code.title(), problem_view(problem, request_id));
    let page = match principal {
        Some(principal) => page(address, principal, title, &content),
        None => plain(
            address,
            title,
            &html! {
                (content)
                p { a.button href=(address.link(SIGN_IN)) { "Sign in" } }
            },
        ),
    };

    let mut response = response::page(status, page);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let seconds = HeaderValue::from(retry_after_s);
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

fn problem_view(problem: &Problem, request_id: &str) -> Markup {
    html! {
        div.message.error role="alert" {
            p { (text::visible(&problem.detail)) }
            @if let Some(path) = &problem.path {
                p { "Field: " code { (path) } }
            }
        }
        dl.facts {
            dt { "Status" } dd { (problem.code.status()) }
            @if !request_id.is_empty() {
                dt { "Request" } dd { code { (request_id) } }
            }
        }
    }
}

fn frame(address: &Address, title: &str, header: &Markup, content: &Markup) -> Markup {
    let assets = assets::all();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · " (PRODUCT) }
                link rel="icon" href=(address.link(&assets.icon.path)) type="image/svg+xml";
                link rel="stylesheet" href=(address.link(&assets.stylesheet.path));
                script type="module" src=(address.link(&assets.script.path)) {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header.top {
                    a.brand href=(address.link("../console")) { (PRODUCT) }
                    (header)
                }
                main #main tabindex="-1" {
                    h1 { (title) }
                    (content)
                }
            }
        }
    }
}

/// Returns the links to the pages that the user may use.
fn navigation(address: &Address, principal: &Principal) -> Markup {
    let listed = PAGES
        .iter()
        .filter(|page| page.may_be_used_by(principal))
        .filter_map(|page| Some((page.path, page.navigation?)));
    html! {
        nav aria-label="Pages" {
            ul {
                @for (path, name) in listed {
                    @let is_current = address.page == path;
                    li {
                        a href=(address.link(path)) aria-current=[is_current.then_some("page")] {
                            (name)
                        }
                    }
                }
            }
        }
    }
}

/// Returns the tenant, the user and its roles, and the sign-out. Names may be written from right to
/// left, so they are isolated from the text around them.
fn account(address: &Address, principal: &Principal) -> Markup {
    let held: Vec<_> = [Role::Admin, Role::Viewer, Role::Operator]
        .into_iter()
        .filter(|role| role.is_held_by(principal))
        // An admin is a viewer, too.
        .filter(|role| *role != Role::Viewer || !principal.is_admin())
        .map(Role::name)
        .collect();

    let (tenant, user) = (
        text::visible(&principal.tenant),
        text::visible(&principal.user),
    );
    html! {
        div.account {
            dl {
                dt { "Tenant" } dd { bdi title=(tenant) { (tenant) } }
                dt { "User" } dd { bdi title=(user) { (user) } }
                dt { "Roles" } dd { (if held.is_empty() { "none".to_owned() } else { held.join(", ") }) }
            }
            form method="post" action=(address.link(SIGN_OUT)) {
                button type="submit" { "Sign out" }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tidemark_core::wire::problem::ProblemCode;

    use super::*;

    fn principal(user: &str, roles: &[&str]) -> Principal {
        Principal {
            tenant: "acme".into(),
            user: user.into(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            groups: vec![],
        }
    }

    #[test]
    fn names_are_shown_as_text() {
        let user = principal("<img src=x onerror=alert(1)>\u{202e}", &["admin"]);
        let page = page(&Address::default(), &user, "<b>", &html! {}).into_string();
        assert!(!page.contains('\u{202e}'), "{page}");
        assert!(!page.contains("<img") && !page.contains("<b>"), "{page}");
        assert!(
            page.contains(">&lt;img src=x onerror=alert(1)&gt;[U+202E]</bdi>"),
            "{page}"
        );
    }

    #[test]
    fn navigation_lists_usable_pages_only() {
        let links = |roles: &[&str]| {
            let page = navigation(&Address::default(), &principal("ana", roles)).into_string();
            page.matches("<li>").count()
        };
        let all = PAGES.iter().filter(|page| page.navigation.is_some());
        assert_eq!(links(&["admin", "operator"]), all.count());
        assert_eq!(links(&[]), 1, "only Help");
    }

    #[test]
    fn problem_shows_detail_and_request() {
        let problem = Problem::new(ProblemCode::Unavailable, "the table is <throttled>").at("a");
        let response = problem_page(&Address::default(), None, &problem, "request-1", 7);
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[header::RETRY_AFTER], "7");
        let Body::Text(page) = response.body() else {
            panic!("the page is text");
        };
        for text in [
            "the table is &lt;throttled&gt;",
            "<code>request-1</code>",
            "503",
        ] {
            assert!(page.contains(text), "{text} in {page}");
        }
    }
}
