//! The form of the page: stores the resolution, or shows the page again with what was entered.

use std::borrow::Cow;

use lambda_http::http::StatusCode;
use tidemark_app::{conflicts::ConflictReview, resolve};
use tidemark_aws::Error;
use tidemark_core::{
    model::{
        json::{Fields, JsonError},
        limits::NOTE_CHARS_MAX,
        resolve::{Pick, Picks, RequestedResolution},
    },
    rules::comparison::{FieldRow, FieldSide, MergeDecision, decide},
    wire::{
        problem::{Problem, ProblemCode},
        resolve::{ResolveRequest, ResolveResponse},
    },
};

use super::{
    FormProblem, ReviewState,
    decision::{Decision, picks_with_values, raw, unique_fields, value_pick},
    entries::MergeEntries,
    holder::member,
    path_of, read, show,
    situation::Situation,
    with_comparison,
};
use crate::{
    page::{PageReply, Serving, Visit},
    pages::conflicts::ListQuery,
    text,
};

/// The maximum number of characters of a pointer in a sentence.
const POINTER_CHARS_MAX: usize = 100;

/// The resolution that a form requests.
enum Submission {
    /// The conflict is resolved in this way.
    Resolve(RequestedResolution, Option<Fields>),
    /// The conflict is resolved with these picks, which result in this text; or with the edits of
    /// the device, if these result in the same text.
    ResolveAsDevice(Fields, String),
}

pub(crate) fn serve<'a>(visit: &'a Visit<'a>) -> Serving<'a> {
    Box::pin(async move {
        let review = read(visit).await?;
        let first = |name| visit.fields(name).next().unwrap_or_default();
        let mut state = ReviewState {
            entries: MergeEntries::read(visit.form()),
            decision: first("decision").to_owned(),
            note: first("note").trim().to_owned(),
            ..ReviewState::default()
        };

        let situation = Situation::of(&review);
        let submission = match situation {
            Situation::Resolved => {
                state.reject(StatusCode::CONFLICT, "It was resolved in the meantime.");
                None
            }
            _ if is_outdated(visit, &review) => outdated(visit, &review, &mut state),
            Situation::Merge => merged(visit, &review, &mut state),
            _ => decided(visit, &review, &mut state),
        };
        let Some(submission) = submission else {
            return show(visit, &review, state).await;
        };
        match send(visit, &review, submission, &state.note).await {
            Ok(_) => {
                let list = ListQuery::parse(visit.query("list").unwrap_or_default());
                Ok(PageReply::SeeOther(path_of(
                    &review.conflict.id,
                    &list.encoded(),
                )))
            }
            Err(Error::Rejected(problem)) => rejected(visit, state, &problem).await,
            Err(failure) => Err(failure),
        }
    })
}

