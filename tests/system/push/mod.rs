//! Push, §3 of the protocol.

mod lifecycle;
