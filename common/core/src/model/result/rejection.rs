//! The reason why an item is rejected, and its result.

use crate::model::limits::sentence;

use super::{ItemCode, ItemResult, Status};

/// The reason why an item is rejected.
#[derive(Debug, Clone)]
pub struct Rejection {
    /// The stable code for programs.
    pub code: ItemCode,
    /// The error message for people.
    pub error: String,
}

impl Rejection {
    /// Creates a rejection with a code for programs and a message for people.
    pub fn new(code: ItemCode, error: impl Into<String>) -> Self {
        Self {
            code,
            error: sentence(error),
        }
    }

    /// Returns the error result that reports the rejection.
    pub fn into_result(
        self,
        index: usize,
        client_temp_id: Option<String>,
        server_id: Option<String>,
        retryable: bool,
    ) -> ItemResult {
        ItemResult {
            status: Status::Error,
            server_id,
            code: Some(self.code),
            error: Some(self.error),
            retryable: Some(retryable),
            ..ItemResult::ok(index, client_temp_id, String::new(), None)
        }
    }
}
