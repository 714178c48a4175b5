//! The sign-in of the local runner: a form that names any user.

use lambda_http::{Body, Response, http::StatusCode};
use maud::{Markup, html};
use tidemark_core::{
    model::{
        limits::{GROUPS_MAX, NAME_BYTES_MAX, is_name},
        principal::{ADMIN, OPERATOR, Principal, VIEWER},
    },
    wire::problem::Problem,
};

use crate::{
    address::{Address, SIGN_IN},
    form, layout, response,
};

/// The user whom the submitted form names, and the page to return to.
pub(super) struct SignInForm {
    pub(super) principal: Principal,
    pub(super) target: String,
}

/// Returns the page with the form.
pub(super) fn form(address: &Address, target: &str) -> Response<Body> {
    let content = view(&address.link(SIGN_IN), target);
    let page = layout::plain(address, "Sign in", &content);
    response::page(StatusCode::OK, page)
}

fn view(action: &str, target: &str) -> Markup {
    let roles = [
        (ADMIN, "reads everything and resolves", true),
        (VIEWER, "reads everything", false),
        (OPERATOR, "repairs the deployment", false),
    ];
    html! {
        p { "This runner accepts any user. A deployment asks its identity provider." }
        form.stack method="post" action=(action) {
            input type="hidden" name="target" value=(target);
            label { "Tenant" input name="tenant" value="acme" required autocomplete="off"; }
            label { "User" input name="user" value="ana" required autocomplete="off"; }
            fieldset {
                legend { "Roles" }
                @for (role, meaning, is_checked) in roles {
                    label.check {
                        input type="checkbox" name="role" value=(role) checked[is_checked];
                        span { (role) " – " (meaning) }
                    }
                }
            }
            label {
                "Groups, separated by commas"
                input name="groups" autocomplete="off";
            }
            button.primary type="submit" { "Sign in" }
        }
    }
}

/// Reads the submitted form.
pub(super) fn read(body: &[u8]) -> Result<SignInForm, Problem> {
    let (mut tenant, mut user, mut target) = (String::new(), String::new(), String::new());
    let (mut roles, mut groups) = (Vec::new(), Vec::new());

    for (field, value) in form::fields(body)? {
        match field.as_str() {
            "tenant" => tenant = value.trim().to_owned(),
            "user" => user = value.trim().to_owned(),
            "target" => target = value,
            "role" => roles.push(value),
            "groups" => groups.extend(
                value
                    .split(',')
                    .map(|group| group.trim().to_owned())
                    .filter(|group| !group.is_empty()),
            ),
            _ => {}
        }
    }

    let names = [("tenant", &tenant), ("user", &user)];
    let listed = roles.iter().map(|role| ("role", role));
    let listed = listed.chain(groups.iter().map(|group| ("groups", group)));
    for (field, value) in names.into_iter().chain(listed) {
        if !is_name(value) {
            let detail = format!("must have 1 to {NAME_BYTES_MAX} bytes");
            return Err(Problem::malformed(field, detail));
        }
    }
    if groups.len() > GROUPS_MAX {
        let detail = format!("must name at most {GROUPS_MAX} groups");
        return Err(Problem::malformed("groups", detail));
    }

    Ok(SignInForm {
        principal: Principal {
            tenant,
            user,
            roles,
            groups,
        },
        target,
    })
}
