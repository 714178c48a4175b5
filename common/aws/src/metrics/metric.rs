//! The metrics, with their names and units.

/// A metric. Its normal values are documented in `docs/operations.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Pushes that got a result, including repeated ones.
    Pushes,
    /// Items of the pushes that got a result.
    PushedItems,
    /// Items with the status `ok`.
    ItemsOk,
    /// Items with the status `conflict`.
    ItemsConflict,
    /// Items with the status `error`, retryable or not.
    ItemsError,
    /// Items with a retryable `error`.
    ItemsRetryable,
    /// Conflicts that were opened and await a resolution. Conflicts that a policy resolves
    /// immediately are not counted.
    ConflictsOpened,
    /// Conflicts that were resolved by an admin's decision.
    ConflictsResolved,
    /// Pulls that returned a page.
    Pulls,
    /// Changes that pulls delivered, including the rows of snapshots.
    PulledChanges,
    /// Channel snapshots that a device began because it had not pulled the channel before.
    Snapshots,
    /// Channels for which a pull requested a full resync.
    Resets,
    /// Changes of resources that pushes and resolutions wrote. The same number enters the change
    /// log.
    AcceptedChanges,
    /// Milliseconds from the write of the oldest log entry on a page until its delivery. Includes
    /// the time for which the device was offline.
    PullLag,
    /// Milliseconds from the write of a change until the head of its log passes it. The maximum of
    /// a stream batch.
    LogHeadAge,
    /// Changes that were appended to a change log.
    SequencedChanges,
    /// Stream records that cannot be decoded and were dead-lettered.
    DeadLetteredRecords,
    /// Notifications that were published to the topic.
    Notifications,
    /// First invocations of a process.
    ColdStarts,
    /// Requests with a 4xx response other than 429.
    Rejections,
    /// Invocations that failed because a dependency was unavailable: a 503 response, items with the
    /// code `unavailable`, or stream records reported in `batchItemFailures`. Excludes failures
    /// whose only cause is a corrupt item.
    Outages,
    /// Stored items that cannot be decoded, each time that one was skipped, made the items of a
    /// push `unavailable`, or made an invocation fail. Excludes dead-lettered stream records.
    CorruptItems,
}

impl Metric {
    /// All metrics in the order of their declaration.
    pub const ALL: [Self; 22] = [
        Self::Pushes,
        Self::PushedItems,
        Self::ItemsOk,
        Self::ItemsConflict,
        Self::ItemsError,
        Self::ItemsRetryable,
        Self::ConflictsOpened,
        Self::ConflictsResolved,
        Self::Pulls,
        Self::PulledChanges,
        Self::Snapshots,
        Self::Resets,
        Self::AcceptedChanges,
        Self::PullLag,
        Self::LogHeadAge,
        Self::SequencedChanges,
        Self::DeadLetteredRecords,
        Self::Notifications,
        Self::ColdStarts,
        Self::Rejections,
        Self::Outages,
        Self::CorruptItems,
    ];

    /// Returns the name of the metric in CloudWatch.
    pub fn name(self) -> String {
        format!("{self:?}")
    }

    /// Returns the unit of the metric in CloudWatch's terms.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::PullLag | Self::LogHeadAge => "Milliseconds",
            _ => "Count",
        }
    }
}
