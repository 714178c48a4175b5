//! Applies one item of a push to the tables.

use rusqlite::{OptionalExtension as _, Transaction, params};

use super::super::{Edit, Outcome};
use super::{NamedItem, json};

pub(super) fn apply(
    transaction: &Transaction<'_>,
    user: &str,
    device: &str,
    edit: &Edit,
    seq: u64,
) -> Outcome {
    let payload = edit.payload.get();
    let named: NamedItem = serde_json::from_str(payload).unwrap();

    let Some(id) = named.id else {
        let id = format!("sub-{seq}");
        let sql =
            "INSERT INTO resources (id, user, version, payload, seq) VALUES (?1, ?2, 1, ?3, ?4)";
        transaction
            .prepare_cached(sql)
            .unwrap()
            .execute(params![id, user, payload, seq])
            .unwrap();
        return Outcome {
            status: "ok",
            server_id: id,
            server_version: 1,
            server_payload: None,
        };
    };

    let sql = "UPDATE resources SET version = version + 1, payload = ?4, seq = ?5 WHERE id = ?1 AND user = ?2 AND version = ?3";
    let mut update = transaction.prepare_cached(sql).unwrap();
    if update
        .execute(params![id, user, edit.client_version, payload, seq])
        .unwrap()
        == 1
    {
        return Outcome {
            status: "ok",
            server_id: id,
            server_version: edit.client_version + 1,
            server_payload: None,
        };
    }

    let sql =
        "INSERT INTO refused (id, user, device, version, payload) VALUES (?1, ?2, ?3, ?4, ?5)";
    transaction
        .prepare_cached(sql)
        .unwrap()
        .execute(params![id, user, device, edit.client_version, payload])
        .unwrap();

    let mut held = transaction
        .prepare_cached("SELECT version, payload FROM resources WHERE id = ?1 AND user = ?2")
        .unwrap();
    let held = held
        .query_row(params![id, user], |row| {
            Ok((row.get(0)?, json(row.get(1)?)))
        })
        .optional()
        .unwrap();

    let (server_version, server_payload) =
        held.map_or((0, None), |(version, payload)| (version, Some(payload)));
    Outcome {
        status: "conflict",
        server_id: id,
        server_version,
        server_payload,
    }
}
