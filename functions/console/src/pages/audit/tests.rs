use chrono::DateTime;
use serde_json::value::RawValue;
use tidemark_core::{
    model::{
        audit::{AuditAction, AuditEntry, Via},
        resolution::Resolution,
    },
    wire::audit::AuditEntryBody,
};

use super::*;

const HOSTILE: &str = "<img src=x onerror=alert(1)>";

fn links() -> AuditLinks {
    AuditLinks {
        newest: "./audit".into(),
        oldest: "./audit?order=oldest".into(),
        first: None,
        next: Some("./audit?cursor=abc".into()),
        file: "./audit.csv".into(),
        conflicts: "./conflicts".into(),
        batches: "./batches".into(),
    }
}

fn entry(action: AuditAction, by: &str) -> AuditEntry {
    let at = DateTime::from_timestamp(1_769_850_725, 0).expect("a time");
    AuditEntry::new("1".into(), at, action, by, Via::Api)
}

fn page(entries: Vec<AuditEntry>) -> String {
    let entries: Vec<AuditEntryBody> = entries.into_iter().map(Into::into).collect();
    view(&entries, AuditOrder::Newest, &links()).into_string()
}

/// Returns a resolution whose texts are all the same.
fn resolution(text: &str) -> AuditEntry {
    let state = serde_json::json!({ text: text }).to_string();
    AuditEntry {
        user: text.into(),
        device_id: text.into(),
        conflict_id: Some(text.into()),
        batch_id: Some(text.into()),
        channel: Some(text.into()),
        resource_type: Some(text.into()),
        resource_id: Some(text.into()),
        resolution: Some(Resolution::AcceptClient),
        note: Some(text.into()),
        after: RawValue::from_string(state).ok(),
        ..entry(AuditAction::ConflictResolved, text)
    }
}

#[test]
fn entries_are_shown_in_words() {
    let page = page(vec![
        resolution("conf-1"),
        entry(AuditAction::Repair, "ops"),
    ]);
    for text in [
        "2026-01-31 09:12",
        "resolved a conflict: applied the device's edits",
        "<a href=\"./conflicts/conf-1\">the conflict</a>",
        "<a href=\"./batches/conf-1\">the batch</a>",
        "<bdi>conf-1</bdi> of <bdi>conf-1</bdi>",
        "repaired a channel",
        "<summary>1 value</summary>",
        "href=\"./audit?cursor=abc\" rel=\"next\"",
    ] {
        assert!(page.contains(text), "{text} in {page}");
    }
}

#[test]
fn texts_are_no_markup() {
    let page = page(vec![resolution(HOSTILE)]);
    assert!(!page.contains("<img"), "{page}");
    assert!(page.contains("./conflicts/%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E"));
}

#[test]
fn empty_log_has_a_message() {
    let page = page(Vec::new());
    assert!(page.contains("class=\"empty\"") && !page.contains("<table"));
}

#[test]
fn file_has_a_row_per_entry() {
    let entries = [resolution("=1+1"), entry(AuditAction::Repair, "ops")];
    let entries = entries.map(AuditEntryBody::from);
    let text = file(&entries).text;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    let cells: Vec<&str> = lines[1].split(',').collect();
    assert_eq!(cells[1], "\"2026-01-31T09:12:05.000Z\"");
    let [by, via, action] = [2, 3, 4].map(|index| cells[index]);
    assert_eq!(
        (by, via, action),
        ("\"'=1+1\"", "\"api\"", "\"conflict_resolved\"")
    );
    assert_eq!(cells.len(), lines[0].split(',').count());
}
