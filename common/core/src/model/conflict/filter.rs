//! Which conflicts a list contains, and their order (§5.1).

use chrono::{DateTime, Utc};

use crate::model::{channel::Channel, keyword::keywords, result::ItemCode};

use super::ConflictStatus;

/// The status of the conflicts in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ListedStatus {
    /// The list contains only open conflicts.
    #[default]
    Open,
    /// The list contains only resolved conflicts.
    Resolved,
    /// The list contains open and resolved conflicts.
    All,
}

keywords!(ListedStatus, "status", Open => "open", Resolved => "resolved", All => "all");

impl ListedStatus {
    /// Returns the statuses that the list contains.
    pub const fn statuses(self) -> &'static [ConflictStatus] {
        match self {
            Self::Open => &[ConflictStatus::Open],
            Self::Resolved => &[ConflictStatus::Resolved],
            Self::All => &[ConflictStatus::Open, ConflictStatus::Resolved],
        }
    }
}

/// The order of a list of conflicts by their time of detection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ListOrder {
    /// The oldest conflicts come first.
    #[default]
    Oldest,
    /// The newest conflicts come first.
    Newest,
}

keywords!(ListOrder, "order", Oldest => "oldest", Newest => "newest");

/// The conditions that every conflict of a list meets, and the order of the list. `None` is no
/// condition. The default is the list of all open conflicts, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConflictFilter {
    /// The status of the conflicts.
    pub status: ListedStatus,
    /// The order of the list.
    pub order: ListOrder,
    /// The type of the resource.
    pub resource_type: Option<String>,
    /// The channel of the resource.
    pub channel: Option<Channel>,
    /// The user who made the edits.
    pub user: Option<String>,
    /// The device on which the edits were made.
    pub device_id: Option<String>,
    /// The reason why the first edit was rejected.
    pub code: Option<ItemCode>,
    /// The id of the resource.
    pub resource_id: Option<String>,
    /// The earliest time of detection, inclusive. Digits below milliseconds have no effect.
    pub detected_from: Option<DateTime<Utc>>,
    /// The time before which conflicts were detected, exclusive, likewise in milliseconds.
    pub detected_until: Option<DateTime<Utc>>,
}

impl ConflictFilter {
    /// Returns whether only the status determines which conflicts the list contains, and the order
    /// is that of detection.
    pub fn is_plain(&self) -> bool {
        *self
            == Self {
                status: self.status,
                ..Self::default()
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_by_status_alone_is_plain() {
        for status in [
            ListedStatus::Open,
            ListedStatus::Resolved,
            ListedStatus::All,
        ] {
            let plain = ConflictFilter {
                status,
                ..ConflictFilter::default()
            };
            assert!(plain.is_plain());

            let newest = ConflictFilter {
                order: ListOrder::Newest,
                ..plain.clone()
            };
            let by_code = ConflictFilter {
                code: Some(ItemCode::IdTaken),
                ..plain
            };
            assert!(!newest.is_plain() && !by_code.is_plain());
        }
    }
}
