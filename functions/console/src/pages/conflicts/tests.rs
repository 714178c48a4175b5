//! The views of the list.

use chrono::DateTime;
use serde_json::value::RawValue;
use tidemark_core::model::{
    channel::Channel,
    conflict::{Conflict, ConflictEdit, ConflictSlot},
    edit::Action,
    resource::{EditId, ResourceKey},
    result::ItemCode,
};
use tidemark_core::wire::conflicts::ConflictEntry;

use super::*;

const IMAGE: &str = "<img src=x onerror=alert(1)>";

/// Returns an open conflict in which this text is every name.
pub(in crate::pages) fn entry(name: &str) -> ConflictEntry {
    let payload = || RawValue::from_string("{}".to_owned()).expect("JSON");
    ConflictEntry::new(Conflict {
        id: "c-1".into(),
        slot: ConflictSlot::default(),
        resource: ResourceKey {
            channel: Channel::User(name.into()),
            resource_type: "meter".into(),
            id: name.into(),
        },
        user: name.into(),
        device_id: name.into(),
        detected_at: DateTime::UNIX_EPOCH,
        code: ItemCode::VersionMismatch,
        server_payload: Some(payload()),
        server_version: 7,
        server_deleted: false,
        edits: vec![ConflictEdit {
            id: EditId(1),
            action: Action::Update,
            payload: payload(),
            client_version: 1,
            base_version: None,
            was: None,
        }],
        outcome: None,
    })
}

fn shown(
    query: &str,
    conflicts: Vec<ConflictEntry>,
    cursors: (&str, Option<&str>),
    may_resolve: bool,
) -> String {
    let query = ListQuery::parse(query);
    let filter = query.filter();
    let list = ConflictList {
        conflicts,
        next_cursor: cursors.1.map(Into::into),
    };
    view(&ListView {
        query: &query,
        catalog: &Catalog::parse("[meter]\nchannel = \"tenant\"\nid_prefix = \"m\"").expect("TOML"),
        list: filter.is_ok().then_some(&list),
        invalid: filter.as_ref().err().map_or(&[], Vec::as_slice),
        cursor: cursors.0,
        is_selected: false,
        may_resolve,
        link: &|path| format!("./{path}"),
    })
    .into_string()
}

#[test]
fn names_of_conflicts_are_text() {
    let page = shown(
        "user=%3Cimg+onerror%3E",
        vec![entry(IMAGE)],
        ("", None),
        true,
    );
    assert!(!page.contains("<img"), "{page}");
    let escaped = "<bdi>&lt;img src=x onerror=alert(1)&gt;</bdi>";
    assert_eq!(page.matches(escaped).count(), 3, "{page}");

    let page = shown("", vec![entry("\u{202e}שלום")], ("", None), true);
    assert!(!page.contains('\u{202e}'), "{page}");
    assert!(page.contains("<bdi>[U+202E]שלום</bdi>"), "{page}");
}

#[test]
fn list_keeps_its_filter_in_links() {
    let list = "user=ana+b&type=meter";
    let page = shown(list, vec![entry("m-1")], ("here", Some("next")), true);
    for link in [
        "./conflicts?type=meter&amp;user=ana+b&amp;cursor=next",
        "./conflicts?type=meter&amp;user=ana+b&amp;cursor=here&amp;select=all",
        "./conflicts.csv?type=meter&amp;user=ana+b\"",
        "./conflicts/c-1?list=type%3Dmeter%26user%3Dana%2Bb\"",
        "name=\"list\" value=\"type=meter&amp;user=ana+b\"",
        "name=\"select\" value=\"c-1 7 version_mismatch meter\"",
    ] {
        assert!(page.contains(link), "{link} in {page}");
    }
}

#[test]
fn viewer_cannot_select_conflicts() {
    let page = shown("", vec![entry("m-1")], ("", None), false);
    assert!(!page.contains("checkbox") && !page.contains("method=\"post\""));
}

#[test]
fn empty_page_differs_from_empty_list() {
    let last = shown("", vec![], ("", None), true);
    assert!(last.contains("No conflict meets the filter."), "{last}");
    assert!(!last.contains("<table") && !last.contains("Next page"));

    let sparse = shown("", vec![], ("", Some("next")), true);
    assert!(sparse.contains("of this part of the list"), "{sparse}");
    assert!(sparse.contains("Next page"), "{sparse}");
}

#[test]
fn impossible_filter_is_explained() {
    let page = shown("channel=nowhere&type=old", vec![], ("", None), true);
    for text in [
        "href=\"#filter-channel\"",
        "id=\"filter-channel\"",
        "aria-invalid=\"true\"",
        "value=\"nowhere\"",
        "<option value=\"old\" selected>",
    ] {
        assert!(page.contains(text), "{text} in {page}");
    }
    assert!(!page.contains("No conflict meets"), "{page}");
}
