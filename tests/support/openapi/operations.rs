//! The operations of the API, one table entry for each.

mod conflict_list;
mod parameters;

use tidemark_core::wire::{
    ack::{AckRequest, AckResponse, DevicesResponse},
    audit::AuditList,
    batches::{
        BatchList, BatchResponse, CorrectRequest, ReplayBatchesRequest, ReplayBatchesResponse,
        ReplayRequest, ReplayResponse,
    },
    conflicts::{ConflictEntry, ConflictList, ConflictSummaryResponse},
    limits::LimitsResponse,
    me::MeResponse,
    media::{PresignRequest, PresignResponse},
    problem::ProblemCode,
    pull::{PullRequest, PullResponse},
    push::{PushRequest, PushResponse},
    resolve::{BulkResolveRequest, BulkResolveResponse, ResolveRequest, ResolveResponse},
    status::StatusResponse,
};

use super::wire_type::{ExtraSchema, WireType};
use parameters::{
    BATCH_DEVICE, BATCH_USER, BATCHES_FROM, BATCHES_UNTIL, CHANNEL, CURSOR, DEVICES_SCOPE, FROM,
    LIMIT, ORDER, OUTCOME, USER,
};

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
    /// Returns whether the responses of the operation have an entity tag.
    pub fn is_tagged(&self) -> bool {
        self.route.0 == "GET"
    }

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
        route: ("GET", "/api/v1/mobile/me"),
        id: "me",
        summary: "Returns the identity and the permissions of the caller (§1)",
        query: &[],
        request: RequestBody::None,
        samples: &[],
        answered: "What the token states about the caller.",
        response: WireType::of::<MeResponse>(),
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
        summary: "Lists the conflicts of the tenant, for admins and viewers (§5.1)",
        query: conflict_list::PARAMETERS,
        request: RequestBody::None,
        samples: &[],
        answered: "A page of conflicts, without the edits that joined them. It may have fewer conflicts than `limit`, or none, and a `next_cursor`.",
        response: WireType::of::<ConflictList>(),
        rejections: &[
            ProblemCode::InvalidRequest,
            ProblemCode::InvalidCursor,
            ProblemCode::Forbidden,
        ],
    },
    Operation {
        route: ("GET", "/api/v1/mobile/conflicts/summary"),
        id: "summarizeConflicts",
        summary: "Counts the open conflicts of the tenant, for admins and viewers (§5.1)",
        query: &[],
        request: RequestBody::None,
        samples: &[],
        answered: "The number of open conflicts, in total and by type and code.",
        response: WireType::of::<ConflictSummaryResponse>(),
        rejections: &[ProblemCode::Forbidden],
    },
    Operation {
        route: ("GET", "/api/v1/mobile/conflicts/{id}"),
        id: "readConflict",
        summary: "Returns one conflict, to admins, to viewers and to the user whose edits it contains (§5.1)",
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
            "resolve.http-field-pick",
        ],
        answered: "The outcome; in a dry run, the outcome that the request would have. A repeated resolution returns the first outcome.",
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
        route: ("POST", "/api/v1/mobile/conflicts/resolve"),
        id: "resolveConflicts",
        summary: "Resolves several conflicts in the same way, for admins (§5.2)",
        query: &[],
        request: RequestBody::Required(WireType::of::<BulkResolveRequest>()),
        samples: &["resolve.rest-bulk"],
        answered: "The result of each conflict. The status is 200 even if conflicts are rejected or deferred.",
        response: WireType::of::<BulkResolveResponse>(),
        rejections: &[ProblemCode::Forbidden, ProblemCode::Unprocessable],
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
        route: ("GET", "/api/v1/mobile/batches"),
        id: "listBatches",
        summary: "Lists the batches of the tenant with one outcome, for admins and viewers (§7)",
        query: &[
            OUTCOME,
            BATCH_USER,
            BATCH_DEVICE,
            BATCHES_FROM,
            BATCHES_UNTIL,
            ORDER,
            LIMIT,
            CURSOR,
        ],
        request: RequestBody::None,
        samples: &[],
        answered: "A page of batches, without their items and results.",
        response: WireType::of::<BatchList>(),
        rejections: &[
            ProblemCode::InvalidRequest,
            ProblemCode::InvalidCursor,
            ProblemCode::Forbidden,
        ],
    },
    Operation {
        route: ("POST", "/api/v1/mobile/batches/replay"),
        id: "replayBatches",
        summary: "Replays several batches on behalf of their devices, for admins (§7)",
        query: &[],
        request: RequestBody::Required(WireType::of::<ReplayBatchesRequest>()),
        samples: &["batches.rest-replay-many"],
        answered: "The result of each batch. The status is 200 even if batches are rejected or deferred.",
        response: WireType::of::<ReplayBatchesResponse>(),
        rejections: &[ProblemCode::Forbidden],
    },
    Operation {
        route: ("GET", "/api/v1/mobile/batches/{id}"),
        id: "readBatch",
        summary: "Returns a batch, to the user who pushed it, to admins and to viewers (§7)",
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
        route: ("POST", "/api/v1/mobile/batches/{id}/items/{index}/correct"),
        id: "correctItem",
        summary: "Runs a rejected item of a batch with another payload, for admins (§7)",
        query: &[],
        request: RequestBody::Required(WireType::of::<CorrectRequest>()),
        samples: &["batches.rest-correct"],
        answered: "The result of the item; in a dry run, the result that it would have.",
        response: WireType::of::<ReplayResponse>(),
        rejections: &[
            ProblemCode::Forbidden,
            ProblemCode::Contended,
            ProblemCode::Unprocessable,
        ],
    },
    Operation {
        route: ("GET", "/api/v1/mobile/audit"),
        id: "readAudit",
        summary: "Reads the audit log, for admins and viewers (§7.1)",
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
        summary: "Returns the state of the change log and the number of dead letters, for admins and viewers (§7.2)",
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
