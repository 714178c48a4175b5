//! Sends odd events to the binaries: one process of each function responds to all of them and
//! survives.

use std::{collections::BTreeMap, sync::Arc};

use tidemark::{engine::http::NoHook, gateway::ApiKind};
use tidemark_core::wire::routes::ROUTES;
use tidemark_tests::{Stack, lambda::response};

use super::start;
use crate::http::odd_events::{assert_readable, odd, plain};

#[tokio::test]
async fn one_process_survives_every_odd_event() {
    let functions: BTreeMap<_, _> = ROUTES.iter().map(|route| (route.function, route)).collect();
    for (function, route) in functions {
        for api in [ApiKind::Rest, ApiKind::Http] {
            let stack = Stack::new().today().behind(api);
            // Events with a valid token are tested within the test process, which is faster.
            let event = plain(&stack, route, "none");
            let mut lambda = start(&stack, function, Arc::new(NoHook)).await;
            lambda.idle().await;
            let process = lambda.id();

            for (what, event) in odd(&event) {
                let text = lambda.ask(&event.to_string()).await;
                assert_readable(&response(&text), &format!("{function} {api:?}: {what}"));
            }
            assert_eq!(lambda.id(), process, "{function}");
        }
    }
}
