//! The place of the server's payload of a conflict.

use tidemark_core::model::conflict::ConflictWrite;

use super::super::{
    INLINE_BYTES_MAX,
    versions::{Version, number_of},
};

/// How a conflict's row stores the server's payload.
pub(crate) enum StoredPayload<'a> {
    /// The server has no payload.
    Nothing,
    /// The payload is in the row itself.
    Inline(&'a str),
    /// The payload is stored once for all conflicts about that version.
    Kept {
        /// The number under which the payload is stored.
        number: u64,
        /// Size of the payload in bytes.
        bytes: usize,
    },
}

impl<'a> StoredPayload<'a> {
    /// Determines where the server's payload of a conflict is stored.
    pub(crate) fn of(write: &'a ConflictWrite) -> Self {
        let Some(server) = &write.server else {
            return Self::Nothing;
        };
        if let Some(kept) = server.kept {
            return Self::Kept {
                number: kept.number,
                bytes: kept.bytes,
            };
        }

        let bytes = server.payload.get().len();
        if bytes <= INLINE_BYTES_MAX {
            return Self::Inline(server.payload.get());
        }

        // A conflict that a policy resolves is written in the same transaction as the resource,
        // whose version may not be committed.
        let number = match write.outcome {
            Some(_) => number_of(server.server_version, &server.payload, None),
            None => server.server_version,
        };
        Self::Kept { number, bytes }
    }

    /// Returns the version that must be stored for the conflict.
    pub(crate) fn version_to_store(write: &'a ConflictWrite) -> Option<Version<'a>> {
        let server = write
            .server
            .as_ref()
            .filter(|server| server.kept.is_none())?;
        let Self::Kept { number, .. } = Self::of(write) else {
            return None;
        };
        Some(Version {
            resource: &write.resource,
            number,
            payload: &server.payload,
            fields: None,
        })
    }
}
