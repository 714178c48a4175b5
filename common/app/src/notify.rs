//! Notifications (§5.5): publishes one message per resolved conflict, from the stream of `conflicts`.
//!
//! Every resolution writes the row of its conflict, even if it changes no resource. Therefore no
//! resolution is missed, and none is published that did not take effect. Messages are delivered at
//! least once: the records after a failed record are redelivered with it.

use tidemark_aws::{
    Context, Deadline,
    dead_letters::DeadLetters,
    metrics::Metric,
    notifications::{Notifications, PublishOutcome},
    stream::StreamRecord,
};
use tidemark_core::{model::position::Sequence, wire::notifications::ConflictResolved};

use crate::dead_letter::dead_letter;

/// Publishes the resolutions in a batch of stream records, in order. Publishes nothing if the
/// deployment has no topic.
///
/// Stops at the first record that can be neither published nor dead-lettered, and returns its
/// sequence number. The stream redelivers from that record, so earlier messages are not published
/// again.
pub async fn publish(
    context: &Context,
    dead_letters: &DeadLetters,
    topic: Option<&Notifications>,
    records: impl IntoIterator<Item = StreamRecord<ConflictResolved>>,
    deadline: Deadline,
) -> Vec<Sequence> {
    let Some(topic) = topic else {
        return Vec::new();
    };

    for record in records {
        let publish = publish_record(context, dead_letters, topic, &record);
        // Boxed to reduce the nesting depth of futures, which the compiler limits.
        let published = Box::pin(deadline.bound(async { Ok(publish.await) }));
        let published = published.await.unwrap_or_else(|failure| {
            context.meter.count_failure(&failure);
            Err(record.sequence())
        });
        if let Err(failed) = published {
            return vec![failed];
        }
    }
    Vec::new()
}

/// Publishes the resolution in a record, if there is one. Dead-letters a record that can never be
/// published.
async fn publish_record(
    context: &Context,
    dead_letters: &DeadLetters,
    topic: &Notifications,
    record: &StreamRecord<ConflictResolved>,
) -> Result<(), Sequence> {
    let resolved = match &record.content {
        Ok(Some(resolved)) => resolved,
        Ok(None) => return Ok(()),
        Err(reason) => return dead_letter(context, dead_letters, &record.text, reason).await,
    };

    match topic.publish(resolved).await {
        Ok(PublishOutcome::Done) => {
            context.meter.count(Metric::Notifications, 1);
            Ok(())
        }
        Ok(PublishOutcome::Rejected(reason)) => {
            dead_letter(context, dead_letters, &record.text, &reason).await
        }
        Err(failure) => {
            tracing::error!(%failure, conflict_id = resolved.conflict_id, tenant = resolved.tenant, "resolution could not be published");
            context.meter.count_failure(&failure);
            Err(record.sequence())
        }
    }
}
