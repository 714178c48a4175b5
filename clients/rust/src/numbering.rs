//! The version numbers of edits (docs/protocol.md, *Numbering versions*, §3.3).

use crate::{Client, Edit, EditContent, InvalidPayload, ResourceId, ResourceName};

impl Client {
    /// Numbers an edit, appends it to the queue and returns it. The numbers are fixed from then on:
    ///
    /// - `base_version` is the base of the copy. If other edits of the resource wait, it is the
    ///   base version of the first of them: the user sees those edits, and not the versions that a
    ///   pull delivered below them.
    /// - `client_version` is the highest known version plus the number of edits of the resource
    ///   that wait, and higher than every number that the device has used for the resource.
    ///
    /// `number` is the caller's own number of the edit, unique on the device, for example the key
    /// of its row in a database. It is not sent.
    ///
    /// # Errors
    /// Returns [`InvalidPayload`] if the payload is not the text of a JSON object. The state is
    /// unchanged then.
    ///
    /// ```
    /// use tidemark_client::{Client, EditContent, ResourceName};
    ///
    /// let mut client = Client::new("phone");
    /// let meter = ResourceName::temp("tenant", "meter", "5f0c7c1e-8a4d-4a57-9f0e-2b6d1c3e4f01");
    /// let create = EditContent::Create(r#"{"reading": 44.0}"#);
    /// let create = client.enqueue_edit(1, meter.clone(), create).unwrap();
    /// assert_eq!((create.client_version(), create.base_version()), (0, 0));
    ///
    /// // The create waits, so the update is one version above it, with the same base.
    /// let update = EditContent::Update(r#"{"reading": 45.0}"#);
    /// let update = client.enqueue_edit(2, meter.clone(), update).unwrap();
    /// assert_eq!((update.client_version(), update.base_version()), (1, 0));
    ///
    /// assert!(client.enqueue_edit(3, meter, EditContent::Update("45.0")).is_err());
    /// assert_eq!(client.queue().len(), 2);
    /// ```
    pub fn enqueue_edit(
        &mut self,
        number: u64,
        name: ResourceName,
        content: EditContent<'_>,
    ) -> Result<Edit, InvalidPayload> {
        let waiting = self.waiting_for(&name).count() as u64;
        let first_base = self.waiting_for(&name).next().map(Edit::base_version);
        let copy = self.copies.get(&name).cloned().unwrap_or_default();
        let after_last = copy.used.map_or(0, |used| used + 1);

        let is_create = matches!(content, EditContent::Create(_));
        let client_version = if is_create && !self.options.is_current {
            0
        } else {
            (copy.known + waiting).max(after_last)
        };
        let base_version = first_base.unwrap_or(copy.base);

        // The server accepts an id that it has derived only with the temp id of the create (§3.1).
        let temp_id = copy.temp_id.filter(|_| is_create).map(ResourceId::Temp);
        let address = temp_id.unwrap_or_else(|| name.id.clone());
        let edit = Edit::seal(
            number,
            (name.clone(), &address),
            content,
            (client_version, base_version),
            self.options.sends_base_version,
        )?;

        let used = &mut self.copies.entry(name).or_default().used;
        *used = (*used).max(Some(client_version));
        self.queue.push(edit.clone());
        Ok(edit)
    }
}
