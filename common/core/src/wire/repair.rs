//! Repair of change logs: an operator invokes the changelog function directly, and it compares the
//! log with the resources. Unknown fields are rejected, because a misspelled field would make the
//! repair larger than intended.

mod cursor;
mod request;
mod response;

use serde::Deserialize;

use crate::{
    model::json::{self, Json},
    wire::problem::{Problem, read_body},
};

pub use request::RepairRequest;
pub use response::{ChannelRepair, ComparedPeriod, RepairResponse};

/// The event that requests a repair.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepairEvent {
    /// The extent and options of the repair.
    pub repair: RepairRequest,
}

impl RepairEvent {
    /// Reads the event of a direct invocation.
    ///
    /// # Errors
    /// Returns a [`Problem`] with the JSON path of the field if the event is not a request for a
    /// repair.
    pub fn read(event: &Json) -> Result<Self, Problem> {
        if !json::fields(event)
            .unwrap_or_default()
            .contains_key("repair")
        {
            let detail = "an event is a batch of stream records, or a repair request such as {\"repair\": {}}";
            return Err(Problem::malformed("repair", detail));
        }
        read_body(event.get().as_bytes())
    }
}
