//! The page of a conflict whose fields cannot be merged.

use tidemark_core::{
    model::catalog::Catalog,
    wire::problem::{Problem, ProblemCode},
};

use super::*;
use crate::pages::conflict::{
    decision::{Decision, picks_with_values, unique_fields},
    decisions::{DecisionsView, view},
};

fn rules() -> Catalog {
    let catalog = "[meter]\nchannel = \"tenant\"\nid_prefix = \"m\"\nunique = [\"code\"]";
    Catalog::parse(catalog).expect("TOML")
}

fn shown(review: &ConflictReview, obstacle: Option<&Problem>, is_editable: bool) -> String {
    let rules = rules();
    let meter = rules.get("meter").expect("a type");
    let unique = unique_fields(meter, &review.conflict.edits);
    let view_of = DecisionsView {
        review,
        situation: Situation::of(review),
        state: &ReviewState::default(),
        obstacle,
        unique: &unique,
        is_editable,
        action: "./c-1",
    };
    view(&view_of, |path| format!("./{path}")).into_string()
}

/// Returns the decisions that a page offers.
fn offered(page: &str) -> Vec<&str> {
    let all = [Decision::Keep, Decision::Apply, Decision::ApplyWithValues];
    all.map(Decision::as_str)
        .into_iter()
        .filter(|value| page.contains(&format!("name=\"decision\" value=\"{value}\"")))
        .collect()
}

#[test]
fn delete_is_kept_or_applied() {
    let mut review = review(None, &format!("{{\"a\":\"{IMAGE}\"}}"), "{}");
    review.conflict.edits = vec![edit(Action::Delete, "{}")];
    let page = shown(&review, None, true);
    assert_eq!(offered(&page), ["accept_server", "accept_client"]);
    assert!(page.contains("Delete the resource."), "{page}");
    assert!(page.contains("&lt;img") && !page.contains("<img"), "{page}");
    assert!(!page.contains("<table"), "{page}");

    let page = shown(&review, None, false);
    assert_eq!(offered(&page), [""; 0]);
    assert!(!page.contains("<form"), "{page}");
}

#[test]
fn taken_value_can_be_replaced() {
    let mut review = review(None, "{}", r#"{"code":"<b>","reading":42.50}"#);
    review.conflict.code = ItemCode::UniqueViolation;
    let problem = Problem::new(ProblemCode::UniqueViolation, "held <i>")
        .with("holder_id", &"m-2")
        .with("holder_channel", &"tenant");

    let page = shown(&review, Some(&problem), true);
    assert_eq!(offered(&page), ["accept_server", "other_values"]);
    for text in [
        "held &lt;i&gt;",
        "<bdi>m-2</bdi>",
        "resource_id=m-2",
        "name=\"value:/code\"",
        "value=\"&quot;&lt;b&gt;&quot;\"",
    ] {
        assert!(page.contains(text), "{text} in {page}");
    }
    let free = shown(&review, None, true);
    assert_eq!(
        offered(&free),
        ["accept_server", "accept_client", "other_values"]
    );
}

#[test]
fn other_value_replaces_only_the_unique_field() {
    let edits = [
        edit(Action::Create, r#"{"code":"A","reading":42.50}"#),
        edit(Action::Update, r#"{"note":null,"code":"B"}"#),
    ];
    let catalog = rules();
    let unique = unique_fields(catalog.get("meter").expect("a type"), &edits);
    let value = unique.iter().map(|field| field.value.get());
    assert_eq!(value.collect::<Vec<_>>(), ["\"B\""]);

    let picks = |value: &str| {
        let form = [("value:/code", value)];
        let entries = MergeEntries::read(form.into_iter());
        picks_with_values(&edits, &unique, &entries)
    };
    let picked = picks(" 1.0 ").unwrap_or_default();
    let picked: Vec<_> = picked
        .iter()
        .map(|(name, pick)| (name.as_str(), pick.get()))
        .collect();
    assert_eq!(
        picked,
        [
            ("code", r#"{"value":1.0}"#),
            ("reading", "\"client\""),
            ("note", "\"client\""),
        ]
    );
    let problems = picks("C 3").err().unwrap_or_default();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].pointer.as_deref(), Some("/code"));
}
