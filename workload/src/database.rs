//! Effects, and the ids of the messages that had theirs, in SQLite or PostgreSQL.
//!
//! | table | holds |
//! |---|---|
//! | `ackmark_schema` | the version of these tables |
//! | `ackmark_processed` | ids: stream and sequence, unique; where the message stood |
//! | `ackmark_effects` | effects: a row each, and nothing that would refuse a second one of a message |
//!
//! Both are written in one transaction. With SQLite the write-ahead log is synchronised at its checkpoints only
//! (`synchronous=NORMAL`): what is committed survives the end of the process, not that of the host.
//!
//! Limits: a statement on a database that is locked or away is waited for, 15 seconds at most.

use std::{future::Future, time::Duration};

use ackmark_schema::process::{EFFECTS_TABLE, STORE_VERSION};
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};
use thiserror::Error;
use tokio::runtime::Runtime;

/// How long a database that is locked or away is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Rows of a statement: four values each, and SQLite takes 32,766 in a statement.
const ROWS: usize = 1_000;

/// A database that cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// It cannot be opened.
    #[error(
        "cannot open the database: {0}; give sqlite://FILE?mode=rwc, or postgres://USER:PASSWORD@HOST:PORT/NAME of a server that is up"
    )]
    Open(String),
    /// It did not answer in time.
    #[error("the database did not answer within {} s: is it up, and reachable from here?", PATIENCE.as_secs())]
    Away,
    /// Another process holds it.
    #[error("the database is locked by another process for longer than {} s: end that one, or give another file", PATIENCE.as_secs())]
    Locked,
    /// Its tables are of another version.
    #[error(
        "the tables of the database have version {found}, this ackmark writes {STORE_VERSION}: give another database, or drop ackmark_schema, ackmark_processed and ackmark_effects there"
    )]
    Version {
        /// The version that is there.
        found: i64,
    },
    /// It refuses a statement.
    #[error("the database refuses to {doing}: {reason}")]
    Refused {
        /// What was asked of it.
        doing: &'static str,
        /// Why not.
        reason: String,
    },
    /// No threads for it.
    #[error("cannot start what talks to the database: {0}")]
    Runtime(std::io::Error),
}

/// A message that has, or had, its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// First half of its id.
    pub stream: i64,
    /// Second half.
    pub sequence: i64,
    /// Where it stands.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
}

/// A database of effects and ids. One thread's; several processes may share a PostgreSQL.
#[derive(Debug)]
pub struct Store {
    runtime: Runtime,
    connection: AnyConnection,
}

