//! The replay of several batches that the user selected in the list, and its dry run.

use maud::{Markup, html};
use tidemark_app::replay;
use tidemark_core::{
    model::{batch::BatchReplayStatus, result::Status},
    wire::batches::{BatchReplayResult, ReplayBatchesRequest, ReplayBatchesResponse},
};

use crate::{
    elements::{none, segment},
    page::{PageReply, Serving, Visit},
    text::{name, visible},
};

use super::short_id;

pub(crate) fn serve<'a>(visit: &'a Visit<'a>) -> Serving<'a> {
    Box::pin(async move {
        // Only the button of the replay sends "no": without a button nothing is written.
        let dry_run = visit.fields("dry_run").next() != Some("no");
        let request = ReplayBatchesRequest {
            batch_ids: visit.fields("batch_id").map(ToOwned::to_owned).collect(),
            dry_run: Some(dry_run),
            with_stored_roles: None,
        };
        let (media, admin) = (visit.buckets.media, visit.principal);
        let response = replay::replay_batches(visit.context, media, admin, request).await?;

        let title = if dry_run {
            "Dry run of batches"
        } else {
            "Replay of batches"
        };
        Ok(PageReply::View {
            title: title.to_owned(),
            content: view(
                &response,
                &visit.link("batches"),
                &visit.link("batches/replay"),
            ),
        })
    })
}

fn view(response: &ReplayBatchesResponse, list: &str, replay: &str) -> Markup {
    html! {
        p {
            @if response.dry_run { "Nothing was written. A replay would have these results:" }
            @else { "The batches were replayed one after the other:" }
        }
        div.scroll tabindex="0" role="region" aria-label="Results" {
            table.list {
                thead {
                    tr {
                        th scope="col" { "Batch" }
                        th scope="col" { "Outcome" }
                        th scope="col" { "Applied" }
                        th scope="col" { "Conflicts" }
                        th scope="col" { "Errors" }
                    }
                }
                tbody {
                    @for result in &response.results { (row(result, list)) }
                }
            }
        }
        @if response.dry_run { (replay_form(response, replay)) }
        p { a href=(list) { "Back to the list" } }
    }
}

fn row(result: &BatchReplayResult, list: &str) -> Markup {
    let count = |status: Status| {
        let items = result.items.as_ref()?;
        Some(items.iter().filter(|item| item.status == status).count())
    };
    let cell = |status: Status| match count(status) {
        Some(count) => html! { td { (count) } },
        None => html! { td { (none()) } },
    };

    html! {
        tr {
            th scope="row" {
                a href={ (list) "/" (segment(&result.batch_id)) } {
                    (name(short_id(&result.batch_id)))
                }
            }
            td {
                (outcome(result.status))
                @if let Some(problem) = &result.problem { ": " (visible(&problem.detail)) }
            }
            (cell(Status::Ok))
            (cell(Status::Conflict))
            (cell(Status::Error))
        }
    }
}

const fn outcome(status: BatchReplayStatus) -> &'static str {
    match status {
        BatchReplayStatus::Replayed => "replayed",
        BatchReplayStatus::Rejected => "not replayed",
        BatchReplayStatus::Deferred => "not reached: select it again",
    }
}

/// Returns the form that replays the batches of a dry run.
fn replay_form(response: &ReplayBatchesResponse, replay: &str) -> Markup {
    html! {
        form method="post" action=(replay) {
            @for result in &response.results {
                input type="hidden" name="batch_id" value=(result.batch_id);
            }
            div.buttons {
                button.primary type="submit" name="dry_run" value="no" { "Replay these batches" }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tidemark_core::wire::problem::{Problem, ProblemCode};

    use super::*;

    fn page(dry_run: bool) -> String {
        let problem = Problem::new(ProblemCode::NotFound, "no <img> batch");
        let results = vec![
            BatchReplayResult::rejected("batch-<img>-1".into(), problem),
            BatchReplayResult::deferred("batch-b-2".into()),
        ];
        let response = ReplayBatchesResponse {
            bulk_id: "1".into(),
            dry_run,
            results,
        };
        view(&response, "./batches", "./batches/replay").into_string()
    }

    #[test]
    fn results_are_listed_with_reasons() {
        let page = page(false);
        assert!(!page.contains("<img"), "{page}");
        for text in [
            "not replayed: no &lt;img&gt; batch",
            "not reached: select it again",
            "./batches/batch-%3Cimg%3E-1",
        ] {
            assert!(page.contains(text), "{text} in {page}");
        }
        assert!(!page.contains("<form"), "{page}");
    }

    #[test]
    fn dry_run_offers_the_replay() {
        let page = page(true);
        let hidden = "<input type=\"hidden\" name=\"batch_id\" value=\"batch-b-2\">";
        assert!(
            page.contains(hidden) && page.contains("value=\"no\""),
            "{page}"
        );
    }
}
