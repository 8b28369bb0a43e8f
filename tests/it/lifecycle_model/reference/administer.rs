//! The operations of administrators on connections.

use super::{Affected, Connection, NEVER, NOT_FOUND, Outcome, Reference, check};
use crate::lifecycle_model::operations::{Expiry, Op};

impl Reference {
    pub(super) fn administer(&mut self, op: &Op) -> Outcome<Affected> {
        if let Op::CreateConnection { id, all, members, secret, expiry } = op {
            return self.create_connection(id, (*all, members), *secret, expiry.as_ref());
        }
        let id = op.connection().unwrap_or_else(|| panic!("not an operation on a connection: {op:?}"));
        let hour = self.hour;
        let before = self.connections.get(id).ok_or(NOT_FOUND)?.clone();
        let mut after = before.clone();
        let mut count = 0;
        // Storing a credential counts as a change even if it is the same.
        let mut credential_changed = false;
        match op {
            Op::Describe { description, etag, .. } => {
                check(etag)?;
                after.description.clone_from(description);
            }
            Op::MoveEndpoint { host, secret, .. } => {
                if after.host != *host && after.credential.is_some() && !secret {
                    return Err("CREDENTIAL_REENTRY_REQUIRED");
                }
                after.host.clone_from(host);
                if *secret {
                    credential_changed = true;
                    after.credential = Some(NEVER);
                }
            }
            Op::DeleteConnection { etag, .. } => {
                check(etag)?;
                if !before.attached.is_empty() {
                    return Err("CONNECTION_IN_USE");
                }
                self.connections.remove(id);
                return Ok(Affected { resources: vec![(id.clone(), before.incarnation)], ..Affected::default() });
            }
            Op::Share { all, members, .. } => {
                after.all |= all;
                after.members.extend(members.iter().cloned());
            }
            Op::Unshare { all, members, .. } => {
                after.all &= !all;
                after.members.retain(|member| !members.contains(member));
                if after != before {
                    count = after.attached.len() as u64;
                }
            }
            Op::Suspend { reason, .. } => after.suspended = Some(reason.clone()),
            Op::Resume { .. } => after.suspended = None,
            Op::Rotate { expiry, .. } => {
                credential_changed = true;
                after.credential = Some(expiry_hour(hour, expiry.as_ref()));
            }
            Op::Revoke { .. } => {
                credential_changed = after.credential.is_some();
                after.credential = None;
            }
            _ => {}
        }
        after.credential_revision += i64::from(credential_changed);
        if after != before {
            after.revision += 1;
        }
        match op {
            Op::Suspend { .. } => self.block_runs(before.incarnation, "CONNECTION_SUSPENDED"),
            Op::Revoke { .. } => self.block_runs(before.incarnation, "CREDENTIAL_REQUIRED"),
            _ => {}
        }
        self.connections.insert(id.clone(), after);
        Ok(self.affected_connection(id, count))
    }

    fn create_connection(
        &mut self,
        id: &str,
        (all, members): (bool, &[String]),
        secret: bool,
        expiry: Option<&Expiry>,
    ) -> Outcome<Affected> {
        if !secret {
            return Err("INVALID_FIELD");
        }
        if self.connections.contains_key(id) {
            return Err("RESOURCE_EXISTS");
        }
        let connection = Connection {
            incarnation: self.next(),
            description: String::new(),
            host: "sftp.partner.example".to_owned(),
            all,
            members: members.iter().cloned().collect(),
            suspended: None,
            credential: Some(expiry_hour(self.hour, expiry)),
            credential_revision: 1,
            attached: Vec::new(),
            attachments: 0,
            revision: 1,
        };
        self.connections.insert(id.to_owned(), connection);
        Ok(self.affected_connection(id, 0))
    }
}

/// The hour in which a credential expires.
fn expiry_hour(hour: u64, expiry: Option<&Expiry>) -> u64 {
    expiry.map_or(NEVER, |expiry| hour + expiry.hours)
}
