//! One good call of every RPC, for those tests that go through all of them.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use outflow::grpc::proto as pb;
use prost::Message;
use tonic::{Response, Status};

use super::{Client, create_connection, create_export, cron};

mod connections;
mod exports;

/// The names that calls are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// `organizations/…`
    pub parent: String,
    /// A connection that is in use, shared with `user:bea`.
    pub connection: String,
    /// A connection that nothing uses.
    pub free: String,
    /// Another connection that is shared with `user:bea`.
    pub target: String,
    /// An export on `connection`.
    pub export: String,
}

/// Which of the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// `Names::parent`
    Parent,
    /// `Names::connection`
    Connection,
    /// `Names::free`
    Free,
    /// `Names::target`
    Target,
    /// `Names::export`
    Export,
}

use Slot::{Connection, Export, Free, Parent, Target};

impl Names {
    /// One of the names, to be changed.
    pub fn slot(&mut self, slot: Slot) -> &mut String {
        match slot {
            Parent => &mut self.parent,
            Connection => &mut self.connection,
            Free => &mut self.free,
            Target => &mut self.target,
            Export => &mut self.export,
        }
    }

    /// New resources of an administrator's organization, of which `number` tells them apart from others.
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
        let mut request = create_export(&connection, &format!("export {number}"));
        request.parent.clone_from(&parent);
        request.export_id = format!("export-{number}");
        request.export.as_mut().expect("an export").schedule = Some(cron("0 6 * * MON", "Europe/Berlin"));
        let created = admin.exports.create_export(request).await.expect("created").into_inner();
        Self { parent, connection, free, target, export: created.export.expect("answered").name }
    }
}

/// What else goes into a call.
#[derive(Clone, Debug, Default)]
pub struct With {
    /// The secret of the credential, where the call takes one.
    pub secret: String,
    /// The id of the request, where the call is a change.
    pub request_id: String,
    /// Whether the call is to check everything and change nothing.
    pub validate_only: bool,
}

/// What a call answers, as bytes.
pub type Answered = Result<Vec<u8>, Status>;

/// One RPC.
pub struct EveryCall {
    /// `package.Service/Method`
    pub method: &'static str,
    /// The names that its request holds.
    pub slots: &'static [Slot],
    /// Calls it.
    pub call: fn(Client, Names, With) -> BoxFuture<'static, Answered>,
}

impl EveryCall {
    /// Whether it changes anything: such a request has an id.
    pub fn is_change(&self) -> bool {
        let set = descriptor_set();
        let (_, method) = self.method.split_once('/').expect("a method");
        let message = set.file.iter().flat_map(|file| &file.message_type);
        let mut request = message.filter(|message| message.name() == format!("{method}Request"));
        request.any(|message| message.field.iter().any(|field| field.name() == "request_id"))
    }
}

fn bytes<M: Message>(answer: Result<Response<M>, Status>) -> Answered {
    answer.map(|answer| answer.into_inner().encode_to_vec())
}

/// Every RPC.
pub fn every_call() -> impl Iterator<Item = &'static EveryCall> {
    connections::CALLS.iter().chain(&exports::CALLS)
}

/// Every method that the protos declare, by its service.
pub fn declared_methods() -> BTreeMap<String, Vec<String>> {
    let set = descriptor_set();
    let mut methods = BTreeMap::new();
    for file in set.file.iter().filter(|file| file.package() == "outflow.v1") {
        for service in &file.service {
            let name = format!("outflow.v1.{}", service.name());
            let declared = service.method.iter().map(|method| format!("{name}/{}", method.name())).collect();
            methods.insert(name, declared);
        }
    }
    methods
}

fn descriptor_set() -> prost_types::FileDescriptorSet {
    prost_types::FileDescriptorSet::decode(pb::DESCRIPTOR_SET).expect("a descriptor set")
}
