//! A device with one meter, and the responses that it receives.

use serde_json::{Value, json};
use tidemark_client::{
    BatchBounds, Client, Edit, EditContent, LocalCopy, PageReport, PushReport, PushResponse,
    ResourceName,
};

/// The time of every response.
const TIME: &str = "2025-12-22T12:34:56.000Z";

/// Returns the meter that most tests edit.
pub fn meter() -> ResourceName {
    ResourceName::server("tenant", "meter", "m-1")
}

/// A device under test.
pub struct TestDevice {
    /// The client of the device.
    pub client: Client,
    edits: u64,
}

impl TestDevice {
    /// Returns a device that has never synced.
    pub fn new() -> Self {
        Self::with(Client::new("phone"))
    }

    /// Returns a device with this client.
    pub fn with(client: Client) -> Self {
        Self { client, edits: 0 }
    }

    /// Returns a device that has pulled this version of the meter.
    pub fn with_meter(version: u64) -> Self {
        let mut device = Self::new();
        device.pull(json!({"reset": ["tenant"], "changes": [change("m-1", version)]}));
        device
    }

    /// Enqueues an edit of the meter.
    pub fn edit(&mut self, content: EditContent<'_>) -> Edit {
        self.edit_of(meter(), content)
    }

    /// Enqueues an update of the meter.
    pub fn update(&mut self) -> Edit {
        self.edit(EditContent::Update(r#"{"reading": 1}"#))
    }

    /// Enqueues an edit of a resource.
    pub fn edit_of(&mut self, name: ResourceName, content: EditContent<'_>) -> Edit {
        self.edits += 1;
        self.client.enqueue_edit(self.edits, name, content).unwrap()
    }

    /// Sends all waiting edits of a batch and applies a response with these results.
    pub fn push(&mut self, results: Value) -> PushReport {
        self.send();
        self.client.apply_push_response(&response(results)).unwrap()
    }

    /// Sends a batch whose response is lost, and returns its body.
    pub fn send(&mut self) -> Value {
        let batch_id = format!("batch-{}", self.edits);
        self.client.next_batch(&BatchBounds::default(), &batch_id);
        serde_json::from_str(&self.client.push_request().unwrap()).unwrap()
    }

    /// Applies a page with these fields.
    pub fn pull(&mut self, fields: Value) -> PageReport {
        let mut page = json!({"next_token": "tm1_page", "changes": [], "has_more": false,
            "server_time": TIME});
        page.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        self.client
            .apply_page(serde_json::from_str(&page.to_string()).unwrap())
    }

    /// Returns the copy of the meter.
    pub fn copy(&self) -> LocalCopy {
        self.client
            .copies()
            .get(&meter())
            .cloned()
            .unwrap_or_default()
    }

    /// Returns base and known of the meter.
    pub fn versions(&self) -> (u64, u64) {
        let copy = self.copy();
        (copy.base, copy.known)
    }

    /// Returns the payload of the copy of the meter.
    pub fn payload(&self) -> Option<String> {
        self.copy().payload.map(|payload| payload.get().to_owned())
    }

    /// Returns what the user sees of the meter.
    pub fn displayed(&self) -> Option<String> {
        let displayed = self.client.displayed(&meter());
        displayed.map(|payload| payload.get().to_owned())
    }
}

/// Returns the versions of an edit: `client_version` and `base_version`.
pub fn numbers(edit: &Edit) -> (u64, u64) {
    (edit.client_version(), edit.base_version())
}

/// Returns a response with these results.
pub fn response(results: Value) -> PushResponse {
    let response = json!({"batch_id": "batch-server", "processed_at": TIME,
        "server_sync_token": "tm1_push", "results": results});
    serde_json::from_str(&response.to_string()).unwrap()
}

/// Returns the result of an edit of the meter with these fields in addition.
pub fn result(status: &str, version: impl Into<Option<u64>>, fields: Value) -> Value {
    let version: Option<u64> = version.into();
    let mut result = json!({"index": 0, "client_temp_id": null, "status": status,
        "server_id": "m-1", "server_version": version});
    result
        .as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    result
}

/// Returns the result of an edit of the meter that was applied.
pub fn ok(version: u64) -> Value {
    result("ok", version, json!({}))
}

/// Returns the result of an edit that conflicts with this version, whose content is `{"server":
/// version}`.
pub fn conflict(version: u64) -> Value {
    let fields = json!({"conflict_id": "conf-1", "server_payload": {"server": version}});
    result("conflict", version, fields)
}

/// Returns the result of an edit that failed.
pub fn error(is_retryable: bool) -> Value {
    let code = if is_retryable {
        "unavailable"
    } else {
        "invalid_payload"
    };
    result(
        "error",
        None,
        json!({"code": code, "retryable": is_retryable}),
    )
}

/// Returns a change of a meter, whose content is `{"server": version}`.
pub fn change(id: &str, version: u64) -> Value {
    json!({"id": id, "resource_type": "meter", "channel": "tenant", "action": "update",
        "payload": {"server": version}, "server_version": version, "changed_at": TIME})
}

/// Returns a change that deletes the meter.
pub fn delete(version: u64) -> Value {
    json!({"id": "m-1", "resource_type": "meter", "channel": "tenant", "action": "delete",
        "server_version": version, "changed_at": TIME})
}
