//! The SQLite tables of the baseline.

mod apply;

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::{Connection, TransactionBehavior, params};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Change, Edit, Outcome};
use crate::cpu::StoreCpu;

use apply::apply;

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

fn json(text: String) -> Box<RawValue> {
    RawValue::from_string(text).unwrap()
}
