//! What the user sees: the copies with the waiting edits on top.

use serde_json::value::RawValue;

use crate::{Action, Client, Edit, ResourceName, payload::merge};

impl Client {
    /// Returns what the user sees of a resource: the copy with the waiting edits on top, in their
    /// order. Returns `None` if there is no such resource, or if it is deleted.
    ///
    /// ```
    /// use tidemark_client::{Client, EditContent, ResourceName};
    ///
    /// let mut client = Client::new("phone");
    /// let meter = ResourceName::server("tenant", "meter", "m-1");
    /// let create = EditContent::Create(r#"{"reading": 1.0, "note": "new"}"#);
    /// client.enqueue_edit(1, meter.clone(), create).unwrap();
    /// let update = EditContent::Update(r#"{"reading": 1.50, "note": null}"#);
    /// client.enqueue_edit(2, meter.clone(), update).unwrap();
    ///
    /// assert_eq!(client.displayed(&meter).unwrap().get(), r#"{"reading":1.50}"#);
    /// assert!(client.copies()[&meter].payload.is_none(), "the server has not accepted it yet");
    /// ```
    pub fn displayed(&self, name: &ResourceName) -> Option<Box<RawValue>> {
        let copy = self.copies.get(name).and_then(|copy| copy.payload.clone());
        self.waiting_for(name)
            .fold(copy, |payload, edit| apply(edit, payload.as_deref()))
    }
}

/// Returns the payload after an edit of it.
pub(crate) fn apply(edit: &Edit, payload: Option<&RawValue>) -> Option<Box<RawValue>> {
    match edit.action() {
        Action::Create => Some(edit.content().to_owned()),
        Action::Update => payload.map(|payload| merge(payload, edit.content())),
        Action::Delete => None,
    }
}
