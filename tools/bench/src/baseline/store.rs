//! The SQLite tables of the baseline.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Change, Edit, Outcome};
use crate::cpu::StoreCpu;

/// Schema. `seq` is the position of a row's last change in the order of all changes.
const TABLES: &str = "
    CREATE TABLE resources (id TEXT PRIMARY KEY, user TEXT NOT NULL, version INTEGER NOT NULL, payload TEXT NOT NULL, seq INTEGER NOT NULL)
        WITHOUT ROWID;
    CREATE UNIQUE INDEX by_seq ON resources (user, seq);
    CREATE TABLE refused (id TEXT NOT NULL, user TEXT NOT NULL, device TEXT NOT NULL, version INTEGER NOT NULL, payload TEXT NOT NULL);";

/// Resources, their change order, and rejected edits.
pub struct Store {
    inner: Mutex<Inner>,
    cpu: Arc<StoreCpu>,
}

struct Inner {
    connection: Connection,
    seq: u64,
}

#[derive(Deserialize)]
struct NamedItem {
    id: Option<String>,
}

impl Store {
    /// Creates a store in a new folder.
    pub fn open(folder: &Path, cpu: Arc<StoreCpu>) -> Self {
        fs::create_dir_all(folder).unwrap();
        let connection = Connection::open(folder.join("baseline.sqlite")).unwrap();
        connection
            .pragma_update(None, "journal_mode", "WAL")
            .unwrap();

        // Same durability as the embedded engine: a killed process loses no data, a power failure
        // may lose the most recent transactions.
        connection
            .pragma_update(None, "synchronous", "NORMAL")
            .unwrap();
        connection.execute_batch(TABLES).unwrap();

        Self {
            inner: Mutex::new(Inner { connection, seq: 0 }),
            cpu,
        }
    }

    /// Applies edits in one transaction. An edit with a resource id is an update of the version on
    /// which it is based; other edits are creates.
    pub fn push(&self, user: &str, device: &str, edits: &[Edit]) -> Vec<Outcome> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Inner { connection, seq } = &mut *inner;
        self.cpu.count(|| {
            let transaction = connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .unwrap();

            let mut next = || {
                *seq += 1;
                *seq
            };

            let outcomes = edits
                .iter()
                .map(|edit| apply(&transaction, user, device, edit, next()))
                .collect();
            transaction.commit().unwrap();
            outcomes
        })
    }

    /// Returns the user's resources that changed after `since`, ordered by change, and the position
    /// of the last one.
    pub fn pull(&self, user: &str, since: u64, limit: usize) -> (Vec<Change>, u64) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        self.cpu.count(|| {
            let sql = "SELECT id, version, payload, seq FROM resources WHERE user = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
            let mut rows = inner.connection.prepare_cached(sql).unwrap();
            let mut position = since;
            let changes = rows.query_map(params![user, since, limit], |row| {
                position = row.get(3)?;
                Ok(Change { id: row.get(0)?, server_version: row.get(1)?, payload: json(row.get(2)?) })
            });
            let changes: Vec<Change> = changes.unwrap().map(Result::unwrap).collect();
            (changes, position)
        })
    }
}

fn apply(
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

fn json(text: String) -> Box<RawValue> {
    RawValue::from_string(text).unwrap()
}