impl Store {
    /// Opens a database, and makes the tables where they are missing.
    ///
    /// # Errors
    /// It is away, locked, no database of a known kind, or has tables of another version.
    pub fn open(url: &str) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StoreError::Runtime)?;
        let connection = runtime.block_on(async {
            let connecting = AnyConnection::connect(url);
            tokio::time::timeout(PATIENCE, connecting)
                .await
                .map_err(|_| StoreError::Away)?
                .map_err(|error| open(&error))
        })?;
        let mut store = Self { runtime, connection };
        if url.starts_with("sqlite:") {
            for pragma in ["PRAGMA busy_timeout = 10000", "PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL"] {
                store.execute("set it up", pragma)?;
            }
        }
        store.prepare()?;
        Ok(store)
    }

    /// Makes the tables, or sees that those that are there are known. Whoever starts members opens it first, so that they do
    /// not make them at once.
    fn prepare(&mut self) -> Result<(), StoreError> {
        let version =
            format!("INSERT INTO ackmark_schema (one, version) VALUES (1, {STORE_VERSION}) ON CONFLICT DO NOTHING");
        let effects = format!(
            "CREATE TABLE IF NOT EXISTS {EFFECTS_TABLE} (stream BIGINT NOT NULL, sequence BIGINT NOT NULL, part BIGINT NOT NULL, place BIGINT NOT NULL)"
        );
        let statements = [
            "CREATE TABLE IF NOT EXISTS ackmark_schema (one BIGINT PRIMARY KEY, version BIGINT NOT NULL)",
            &version,
            "CREATE TABLE IF NOT EXISTS ackmark_processed (stream BIGINT NOT NULL, sequence BIGINT NOT NULL, part BIGINT NOT NULL, place BIGINT NOT NULL, PRIMARY KEY (stream, sequence))",
            "CREATE INDEX IF NOT EXISTS ackmark_processed_place ON ackmark_processed (part, place)",
            &effects,
        ];
        let (first, rest) = statements.split_at(2);
        for statement in first {
            self.execute("make the tables", statement)?;
        }
        let found =
            self.number("tell the version of its tables", "SELECT version FROM ackmark_schema WHERE one = 1")?;
        if found != STORE_VERSION {
            return Err(StoreError::Version { found });
        }
        for statement in rest {
            self.execute("make the tables", statement)?;
        }
        Ok(())
    }

    fn execute(&mut self, doing: &'static str, statement: &str) -> Result<(), StoreError> {
        let running = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut self.connection);
        self.runtime.block_on(bounded(doing, running)).map(drop)
    }

    /// A single number.
    fn number(&mut self, doing: &'static str, statement: &'static str) -> Result<i64, StoreError> {
        let asked = sqlx::query(statement).fetch_one(&mut self.connection);
        let row = self.runtime.block_on(bounded(doing, asked))?;
        row.try_get(0).map_err(|error| refused(doing, &error))
    }

    /// Whether no message has had its effect, and none its id.
    ///
    /// # Errors
    /// The database does not tell.
    pub fn is_empty(&mut self) -> Result<bool, StoreError> {
        let ids = self.number("count ids", "SELECT COUNT(*) FROM ackmark_processed")?;
        Ok(ids == 0 && self.number("count effects", "SELECT COUNT(*) FROM ackmark_effects")? == 0)
    }

    /// Writes the ids of messages and the effects of those that were not there, in one transaction; `before_commit` is
    /// called when both are written. Ids below the oldest offset that is kept of a partition are forgotten.
    ///
    /// # Returns
    /// How many were forgotten.
    ///
    /// # Errors
    /// The database refuses: nothing of it is written.
    pub fn apply(
        &mut self,
        rows: &[Row],
        oldest: &[(i32, i64)],
        before_commit: impl FnOnce(),
    ) -> Result<u64, StoreError> {
        let Self { runtime, connection } = self;
        runtime.block_on(async {
            let mut transaction = bounded("begin a transaction", connection.begin()).await?;
            for rows in rows.chunks(ROWS) {
                let fresh = bounded("keep ids", insert_ids(&mut transaction, rows)).await?;
                bounded("write effects", insert_effects(&mut transaction, &fresh)).await?;
            }
            let mut forgotten = 0;
            for (partition, offset) in oldest {
                let deleted = sqlx::query("DELETE FROM ackmark_processed WHERE part = $1 AND place < $2")
                    .bind(i64::from(*partition))
                    .bind(*offset)
                    .execute(&mut *transaction);
                forgotten += bounded("forget ids", deleted).await?.rows_affected();
            }
            before_commit();
            bounded("commit", transaction.commit()).await?;
            Ok(forgotten)
        })
    }
}

/// What the database does, within a bound.
async fn bounded<T>(doing: &'static str, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    // Longer than it waits for a lock by itself, which says more.
    match tokio::time::timeout(PATIENCE + PATIENCE / 2, work).await {
        Ok(done) => done.map_err(|error| refused(doing, &error)),
        Err(_) => Err(StoreError::Away),
    }
}

