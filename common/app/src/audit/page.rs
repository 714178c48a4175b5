//! A page of the audit log, bounded in bytes.

use tidemark_aws::{Error, metrics::Meter, tables::audit_log::PackedEntry};
use tidemark_core::{
    model::limits::{RESPONSE_BYTES_MAX, escaped_bytes},
    wire::audit::AuditEntryBody,
};

use super::ENVELOPE_BYTES;

/// A page of audit entries that is being filled.
pub(super) struct AuditPage {
    pub(super) entries: Vec<AuditEntryBody>,
    limit: usize,
    bytes_left: usize,
    /// The id of the last entry that was read, including an entry that cannot be decoded.
    pub(super) after: Option<String>,
    /// Whether the page ended before an entry that did not fit.
    pub(super) is_full: bool,
}

impl AuditPage {
    pub(super) fn new(limit: usize, after: Option<String>) -> Self {
        Self {
            entries: Vec::new(),
            limit,
            bytes_left: RESPONSE_BYTES_MAX - ENVELOPE_BYTES,
            after,
            is_full: false,
        }
    }

    /// Returns the number of entries to read: one more than fits, which shows whether there is a
    /// next page.
    pub(super) fn wanted(&self) -> usize {
        self.limit + 1 - self.entries.len()
    }

    /// Adds entries until the page is full. An entry that cannot be decoded is skipped.
    pub(super) fn fill(&mut self, read: Vec<PackedEntry>, meter: &Meter) -> Result<(), Error> {
        for packed in read {
            if self.entries.len() == self.limit {
                self.is_full = true;
                break;
            }

            let id = packed.id.clone();
            let entry = packed.unpack(meter).map(AuditEntryBody::from);
            let text = entry.as_ref().map(serde_json::to_string).transpose();
            let text = text.map_err(|error| Error::unencoded("audit entry", error))?;
            let bytes = escaped_bytes(&text.unwrap_or_default());
            if bytes > self.bytes_left {
                self.is_full = true;
                break;
            }

            self.bytes_left -= bytes;
            self.entries.extend(entry);
            self.after = Some(id);
        }
        Ok(())
    }
}
