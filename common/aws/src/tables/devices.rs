//! `devices`: being built.

use super::Table;

/// The table.
#[derive(Debug, Clone)]
pub struct Devices(#[expect(dead_code, reason = "being built")] pub(super) Table);