/// Returns whether the resource or the edits changed since the page was opened.
fn is_outdated(visit: &Visit<'_>, review: &ConflictReview) -> bool {
    let number = |name| {
        visit
            .fields(name)
            .next()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let edits = u64::try_from(review.conflict.edits.len()).ok();
    number("expected_server_version") != Some(review.server_version()) || number("edits") != edits
}

/// Keeps the picks of rows that did not change, and explains what changed.
fn outdated(
    visit: &Visit<'_>,
    review: &ConflictReview,
    state: &mut ReviewState,
) -> Option<Submission> {
    let changed = with_comparison(visit, review, |comparison| {
        state.entries.drop_outdated(&comparison.rows)
    });
    state.changed = changed.unwrap_or_default();

    let advice = match Situation::of(review) {
        Situation::Merge => "The picks for the other fields are kept; check those that are marked.",
        _ => "Check your decision.",
    };
    let text = format!(
        "The conflict changed since you opened the page, and the server is now at version {}. \
         {advice}",
        review.server_version()
    );
    state.reject(StatusCode::CONFLICT, &text);
    None
}

/// Reads the merge form.
fn merged(
    visit: &Visit<'_>,
    review: &ConflictReview,
    state: &mut ReviewState,
) -> Option<Submission> {
    let action = visit.fields("action").next().unwrap_or_default();
    let submission = with_comparison(visit, review, |comparison| {
        let rows = &comparison.rows;
        match action {
            "device" => state.entries.pick_all(rows, FieldSide::Device),
            "server" => state.entries.pick_all(rows, FieldSide::Server),
            "store" => {
                let decision = decide(comparison, &state.entries.picks(rows));
                return stored(rows, decision, state);
            }
            _ => {}
        }
        None
    });
    submission.flatten()
}

/// Returns the resolution that the picks result in, if each row is decided and valid.
fn stored(
    rows: &[FieldRow<'_>],
    decision: MergeDecision,
    state: &mut ReviewState,
) -> Option<Submission> {
    let undecided = decision.undecided.iter();
    let undecided = undecided.map(|pointer| (pointer, "decide which value is stored".to_owned()));
    let invalid = decision.invalid.iter();
    let invalid = invalid.map(|(pointer, error)| (pointer, invalid_text(error)));
    let unused = state.entries.unused_values(rows);
    let select = "select \"this value\", or empty the field next to it";
    let unused = unused.iter().map(|pointer| (pointer, select.to_owned()));

    let problems: Vec<FormProblem> = undecided
        .chain(invalid)
        .chain(unused)
        .map(|(pointer, text)| FormProblem {
            text: format!("{}: {text}", shortened(pointer)),
            pointer: Some(pointer.clone()),
        })
        .collect();
    state.problems = problems;
    if !state.check() {
        return None;
    }

    let preview = decision.preview.get().to_owned();
    Some(match fields(&decision.picks) {
        fields if fields.is_empty() => Submission::Resolve(RequestedResolution::AcceptServer, None),
        fields if state.entries.is_all_device(rows) => Submission::ResolveAsDevice(fields, preview),
        fields => Submission::Resolve(RequestedResolution::FieldPick, Some(fields)),
    })
}

/// Returns the beginning of a pointer, for a sentence.
fn shortened(pointer: &str) -> Cow<'_, str> {
    match text::beginning(pointer, POINTER_CHARS_MAX) {
        (_, 0) => Cow::Borrowed(pointer),
        (shown, _) => Cow::Owned(format!("{shown}…")),
    }
}

fn invalid_text(error: &JsonError) -> String {
    format!("{error}. Texts need quotation marks: \"in cellar\"")
}

/// Returns the picks as a request contains them.
fn fields(picks: &Picks) -> Fields {
    let field = |(name, pick): (&String, &Pick)| {
        let value = match pick {
            Pick::Client => raw("\"client\""),
            Pick::Server => raw("\"server\""),
            Pick::Remove => raw("{\"remove\":true}"),
            Pick::Value(value) => value_pick(value),
        };
        (name.clone(), value)
    };
    picks.0.iter().map(field).collect()
}

/// Reads the decision about a conflict whose fields cannot be merged.
fn decided(
    visit: &Visit<'_>,
    review: &ConflictReview,
    state: &mut ReviewState,
) -> Option<Submission> {
    let Some(decision) = Decision::parse(&state.decision) else {
        let text = "Select how to resolve the conflict.";
        state.reject(StatusCode::UNPROCESSABLE_ENTITY, text);
        return None;
    };
    if !state.check() {
        return None;
    }
    if decision != Decision::ApplyWithValues {
        return Some(Submission::Resolve(decision.resolution(), None));
    }

    let conflict = &review.conflict;
    let catalog = &visit.context.settings.catalog;
    let rules = catalog.get(&conflict.resource.resource_type);
    let unique = rules.map(|rules| unique_fields(rules, &conflict.edits));
    let unique = unique.unwrap_or_default();
    match picks_with_values(&conflict.edits, &unique, &state.entries) {
        Ok(fields) => Some(Submission::Resolve(decision.resolution(), Some(fields))),
        Err(problems) => {
            state.problems = problems;
            state.check();
            None
        }
    }
}

/// Resolves the conflict at the version that is reviewed.
async fn send(
    visit: &Visit<'_>,
    review: &ConflictReview,
    submission: Submission,
    note: &str,
) -> Result<ResolveResponse, Error> {
    let request = |resolution, fields, dry_run| ResolveRequest {
        resolution,
        payload: None,
        fields,
        expected_server_version: Some(review.server_version()),
        dry_run: Some(dry_run),
        note: Some(note.to_owned()).filter(|note| !note.is_empty()),
    };
    let (context, admin, id) = (visit.context, visit.principal, &review.conflict.id);
    let (resolution, fields) = match submission {
        Submission::Resolve(resolution, fields) => (resolution, fields),
        Submission::ResolveAsDevice(fields, preview) => {
            let device = request(RequestedResolution::AcceptClient, None, true);
            let applied = resolve::by_admin(context, admin, id, device).await;
            let is_same = |response: ResolveResponse| {
                let stored = response.server_payload;
                stored.is_some_and(|stored| stored.get() == preview)
            };
            match applied.is_ok_and(is_same) {
                true => (RequestedResolution::AcceptClient, None),
                false => (RequestedResolution::FieldPick, Some(fields)),
            }
        }
    };
    resolve::by_admin(context, admin, id, request(resolution, fields, false)).await
}

/// Shows the page again with the reason why the resolution was rejected.
async fn rejected(
    visit: &Visit<'_>,
    mut state: ReviewState,
    problem: &Problem,
) -> Result<PageReply, Error> {
    let review = read(visit).await?;
    if Situation::of(&review) == Situation::Merge && problem.code == ProblemCode::VersionChanged {
        outdated(visit, &review, &mut state);
        return show(visit, &review, state).await;
    }

    let pointer = with_comparison(visit, &review, |comparison| {
        let mut rows = comparison.rows.iter();
        let row = rows.find(|row| is_about(problem, row));
        row.map(FieldRow::pointer)
    });
    let status = StatusCode::from_u16(problem.code.status()).unwrap_or(StatusCode::CONFLICT);
    state.reject(status, &problem.detail);
    if let Some(first) = state.problems.last_mut() {
        let named = || member(problem, "field").map(|name| format!("/{name}"));
        first.pointer = pointer.flatten().or_else(named);
    }
    show(visit, &review, state).await
}

/// Returns whether a problem is about the field of a row.
fn is_about(problem: &Problem, row: &FieldRow<'_>) -> bool {
    let Some(name) = row.path.first() else {
        return false;
    };
    let path = problem.path.as_deref().unwrap_or_default();
    let of_path = path
        .strip_prefix("fields.")
        .or_else(|| path.strip_prefix("payload."));
    let is_in_path = of_path.and_then(|path| path.strip_prefix(name.as_str()));
    is_in_path.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        || member(problem, "field").as_ref() == Some(name)
}

impl ReviewState {
    /// Adds a reason why the form is not accepted.
    fn reject(&mut self, status: StatusCode, text: &str) {
        self.status = Some(status);
        self.problems.push(FormProblem {
            pointer: None,
            text: text.to_owned(),
        });
    }

    /// Checks the note. Returns whether the form is accepted so far.
    fn check(&mut self) -> bool {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        if self.note.chars().count() > NOTE_CHARS_MAX {
            let text = format!("The note must not have more than {NOTE_CHARS_MAX} characters.");
            self.reject(status, &text);
        }
        if !self.problems.is_empty() {
            self.status = Some(status);
        }
        self.problems.is_empty()
    }
}
