//! The list of conflicts as a file.

use lambda_http::http::StatusCode;
use tidemark_core::{
    model::{limits::LIST_MAX, time::timestamp},
    wire::conflicts::{ConflictEntry, ConflictList},
};

use super::{ListQuery, TITLE, form, read};
use crate::{
    csv::CsvFile,
    page::{PageReply, Serving, Visit},
};

/// The path of the file.
pub(super) const PATH: &str = "conflicts.csv";

/// The columns of the file.
const COLUMNS: [&str; 11] = [
    "id",
    "status",
    "type",
    "resource_id",
    "channel",
    "user",
    "device_id",
    "code",
    "detected_at",
    "edits",
    "server_version",
];

pub(crate) fn serve<'a>(visit: &'a Visit<'a>) -> Serving<'a> {
    Box::pin(async move {
        let query = ListQuery::read(|name| visit.query(name));
        match query.filter() {
            Ok(filter) => Ok(PageReply::File(file(
                &read(visit, &filter, LIST_MAX).await?,
            ))),
            Err(invalid) => Ok(PageReply::Rejected {
                status: StatusCode::BAD_REQUEST,
                title: TITLE.to_owned(),
                content: form::errors(&invalid),
            }),
        }
    })
}

/// Returns the file. Its last row is a note if the list continues.
fn file(list: &ConflictList) -> CsvFile {
    let rows = list.conflicts.iter().map(row);
    let more = list
        .next_cursor
        .as_ref()
        .map(|_| note(list.conflicts.len()));
    CsvFile::new(PATH, COLUMNS, rows.chain(more))
}

fn row(conflict: &ConflictEntry) -> [String; 11] {
    [
        conflict.id.clone(),
        conflict.status.to_string(),
        conflict.resource_type.clone(),
        conflict.resource_id.clone(),
        conflict.channel.clone(),
        conflict.user.clone(),
        conflict.device_id.clone(),
        conflict.code.to_string(),
        timestamp(conflict.detected_at),
        conflict.edit_count.to_string(),
        conflict.server_version.to_string(),
    ]
}

fn note(rows: usize) -> [String; 11] {
    let mut cells = std::array::from_fn(|_| String::new());
    cells[0] = format!(
        "This file ends after {rows} conflicts, and the list has more: filter by time to get them"
    );
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::conflicts::entry;

    #[test]
    fn partial_file_ends_with_note() {
        let list = |next_cursor| ConflictList {
            conflicts: vec![entry("=1+1")],
            next_cursor,
        };
        let complete = file(&list(None)).text;
        assert_eq!(complete.matches("\r\n").count(), 2, "{complete}");
        assert!(complete.contains("\"'=1+1\""), "{complete}");

        let partial = file(&list(Some("next".into()))).text;
        assert!(partial.starts_with(&complete), "{partial}");
        assert!(partial.contains("ends after 1 conflicts"), "{partial}");
    }
}
