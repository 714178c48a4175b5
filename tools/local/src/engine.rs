//! The embedded DynamoDB: dynoxide on one SQLite database, in a file or in memory.
//!
//! The module owns the database and a second SQLite connection to it, for what dynoxide lacks: an
//! index over its stream records, trimming, and the release of free space. It never interprets an
//! item; dynoxide produces all responses.

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

/// Less free space than this is kept for later writes.
const COMPACT_BYTES_MIN: u64 = 4 * 1024 * 1024;

/// Reasons why the engine cannot be opened, trimmed or swept.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The path is not UTF-8, which SQLite requires.
    #[error("the database path {0:?} is not UTF-8")]
    Path(std::path::PathBuf),
    /// dynoxide returned an error.
    #[error("the embedded DynamoDB failed: {0}")]
    Database(#[from] dynoxide::DynoxideError),
    /// SQLite failed on the second connection.
    #[error("the embedded DynamoDB's stream table failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// A response of the engine: an HTTP status and a DynamoDB JSON body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 200, or the status that DynamoDB returns for the error in the body.
    pub status: u16,
    /// The response, or an error with `__type` and a message.
    pub body: Vec<u8>,
}

impl Reply {
    /// Returns an error in DynamoDB's format, for example `("ThrottlingException", "slow down")`
    /// with status 400.
    #[must_use]
    pub fn error(status: u16, kind: &str, message: &str) -> Self {
        let body = serde_json::json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"), "message": message });
        Self {
            status,
            body: body.to_string().into_bytes(),
        }
    }
}

/// An embedded DynamoDB. Clones share the same database.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<SharedEngine>,
}

struct SharedEngine {
    inner: Mutex<Inner>,
    written: watch::Sender<()>,
}

/// One lock guards both connections. In memory they share a cache, and SQLite rejects access to a
/// locked table of a shared cache immediately instead of waiting, so one of a concurrent call and
/// trim would fail.
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
    /// Opens the database in the SQLite file at `path`, or creates it.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened or is not a database of dynoxide.
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        let name = path
            .to_str()
            .ok_or_else(|| EngineError::Path(path.to_path_buf()))?;
        let (database, side) = (Database::new(name)?, Connection::open(path)?);
        // By default SQLite waits for the disk at every commit. With a write-ahead log, NORMAL
        // risks only the last commits before a power failure. A killed process loses nothing,
        // because the operating system already has the pages.
        database.disable_bulk_loading()?;
        side.pragma_update(None, "synchronous", "NORMAL")?;
        Self::over(database, side)
    }

    /// Returns a new database in memory, which exists until its last handle is dropped.
    ///
    /// # Errors
    /// Returns an error if SQLite fails, which only happens when memory runs out.
    pub fn memory() -> Result<Self, EngineError> {
        // The name and the shared cache let the second connection open the same database. The
        // number separates the engines of one process.
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

    /// Runs one operation of DynamoDB or DynamoDB Streams, for example "PutItem" or "GetRecords",
    /// on its JSON request. Never fails: errors are responses, as they are over the network.
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

    /// Returns a receiver that is notified of each call that may have written.
    #[must_use]
    pub fn writes(&self) -> watch::Receiver<()> {
        self.shared.written.subscribe()
    }

    /// Deletes the stream records of `table` up to and including the sequence number, and returns
    /// their count. The newest record always remains, because the next sequence number is derived
    /// from it.
    ///
    /// # Errors
    /// Returns an error if SQLite fails. A sequence number that this engine did not issue trims
    /// nothing.
    pub fn trim_stream(&self, table: &str, up_to_sequence: &str) -> Result<usize, EngineError> {
        stream::trim(&self.lock().side, table, up_to_sequence)
    }

    /// Deletes the expired items of all tables and returns their count. dynoxide does this only on
    /// request.
    ///
    /// # Errors
    /// Returns an error if dynoxide fails.
    pub fn sweep_expired(&self) -> Result<usize, EngineError> {
        let inner = self.lock();
        Ok(inner.database.sweep_ttl()?)
    }

    /// Releases the space of deleted data to the file system if it is at least 4 MiB and at least
    /// as large as the rest of the file; returns whether it did. SQLite by itself only reuses that
    /// space, so the file would keep its maximum size. Calls wait meanwhile.
    ///
    /// # Errors
    /// Returns an error if SQLite fails, for example because the disk has no space for the copy
    /// that it makes.
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
        // The copy passed through the write-ahead log, which would otherwise keep that size.
        inner
            .side
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(true)
    }

    // Ignores poisoning. A panic in dynoxide also poisons dynoxide's own lock, after which dynoxide
    // returns errors by itself.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.shared
            .inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod compact_tests;
