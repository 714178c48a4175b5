//! The embedded DynamoDB: dynoxide on one SQLite database, in a file or in memory.
//!
//! It owns the database and a second SQLite connection to it, for what dynoxide does not do: an
//! index over its stream records, trimming them, and giving back the room that is free. It never
//! interprets an item; whatever DynamoDB would answer, dynoxide answers.

mod dispatch;
pub mod http;
mod stream;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dynoxide::Database;
use rusqlite::Connection;
use tokio::sync::watch;

/// Less free room than this is left for what is written next.
const COMPACT_BYTES_MIN: u64 = 4 * 1024 * 1024;

/// Why the engine did not open, or could not trim or sweep.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The path cannot be handed to SQLite, which wants UTF-8.
    #[error("the database path {0:?} is not UTF-8")]
    Path(std::path::PathBuf),
    /// dynoxide failed.
    #[error("the embedded DynamoDB failed: {0}")]
    Database(#[from] dynoxide::DynoxideError),
    /// SQLite failed on the second connection.
    #[error("the embedded DynamoDB's stream table failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// What the engine answers: an HTTP status and a DynamoDB JSON body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 200, or what DynamoDB answers for the error in the body.
    pub status: u16,
    /// The answer, or an error with `__type` and a message.
    pub body: Vec<u8>,
}

impl Reply {
    /// An error as DynamoDB words it, for example `("ThrottlingException", "slow down")` with
    /// status 400.
    #[must_use]
    pub fn error(status: u16, kind: &str, message: &str) -> Self {
        let body = serde_json::json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"), "message": message });
        Self {
            status,
            body: body.to_string().into_bytes(),
        }
    }
}

/// An embedded DynamoDB. Clones are handles on the same one.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<SharedEngine>,
}

struct SharedEngine {
    inner: Mutex<Inner>,
    written: watch::Sender<()>,
}

/// Both connections stand behind one lock: in memory they share a cache, whose table locks SQLite
/// refuses at once instead of waiting, so a call and a trim at the same moment would make one of
/// them fail.
struct Inner {
    database: Database,
    side: Connection,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

impl Engine {
    /// Opens, or creates, the database in the SQLite file at `path`.
    ///
    /// # Errors
    /// The file cannot be opened, or is not a database of dynoxide.
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        let name = path
            .to_str()
            .ok_or_else(|| EngineError::Path(path.to_path_buf()))?;
        let (database, side) = (Database::new(name)?, Connection::open(path)?);
        // SQLite's default waits for the disk at every commit. With a write-ahead log, NORMAL gives
        // up only what a power cut may take; a killed process loses nothing, for the operating
        // system already has the pages.
        database.disable_bulk_loading()?;
        side.pragma_update(None, "synchronous", "NORMAL")?;
        Self::over(database, side)
    }

    /// A new database in memory, gone with the last handle on it.
    ///
    /// # Errors
    /// SQLite refuses, which only happens when memory runs out.
    pub fn memory() -> Result<Self, EngineError> {
        // Named, and with a shared cache, so that the second connection sees the same database;
        // numbered, so that two engines of one process do not.
        static OPENED: AtomicU64 = AtomicU64::new(0);
        let number = OPENED.fetch_add(1, Ordering::Relaxed);
        let name = format!(
            "file:tidemark-{}-{number}?mode=memory&cache=shared",
            std::process::id()
        );
        let database = Database::new(&name)?;
        Self::over(database, Connection::open(&name)?)
    }

    fn over(database: Database, side: Connection) -> Result<Self, EngineError> {
        side.busy_timeout(Duration::from_secs(5))?;
        stream::create_index(&side)?;
        let inner = Mutex::new(Inner { database, side });
        Ok(Self {
            shared: Arc::new(SharedEngine {
                inner,
                written: watch::Sender::new(()),
            }),
        })
    }

    /// Runs one operation of DynamoDB or DynamoDB Streams ("PutItem", "GetRecords") on its JSON
    /// request. Never fails: errors are answers, as they are over the network.
    #[must_use]
    pub fn call(&self, operation: &str, body: &[u8]) -> Reply {
        let reply = {
            let inner = self.lock();
            dispatch::run(&inner.database, operation, body)
        };
        if dispatch::may_write(operation) {
            self.shared.written.send_replace(());
        }
        reply
    }

