//! Every operation of the API: one entry each.

use tidemark_core::protocol::{
    limits::LimitsResponse,
    problem::ProblemCode,
    pull::{PullRequest, PullResponse},
    push::{PushRequest, PushResponse},
};

use super::schemas::{Named, WireType};

/// An operation, as the document tells it.
pub struct Operation {
    /// Method and path, as in `routes.rs`.
    pub route: (&'static str, &'static str),
    /// Its name in generated clients.
    pub id: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// Parameters of the query.
    pub query: &'static [Named],
    /// The body of a request.
    pub request: Option<WireType>,
    /// Samples in `events/`, without `.json`, whose bodies are its examples.
    pub samples: &'static [&'static str],
    /// What a 200 holds.
    pub answered: &'static str,
    /// The body of a 200.
    pub answer: WireType,
    /// How it is refused, beyond what follows from its having a body or a path parameter.
    pub refusals: &'static [ProblemCode],
}

impl Operation {
    /// Every way in which it is refused.
    pub fn refusals(&self) -> Vec<ProblemCode> {
        let of_all = [ProblemCode::Unauthenticated, ProblemCode::Unavailable];
        let of_bodies = [ProblemCode::InvalidRequest, ProblemCode::BodyTooLarge, ProblemCode::UnsupportedMediaType];
        let mut refusals = of_all.to_vec();
        if self.request.is_some() {
            refusals.extend(of_bodies);
        }
        if self.route.1.contains('{') {
            refusals.push(ProblemCode::NotFound);
        }
        let also = self.refusals.iter().filter(|code| !refusals.contains(code)).copied().collect::<Vec<_>>();
        refusals.extend(also);
        refusals
    }
}

/// The operations.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        route: ("POST", "/api/v1/mobile/sync/push"),
        id: "push",
        summary: "Sends a device's queued edits (§3)",
        query: &[],
        request: Some(WireType::of::<PushRequest>()),
        samples: &["push.rest-create", "push.rest-conflict", "push.rest-retry", "push.http-delete"],
        answered: "What became of each item, in their order. Refused items stand here too: a batch is 200 whatever its items are.",
        answer: WireType::of::<PushResponse>(),
        refusals: &[ProblemCode::BatchIdReused],
    },
    Operation {
        route: ("POST", "/api/v1/mobile/sync/pull"),
        id: "pull",
        summary: "Asks what changed since a token (§4)",
        query: &[],
        request: Some(WireType::of::<PullRequest>()),
        samples: &["pull.rest-fresh", "pull.rest-since"],
        answered: "A page of changes, and the token to go on from.",
        answer: WireType::of::<PullResponse>(),
        refusals: &[ProblemCode::InvalidToken],
    },
    Operation {
        route: ("GET", "/api/v1/mobile/sync/limits"),
        id: "limits",
        summary: "Tells the bounds that a client meets (§8)",
        query: &[],
        request: None,
        samples: &[],
        answered: "The bounds, each inclusive.",
        answer: WireType::of::<LimitsResponse>(),
        refusals: &[],
    },
];

/// Routes whose functions are being built. Once one answers anything but that, its entry above is missing, and every test that
/// asks it fails.
pub const NOT_YET: &[(&str, &str)] = &[
    ("POST", "/api/v1/mobile/sync/ack"),
    ("GET", "/api/v1/mobile/devices"),
    ("GET", "/api/v1/mobile/conflicts"),
    ("GET", "/api/v1/mobile/conflicts/{id}"),
    ("POST", "/api/v1/mobile/conflicts/{id}/resolve"),
    ("POST", "/api/v1/mobile/media/presign"),
    ("GET", "/api/v1/mobile/batches/{id}"),
    ("POST", "/api/v1/mobile/batches/{id}/replay"),
    ("GET", "/api/v1/mobile/audit"),
];