/// Keeps ids; those that were not there come back.
async fn insert_ids(connection: &mut AnyConnection, rows: &[Row]) -> Result<Vec<Row>, sqlx::Error> {
    let statement = format!(
        "INSERT INTO ackmark_processed (stream, sequence, part, place) VALUES {} ON CONFLICT DO NOTHING RETURNING stream, sequence, part, place",
        places(rows.len())
    );
    let returned = bind(&statement, rows).fetch_all(connection).await?;
    returned
        .iter()
        .map(|row| {
            let partition = i32::try_from(row.try_get::<i64, _>(2)?).unwrap_or(-1);
            Ok(Row { stream: row.try_get(0)?, sequence: row.try_get(1)?, partition, offset: row.try_get(3)? })
        })
        .collect()
}

async fn insert_effects(connection: &mut AnyConnection, rows: &[Row]) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let statement =
        format!("INSERT INTO {EFFECTS_TABLE} (stream, sequence, part, place) VALUES {}", places(rows.len()));
    bind(&statement, rows).execute(connection).await.map(drop)
}

/// `($1,$2,$3,$4),($5,…`: the form that both know.
fn places(rows: usize) -> String {
    let row = |row: usize| format!("(${},${},${},${})", 4 * row + 1, 4 * row + 2, 4 * row + 3, 4 * row + 4);
    (0..rows).map(row).collect::<Vec<_>>().join(",")
}

fn bind(statement: &str, rows: &[Row]) -> sqlx::query::Query<'static, sqlx::Any, sqlx::any::AnyArguments> {
    let mut query = sqlx::query(AssertSqlSafe(statement.to_owned()));
    for row in rows {
        query = query.bind(row.stream).bind(row.sequence).bind(i64::from(row.partition)).bind(row.offset);
    }
    query
}

/// SQLite's word for a database that another process writes to.
fn is_locked(error: &sqlx::Error) -> bool {
    error.to_string().contains("database is locked")
}

fn open(error: &sqlx::Error) -> StoreError {
    if is_locked(error) { StoreError::Locked } else { StoreError::Open(error.to_string()) }
}

fn refused(doing: &'static str, error: &sqlx::Error) -> StoreError {
    if is_locked(error) { StoreError::Locked } else { StoreError::Refused { doing, reason: error.to_string() } }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn url(folder: &tempfile::TempDir) -> String {
        format!("sqlite://{}?mode=rwc", folder.path().join("effects.db").display())
    }

    fn rows(sequences: impl Iterator<Item = i64>) -> Vec<Row> {
        sequences.map(|sequence| Row { stream: 1, sequence, partition: 0, offset: sequence }).collect()
    }

    fn effects(store: &mut Store) -> i64 {
        let count = sqlx::query("SELECT COUNT(*) FROM ackmark_effects").fetch_one(&mut store.connection);
        store.runtime.block_on(count).unwrap().get(0)
    }

    #[test]
    fn a_message_has_its_effect_once_as_long_as_its_id_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&url(&folder)).unwrap();
        assert_eq!(store.apply(&rows(0..2_500), &[], || {}).unwrap(), 0);
        // Read again, and twice in a batch.
        store.apply(&rows((2_000..3_000).chain(2_990..3_000)), &[], || {}).unwrap();
        assert_eq!(effects(&mut store), 3_000);
        // Ids below offset 100 are forgotten: their messages are new ones.
        assert_eq!(store.apply(&[], &[(0, 100)], || {}).unwrap(), 100);
        store.apply(&rows(0..200), &[], || {}).unwrap();
        assert_eq!(effects(&mut store), 3_100);
        drop(store);
        assert_eq!(effects(&mut Store::open(&url(&folder)).unwrap()), 3_100);
    }

    #[test]
    fn tables_of_another_version_and_what_is_no_database_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&url(&folder)).unwrap();
        store.execute("age", "UPDATE ackmark_schema SET version = 0").unwrap();
        drop(store);
        assert!(matches!(Store::open(&url(&folder)), Err(StoreError::Version { found: 0 })));
        for bad in ["mysql://localhost/x", "nonsense", "sqlite:///no/such/folder/x.db?mode=rwc"] {
            assert!(matches!(Store::open(bad), Err(StoreError::Open(_))), "{bad}");
        }
    }
}
