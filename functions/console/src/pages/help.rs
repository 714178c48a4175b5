//! The page Help: keys and terms.

use maud::{Markup, html};
use tidemark_core::model::principal::Principal;

use crate::page::{PageReply, Role, Serving, Visit};

/// The roles with their meanings.
const ROLES: [(Role, &str); 3] = [
    (Role::Viewer, "Reads everything of the tenant."),
    (
        Role::Admin,
        "Reads everything of the tenant, and resolves and replays.",
    ),
    (
        Role::Operator,
        "Sees and repairs what belongs to the whole deployment.",
    ),
];

/// The keys with their effects.
const KEYS: &[(&str, &str)] = &[
    (
        "Tab, Shift+Tab",
        "Go to the next or previous link, field or button.",
    ),
    ("Enter", "Follow the link, or send the form."),
    ("Space", "Select the option, or press the button."),
];

/// The terms of the console with their meanings, as docs/glossary.md defines them.
const TERMS: &[(&str, &str)] = &[
    (
        "Resource",
        "What devices synchronize: a record of a type of the catalog, with an id and a version.",
    ),
    (
        "Version",
        "The number of a resource's changes. Each accepted change increases it by one.",
    ),
    (
        "Channel",
        "The part of a tenant to which a resource belongs: the whole tenant, one user, or one group.",
    ),
    (
        "Conflict",
        "A device's edit that could not be applied, because the resource had changed in the meantime. \
         An admin resolves it.",
    ),
    (
        "Batch",
        "The edits that a device sent in one request. Each edit has a result.",
    ),
    (
        "Replay",
        "A repetition of a batch's rejected edits, after their cause was corrected.",
    ),
    (
        "Change log",
        "The changes of a channel in their order, from which devices receive them.",
    ),
    (
        "Lag",
        "The number of changes of a channel that a device has not applied yet.",
    ),
    (
        "Dead letter",
        "A record of the database's stream that could not be processed and was set aside.",
    ),
    (
        "Audit log",
        "The list of what admins and operators did, with the state before and after.",
    ),
];

pub(crate) fn serve<'a>(visit: &'a Visit<'a>) -> Serving<'a> {
    Box::pin(async move {
        Ok(PageReply::View {
            title: "Help".to_owned(),
            content: view(visit.principal),
        })
    })
}

fn view(principal: &Principal) -> Markup {
    html! {
        section aria-labelledby="roles" {
            h2 #roles { "Roles" }
            dl.terms {
                @for (role, meaning) in ROLES {
                    dt { (role.name()) }
                    dd { (meaning) @if role.is_held_by(principal) { " You have this role." } }
                }
            }
        }
        section aria-labelledby="keys" {
            h2 #keys { "Keys" }
            dl.terms {
                @for (key, effect) in KEYS { dt { kbd { (key) } } dd { (effect) } }
            }
        }
        section aria-labelledby="terms" {
            h2 #terms { "Terms" }
            dl.terms {
                @for (term, meaning) in TERMS { dt { (term) } dd { (meaning) } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_for(role: &str) -> String {
        let principal = Principal {
            tenant: "acme".into(),
            user: "ana".into(),
            roles: vec![role.into()],
            groups: vec![],
        };
        view(&principal).into_string()
    }

    #[test]
    fn roles_of_the_user_are_marked() {
        let marks = |role: &str| page_for(role).matches("You have this role.").count();
        assert_eq!(["editor", "viewer", "admin"].map(marks), [0, 1, 2]);
    }

    #[test]
    fn every_key_and_term_is_shown() {
        let page = page_for("viewer");
        for (name, meaning) in KEYS.iter().chain(TERMS) {
            assert!(page.contains(name) && !meaning.is_empty(), "{name}");
        }
    }
}
