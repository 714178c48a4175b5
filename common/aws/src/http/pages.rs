//! Serves requests whose responses are pages for a browser and not JSON: the console.

use lambda_http::{
    Body, Request, RequestExt as _, Response,
    http::{HeaderValue, header},
};
use tidemark_core::{
    model::limits::{RESPONSE_BYTES_MAX, escaped_bytes},
    wire::{
        gzip::GZIP,
        problem::{Problem, ProblemCode},
    },
};

use super::{packed, request_id};
use crate::{
    context::Context,
    deadline::Deadline,
    entry::Unreadable,
    error::Error,
    telemetry::{End, Invocation},
};

/// Serves a request of a browser: runs the work within the deadline of the invocation. If it fails,
/// or its response is larger than [`RESPONSE_BYTES_MAX`], `render` converts the problem and the id of
/// the request to a page.
pub async fn serve_page(
    context: &Context,
    function: &'static str,
    request: &Request,
    work: impl Future<Output = Result<Response<Body>, Error>>,
    render: impl FnOnce(&Problem, &str) -> Response<Body>,
) -> Response<Body> {
    // Boxed, because futures are moved from frame to frame and the stack of a thread is small.
    let work = Box::pin(work);

    let request_id = request_id(request);
    let lambda_context = request.lambda_context_ref();
    let deadline = Deadline::of(lambda_context, &context.clock);
    let invocation = Invocation {
        function,
        request_id: &request_id,
        lambda_request_id: lambda_context.map(|lambda| lambda.request_id.as_str()),
    };

    let respond = async {
        let outcome = match request.extensions().get() {
            Some(Unreadable(problem)) => Err(problem.clone().into()),
            None => deadline.bound(work).await,
        };
        let outcome = outcome.and_then(|response| {
            let sent = compressed(request, response);
            bounded(sent).map_err(Error::from)
        });
        match outcome {
            Ok(response) => (response, End::Done),
            Err(failure) => {
                context.meter.count_failure(&failure);
                let problem = failure.problem();
                let end = End::Rejected(problem.code);
                let page = render(&problem, &request_id);
                (compressed(request, page), end)
            }
        }
    };

    invocation.run(context, respond).await
}

/// Compresses the text of a response with gzip if that is smaller and the browser accepts it.
fn compressed(request: &Request, mut response: Response<Body>) -> Response<Body> {
    let Body::Text(text) = response.body() else {
        return response;
    };
    let packed = packed(request, text);

    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(packed) = packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(GZIP));
        *response.body_mut() = Body::from(packed);
    }
    response
}

/// Returns the response if Lambda can return it.
///
/// # Errors
/// Returns a 422 problem if the response is too large. One that is compressed is not.
fn bounded(response: Response<Body>) -> Result<Response<Body>, Problem> {
    let bytes = match response.body() {
        Body::Text(text) => escaped_bytes(text),
        _ => 0,
    };
    if bytes > RESPONSE_BYTES_MAX {
        let detail = format!(
            "the page would have {bytes} bytes, the limit is {RESPONSE_BYTES_MAX}: use a browser \
             that accepts gzip, or the API"
        );
        return Err(Problem::new(ProblemCode::Unprocessable, detail));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_size_of_page_is_bounded() {
        let status = |quotes: usize| {
            let response = Response::new(Body::from("\"".repeat(quotes)));
            bounded(response).map_or_else(
                |problem| problem.code.status(),
                |page| page.status().as_u16(),
            )
        };
        assert_eq!(status(RESPONSE_BYTES_MAX / 2), 200);
        assert_eq!(status(RESPONSE_BYTES_MAX / 2 + 1), 422);
    }
}
