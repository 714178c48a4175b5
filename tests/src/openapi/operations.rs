//! Every operation of the API: one entry each.

use serde_json::{Value, json};
use tidemark_core::{
    limits,
    protocol::{
        ack::{AckRequest, AckResponse, DevicesResponse},
        batches::{BatchResponse, ReplayRequest, ReplayResponse},
        conflicts::{AuditList, ConflictEntry, ConflictList},
        limits::LimitsResponse,
        media::{PresignRequest, PresignResponse},
        problem::ProblemCode,
        pull::{PullRequest, PullResponse},
        push::{PushRequest, PushResponse},
        resolve::{ResolveRequest, ResolveResponse},
        status::StatusResponse,
    },
};

use super::schemas::{ExtraSchema, WireType, named};

/// An operation, as the document tells it.
pub struct Operation {
    /// Method and path, as in `routes.rs`.
    pub route: (&'static str, &'static str),
    /// Its name in generated clients.
    pub id: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// Parameters of the query.
    pub query: &'static [ExtraSchema],
    /// The body of a request.
    pub request: RequestBody,
    /// Samples in `events/`, without `.json`, whose bodies are its examples.
    pub samples: &'static [&'static str],
    /// What a 200 holds.
    pub answered: &'static str,
    /// The body of a 200.
    pub response: WireType,
    /// How it is refused, beyond what follows from its having a body or a path parameter.
    pub rejections: &'static [ProblemCode],
}

/// The body of a request.
#[derive(Clone, Copy)]
pub enum RequestBody {
    /// There is none, and what is sent is not read.
    None,
    /// It must be there.
    Required(WireType),
    /// It may be left out.
    Optional(WireType),
}

impl RequestBody {
    /// Its type.
    pub const fn wire_type(&self) -> Option<WireType> {
        match *self {
            Self::None => None,
            Self::Required(wire_type) | Self::Optional(wire_type) => Some(wire_type),
        }
    }
}

impl Operation {
    /// Every way in which it is refused.
    pub fn rejections(&self) -> Vec<ProblemCode> {
        let of_all = [ProblemCode::Unauthenticated, ProblemCode::Unavailable];
        let of_bodies = [
            ProblemCode::InvalidRequest,
            ProblemCode::BodyTooLarge,
            ProblemCode::UnsupportedMediaType,
        ];
        let mut rejections = of_all.to_vec();
        if self.request.wire_type().is_some() {
            rejections.extend(of_bodies);
        }
        if self.route.1.contains('{') {
            rejections.push(ProblemCode::NotFound);
        }
        let also = self
            .rejections
            .iter()
            .filter(|code| !rejections.contains(code))
            .copied()
            .collect::<Vec<_>>();
        rejections.extend(also);
        rejections
    }
}

const LIMIT: ExtraSchema = named(
    "limit",
    "Entries in the page at most.",
    || json!({"type": "integer", "minimum": 1, "maximum": limits::LIST_MAX, "default": limits::LIST_DEFAULT}),
);
const CURSOR: ExtraSchema = named(
    "cursor",
    "The `next_cursor` of the page before, of the same list.",
    || json!({"type": "string", "maxLength": limits::CURSOR_BYTES_MAX}),
);
const DEVICES_SCOPE: ExtraSchema = named(
    "scope",
    "The devices of a user, or, for admins, of the whole tenant.",
    || json!({"type": "string", "enum": ["user", "tenant"], "default": "user"}),
);
const CHANNEL: ExtraSchema = named(
    "channel",
    "One channel, whose resources are compared with its log, a page at a time. Left out, all channels that have a log, without that.",
    || json!({"type": "string", "maxLength": limits::NAME_BYTES_MAX + "group/".len()}),
);
const USER: ExtraSchema = named(
    "user",
    "Whose devices; other users' are for admins. Left out, the caller's.",
    name,
);
const STATUS: ExtraSchema = named(
    "status",
    "Which conflicts.",
    || json!({"type": "string", "enum": ["open", "resolved"], "default": "open"}),
);
const ORDER: ExtraSchema = named(
    "order",
    "Which come first.",
    || json!({"type": "string", "enum": ["newest", "oldest"], "default": "newest"}),
);
const FROM: ExtraSchema = named(
    "from",
    "The index of the first item wanted: the `next_item` of the page before.",
    || json!({"type": "integer", "minimum": 0, "maximum": limits::BATCH_ITEMS_MAX - 1, "default": 0}),
);

fn name() -> Value {
    json!({"type": "string", "maxLength": limits::NAME_BYTES_MAX})
}

