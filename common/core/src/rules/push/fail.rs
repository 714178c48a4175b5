//! Items that fail, and their effect on later items (§3.5, §3.7).

use crate::{
    model::{
        edit::Action,
        result::{ItemCode, ItemResult, Rejection},
    },
    rules::push::{edit::Edit, fold::Fold},
};

impl Fold<'_> {
    /// Returns the error result of an update or delete that follows a failed, retryable item of the
    /// batch. The device keeps both in its queue, and their order must be preserved (§3.5). A
    /// create is complete in itself and is never deferred.
    pub(super) fn deferred(&self, edit: &Edit) -> Option<ItemResult> {
        let is_deferred = edit.action != Action::Create && self.carried.failed == Some(true);
        is_deferred.then(|| self.depends(edit, true))
    }

    /// Returns the error result of an update or delete of a resource that does not exist. If an
    /// earlier item failed, that item may be the missing create, and the edit depends on it.
    pub(super) fn not_found(&mut self, edit: &Edit) -> ItemResult {
        match self.carried.failed {
            Some(is_retryable) => self.depends(edit, is_retryable),
            None => self.fail(
                edit,
                Rejection::new(ItemCode::NotFound, "no such resource in this channel"),
                false,
            ),
        }
    }

    fn depends(&self, edit: &Edit, is_retryable: bool) -> ItemResult {
        let error = "an earlier item of this batch on the same resource failed";
        self.reject(
            edit,
            Rejection::new(ItemCode::DependsOnFailedItem, error),
            is_retryable,
        )
    }

    pub(super) fn fail(
        &mut self,
        edit: &Edit,
        rejection: Rejection,
        is_retryable: bool,
    ) -> ItemResult {
        self.note_failure(is_retryable);
        self.reject(edit, rejection, is_retryable)
    }

    /// Records that an item failed. A retryable failure takes precedence over a permanent one.
    pub(super) fn note_failure(&mut self, is_retryable: bool) {
        self.carried.failed = Some(is_retryable || self.carried.failed == Some(true));
    }

    /// Returns an error result with the state of the resource that the device needs to continue.
    fn reject(&self, edit: &Edit, rejection: Rejection, is_retryable: bool) -> ItemResult {
        let states_version = matches!(
            rejection.code,
            ItemCode::NotFound | ItemCode::ResourceDeleted
        );

        let result = rejection.into_result(
            edit.index,
            edit.client_temp_id.clone(),
            Some(self.key.id.clone()),
            is_retryable,
        );

        if !states_version {
            return result;
        }

        let resource = self.resource.as_ref();
        ItemResult {
            server_version: Some(resource.map_or(0, |resource| resource.server_version)),
            server_deleted: resource.is_some_and(|resource| resource.deleted),
            ..result
        }
    }
}
