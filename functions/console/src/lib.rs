//! Console: the pages on which supervisors find blocked work and resolve it (docs/console.md). The
//! pages call the use cases of `common/app` as the signed-in user, and work without scripts.
//!
//! # Map
//!
//! | modules | contents |
//! |---|---|
//! | `pages` | the table of pages, and one module per page: a view (data to markup) and a handler |
//! | `page` | what a page is: its roles, its visit, its reply |
//! | `router` | from a request to the page, the sign-in or an asset |
//! | `elements`, `csv`, `query` | names and times, lists as files, the filters of lists |
//! | `session`, `sign_in`, `cookies` | who the user is |
//! | `address`, `response`, `assets` | addresses relative to the console, headers, files |
//! | `layout`, `text` | the frame of every page, and text of users in it |
//! | `form`, `expired` | the fields of forms, and the page of a form without a session |

mod address;
mod assets;
mod cookies;
mod csv;
mod elements;
mod expired;
mod form;
mod layout;
mod page;
mod pages;
mod query;
mod response;
mod router;
mod session;
mod sign_in;
mod text;

use std::sync::OnceLock;

use lambda_http::{Body, Request, Response};
use tidemark_aws::{Context, dead_letters::DeadLetters, http, media::Media};

pub use assets::{Asset, assets};
pub use form::{FORM_BYTES_MAX, FORM_FIELDS_MAX};
pub use page::{Page, PageReply, Role, Serving, Visit};
pub use pages::PAGES;
pub use session::{PART_BYTES_MAX, PARTS_MAX};

use address::Address;
use page::Buckets;

/// Serves all addresses of the console.
pub async fn handle(
    context: &Context,
    media: &Media,
    dead_letters: &DeadLetters,
    request: Request,
) -> Response<Body> {
    let context = &context.for_invocation();
    let buckets = Buckets {
        media,
        dead_letters,
    };
    let console = &context.settings.console;
    let address = Address::of(&request, console.development.is_some());

    let visitor = OnceLock::new();
    let work = router::respond(context, buckets, &request, &address, &visitor);
    let mut response = http::serve_page(context, "console", &request, work, |problem, id| {
        let retry_after_s = context.random.retry_after_s();
        layout::problem_page(&address, visitor.get(), problem, id, retry_after_s)
    })
    .await;

    response::complete(response.headers_mut(), console);
    response
}
