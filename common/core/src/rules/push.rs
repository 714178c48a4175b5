//! Push (§3) as pure functions. [`read`](intake::read) determines the edits of a batch and groups
//! them by resource. [`decide`](decide::decide) determines the results and the writes for one
//! resource: it folds the edits, evaluating each against the resource as the earlier edits left it.
//! An edit that cannot be applied goes to the policy of its type or into a conflict. Loading and
//! committing happen elsewhere.

mod bounds;
pub mod conflict;
pub mod content;
pub mod decide;
pub mod decision;
pub mod edit;
pub mod evaluate;
mod fail;
mod fold;
mod full;
pub mod group;
pub mod intake;
pub mod media;
pub mod order;
pub mod policy;
pub mod references;
pub mod response;