/// The operations.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        route: ("POST", "/api/v1/mobile/sync/push"),
        id: "push",
        summary: "Sends a device's queued edits (§3)",
        query: &[],
        request: RequestBody::Required(WireType::of::<PushRequest>()),
        samples: &[
            "push.rest-create",
            "push.rest-conflict",
            "push.rest-retry",
            "push.http-delete",
        ],
        answered: "What became of each item, in their order. Refused items stand here too: a batch is 200 whatever its items are.",
        response: WireType::of::<PushResponse>(),
        rejections: &[ProblemCode::BatchIdReused],
    },
    Operation {
        route: ("POST", "/api/v1/mobile/sync/pull"),
        id: "pull",
        summary: "Asks what changed since a token (§4)",
        query: &[],
        request: RequestBody::Required(WireType::of::<PullRequest>()),
        samples: &["pull.rest-fresh", "pull.rest-since"],
        answered: "A page of changes, and the token to go on from.",
        response: WireType::of::<PullResponse>(),
        rejections: &[ProblemCode::InvalidToken],
    },
    Operation {
        route: ("GET", "/api/v1/mobile/sync/limits"),
        id: "limits",
        summary: "Tells the bounds that a client meets (§8)",
        query: &[],
        request: RequestBody::None,
        samples: &[],
        answered: "The bounds, each inclusive.",
        response: WireType::of::<LimitsResponse>(),
        rejections: &[],
    },
    Operation {
        route: ("POST", "/api/v1/mobile/sync/ack"),
        id: "acknowledge",
        summary: "Tells how far a device has applied what it pulled (§4.8)",
        query: &[],
        request: RequestBody::Required(WireType::of::<AckRequest>()),
        samples: &["ack.rest-token"],
        answered: "It is noted. Acknowledgements that come late, twice or out of order move nothing back.",
        response: WireType::of::<AckResponse>(),
        rejections: &[ProblemCode::InvalidToken],
    },
    Operation {
        route: ("GET", "/api/v1/mobile/devices"),
        id: "listDevices",
        summary: "Lists the devices of a user or of the tenant, and how far behind they are (§4.8)",
        query: &[DEVICES_SCOPE, USER, LIMIT, CURSOR],
        request: RequestBody::None,
        samples: &[],
        answered: "Devices that have acknowledged something, by their id; those of the tenant by user.",
        response: WireType::of::<DevicesResponse>(),
        rejections: &[
            ProblemCode::InvalidRequest,
            ProblemCode::InvalidCursor,
            ProblemCode::Forbidden,
        ],
    },
    Operation {
        route: ("GET", "/api/v1/mobile/conflicts"),
        id: "listConflicts",
        summary: "Lists the conflicts of the tenant, for admins (§5.1)",
        query: &[STATUS, LIMIT, CURSOR],
        request: RequestBody::None,
        samples: &[],
        answered: "A page of conflicts, without the edits that joined them.",
        response: WireType::of::<ConflictList>(),
        rejections: &[
            ProblemCode::InvalidRequest,
            ProblemCode::InvalidCursor,
            ProblemCode::Forbidden,
        ],
    },
    Operation {
        route: ("GET", "/api/v1/mobile/conflicts/{id}"),
        id: "readConflict",
        summary: "Shows one conflict, to admins and to the user whose edits stand in it (§5.1)",
        query: &[],
        request: RequestBody::None,
        samples: &[],
        answered: "The conflict, with the edits that joined it.",
        response: WireType::of::<ConflictEntry>(),
        rejections: &[],
    },
    Operation {
        route: ("POST", "/api/v1/mobile/conflicts/{id}/resolve"),
        id: "resolveConflict",
        summary: "Decides a conflict, for admins (§5.2)",
        query: &[],
        request: RequestBody::Required(WireType::of::<ResolveRequest>()),
        samples: &[
            "resolve.rest-accept-client",
            "resolve.rest-version-changed",
            "resolve.http-manual-merge",
        ],
        answered: "The outcome; of a decision that is repeated, the first one.",
        response: WireType::of::<ResolveResponse>(),
        rejections: &[
            ProblemCode::Forbidden,
            ProblemCode::AlreadyResolved,
            ProblemCode::VersionChanged,
            ProblemCode::UniqueViolation,
            ProblemCode::Contended,
            ProblemCode::Unprocessable,
        ],
    },
    Operation {
        route: ("POST", "/api/v1/mobile/media/presign"),
        id: "presign",
        summary: "Asks for an upload URL (§6.1)",
        query: &[],
        request: RequestBody::Required(WireType::of::<PresignRequest>()),
        samples: &["presign.rest-photo", "presign.http-checksum"],
        answered: "Where and how to upload.",
        response: WireType::of::<PresignResponse>(),
        rejections: &[
            ProblemCode::MediaTypeNotAllowed,
            ProblemCode::MediaTooLarge,
            ProblemCode::Unprocessable,
        ],
    },
    Operation {
        route: ("GET", "/api/v1/mobile/batches/{id}"),
        id: "readBatch",
        summary: "Shows a batch, to the user who pushed it and to admins (§7)",
        query: &[FROM],
        request: RequestBody::None,
        samples: &[],
        answered: "The batch as it is kept. Its items come in pages, its results on each of them.",
        response: WireType::of::<BatchResponse>(),
        rejections: &[ProblemCode::InvalidRequest],
    },
    Operation {
        route: ("POST", "/api/v1/mobile/batches/{id}/replay"),
        id: "replayBatch",
        summary: "Runs a batch again on behalf of its device, for admins (§7)",
        query: &[],
        request: RequestBody::Optional(WireType::of::<ReplayRequest>()),
        samples: &["batches.rest-replay", "batches.http-dry-run"],
        answered: "What became of each item, or would.",
        response: WireType::of::<ReplayResponse>(),
        rejections: &[ProblemCode::Forbidden, ProblemCode::Contended],
    },
    Operation {
        route: ("GET", "/api/v1/mobile/audit"),
        id: "readAudit",
        summary: "Reads the audit log, for admins (§7.1)",
        query: &[ORDER, LIMIT, CURSOR],
        request: RequestBody::None,
        samples: &[],
        answered: "A page of entries.",
        response: WireType::of::<AuditList>(),
        rejections: &[
            ProblemCode::InvalidRequest,
            ProblemCode::InvalidCursor,
            ProblemCode::Forbidden,
        ],
    },
    Operation {
        route: ("GET", "/api/v1/mobile/status"),
        id: "readStatus",
        summary: "Tells how the change log stands and how much was put aside, for admins (§7.2)",
        query: &[CHANNEL, LIMIT, CURSOR],
        request: RequestBody::None,
        samples: &[],
        answered: "The logs of the tenant's channels, a page at a time, or one of them compared with its resources.",
        response: WireType::of::<StatusResponse>(),
        rejections: &[
            ProblemCode::InvalidRequest,
            ProblemCode::InvalidCursor,
            ProblemCode::Forbidden,
        ],
    },
];
