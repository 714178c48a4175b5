//! The codes and states of conflicts in words.

use tidemark_core::model::{
    conflict::{ConflictStatus, ListOrder, ListedStatus},
    resolution::Resolution,
    result::ItemCode,
};

/// The codes that conflicts have.
pub(super) const CODES: [ItemCode; 5] = [
    ItemCode::VersionMismatch,
    ItemCode::UniqueViolation,
    ItemCode::IdTaken,
    ItemCode::AlreadyCreated,
    ItemCode::TempIdReused,
];

/// Returns the reason why the first edit of a conflict was rejected.
pub(in crate::pages) const fn code(code: ItemCode) -> &'static str {
    match code {
        ItemCode::VersionMismatch => "changed in the meantime",
        ItemCode::UniqueViolation => "unique value is taken",
        ItemCode::IdTaken => "id is taken",
        ItemCode::AlreadyCreated => "created before with other content",
        ItemCode::TempIdReused => "temporary id was used before",
        other => other.as_str(),
    }
}

pub(in crate::pages) const fn status(status: ConflictStatus) -> &'static str {
    match status {
        ConflictStatus::Open => "open",
        ConflictStatus::Resolved => "resolved",
    }
}

/// Returns how a conflict was resolved.
pub(in crate::pages) const fn resolution(resolution: Resolution) -> &'static str {
    match resolution {
        Resolution::AcceptServer => "the server's content was kept",
        Resolution::AcceptClient => "the device's edits were applied",
        Resolution::ManualMerge => "both were merged",
    }
}

pub(super) const fn listed(status: ListedStatus) -> &'static str {
    match status {
        ListedStatus::Open => "Open",
        ListedStatus::Resolved => "Resolved",
        ListedStatus::All => "Open and resolved",
    }
}

pub(super) const fn order(order: ListOrder) -> &'static str {
    match order {
        ListOrder::Oldest => "Oldest first",
        ListOrder::Newest => "Newest first",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_conflicts_have_words() {
        for code_of_conflict in CODES {
            assert_ne!(code(code_of_conflict), code_of_conflict.as_str());
        }
        assert_eq!(code(ItemCode::NotFound), "not_found");
    }
}
