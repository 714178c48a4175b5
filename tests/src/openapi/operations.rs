//! Every operation of the API: one entry each.

use serde_json::json;
use tidemark_core::{
    limits,
    protocol::{
        conflicts::{AuditList, ConflictEntry, ConflictList},
        limits::LimitsResponse,
        problem::ProblemCode,
        pull::{PullRequest, PullResponse},
        push::{PushRequest, PushResponse},
        resolve::{ResolveRequest, ResolveResponse},
    },
};

use super::schemas::{Named, WireType, named};

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

const LIMIT: Named = named(
    "limit",
    "How many entries at most.",
    || json!({"type": "integer", "minimum": 1, "maximum": limits::LIST_MAX, "default": limits::LIST_DEFAULT}),
);
const CURSOR: Named =
    named("cursor", "The `next_cursor` of the page before.", || json!({"type": "string", "maxLength": limits::CURSOR_BYTES_MAX}));

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
    Operation {
        route: ("GET", "/api/v1/mobile/conflicts"),
        id: "listConflicts",
        summary: "Lists the conflicts of one status, in the order they were detected (§5), for admins",
        query: &[
            named("status", "Which of them.", || json!({"type": "string", "enum": ["open", "resolved"], "default": "open"})),
            LIMIT,
            CURSOR,
        ],
        request: None,
        samples: &[],
        answered: "A page of conflicts, without the edits that joined them.",
        answer: WireType::of::<ConflictList>(),
        refusals: &[ProblemCode::Forbidden, ProblemCode::InvalidRequest, ProblemCode::InvalidCursor],
    },
    Operation {
        route: ("GET", "/api/v1/mobile/conflicts/{id}"),
        id: "getConflict",
        summary: "Shows a conflict whole (§5), to admins and the user whose edits stand in it",
        query: &[],
        request: None,
        samples: &[],
        answered: "The conflict.",
        answer: WireType::of::<ConflictEntry>(),
        refusals: &[ProblemCode::Forbidden],
    },
    Operation {
        route: ("POST", "/api/v1/mobile/conflicts/{id}/resolve"),
        id: "resolveConflict",
        summary: "Decides a conflict (§5), for admins",
        query: &[],
        request: Some(WireType::of::<ResolveRequest>()),
        samples: &["resolve.rest-accept-client", "resolve.rest-version-changed", "resolve.http-manual-merge"],
        answered: "The outcome; of a decision that is repeated, that of the first time.",
        answer: WireType::of::<ResolveResponse>(),
        refusals: &[
            ProblemCode::Forbidden,
            ProblemCode::AlreadyResolved,
            ProblemCode::VersionChanged,
            ProblemCode::UniqueViolation,
            ProblemCode::Contended,
            ProblemCode::Unprocessable,
        ],
    },
    Operation {
        route: ("GET", "/api/v1/mobile/audit"),
        id: "listAuditEntries",
        summary: "Reads the audit log (§7), for admins",
        query: &[
            named("order", "What comes first.", || json!({"type": "string", "enum": ["newest", "oldest"], "default": "newest"})),
            LIMIT,
            CURSOR,
        ],
        request: None,
        samples: &[],
        answered: "A page of entries, each whole.",
        answer: WireType::of::<AuditList>(),
        refusals: &[ProblemCode::Forbidden, ProblemCode::InvalidRequest, ProblemCode::InvalidCursor],
    },
];

/// Routes whose functions are being built. Once one answers anything but that, its entry above is missing, and every test that
/// asks it fails.
pub const NOT_YET: &[(&str, &str)] = &[
    ("POST", "/api/v1/mobile/sync/ack"),
    ("GET", "/api/v1/mobile/devices"),
    ("POST", "/api/v1/mobile/media/presign"),
    ("GET", "/api/v1/mobile/batches/{id}"),
    ("POST", "/api/v1/mobile/batches/{id}/replay"),
];
