//! The tables, buckets and topic of a deployment over HTTP, for functions in other processes. All
//! share one address, as `AWS_ENDPOINT_URL` requires.

mod response;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::Router;
use tidemark::{
    engine::{Engine, http::Hook},
    store::Store,
    topic::Topic,
};
use tokio::net::TcpListener;

use crate::Stack;

use response::response;

#[derive(Clone)]
struct Services {
    engine: Engine,
    store: Store,
    topic: Topic,
    hook: Arc<dyn Hook>,
}

/// Serves the tables, buckets and topic of a deployment to one of its functions. Its calls pass
/// through `hook` and are checked against its permissions.
pub async fn serve(stack: &Stack, function: &str, hook: Arc<dyn Hook>) -> SocketAddr {
    let hook = stack.watched(function, hook);
    let services = Services {
        engine: stack.engine.clone(),
        store: stack.store.clone(),
        topic: stack.topic.clone(),
        hook,
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let router = Router::new().fallback(response).with_state(services);
    tokio::spawn(async move { axum::serve(listener, router).await });
    addr
}
