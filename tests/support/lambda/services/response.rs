//! Responds to the requests of functions in other processes.

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, Response, header},
};
use tidemark::{
    engine::{
        Reply,
        http::{Call, CallFate},
    },
    store::client::target,
};

use super::Services;

pub(super) async fn response(State(services): State<Services>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let text = |name: &str| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };

    if let Some(operation) = text("x-amz-target")
        .rsplit('.')
        .next()
        .filter(|operation| !operation.is_empty())
    {
        let call = Call {
            operation,
            body: &body,
        };
        return through(&services, &call, async {
            plain(services.engine.call(operation, &body))
        })
        .await;
    }

    if text(header::CONTENT_TYPE.as_str()).starts_with("application/x-www-form-urlencoded") {
        let call = Call {
            operation: "Publish",
            body: &body,
        };
        return through(&services, &call, async {
            plain(services.topic.take(&body))
        })
        .await;
    }

    let operation = match parts.method {
        Method::HEAD => "HeadObject",
        Method::GET
            if parts
                .uri
                .query()
                .is_some_and(|query| query.contains("list-type=2")) =>
        {
            "ListObjectsV2"
        }
        Method::GET => "GetObject",
        Method::PUT => "PutObject",
        _ => panic!(
            "a call that no function makes: {} {}",
            parts.method, parts.uri
        ),
    };

    let path = target(&parts.uri);
    let call = Call {
        operation,
        body: path.as_bytes(),
    };
    let request = Request::from_parts(parts, body.to_vec());
    through(&services, &call, services.store.exchange(request)).await
}

/// Performs a call, with the hook before and after it.
async fn through(
    services: &Services,
    call: &Call<'_>,
    work: impl Future<Output = Response<Vec<u8>>>,
) -> Response<Body> {
    let forged = match evaluate(services.hook.before(call).await).await {
        Some(forged) => forged,
        None => {
            let response = work.await;
            let reply = Reply {
                status: response.status().as_u16(),
                body: response.body().clone(),
            };
            match evaluate(services.hook.after(call, &reply).await).await {
                Some(forged) => forged,
                None => return response.map(Body::from),
            }
        }
    };

    plain(forged).map(Body::from)
}

/// Returns the reply that replaces the response, if the hook decides so.
async fn evaluate(fate: CallFate) -> Option<Reply> {
    match fate {
        CallFate::Continue => None,
        CallFate::Reply(reply) => Some(reply),
        CallFate::Hang => std::future::pending().await,
        CallFate::Lose => panic!("a lost connection is not supported here"),
    }
}

fn plain(reply: Reply) -> Response<Vec<u8>> {
    let mut response = Response::new(reply.body);
    *response.status_mut() = reply.status.try_into().unwrap();
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        "application/x-amz-json-1.0".parse().unwrap(),
    );
    response
}
