//! Resolution of one conflict or of several: the admin or the operator sends the request again.

use std::sync::Arc;

use serde_json::{Value, json};
use tidemark::engine::http::Hook;
use tidemark_tests::{
    Stack,
    scenario::{self, meter},
};

use super::{CrashScenario, dies_everywhere, dies_twice};

/// The kind of push that conflicts.
#[derive(Debug, Clone, Copy)]
enum RejectedPush {
    /// An update, and a second one after it, of a meter that another device has updated.
    Update,
    /// A delete of such a meter.
    Delete,
    /// A create whose unique value was held at the time of the push and is free now.
    Create,
}

struct Decision {
    rejected: RejectedPush,
    resolution: Value,
    is_direct: bool,
}

impl CrashScenario for Decision {
    type Facts = String;

    async fn prepare(&self, stack: &Stack) -> String {
        let (office, ana) = (stack.device("office", "pc"), stack.device("ana", "phone"));
        let made = json!([
            meter("create", "m", 0, json!({"code": "A", "reading": 44})),
            meter("create", "holder", 0, json!({"code": "X"}))
        ]);
        office.push(made).await;
        office
            .push_one(meter("update", "m", 1, json!({"reading": 50})))
            .await;

        let rejected = ana.push(match self.rejected {
            RejectedPush::Update => json!([
                meter("update", "m", 1, json!({"reading": 42, "code": "B"})),
                meter("update", "m", 2, json!({"note": "n"}))
            ]),
            RejectedPush::Delete => json!([meter("delete", "m", 1, json!({}))]),
            RejectedPush::Create => json!([meter("create", "n", 0, json!({"code": "X"}))]),
        });
        let rejected = rejected.await;
        assert_eq!(rejected[0]["status"], "conflict", "{rejected:?}");

        assert_eq!(
            office
                .push_one(meter("update", "holder", 1, json!({"code": "Y"})))
                .await["status"],
            "ok"
        );
        rejected[0]["conflict_id"]
            .as_str()
            .expect("an id")
            .to_owned()
    }

    async fn act(&self, stack: &Stack, _: Arc<dyn Hook>, conflict: &String) -> Value {
        let mut decision = self.resolution.clone();
        if !self.is_direct {
            let response = scenario::resolve(stack, &json!(conflict), &decision).await;
            return response.ok();
        }

        for (field, value) in [
            ("conflict_id", conflict.as_str()),
            ("tenant", "acme"),
            ("resolved_by", "ops@example.com"),
        ] {
            decision[field] = value.into();
        }

        let response = stack.invoke("resolve", &decision).await;
        assert_eq!(response["status"], "resolved", "{response}");
        response
    }
}

/// Returns each resolution of each kind of conflict through the API, and of one kind by direct
/// invocation.
fn decisions() -> impl Iterator<Item = Decision> {
    let resolutions = [
        json!({"resolution": "accept_client", "note": "Ana was there"}),
        json!({"resolution": "accept_server"}),
        json!({"resolution": "manual_merge", "payload": {"reading": 42.50, "code": "Z"}}),
    ];

    let picks = json!({"resolution": "field_pick", "expected_server_version": 2,
        "fields": {"reading": "client", "code": {"value": "Z"}, "note": "server"}});
    let picked = [false, true].map(|is_direct| Decision {
        rejected: RejectedPush::Update,
        resolution: picks.clone(),
        is_direct,
    });

    let others = resolutions.into_iter().flat_map(|resolution| {
        let through = [
            (RejectedPush::Update, false),
            (RejectedPush::Delete, false),
            (RejectedPush::Create, false),
            (RejectedPush::Update, true),
        ];
        through.map(|(rejected, is_direct)| Decision {
            rejected,
            resolution: resolution.clone(),
            is_direct,
        })
    });
    others.chain(picked)
}

/// A bulk request about three conflicts, the second of which cannot be resolved.
struct Bulk;

impl CrashScenario for Bulk {
    type Facts = Vec<String>;

    async fn prepare(&self, stack: &Stack) -> Vec<String> {
        let mut ids = Vec::new();
        for id in ["m", "n", "o"] {
            let fields = [
                json!({"code": id, "reading": 44}),
                json!({"reading": 50}),
                json!({"reading": 42}),
            ];
            ids.push(scenario::open_conflict(stack, id, fields).await);
        }
        ids
    }

    async fn act(&self, stack: &Stack, _: Arc<dyn Hook>, ids: &Vec<String>) -> Value {
        let reviewed = ids
            .iter()
            .zip([2, 1, 2])
            .map(|(id, version)| json!({"id": id, "expected_server_version": version}));
        let conflicts: Vec<Value> = reviewed.collect();
        let request = json!({"conflicts": conflicts, "resolution": "accept_client"});
        let admin = scenario::admin(stack);
        let response = stack.post("conflicts/resolve", &admin, &request).await.ok();
        let statuses = [0, 1, 2].map(|index| &response["results"][index]["status"]);
        assert_eq!(statuses, ["resolved", "rejected", "resolved"], "{response}");
        response
    }
}

#[tokio::test(start_paused = true)]
async fn bulk_resolution_survives_crashes() {
    assert!(
        dies_everywhere(&Bulk).await >= 8,
        "two reads of each conflict, and two writes"
    );
}

#[tokio::test(start_paused = true)]
async fn resolution_survives_crashes_via_both_entry_points() {
    for decision in decisions() {
        assert!(
            dies_everywhere(&decision).await >= 3,
            "a resolution makes two reads and a write"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn resolution_survives_two_crashes() {
    for decision in decisions().filter(|decision| matches!(decision.rejected, RejectedPush::Update))
    {
        dies_twice(&decision).await;
    }
}
