//! A log of all changes of runs, which triggers of the database write within the transactions that make the changes.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::support::Database;

/// The log of the runs of a database.
pub struct RunLog(Database);

/// A change of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Ascending: what was changed while its row was locked has a smaller number than what was changed after that.
    pub number: i64,
    pub run: Uuid,
    pub export: Uuid,
    /// The state before; empty for a new run.
    pub before: String,
    pub after: String,
    pub attempt: i64,
    /// The replica that has the lease; empty if none has.
    pub owner: String,
    /// Whether the lease was renewed.
    pub renewed: bool,
}

const POSTGRES: &str = "\
    CREATE TABLE run_log (number bigserial PRIMARY KEY, run text, export text, before text, after text, attempt bigint, \
    owner text, renewed bigint); \
    CREATE FUNCTION log_run() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    IF TG_OP = 'INSERT' THEN \
    INSERT INTO run_log (run, export, before, after, attempt, owner, renewed) \
    VALUES (NEW.uid::text, NEW.export_uid::text, '', NEW.state, NEW.attempt, '', 0); \
    ELSE \
    INSERT INTO run_log (run, export, before, after, attempt, owner, renewed) \
    VALUES (NEW.uid::text, NEW.export_uid::text, OLD.state, NEW.state, NEW.attempt, coalesce(NEW.lease_owner::text, ''), \
    (OLD.lease_expire_time < NEW.lease_expire_time)::int); \
    END IF; RETURN NULL; END $$; \
    CREATE TRIGGER log_run AFTER INSERT OR UPDATE ON runs FOR EACH ROW EXECUTE FUNCTION log_run()";

const SQLITE: &str = "\
    CREATE TABLE run_log (number INTEGER PRIMARY KEY AUTOINCREMENT, run, export, before, after, attempt, owner, renewed); \
    CREATE TRIGGER log_new_run AFTER INSERT ON runs BEGIN \
    INSERT INTO run_log (run, export, before, after, attempt, owner, renewed) \
    VALUES (hex(NEW.uid), hex(NEW.export_uid), '', NEW.state, NEW.attempt, '', 0); END; \
    CREATE TRIGGER log_run AFTER UPDATE ON runs BEGIN \
    INSERT INTO run_log (run, export, before, after, attempt, owner, renewed) \
    VALUES (hex(NEW.uid), hex(NEW.export_uid), OLD.state, NEW.state, NEW.attempt, coalesce(hex(NEW.lease_owner), ''), \
    coalesce(OLD.lease_expire_time < NEW.lease_expire_time, 0)); END";

/// The columns of a change.
type Row = (i64, String, String, String, String, i64, String, i64);

impl RunLog {
    /// Begins the log.
    pub async fn begin(database: Database) -> Self {
        let triggers = match database {
            Database::Sqlite(_) => SQLITE,
            Database::Postgres(_) => POSTGRES,
        };
        database.execute(triggers).await;
        Self(database)
    }

    /// The database whose changes are recorded.
    pub fn database(&self) -> &Database {
        &self.0
    }

    /// Reads all changes of runs in their order.
    pub async fn changes(&self) -> Vec<Change> {
        self.changes_where("true").await
    }

    /// The changes of a run.
    pub async fn changes_of(&self, run: Uuid) -> Vec<Change> {
        self.changes_where(&format!("run = '{}'", self.text(run))).await
    }

    /// The state of a run, and the replica that has its lease.
    pub async fn state(&self, run: Uuid) -> (String, String) {
        let last = self.changes_where(&format!("run = '{}'", self.text(run))).await.pop().expect("a run");
        (last.after, last.owner)
    }

    async fn changes_where(&self, condition: &str) -> Vec<Change> {
        let columns = "number, run, export, before, after, attempt, owner, coalesce(renewed, 0)";
        let query = format!("SELECT {columns} FROM run_log WHERE {condition} ORDER BY number");
        let uid = |text: &str| Uuid::try_parse(text).expect("a uid");
        let change = |(number, run, export, before, after, attempt, owner, renewed): Row| Change {
            number,
            run: uid(&run),
            export: uid(&export),
            before,
            after,
            attempt,
            owner,
            renewed: renewed == 1,
        };
        self.0.fetch_rows::<Row>(&query).await.into_iter().map(change).collect()
    }

    fn text(&self, uid: Uuid) -> String {
        match self.0 {
            Database::Sqlite(_) => uid.simple().to_string().to_uppercase(),
            Database::Postgres(_) => uid.to_string(),
        }
    }
}

/// The largest number of leases at the same time among runs that have the same key.
pub fn most_leases_at_once<K: Ord>(changes: &[Change], key: impl Fn(&Change) -> K) -> usize {
    let is_leased = |state: &str| ["RUNNING", "CANCELLING"].contains(&state);
    let (mut leased, mut most) = (BTreeMap::<K, usize>::new(), 0);
    for change in changes {
        let count = leased.entry(key(change)).or_default();
        *count = *count + usize::from(is_leased(&change.after)) - usize::from(is_leased(&change.before));
        most = most.max(*count);
    }
    most
}

/// Checks that each run that was not skipped succeeded once, with its last attempt, and returns the number of attempts of
/// each.
pub fn attempts_of_succeeded(changes: &[Change]) -> BTreeMap<Uuid, i64> {
    let mut last = BTreeMap::<Uuid, &Change>::new();
    for change in changes {
        if let Some(before) = last.insert(change.run, change) {
            assert_eq!(before.after, change.before, "{change:?}");
            assert!(before.after != "SUCCEEDED", "a run changed after its end: {change:?}");
            let leased = u8::from(change.before == "QUEUED" && change.after == "RUNNING");
            assert_eq!(change.attempt, before.attempt + i64::from(leased), "a stale attempt: {change:?}");
        }
    }
    last.retain(|_, change| change.after != "SKIPPED" || change.attempt > 0);
    for change in last.values() {
        assert_eq!(change.after, "SUCCEEDED", "{change:?}");
    }
    last.into_iter().map(|(run, change)| (run, change.attempt)).collect()
}
