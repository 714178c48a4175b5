//! The items of a batch about one resource, and what their decided part means for the rest.

use crate::{
    model::{
        edit::Action,
        resource::ResourceKey,
        result::{ItemCode, ItemResult, Rejection},
    },
    rules::push::edit::Edit,
};

/// An item of a group.
#[derive(Debug, Clone)]
pub enum Item {
    /// A valid edit that has to be decided.
    Edit(Edit),
    /// An invalid item with its error result. Later items on its resource depend on it.
    Rejected(ItemResult),
}

/// The items of a batch about one resource, in batch order.
#[derive(Debug, Clone)]
pub struct Group {
    /// The resource that the items are about.
    pub key: ResourceKey,
    /// The items of the group, at least one.
    pub items: Vec<Item>,
    /// The state that earlier items of the resource left, if they were decided in an earlier round
    /// (§3.9).
    pub carried: CarriedState,
}

/// The effect of the items of a group that were already decided on the remaining items.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CarriedState {
    /// The conflict of an item that was made on an older version. Later items were made on the same
    /// copy (§3.5).
    pub batch_conflict: Option<BatchConflict>,
    /// `Some` if an item failed with an error: whether a failed item may succeed when it is sent
    /// again.
    pub failed: Option<bool>,
    /// The number of edits of the batch that the row's deduplication window contains.
    pub recorded: usize,
}

/// A conflict that contains an item of the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchConflict {
    /// The id of the conflict.
    pub id: String,
    /// The `base_version` of the first item in the conflict, as sent.
    pub base_version: Option<u64>,
}

impl Item {
    /// Returns the item that results from parsing an `edit` of the resource `key`. The result of a
    /// rejected item names the resource unless its id is invalid.
    pub(super) fn new(
        edit: Result<Edit, Rejection>,
        index: usize,
        temp_id: Option<String>,
        key: &ResourceKey,
    ) -> Self {
        match edit {
            Ok(edit) => Self::Edit(edit),
            Err(rejection) => {
                let server_id =
                    Some(key.id.clone()).filter(|_| rejection.code != ItemCode::InvalidId);
                Self::Rejected(rejection.into_result(index, temp_id, server_id, false))
            }
        }
    }

    /// Returns the index of the item in the batch.
    pub fn index(&self) -> usize {
        match self {
            Self::Edit(edit) => edit.index,
            Self::Rejected(result) => result.index,
        }
    }
}

impl Group {
    /// Returns whether the group begins with a create. In that case there is no row yet, unless the
    /// create is a retry.
    pub fn begins_with_create(&self) -> bool {
        matches!(
            self.items.first(),
            Some(Item::Edit(Edit {
                action: Action::Create,
                ..
            }))
        )
    }

    /// Returns the indexes of the group's items in the batch.
    pub fn indexes(&self) -> impl Iterator<Item = usize> {
        self.items.iter().map(Item::index)
    }

    /// Returns the edits of the group, without the items that were rejected as invalid.
    pub fn edits(&self) -> impl Iterator<Item = &Edit> {
        self.items.iter().filter_map(|item| {
            if let Item::Edit(edit) = item {
                Some(edit)
            } else {
                None
            }
        })
    }

    /// Returns results that reject every edit of the group as retryable: the items may succeed when
    /// they are sent again unchanged.
    pub fn rejected_for_now(&self, rejection: Rejection) -> impl Iterator<Item = ItemResult> {
        self.items.iter().map(move |item| match item {
            Item::Edit(edit) => rejection.clone().into_result(
                edit.index,
                edit.client_temp_id.clone(),
                Some(self.key.id.clone()),
                true,
            ),
            Item::Rejected(result) => result.clone(),
        })
    }
}
