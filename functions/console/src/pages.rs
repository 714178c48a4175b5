//! The pages of the console. A page is one module with a view, a pure function from data to
//! markup, and a handler `serve`, which calls use cases; its line in [`PAGES`] makes it part of the
//! console.

mod audit;
mod batch;
mod batches;
mod catalog;
mod conflict;
mod conflicts;
mod devices;
mod help;
mod status;
mod today;

use tidemark_core::model::principal::Principal;

use crate::page::{Page, Role};

/// The roles that may read.
const READERS: &[Role] = &[Role::Viewer, Role::Operator];

/// The roles that may read the tenant's data.
const VIEWERS: &[Role] = &[Role::Viewer];
/// The roles that may resolve conflicts.
const ADMINS: &[Role] = &[Role::Admin];

/// Every page and every action, in the order of the navigation. A request for the console itself
/// leads to the first page of the navigation that the user may use.
pub const PAGES: &[Page] = &[
    Page {
        method: "GET",
        path: "today",
        navigation: Some("Today"),
        roles: VIEWERS,
        serve: today::serve,
    },
    Page {
        method: "GET",
        path: "conflicts",
        navigation: Some("Conflicts"),
        roles: VIEWERS,
        serve: conflicts::serve,
    },
    Page {
        method: "GET",
        path: "conflicts.csv",
        navigation: None,
        roles: VIEWERS,
        serve: conflicts::serve_file,
    },
    // Precedes the page of one conflict, because its path has the same form.
    Page {
        method: "POST",
        path: "conflicts/resolve",
        navigation: None,
        roles: ADMINS,
        serve: conflicts::serve_bulk,
    },
    Page {
        method: "GET",
        path: "conflicts/{id}",
        navigation: None,
        roles: VIEWERS,
        serve: conflict::serve,
    },
    Page {
        method: "POST",
        path: "conflicts/{id}",
        navigation: None,
        roles: ADMINS,
        serve: conflict::serve_submit,
    },
    Page {
        method: "GET",
        path: "batches",
        navigation: Some("Batches"),
        roles: VIEWERS,
        serve: batches::serve,
    },
    Page {
        method: "POST",
        path: "batches/replay",
        navigation: None,
        roles: ADMINS,
        serve: batches::serve_bulk,
    },
    Page {
        method: "GET",
        path: "batches/{id}",
        navigation: None,
        roles: VIEWERS,
        serve: batch::serve,
    },
    Page {
        method: "POST",
        path: "batches/{id}/replay",
        navigation: None,
        roles: ADMINS,
        serve: batch::serve_replay,
    },
    Page {
        method: "GET",
        path: "batches/{id}/items/{index}",
        navigation: None,
        roles: VIEWERS,
        serve: batch::item::serve,
    },
    Page {
        method: "POST",
        path: "batches/{id}/items/{index}/correct",
        navigation: None,
        roles: ADMINS,
        serve: batch::item::serve_correction,
    },
    Page {
        method: "GET",
        path: "devices",
        navigation: Some("Devices"),
        roles: VIEWERS,
        serve: devices::serve,
    },
    Page {
        method: "GET",
        path: "audit",
        navigation: Some("Audit"),
        roles: VIEWERS,
        serve: audit::serve,
    },
    Page {
        method: "GET",
        path: "audit.csv",
        navigation: None,
        roles: VIEWERS,
        serve: audit::serve_file,
    },
    Page {
        method: "GET",
        path: "status",
        navigation: Some("Status"),
        roles: VIEWERS,
        serve: status::serve,
    },
    Page {
        method: "GET",
        path: "catalog",
        navigation: Some("Catalog"),
        roles: READERS,
        serve: catalog::serve,
    },
    Page {
        method: "GET",
        path: "help",
        navigation: Some("Help"),
        roles: &[],
        serve: help::serve,
    },
];

/// Returns the first page of the navigation that the user may use.
pub(crate) fn home(principal: &Principal) -> &'static Page {
    let listed = PAGES.iter().filter(|page| page.navigation.is_some());
    let mut usable = listed.filter(|page| page.may_be_used_by(principal));
    // Every signed-in user may use the page Help.
    usable.next().unwrap_or(&PAGES[0])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_user_may_use_help() {
        let open: Vec<_> = PAGES
            .iter()
            .filter(|page| page.roles.is_empty())
            .map(|page| page.path)
            .collect();
        assert_eq!(open, ["help"]);
    }

    #[test]
    fn pages_are_distinct_and_well_formed() {
        let distinct: BTreeSet<_> = PAGES.iter().map(|page| (page.method, page.path)).collect();
        assert_eq!(distinct.len(), PAGES.len());
        for Page {
            method,
            path,
            navigation,
            ..
        } in PAGES
        {
            assert!(["GET", "POST"].contains(method), "{path}");
            assert!(!path.starts_with('/') && !path.ends_with('/'), "{path}");
            let is_link = navigation.is_some();
            assert!(
                !is_link || (*method == "GET" && !path.contains('{')),
                "{path}"
            );
        }
    }
}
