//! The operations of the API, one table entry for each.

use serde_json::{Value, json};
use tidemark_core::{
    model::limits,
    wire::{
        ack::{AckRequest, AckResponse, DevicesResponse},
        audit::AuditList,
        batches::{BatchResponse, ReplayRequest, ReplayResponse},
        conflicts::{ConflictEntry, ConflictList},
        limits::LimitsResponse,
        media::{PresignRequest, PresignResponse},
        problem::ProblemCode,
        pull::{PullRequest, PullResponse},
        push::{PushRequest, PushResponse},
        resolve::{ResolveRequest, ResolveResponse},
        status::StatusResponse,
    },
};

use super::wire_type::{ExtraSchema, WireType, named};

/// An operation of the API, as the OpenAPI document describes it.
pub struct Operation {
    /// Method and path, as in `routes.rs`.
    pub route: (&'static str, &'static str),
    /// The operation id, which names the method in generated clients.
    pub id: &'static str,
    /// A summary in one line.
    pub summary: &'static str,
    /// The parameters of the query.
    pub query: &'static [ExtraSchema],
    /// The body of a request.
    pub request: RequestBody,
    /// Samples in `events/`, without `.json`, whose bodies are the examples.
    pub samples: &'static [&'static str],
    /// The description of a response with status 200.
    pub answered: &'static str,
    /// The body of a response with status 200.
    pub response: WireType,
    /// Problem codes beyond the codes that follow from a body or a path parameter.
    pub rejections: &'static [ProblemCode],
}

/// The body of a request, if any.
#[derive(Clone, Copy)]
pub enum RequestBody {
    /// The operation has no body. A body that is sent is not read.
    None,
    /// Each request must have a body.
    Required(WireType),
    /// A request may have a body.
    Optional(WireType),
}

impl RequestBody {
    /// Returns the type of the body, if any.
    pub const fn wire_type(&self) -> Option<WireType> {
        match *self {
            Self::None => None,
            Self::Required(wire_type) | Self::Optional(wire_type) => Some(wire_type),
        }
    }
}

impl Operation {
    /// Returns every problem code of the operation.
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
    "Maximum number of entries in the page.",
    || json!({"type": "integer", "minimum": 1, "maximum": limits::LIST_MAX, "default": limits::LIST_DEFAULT}),
);
const CURSOR: ExtraSchema = named(
    "cursor",
    "The `next_cursor` of the previous page of the same list.",
    || json!({"type": "string", "maxLength": limits::CURSOR_BYTES_MAX}),
);
const DEVICES_SCOPE: ExtraSchema = named(
    "scope",
    "The devices of a user, or, for admins, of the whole tenant.",
    || json!({"type": "string", "enum": ["user", "tenant"], "default": "user"}),
);
const CHANNEL: ExtraSchema = named(
    "channel",
    "A channel whose resources are compared with its change log, one page at a time. If omitted, all channels with a change log are listed without a comparison.",
    || json!({"type": "string", "maxLength": limits::NAME_BYTES_MAX + "group/".len()}),
);
const USER: ExtraSchema = named(
    "user",
    "The user whose devices are listed. Only admins may name another user; the default is the caller.",
    name,
);
const STATUS: ExtraSchema = named(
    "status",
    "The status of the listed conflicts.",
    || json!({"type": "string", "enum": ["open", "resolved"], "default": "open"}),
);
const ORDER: ExtraSchema = named(
    "order",
    "Whether the newest or the oldest entries come first.",
    || json!({"type": "string", "enum": ["newest", "oldest"], "default": "newest"}),
);
const FROM: ExtraSchema = named(
    "from",
    "The index of the first item to return: the `next_item` of the previous page.",
    || json!({"type": "integer", "minimum": 0, "maximum": limits::BATCH_ITEMS_MAX - 1, "default": 0}),
);

fn name() -> Value {
    json!({"type": "string", "maxLength": limits::NAME_BYTES_MAX})
}

