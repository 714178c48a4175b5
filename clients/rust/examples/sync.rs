//! A device that syncs once with a Tidemark at a URL: creates a meter, pushes, pulls, acknowledges
//! and prints what it holds.
//!
//! ```sh
//! cargo run    # in another terminal
//! cargo run -p tidemark-client --example sync -- http://127.0.0.1:9080 \
//!   "$(cargo run -q -- token --tenant acme --user ana)"
//! ```
//!
//! A real device stores the client after each call that changes it, and pushes again when its user
//! makes edits. A test of the local runner executes [`sync`], so that this file stays correct.
#![expect(clippy::print_stdout, reason = "the program prints its result")]

use std::{error::Error, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use tidemark_client::{BatchBounds, Client, EditContent, ResourceName};
use tokio::time::sleep;

/// Number of times that a request is sent before the program gives up.
const ATTEMPTS_MAX: u32 = 5;
/// Maximum number of changes in a page.
const PAGE_CHANGES: usize = 100;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(jwt)) = (arguments.next(), arguments.next()) else {
        return Err("usage: sync URL TOKEN".into());
    };

    print(&sync(&url, &jwt).await?);
    Ok(())
}

/// Creates a meter on a new device and syncs. Returns the state of the device.
pub async fn sync(url: &str, jwt: &str) -> Result<Client, Failure> {
    let api = Api::new(url, jwt);
    let mut client = Client::new(random_id());

    let meter = ResourceName::temp("tenant", "meter", random_id());
    client.enqueue_edit(1, meter, EditContent::Create(r#"{"reading": 44.0}"#))?;

    push(&api, &mut client).await?;
    pull(&api, &mut client).await?;
    Ok(client)
}

/// Sends the queue in batches until no edit waits.
async fn push(api: &Api, client: &mut Client) -> Result<(), Failure> {
    while client
        .next_batch(&BatchBounds::default(), &random_id())
        .is_some()
    {
        let request = client.push_request().unwrap_or_default();
        let response = api.post("sync/push", &request).await?;
        let report = client.apply_push_response(&serde_json::from_slice(&response)?)?;

        if report.is_any_retryable() {
            sleep(Duration::from_secs(1)).await;
        }
    }
    Ok(())
}

/// Pulls all pages, and acknowledges them.
async fn pull(api: &Api, client: &mut Client) -> Result<(), Failure> {
    loop {
        let response = api
            .post("sync/pull", &client.pull_request(PAGE_CHANGES))
            .await?;
        let report = client.apply_page(serde_json::from_slice(&response)?);

        if !report.has_more {
            break;
        }
        if report.stored_changes == 0 {
            sleep(Duration::from_millis(200)).await;
        }
    }

    // The next acknowledgement includes one that is lost.
    if let Some(request) = client.ack_request()
        && let Err(error) = api.post("sync/ack", &request).await
    {
        println!("the acknowledgement failed: {error}");
    }
    Ok(())
}

/// Prints the resources that a device holds.
pub fn print(client: &Client) {
    for (name, copy) in client.copies() {
        if let Some(payload) = &copy.payload {
            let id = name.id.as_str();
            println!(
                "{} {id}, version {}: {payload}",
                name.resource_type, copy.known
            );
        }
    }
    println!("{} edits wait", client.waiting().count());
}

/// The API of a Tidemark, with the JWT of a user.
struct Api {
    http: legacy::Client<HttpConnector, Full<Bytes>>,
    url: String,
    jwt: String,
}

impl Api {
    fn new(url: &str, jwt: &str) -> Self {
        Self {
            http: legacy::Client::builder(TokioExecutor::new()).build_http(),
            url: url.trim_end_matches('/').to_owned(),
            jwt: jwt.to_owned(),
        }
    }

    /// Posts a body and returns the body of the response. Sends the same request again if no
    /// response arrives or the service is unavailable.
    async fn post(&self, route: &str, body: &str) -> Result<Bytes, Failure> {
        let mut attempt = 1;
        loop {
            let failure = match self.post_once(route, body).await {
                Ok((StatusCode::OK, body)) => return Ok(body),
                Ok((StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE, body)) => {
                    String::from_utf8_lossy(&body).into_owned().into()
                }
                // A 401 requires a new JWT. Any other status is a defect of the client.
                Ok((status, body)) => {
                    let problem = String::from_utf8_lossy(&body);
                    return Err(format!("{route} was rejected with {status}: {problem}").into());
                }
                Err(failure) => failure,
            };

            if attempt == ATTEMPTS_MAX {
                return Err(failure);
            }
            sleep(Duration::from_millis(200 << attempt)).await;
            attempt += 1;
        }
    }

    async fn post_once(&self, route: &str, body: &str) -> Result<(StatusCode, Bytes), Failure> {
        let request = Request::post(format!("{}/api/v1/mobile/{route}", self.url))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.jwt))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(body.to_owned()))?;

        let response = self.http.request(request).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}

/// Returns a random id. An application uses a UUID.
fn random_id() -> String {
    format!("{:032x}", fastrand::u128(..))
}
