//! The page of one item of a batch: what the device sent, its result, and the correction of a
//! rejected item.

use lambda_http::http::StatusCode;
use maud::{Markup, html};
use tidemark_app::{batches, replay};
use tidemark_aws::Error;
use tidemark_core::{
    model::{json::Json, limits::BATCH_ITEMS_MAX, result::Status},
    wire::{
        batches::{BatchResponse, ReplayResponse},
        problem::Problem,
        push::ItemResultBody,
    },
};

use crate::{
    elements::{none, segment},
    page::{PageReply, Serving, Visit},
    text::{long, visible},
};

use super::{
    form::{self, CorrectionForm},
    result, short_id,
};

/// The maximum number of characters of the item that the page shows.
const ITEM_CHARS_MAX: usize = 100_000;

/// An item of a batch.
struct ShownItem {
    index: usize,
    /// The item as received; `None` if it is too large.
    item: Option<Json>,
    result: Option<ItemResultBody>,
}

/// The links of the page.
struct ItemLinks {
    batch: String,
    conflicts: String,
    /// The target of the form that corrects the item.
    correct: String,
}

/// The form of the page, with what the last attempt resulted in.
#[derive(Default)]
struct Correction {
    form: CorrectionForm,
    problem: Option<Problem>,
    /// The result of a dry run.
    dry_run: Option<ItemResultBody>,
}

pub(crate) fn serve<'a>(visit: &'a Visit<'a>) -> Serving<'a> {
    Box::pin(async move {
        let item = load(visit).await?;
        let correction = item.correction(visit);
        Ok(PageReply::View {
            title: title(visit, &item),
            content: view(&item, correction.as_ref(), &ItemLinks::of(visit, &item)),
        })
    })
}

/// Corrects the item, and returns to its page. A dry run and an invalid correction show the form
/// again, with what the user entered.
pub(crate) fn serve_correction<'a>(visit: &'a Visit<'a>) -> Serving<'a> {
    Box::pin(async move {
        let item = load(visit).await?;
        // Only the button of the correction sends "no": without a button nothing is written.
        let dry_run = visit.fields("dry_run").next() != Some("no");
        let form = CorrectionForm::sent(visit);

        let corrected = correct(visit, item.index, &form, dry_run).await;
        let (status, correction) = match corrected {
            Ok(_) if !dry_run => return Ok(PageReply::SeeOther(path(visit, item.index))),
            Ok(response) => (
                StatusCode::OK,
                Correction {
                    form,
                    problem: None,
                    dry_run: response.results.into_iter().next(),
                },
            ),
            Err(Error::Rejected(problem)) if is_of_form(&problem) => (
                StatusCode::from_u16(problem.code.status()).unwrap_or_default(),
                Correction {
                    form,
                    problem: Some(problem),
                    dry_run: None,
                },
            ),
            Err(failure) => return Err(failure),
        };

        let (title, links) = (title(visit, &item), ItemLinks::of(visit, &item));
        let content = view(&item, Some(&correction), &links);
        Ok(match status {
            StatusCode::OK => PageReply::View { title, content },
            status => PageReply::Rejected {
                status,
                title,
                content,
            },
        })
    })
}

async fn correct(
    visit: &Visit<'_>,
    index: usize,
    form: &CorrectionForm,
    dry_run: bool,
) -> Result<ReplayResponse, Error> {
    let (context, admin) = (visit.context, visit.principal);
    let (media, id) = (visit.buckets.media, visit.parameter("id"));
    let request = form.request(dry_run)?;
    replay::correct(context, media, admin, id, index, request).await
}

/// Returns whether the user can avoid a problem with other entries in the form.
fn is_of_form(problem: &Problem) -> bool {
    matches!(problem.code.status(), 400 | 422)
}

async fn load(visit: &Visit<'_>) -> Result<ShownItem, Error> {
    let index = visit.parameter("index").parse().ok();
    let index = index.filter(|index| *index < BATCH_ITEMS_MAX);
    let index = index.ok_or_else(Problem::not_found)?;

    let id = visit.parameter("id");
    let batch = batches::get(visit.context, visit.principal, id, index).await?;
    let item = ShownItem::of(batch, index).ok_or_else(Problem::not_found)?;
    Ok(item)
}

impl ShownItem {
    /// Returns the first item of a page of a batch, which has this index.
    fn of(batch: BatchResponse, index: usize) -> Option<Self> {
        let item = batch.items.into_iter().next()?;
        let results = batch.results.unwrap_or_default();
        Some(Self {
            index,
            item,
            result: results.into_iter().find(|result| result.index == index),
        })
    }

