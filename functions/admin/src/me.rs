//! Serves `GET /me`: the identity and the permissions of the caller. It reads only the token.

use tidemark_core::{model::principal::Principal, wire::me::MeResponse};

pub(crate) fn get(principal: &Principal) -> MeResponse {
    MeResponse::from(principal.clone())
}
