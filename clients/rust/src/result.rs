//! The effect of a result on the copy and on the token (docs/protocol.md, *The push loop*).

use crate::{Action, Client, Edit, ItemResult, ResourceName, view::apply};

impl Client {
    /// Applies the result of an edit that was applied, now or earlier. If the device lacks versions
    /// before it, its pulls have to deliver them.
    pub(crate) fn apply_ok(&mut self, edit: &Edit, result: &ItemResult) {
        // An absent version counts as 0, which the check below ignores.
        let version = result.server_version.unwrap_or_default();
        let copy = self.copies.entry(edit.name.clone()).or_default();
        if result.server_payload_omitted || version <= copy.base {
            return; // a pull delivers the payload, or the copy contains this version already
        }

        if let Some(payload) = &result.server_payload {
            if version >= copy.known {
                copy.receive(Some(payload.clone()), version);
            }
            return;
        }

        if edit.action() == Action::Delete && self.options.is_current {
            copy.base = version; // a deleted resource has no more content to receive
        } else {
            copy.is_incomplete |= version > copy.known + 1;
        }

        copy.known = copy.known.max(version);
        copy.payload = apply(edit, copy.payload.as_deref());
    }

    /// Applies the result of an edit that conflicts: the server's copy replaces the device's copy
    /// unless the device knows a newer version.
    pub(crate) fn apply_conflict(&mut self, name: &ResourceName, result: &ItemResult) {
        let copy = self.copies.entry(name.clone()).or_default();
        let Some(version) = result.server_version else {
            return; // the resource does not exist: the user's edit remains a draft
        };
        if result.server_payload_omitted || version < copy.known {
            return; // a pull delivers it, or has delivered a newer version
        }

        copy.receive(result.server_payload.clone(), version);
    }

    /// Returns whether the token of a push may be stored. While a copy is incomplete, a receipt for
    /// a later version would prevent pulls from delivering the missing versions.
    pub(crate) fn may_store_push_token(&self) -> bool {
        let is_any_incomplete = || self.copies.values().any(|copy| copy.is_incomplete);
        self.options.stores_push_token && !(self.options.is_current && is_any_incomplete())
    }
}