    /// Returns an empty correction if the item was rejected and the user may correct it.
    fn correction(&self, visit: &Visit<'_>) -> Option<Correction> {
        let result = self.result.as_ref()?;
        let item = self.item.as_ref()?;
        let is_possible = result.status == Status::Error && visit.principal.is_admin();
        is_possible.then(|| Correction {
            form: CorrectionForm::of_item(item),
            ..Correction::default()
        })
    }
}

impl ItemLinks {
    fn of(visit: &Visit<'_>, item: &ShownItem) -> Self {
        let batch = format!("batches/{}", segment(visit.parameter("id")));
        Self {
            batch: visit.link(&batch),
            conflicts: visit.link("conflicts"),
            correct: visit.link(&format!("{}/correct", path(visit, item.index))),
        }
    }
}

fn path(visit: &Visit<'_>, index: usize) -> String {
    format!("batches/{}/items/{index}", segment(visit.parameter("id")))
}

fn title(visit: &Visit<'_>, item: &ShownItem) -> String {
    let batch = short_id(visit.parameter("id"));
    format!("Item {} of batch {}", item.index, visible(batch))
}

fn view(item: &ShownItem, correction: Option<&Correction>, links: &ItemLinks) -> Markup {
    html! {
        @if let Some(correction) = correction { (outcome(correction, links)) }
        section aria-labelledby="item" {
            h2 #item { "Item" }
            @match &item.item {
                Some(text) => { p.payload { (long(text.get(), ITEM_CHARS_MAX)) } }
                None => { p.empty { "The item is too large for a page." } }
            }
        }
        section aria-labelledby="result" {
            h2 #result { "Result" }
            @match &item.result {
                Some(found) => { (result::view(found, &links.conflicts)) }
                None => { (none()) }
            }
        }
        @if let Some(correction) = correction {
            @let invalid = correction.problem.as_ref().and_then(|problem| problem.path.as_deref());
            (form::view(&correction.form, &links.correct, invalid))
        }
        p { a href=(links.batch) { "The batch" } }
    }
}

/// Returns what an attempt to correct the item resulted in.
fn outcome(correction: &Correction, links: &ItemLinks) -> Markup {
    html! {
        @if let Some(problem) = &correction.problem {
            div.message.error role="alert" {
                p {
                    @if let Some(field) = &problem.path {
                        a href={ "#correction-" (field) } { (visible(field)) } ": "
                    }
                    (visible(&problem.detail))
                }
            }
        }
        @if let Some(dry_run) = &correction.dry_run {
            div.message role="status" {
                p { "Nothing was written. The corrected item would have this result:" }
                (result::view(dry_run, &links.conflicts))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;
    use tidemark_core::model::result::{ItemCode, Rejection};

    use super::*;

    const HOSTILE: &str = "<img src=x onerror=alert(1)>\u{202e}";

    fn links() -> ItemLinks {
        ItemLinks {
            batch: "./batches/b".into(),
            conflicts: "./conflicts".into(),
            correct: "./batches/b/items/3/correct".into(),
        }
    }

    fn item(text: &str) -> ShownItem {
        let sent = serde_json::json!({ "payload": { "a": text } }).to_string();
        let rejection = Rejection::new(ItemCode::NotFound, text.to_owned());
        ShownItem {
            index: 3,
            item: RawValue::from_string(sent).ok(),
            result: Some(rejection.into_result(3, None, None, false).into()),
        }
    }

    #[test]
    fn item_is_shown_next_to_its_result() {
        let page = view(&item("m-1"), None, &links()).into_string();
        for text in [
            "{&quot;payload&quot;:{&quot;a&quot;:&quot;m-1&quot;}}",
            "rejected",
            "not_found",
        ] {
            assert!(page.contains(text), "{text} in {page}");
        }
        assert!(!page.contains("<form"), "{page}");
    }

    #[test]
    fn problem_is_linked_with_its_field() {
        let correction = Correction {
            problem: Some(Problem::malformed("payload", HOSTILE)),
            ..Correction::default()
        };
        let page = view(&item(HOSTILE), Some(&correction), &links()).into_string();
        assert!(!page.contains("<img"), "{page}");
        for text in [
            "<a href=\"#correction-payload\">payload</a>",
            "id=\"correction-payload\"",
            "aria-invalid=\"true\"",
            "[U+202E]",
        ] {
            assert!(page.contains(text), "{text} in {page}");
        }
    }

    #[test]
    fn dry_run_is_shown_above_the_form() {
        let correction = Correction {
            dry_run: item("later").result,
            ..Correction::default()
        };
        let page = view(&item("now"), Some(&correction), &links()).into_string();
        let at = |text: &str| page.find(text).expect(text);
        assert!(at("Nothing was written") < at("later") && at("later") < at("<form"));
    }
}
