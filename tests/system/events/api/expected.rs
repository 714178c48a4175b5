//! The expected response to each sample of a request, and the state before it.

/// The expected response to a sample, and the state before it.
pub(in crate::events) struct ApiExpectation {
    pub(in crate::events) sample: &'static str,
    pub(super) before: Before,
    pub(super) status: u16,
    /// JSON pointers into the body (RFC 6901), each with the expected JSON.
    pub(super) fields: &'static [(&'static str, &'static str)],
}

/// The state of the deployment before a sample arrives.
pub(super) enum Before {
    Nothing,
    /// The meter `m-123` is at version 7, last written by another user.
    MeterAtVersion7,
    /// The same, and the device has pulled six of the versions: `${SINCE_TOKEN}` is its token.
    SixVersionsPulled,
    /// The same, and the device has acknowledged the six versions.
    SixVersionsAcknowledged,
    /// The same meter, and a batch of the device that was pushed before it: `${BATCH_ID}` is its
    /// id. The caller is an admin.
    BatchPushedTooEarly,
}

pub(in crate::events) const EXPECTED: &[ApiExpectation] = &[
    ApiExpectation {
        sample: "push.rest-create",
        before: Before::Nothing,
        status: 200,
        fields: BOTH_CREATED,
    },
    ApiExpectation {
        sample: "push.rest-base64",
        before: Before::Nothing,
        status: 200,
        fields: BOTH_CREATED,
    },
    ApiExpectation {
        sample: "push.rest-gzip",
        before: Before::Nothing,
        status: 200,
        fields: BOTH_CREATED,
    },
    ApiExpectation {
        sample: "push.rest-gzip-decompressed",
        before: Before::Nothing,
        status: 200,
        fields: BOTH_CREATED,
    },
    ApiExpectation {
        sample: "push.http-create",
        before: Before::Nothing,
        status: 200,
        fields: BOTH_CREATED,
    },
    ApiExpectation {
        sample: "push.rest-conflict",
        before: Before::MeterAtVersion7,
        status: 200,
        fields: &[
            ("/results/0/status", r#""conflict""#),
            ("/results/0/server_id", r#""m-123""#),
            (
                "/results/0/error",
                r#""Version mismatch: server_version=7, client_version=5""#,
            ),
            (
                "/results/0/server_payload",
                r#"{"reading":50,"last_updated_by":"sys"}"#,
            ),
        ],
    },
    ApiExpectation {
        sample: "push.rest-retry",
        before: Before::Nothing,
        status: 200,
        fields: &[
            ("/results/0/status", r#""ok""#),
            ("/results/0/server_version", "1"),
            ("/results/1/status", r#""ok""#),
            ("/results/1/server_version", "2"),
        ],
    },
    ApiExpectation {
        sample: "push.rest-bad-items",
        before: Before::Nothing,
        status: 200,
        fields: &[
            ("/results/0/status", r#""ok""#),
            ("/results/1/code", r#""unknown_type""#),
            ("/results/2/code", r#""invalid_item""#),
            ("/results/3/status", r#""ok""#),
        ],
    },
    ApiExpectation {
        sample: "push.rest-no-token",
        before: Before::Nothing,
        status: 401,
        fields: &[
            ("/code", r#""unauthenticated""#),
            ("/request_id", r#""b9d1f0a3-6c1e-4f3b-9c64-1f7f2b0e6d15""#),
        ],
    },
    ApiExpectation {
        sample: "push.http-delete",
        before: Before::MeterAtVersion7,
        status: 200,
        fields: &[
            ("/results/0/status", r#""ok""#),
            ("/results/0/server_version", "8"),
        ],
    },
    ApiExpectation {
        sample: "push.http-cut-body",
        before: Before::Nothing,
        status: 400,
        fields: &[
            ("/code", r#""invalid_request""#),
            ("/path", r#""items[0]""#),
            ("/request_id", r#""WFhQ3jkGliAEL6g=""#),
        ],
    },
    ApiExpectation {
        sample: "pull.rest-fresh",
        before: Before::MeterAtVersion7,
        status: 200,
        fields: SNAPSHOT,
    },
    ApiExpectation {
        sample: "pull.http-fresh",
        before: Before::MeterAtVersion7,
        status: 200,
        fields: SNAPSHOT,
    },
    ApiExpectation {
        sample: "pull.rest-since",
        before: Before::SixVersionsPulled,
        status: 200,
        fields: SEVENTH_VERSION,
    },
    ApiExpectation {
        sample: "pull.http-since",
        before: Before::SixVersionsPulled,
        status: 200,
        fields: SEVENTH_VERSION,
    },
    ApiExpectation {
        sample: "pull.rest-invalid-token",
        before: Before::Nothing,
        status: 400,
        fields: &[("/code", r#""invalid_token""#), ("/status", "400")],
    },
    ApiExpectation {
        sample: "presign.rest-photo",
        before: Before::Nothing,
        status: 200,
        fields: &[
            ("/method", r#""PUT""#),
            (
                "/headers",
                r#"{"content-length":"48213","content-type":"image/jpeg"}"#,
            ),
        ],
    },
    ApiExpectation {
        sample: "presign.http-checksum",
        before: Before::Nothing,
        status: 200,
        fields: &[(
            "/headers/x-amz-checksum-sha256",
            r#""n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=""#,
        )],
    },
    ApiExpectation {
        sample: "presign.rest-wrong-type",
        before: Before::Nothing,
        status: 422,
        fields: &[
            ("/code", r#""media_type_not_allowed""#),
            ("/path", r#""content_type""#),
        ],
    },
    ApiExpectation {
        sample: "ack.rest-token",
        before: Before::SixVersionsPulled,
        status: 200,
        fields: ACKNOWLEDGED,
    },
    ApiExpectation {
        sample: "ack.http-token",
        before: Before::SixVersionsPulled,
        status: 200,
        fields: ACKNOWLEDGED,
    },
    ApiExpectation {
        sample: "ack.rest-damaged-token",
        before: Before::Nothing,
        status: 400,
        fields: &[("/code", r#""invalid_token""#), ("/path", r#""ack_token""#)],
    },
    ApiExpectation {
        sample: "admin.rest-devices",
        before: Before::SixVersionsAcknowledged,
        status: 200,
        fields: ONE_DEVICE,
    },
    ApiExpectation {
        sample: "admin.http-devices",
        before: Before::SixVersionsAcknowledged,
        status: 200,
        fields: ONE_DEVICE,
    },
    ApiExpectation {
        sample: "batches.rest-batch",
        before: Before::BatchPushedTooEarly,
        status: 200,
        fields: &[
            ("/user", r#""ana""#),
            ("/device_id", r#""device-uuid-123""#),
            ("/items/0/payload", r#"{"id":"m-123","reading":42.0}"#),
            ("/results/0/code", r#""not_found""#),
            ("/results/1/status", r#""ok""#),
            ("/delivered", "false"),
        ],
    },
    ApiExpectation {
        sample: "batches.http-batch",
        before: Before::BatchPushedTooEarly,
        status: 200,
        fields: &[
            ("/items/0/payload/id", r#""m-124""#),
            ("/items/1", "null"),
            ("/results/0/code", r#""not_found""#),
        ],
    },
    ApiExpectation {
        sample: "batches.rest-unknown",
        before: Before::Nothing,
        status: 404,
        fields: &[("/code", r#""not_found""#)],
    },
    ApiExpectation {
        sample: "batches.rest-replay",
        before: Before::BatchPushedTooEarly,
        status: 200,
        fields: REPLAYED,
    },
    ApiExpectation {
        sample: "batches.http-dry-run",
        before: Before::BatchPushedTooEarly,
        status: 200,
        fields: REPLAYED,
    },
    ApiExpectation {
        sample: "batches.rest-replay-many",
        before: Before::BatchPushedTooEarly,
        status: 200,
        fields: &[
            ("/dry_run", "false"),
            ("/results/0/status", r#""replayed""#),
            ("/results/0/items/1/status", r#""ok""#),
        ],
    },
    ApiExpectation {
        sample: "batches.rest-correct",
        before: Before::BatchPushedTooEarly,
        status: 200,
        fields: &[
            ("/dry_run", "false"),
            ("/results/0/status", r#""ok""#),
            ("/results/0/server_version", "8"),
            ("/results/0/corrected", "true"),
        ],
    },
    ApiExpectation {
        sample: "pull.rest-limits",
        before: Before::Nothing,
        status: 200,
        fields: LIMITS,
    },
    ApiExpectation {
        sample: "pull.http-limits",
        before: Before::Nothing,
        status: 200,
        fields: LIMITS,
    },
];

const ACKNOWLEDGED: &[(&str, &str)] = &[
    ("/device_id", r#""device-uuid-123""#),
    ("/channels", r#"["tenant","user/ana"]"#),
];

const ONE_DEVICE: &[(&str, &str)] = &[
    ("/devices/0/device_id", r#""device-uuid-123""#),
    ("/devices/0/channels/0/channel", r#""tenant""#),
    ("/devices/0/channels/0/caught_up", "false"),
    ("/devices/0/channels/1/lag_seconds", "0"),
    ("/devices/1", "null"),
];

const REPLAYED: &[(&str, &str)] = &[
    ("/results/0/status", r#""conflict""#),
    ("/results/0/server_version", "7"),
    ("/results/1/status", r#""ok""#),
    ("/results/1/server_version", "1"),
];

const BOTH_CREATED: &[(&str, &str)] = &[
    (
        "/results/0/client_temp_id",
        r#""5f0c7c1e-8a4d-4a57-9f0e-2b6d1c3e4f01""#,
    ),
    ("/results/0/status", r#""ok""#),
    (
        "/results/1/client_temp_id",
        r#""8d2b6f34-1c7e-4b0a-a3d9-6e5f7a8b9c02""#,
    ),
    ("/results/1/status", r#""ok""#),
    ("/results/1/server_version", "1"),
];

const LIMITS: &[(&str, &str)] = &[
    ("/batch_items_max", "50"),
    ("/body_bytes_max", "3145728"),
    ("/retention/log_days", "30"),
];

const SNAPSHOT: &[(&str, &str)] = &[
    ("/changes/0/id", r#""m-123""#),
    ("/changes/0/action", r#""create""#),
    ("/changes/0/server_version", "7"),
    ("/has_more", "false"),
];

const SEVENTH_VERSION: &[(&str, &str)] = &[
    ("/changes/0/id", r#""m-123""#),
    ("/changes/0/action", r#""update""#),
    ("/changes/0/server_version", "7"),
    (
        "/changes/0/payload",
        r#"{"reading":50,"last_updated_by":"sys"}"#,
    ),
    ("/changes/1", "null"),
    ("/has_more", "false"),
];
