//! The payload that an edit produces. It is computed before anything is changed, and checked
//! against the bounds of §2.

use crate::{
    model::{
        catalog::ResourceType,
        json::{
            self, Json,
            tree::{Effect, Patch, Tree},
        },
        result::{ItemCode, Rejection},
    },
    rules::push::{
        bounds::{check_bounds, check_size},
        edit::Edit,
    },
};

/// The payload that a resource has after an edit is applied.
#[derive(Debug)]
pub enum Next<'a> {
    /// The current payload, unchanged.
    Same,
    /// A complete new payload.
    Whole(&'a Json),
    /// The current payload with this patch applied.
    Patched(Patch<'a>, Effect<'a>),
}

impl<'a> Next<'a> {
    /// Returns the effect of the patch of `edit` on `payload`, without applying it.
    pub(super) fn patched(edit: &'a Edit, payload: &mut Tree<'a>) -> Self {
        let patch = Patch::read(&edit.payload);
        let effect = payload.weigh(&patch);
        Self::Patched(patch, effect)
    }

    /// Checks the resulting payload against the bounds of §2 and the fields that the catalog
    /// requires. The nesting depth needs no check: a merge never nests deeper than its inputs.
    pub(super) fn check(
        &self,
        payload: Option<&mut Tree<'a>>,
        rules: &ResourceType,
    ) -> Result<(), Rejection> {
        match (self, payload) {
            (Self::Same, _) | (Self::Patched(..), None) => Ok(()),
            (Self::Whole(payload), _) => check_stored(payload, rules),
            (Self::Patched(patch, effect), Some(payload)) => {
                check_bounds(effect.bytes, effect.fields)?;
                check_required(rules, |name| payload.has_after(patch, name))
            }
        }
    }

    /// Returns the top-level field `name` of the resulting payload, if it is present and may differ
    /// from the current one.
    pub(super) fn changed_field(&self, payload: Option<&mut Tree<'a>>, name: &str) -> Option<Json> {
        match self {
            Self::Same => None,
            Self::Whole(payload) => json::fields(payload)?.shift_remove(name),
            Self::Patched(patch, _) if !patch.names(name) => None,
            Self::Patched(patch, _) => payload?.field_after(patch, name),
        }
    }
}

/// Checks a payload that is stored as it is against the bounds of §2 and the fields that the
/// catalog requires.
pub(crate) fn check_stored(payload: &Json, rules: &ResourceType) -> Result<(), Rejection> {
    let fields = json::fields(payload).ok_or_else(|| {
        Rejection::new(ItemCode::InvalidPayload, "payload: must be a JSON object")
    })?;
    check_size(payload, &fields)?;
    check_required(rules, |name| {
        fields.get(name).is_some_and(|value| value.get() != "null")
    })
}

fn check_required(
    rules: &ResourceType,
    mut is_present: impl FnMut(&str) -> bool,
) -> Result<(), Rejection> {
    match rules.required.iter().find(|name| !is_present(name)) {
        Some(name) => Err(Rejection::new(
            ItemCode::RequiredFieldMissing,
            format!("payload.{name}: required"),
        )),
        None => Ok(()),
    }
}