/// All operations of the API.
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
        answered: "The result of each item, in the order of the request. The status is 200 even if items are rejected.",
        response: WireType::of::<PushResponse>(),
        rejections: &[ProblemCode::BatchIdReused],
    },
    Operation {
        route: ("POST", "/api/v1/mobile/sync/pull"),
        id: "pull",
        summary: "Returns the changes since a sync token (§4)",
        query: &[],
        request: RequestBody::Required(WireType::of::<PullRequest>()),
        samples: &["pull.rest-fresh", "pull.rest-since"],
        answered: "A page of changes, and the token for the next pull.",
        response: WireType::of::<PullResponse>(),
        rejections: &[ProblemCode::InvalidToken],
    },
    Operation {
        route: ("GET", "/api/v1/mobile/sync/limits"),
        id: "limits",
        summary: "Returns the limits that apply to a client (§8)",
        query: &[],
        request: RequestBody::None,
        samples: &[],
        answered: "The limits, each inclusive.",
        response: WireType::of::<LimitsResponse>(),
        rejections: &[],
    },
    Operation {
        route: ("POST", "/api/v1/mobile/sync/ack"),
        id: "acknowledge",
        summary: "Acknowledges how far a device has applied the changes that it pulled (§4.8)",
        query: &[],
        request: RequestBody::Required(WireType::of::<AckRequest>()),
        samples: &["ack.rest-token"],
        answered: "The acknowledgement is stored. Late, repeated or reordered acknowledgements move no position back.",
        response: WireType::of::<AckResponse>(),
        rejections: &[ProblemCode::InvalidToken],
    },
    Operation {
        route: ("GET", "/api/v1/mobile/devices"),
        id: "listDevices",
        summary: "Lists the devices of a user or of the tenant, and how far they lag (§4.8)",
        query: &[DEVICES_SCOPE, USER, LIMIT, CURSOR],
        request: RequestBody::None,
        samples: &[],
        answered: "A page of the devices that have acknowledged something, in the order of their ids, or of their users in a list of the tenant.",
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
        summary: "Returns one conflict, to admins and to the user whose edits it contains (§5.1)",
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
        summary: "Resolves a conflict, for admins (§5.2)",
        query: &[],
        request: RequestBody::Required(WireType::of::<ResolveRequest>()),
        samples: &[
            "resolve.rest-accept-client",
            "resolve.rest-version-changed",
            "resolve.http-manual-merge",
        ],
        answered: "The outcome. A repeated resolution returns the first outcome.",
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
        summary: "Returns an upload URL (§6.1)",
        query: &[],
        request: RequestBody::Required(WireType::of::<PresignRequest>()),
        samples: &["presign.rest-photo", "presign.http-checksum"],
        answered: "The upload URL, and the headers that the upload must send.",
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
        summary: "Returns a batch, to the user who pushed it and to admins (§7)",
        query: &[FROM],
        request: RequestBody::None,
        samples: &[],
        answered: "The stored batch. Its items are paginated; each page contains all results.",
        response: WireType::of::<BatchResponse>(),
        rejections: &[ProblemCode::InvalidRequest],
    },
    Operation {
        route: ("POST", "/api/v1/mobile/batches/{id}/replay"),
        id: "replayBatch",
        summary: "Replays a batch on behalf of its device, for admins (§7)",
        query: &[],
        request: RequestBody::Optional(WireType::of::<ReplayRequest>()),
        samples: &["batches.rest-replay", "batches.http-dry-run"],
        answered: "The result of each item; in a dry run, the result that it would have.",
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
        summary: "Returns the state of the change log and the number of dead letters, for admins (§7.2)",
        query: &[CHANNEL, LIMIT, CURSOR],
        request: RequestBody::None,
        samples: &[],
        answered: "A page of the change logs of the tenant's channels, or one log compared with its resources.",
        response: WireType::of::<StatusResponse>(),
        rejections: &[
            ProblemCode::InvalidRequest,
            ProblemCode::InvalidCursor,
            ProblemCode::Forbidden,
        ],
    },
];