    /// Tells each holder of every call that may have written since it last looked.
    #[must_use]
    pub fn writes(&self) -> watch::Receiver<()> {
        self.shared.written.subscribe()
    }

    /// Forgets the stream records of `table` up to and including the sequence number, and returns
    /// how many. The newest record always stays, for the next sequence number is counted from it.
    ///
    /// # Errors
    /// SQLite fails. A sequence number that is none of this engine's trims nothing.
    pub fn trim_stream(&self, table: &str, up_to_sequence: &str) -> Result<usize, EngineError> {
        stream::trim(&self.lock().side, table, up_to_sequence)
    }

    /// Deletes the rows whose time to live is over, in all tables, and returns how many. dynoxide
    /// never does it unasked.
    ///
    /// # Errors
    /// dynoxide fails.
    pub fn sweep_expired(&self) -> Result<usize, EngineError> {
        let inner = self.lock();
        Ok(inner.database.sweep_ttl()?)
    }

    /// Gives the room of what was deleted back to the file system, once it is more than what is
    /// left, and worth it; whether it did. SQLite by itself only writes into that room again, so
    /// that the file stays as large as it ever was. Calls wait meanwhile.
    ///
    /// # Errors
    /// SQLite fails, for example because the disk has no room for the copy that it makes.
    pub fn compact(&self) -> Result<bool, EngineError> {
        let inner = self.lock();
        let pragma = |name: &str| {
            inner
                .side
                .query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, u64>(0))
        };
        let (pages, free, page_bytes) = (
            pragma("page_count")?,
            pragma("freelist_count")?,
            pragma("page_size")?,
        );
        if free * page_bytes < COMPACT_BYTES_MIN || free < pages - free {
            return Ok(false);
        }
        inner.database.vacuum()?;
        // The copy went through the write-ahead log, which would stay as large as that.
        inner
            .side
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(true)
    }

    // A panic in dynoxide poisons its own lock too, and from then on it answers an error by itself:
    // nothing to add.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.shared
            .inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod compact_tests {
    use serde_json::{Value, json};

    use super::Engine;

    fn call(engine: &Engine, operation: &str, request: &Value) {
        let reply = engine.call(operation, request.to_string().as_bytes());
        assert_eq!(
            reply.status,
            200,
            "{operation}: {}",
            String::from_utf8_lossy(&reply.body)
        );
    }

    #[test]
    fn the_room_of_what_has_expired_is_given_back_and_what_is_left_stays() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("dynamodb.sqlite");
        let engine = Engine::open(&file).unwrap();
        let table = json!({
            "TableName": "things", "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
        });
        call(&engine, "CreateTable", &table);
        let ttl = json!({"TableName": "things", "TimeToLiveSpecification": {"Enabled": true, "AttributeName": "expires_at"}});
        call(&engine, "UpdateTimeToLive", &ttl);
        let past = tidemark_aws::Clock::system().now().timestamp() - 60;
        let row = |key: usize, expires_at: i64| {
            json!({"TableName": "things", "Item": {"k": {"S": key.to_string()}, "expires_at": {"N": expires_at.to_string()},
                "text": {"S": "x".repeat(300_000)}}})
        };
        assert!(!engine.compact().unwrap(), "there is nothing to give back");
        call(&engine, "PutItem", &row(0, past + 3600));
        (1..40).for_each(|key| call(&engine, "PutItem", &row(key, past)));
        assert!(!engine.compact().unwrap(), "it is all in use");
        assert_eq!(engine.sweep_expired().unwrap(), 39);
        let bytes = || {
            ["", "-wal"]
                .map(|end| {
                    std::fs::metadata(format!("{}{end}", file.display())).map_or(0, |it| it.len())
                })
                .iter()
                .sum::<u64>()
        };
        let before = bytes();
        assert!(engine.compact().unwrap());
        assert!(
            before > 8_000_000 && bytes() < 2_000_000,
            "{before} bytes, then {}",
            bytes()
        );
        let kept = engine.call(
            "GetItem",
            json!({"TableName": "things", "Key": {"k": {"S": "0"}}})
                .to_string()
                .as_bytes(),
        );
        assert!(kept.body.len() > 300_000);
        assert!(!engine.compact().unwrap(), "once is enough");
    }
}
