//! The page of a form that arrives after the session has ended. It contains the fields of the form,
//! so that the user can sign in and send them again.
//!
//! A redirect to the sign-in would lose the form: the provider is on another origin, and browsers
//! apply `form-action` of the content security policy to every redirect after a form.

use lambda_http::{
    Body, Response,
    http::{HeaderValue, StatusCode},
};
use maud::{Markup, html};

use crate::{
    address::Address,
    form::FormFields,
    layout, response,
    sign_in::{self, RequestedPage},
};

/// Returns the page for a form that was sent to `requested`, with status 401.
pub(crate) fn respond(
    address: &Address,
    requested: &RequestedPage,
    form: &FormFields,
    cookies: Vec<HeaderValue>,
) -> Response<Body> {
    let sign_in = sign_in::location(address, requested.target());
    let content = view(&sign_in, &address.link(requested.path()), form);
    let page = layout::plain(address, "Your session has ended", &content);
    let response = response::page(StatusCode::UNAUTHORIZED, page);
    response::with_cookies(response, cookies)
}

/// Returns the content: the reference to the sign-in, and the form, which is sent to `action`.
fn view(sign_in: &str, action: &str, form: &FormFields) -> Markup {
    html! {
        div.message.error role="alert" {
            p { "Your session has expired, so nothing was stored. This page has your entries." }
        }
        p { "Sign in in a new tab. Then return to this tab and send the entries again." }
        p { a.button href=(sign_in) target="_blank" rel="noopener" { "Sign in in a new tab" } }
        form.stack method="post" action=(action) {
            @for (name, value) in form { input type="hidden" name=(name) value=(value); }
            button.primary type="submit" { "Send again" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_kept_as_text() {
        let pairs = [("/a\"b", "device"), ("note", "\"><script>x</script>")];
        let form = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let page = view("./sign-in", "./conflicts/c-1", &form.to_vec()).into_string();
        for text in [
            "<input type=\"hidden\" name=\"/a&quot;b\" value=\"device\">",
            "name=\"note\" value=\"&quot;&gt;&lt;script&gt;x&lt;/script&gt;\"",
            "<a class=\"button\" href=\"./sign-in\" target=\"_blank\" rel=\"noopener\">",
            "action=\"./conflicts/c-1\"",
        ] {
            assert!(page.contains(text), "{text} in {page}");
        }
    }
}
