//! The names of resources that sample calls are about.

use outflow::grpc::proto as pb;

use crate::support::{Client, create_connection, create_export, cron};

/// Names the resources that the requests of sample calls are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The organization that owns the resources: `organizations/…`.
    pub parent: String,
    /// A connection that is in use, shared with `user:bea`.
    pub connection: String,
    /// A connection that nothing uses.
    pub free: String,
    /// Another connection that is shared with `user:bea`.
    pub target: String,
    /// An export that is attached to `connection`.
    pub export: String,
    /// A queued run of another export that is attached to `connection`.
    pub run: String,
    /// A cancelled run of a third export.
    pub ended_run: String,
}

/// Selects one of the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Selects `Names::parent`.
    Parent,
    /// Selects `Names::connection`.
    Connection,
    /// Selects `Names::free`.
    Free,
    /// Selects `Names::target`.
    Target,
    /// Selects `Names::export`.
    Export,
    /// Selects `Names::run`.
    Run,
    /// Selects `Names::ended_run`.
    EndedRun,
}

impl Slot {
    /// Lists every slot.
    pub const ALL: &[Self] =
        &[Self::Parent, Self::Connection, Self::Free, Self::Target, Self::Export, Self::Run, Self::EndedRun];

    /// Returns the text that stands for the name in the request of a sample.
    pub fn placeholder(self) -> &'static str {
        match self {
            Self::Parent => "{parent}",
            Self::Connection => "{connection}",
            Self::Free => "{free}",
            Self::Target => "{target}",
            Self::Export => "{export}",
            Self::Run => "{run}",
            Self::EndedRun => "{ended_run}",
        }
    }
}

impl Names {
    /// Returns the name that a slot selects.
    pub fn get(&self, slot: Slot) -> &String {
        match slot {
            Slot::Parent => &self.parent,
            Slot::Connection => &self.connection,
            Slot::Free => &self.free,
            Slot::Target => &self.target,
            Slot::Export => &self.export,
            Slot::Run => &self.run,
            Slot::EndedRun => &self.ended_run,
        }
    }

    /// Returns the name that a slot selects, to change it.
    pub fn get_mut(&mut self, slot: Slot) -> &mut String {
        match slot {
            Slot::Parent => &mut self.parent,
            Slot::Connection => &mut self.connection,
            Slot::Free => &mut self.free,
            Slot::Target => &mut self.target,
            Slot::Export => &mut self.export,
            Slot::Run => &mut self.run,
            Slot::EndedRun => &mut self.ended_run,
        }
    }

    /// Creates new resources in the organization of `admin`. `number` makes their names differ from earlier ones.
    pub async fn make(admin: &mut Client, organization: &str, number: u64) -> Self {
        let parent = format!("organizations/{organization}");
        let mut made = Vec::new();
        for kind in ["used", "free", "goal"] {
            let mut request = create_connection(&format!("{kind} {number}"));
            request.parent.clone_from(&parent);
            request.connection_id = format!("{kind}-{number}");
            let sharing = pb::Sharing { all_contributors: false, members: vec!["user:bea".to_owned()] };
            request.connection.as_mut().expect("a connection").sharing = Some(sharing);
            let created = admin.connections.create_connection(request).await.expect("created").into_inner();
            made.push(created.connection.expect("answered").name);
        }
        let [connection, free, target] = made.try_into().expect("three");
        let mut exports = Vec::new();
        for kind in ["export", "run", "ended"] {
            let mut request = create_export(&connection, &format!("{kind} {number}"));
            request.parent.clone_from(&parent);
            request.export_id = format!("{kind}-{number}");
            request.export.as_mut().expect("an export").schedule = Some(cron("0 6 * * MON", "Europe/Berlin"));
            let created = admin.exports.create_export(request).await.expect("created").into_inner();
            exports.push(created.export.expect("answered").name);
        }
        let [export, run, ended]: [String; 3] = exports.try_into().expect("three");
        let mut runs = Vec::new();
        for name in [run, ended] {
            let request = pb::RunExportRequest { name, ..pb::RunExportRequest::default() };
            let started = admin.exports.run_export(request).await.expect("queued").into_inner();
            runs.push(started.run.expect("answered").name);
        }
        let [run, ended_run]: [String; 2] = runs.try_into().expect("two");
        let request = pb::CancelExportRunRequest { name: ended_run.clone(), ..pb::CancelExportRunRequest::default() };
        admin.exports.cancel_export_run(request).await.expect("cancelled");
        Self { parent, connection, free, target, export, run, ended_run }
    }
}
