//! Push (§3) as a pure function: [`read`](intake::read) turns a batch into edits grouped by
//! resource, [`decide`](decide::decide) says for one resource what becomes of its edits and what to
//! write. It folds them: each is judged against the resource as the ones before it left it, and
//! what is not applied goes to the policy of its type, or into a conflict. Loading and committing
//! happen elsewhere.

mod bounds;
pub mod content;
pub mod decide;
pub mod evaluate;
mod fail;
mod fold;
mod full;
pub mod intake;
pub mod media;
pub mod order;
pub mod policy;
pub mod references;
pub mod reject;
mod rejection;
pub mod response;
