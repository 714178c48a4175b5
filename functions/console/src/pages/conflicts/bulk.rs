//! The resolution of the selected conflicts: the form of the list leads to a preview, and that of
//! the preview to the result.

use lambda_http::http::StatusCode;
use maud::Markup;
use tidemark_app::resolve;
use tidemark_aws::Error;
use tidemark_core::{
    model::{
        limits::{BULK_CONFLICTS_MAX, NOTE_CHARS_MAX},
        resolve::RequestedResolution,
    },
    wire::resolve::{BulkResolveItem, BulkResolveRequest, BulkResolveResponse},
};

use super::{
    LIST, ListQuery,
    preview::{PreviewView, nothing_to_resolve, preview, result},
    selection::SelectedConflict,
};
use crate::page::{PageReply, Serving, Visit};

/// What the form contains.
struct BulkForm {
    selected: Vec<SelectedConflict>,
    /// The parameters of the list from which the conflicts are.
    list: ListQuery,
    /// Whether the form is that of the preview.
    is_previewed: bool,
    resolution: Option<RequestedResolution>,
    note: String,
}

pub(crate) fn serve<'a>(visit: &'a Visit<'a>) -> Serving<'a> {
    Box::pin(async move {
        let form = BulkForm::read(visit);
        let back = visit.link(&form.list.path(LIST, &[]));
        if let Some(reason) = form.selection_error() {
            return Ok(rejected(nothing_to_resolve(&reason, &back)));
        }

        let error = form.error().filter(|_| form.is_previewed);
        match form
            .resolution
            .filter(|_| form.is_previewed && error.is_none())
        {
            Some(resolution) => {
                let response = send(visit, &form, resolution, false).await?;
                Ok(PageReply::View {
                    title: "Resolved conflicts".to_owned(),
                    content: result(&response, &form.selected, &back, &|path| visit.link(path)),
                })
            }
            None => {
                let applied = RequestedResolution::AcceptClient;
                let applied = send(visit, &form, applied, true).await?;
                Ok(previewed(visit, &form, &applied, error.as_deref()))
            }
        }
    })
}

/// Resolves the conflicts, each at the version that the list showed.
async fn send(
    visit: &Visit<'_>,
    form: &BulkForm,
    resolution: RequestedResolution,
    is_dry_run: bool,
) -> Result<BulkResolveResponse, Error> {
    let item = |selected: &SelectedConflict| BulkResolveItem {
        id: selected.id.clone(),
        expected_server_version: selected.server_version,
    };
    let request = BulkResolveRequest {
        conflicts: form.selected.iter().map(item).collect(),
        resolution,
        fields: None,
        dry_run: Some(is_dry_run),
        note: Some(form.note.clone()).filter(|note| !note.is_empty()),
    };
    resolve::bulk::by_admin(visit.context, visit.principal, request).await
}

/// Returns the preview, with the reason why it was not accepted before.
fn previewed(
    visit: &Visit<'_>,
    form: &BulkForm,
    applied: &BulkResolveResponse,
    error: Option<&str>,
) -> PageReply {
    let content = preview(&PreviewView {
        selected: &form.selected,
        applied,
        resolution: form.resolution,
        note: &form.note,
        list: &form.list.encoded(),
        error,
        back: &visit.link(&form.list.path(LIST, &[])),
        link: &|path| visit.link(path),
    });
    let title = "Resolve conflicts".to_owned();
    match error {
        None => PageReply::View { title, content },
        Some(_) => PageReply::Rejected {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            title,
            content,
        },
    }
}

fn rejected(content: Markup) -> PageReply {
    PageReply::Rejected {
        status: StatusCode::BAD_REQUEST,
        title: "Resolve conflicts".to_owned(),
        content,
    }
}

impl BulkForm {
    /// Reads the form. Malformed selections and repeated ones are dropped.
    fn read(visit: &Visit<'_>) -> Self {
        let first = |name| visit.fields(name).next().unwrap_or_default();
        let mut selected: Vec<SelectedConflict> = Vec::new();
        for conflict in visit.fields("select").filter_map(SelectedConflict::parse) {
            let is_new = selected.iter().all(|earlier| earlier.id != conflict.id);
            // One more than allowed is enough to reject the form.
            if is_new && selected.len() <= BULK_CONFLICTS_MAX {
                selected.push(conflict);
            }
        }

        Self {
            selected,
            list: ListQuery::parse(first("list")),
            is_previewed: first("step") == "resolve",
            resolution: match first("resolution") {
                "accept_server" => Some(RequestedResolution::AcceptServer),
                "accept_client" => Some(RequestedResolution::AcceptClient),
                _ => None,
            },
            note: first("note").trim().to_owned(),
        }
    }

    /// Returns the reason why the selection cannot be resolved.
    fn selection_error(&self) -> Option<String> {
        match self.selected.len() {
            0 => Some("No conflict is selected.".to_owned()),
            1..=BULK_CONFLICTS_MAX => None,
            _ => Some(format!(
                "More than {BULK_CONFLICTS_MAX} conflicts are selected: select fewer."
            )),
        }
    }

    /// Returns the reason why the preview is not accepted.
    fn error(&self) -> Option<String> {
        if self.resolution.is_none() {
            return Some("Select how to resolve the conflicts.".to_owned());
        }
        (self.note.chars().count() > NOTE_CHARS_MAX)
            .then(|| format!("The note must not have more than {NOTE_CHARS_MAX} characters."))
    }
}
