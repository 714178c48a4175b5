//! Why an item is refused, and the result that reports it.

use crate::{
    limits::sentence,
    protocol::push::{ItemCode, ItemResult, Status},
};

/// Why an item is refused.
#[derive(Debug, Clone)]
pub struct Rejection {
    /// For programs.
    pub code: ItemCode,
    /// For people.
    pub error: String,
}

impl Rejection {
    /// For programs, and for people.
    pub fn new(code: ItemCode, error: impl Into<String>) -> Self {
        Self {
            code,
            error: sentence(error),
        }
    }

    /// The answer that says so.
    pub fn response(
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
