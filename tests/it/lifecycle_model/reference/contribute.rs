//! The operations of contributors on exports, and attachment.

use super::{Affected, Detached, Export, NOT_FOUND, NOT_PERMITTED, Outcome, Reference, check};
use crate::lifecycle_model::operations::{Caller, Op, Timing};

impl Reference {
    pub(super) fn contribute(&mut self, caller: Caller, op: &Op) -> Outcome<Affected> {
        match op {
            Op::CreateExport { id, connection, enabled, timing } => {
                self.create(caller, id, connection, (*enabled, timing))
            }
            Op::UpdateExport { id, description, owner, etag } => {
                self.check_managed(caller, std::slice::from_ref(id))?;
                check(etag)?;
                let before = &self.exports[id].owner;
                let owner = owner.as_ref().unwrap_or(before).clone();
                if owner != *before && caller != Caller::Root && !caller.is_member(before) {
                    return Err(NOT_PERMITTED);
                }
                self.change(caller, id, |export| {
                    export.description.clone_from(description);
                    export.owner = owner;
                });
                Ok(self.affected([id]))
            }
            Op::DeleteExport { id, etag } => {
                self.check_managed(caller, std::slice::from_ref(id))?;
                check(etag)?;
                Ok(self.remove(std::slice::from_ref(id)))
            }
            Op::BatchDelete { ids } => {
                self.check_managed(caller, ids)?;
                Ok(self.remove(ids))
            }
            Op::Duplicate { id, copy } => self.duplicate(caller, id, copy),
            Op::Attach { id, connection, etag } => {
                self.check_managed(caller, std::slice::from_ref(id))?;
                self.check_usable(caller, connection)?;
                check(etag)?;
                self.attach(caller, std::slice::from_ref(id), connection);
                Ok(self.affected([id]))
            }
            Op::BatchAttach { ids, connection } => {
                self.check_managed(caller, ids)?;
                self.check_usable(caller, connection)?;
                self.attach(caller, ids, connection);
                Ok(self.affected(ids))
            }
            Op::SetEnabled { ids, enabled } => {
                self.check_managed(caller, ids)?;
                let hour = self.hour;
                for id in ids {
                    self.change(caller, id, |export| {
                        if *enabled && export.paused.take().is_some() {
                            export.failures = 0;
                        }
                        if export.enabled != *enabled || (*enabled && export.next_due.is_none()) {
                            export.enabled = *enabled;
                            export.next_due = export.first_due(hour);
                        }
                    });
                }
                Ok(self.affected(ids))
            }
            _ => panic!("not an operation of contributors: {op:?}"),
        }
    }

    fn create(
        &mut self,
        caller: Caller,
        id: &str,
        connection: &str,
        (enabled, timing): (bool, &Timing),
    ) -> Outcome<Affected> {
        self.check_usable(caller, connection)?;
        if self.exports.contains_key(id) {
            return Err("RESOURCE_EXISTS");
        }
        let mut export = Export {
            incarnation: self.next(),
            display_name: format!("Export {id}"),
            description: String::new(),
            creator: caller,
            owner: format!("user:{}", caller.subject()),
            updater: caller,
            connection: Ok(connection.to_owned()),
            enabled,
            timing: timing.clone(),
            next_due: None,
            failures: 0,
            paused: None,
            revision: 1,
        };
        export.next_due = export.first_due(self.hour);
        self.exports.insert(id.to_owned(), export);
        self.add_attachment(connection, id);
        Ok(self.affected([&id.to_owned()]))
    }

    fn duplicate(&mut self, caller: Caller, id: &String, copy: &String) -> Outcome<Affected> {
        self.check_managed(caller, std::slice::from_ref(id))?;
        if self.exports.contains_key(copy) {
            return Err("RESOURCE_EXISTS");
        }
        let mut export = self.exports[id].clone();
        export.incarnation = self.next();
        export.display_name = format!("Copy of {}", export.display_name).chars().take(120).collect();
        (export.creator, export.updater, export.enabled, export.revision) = (caller, caller, false, 1);
        export.owner = format!("user:{}", caller.subject());
        (export.next_due, export.failures, export.paused) = (None, 0, None);
        if let Err(detached) = &mut export.connection {
            detached.batch = false;
        }
        let connection = export.connection.clone().ok();
        self.exports.insert(copy.clone(), export);
        if let Some(connection) = connection {
            self.add_attachment(&connection, copy);
        }
        Ok(self.affected([copy]))
    }

    /// Checks that a caller may use a connection.
    fn check_usable(&self, caller: Caller, id: &str) -> Outcome<()> {
        match self.connections.get(id) {
            Some(connection) if connection.is_usable(caller) => Ok(()),
            None if caller == Caller::Root => Err(NOT_FOUND),
            _ => Err(NOT_PERMITTED),
        }
    }

    /// Checks that exports exist.
    pub(super) fn check_exist(&self, ids: &[String]) -> Outcome<()> {
        if ids.iter().all(|id| self.exports.contains_key(id)) { Ok(()) } else { Err(NOT_FOUND) }
    }

    /// Checks that exports exist and that a caller may change them.
    pub(super) fn check_managed(&self, caller: Caller, ids: &[String]) -> Outcome<()> {
        self.check_exist(ids)?;
        if ids.iter().all(|id| self.manages(caller, &self.exports[id])) { Ok(()) } else { Err(NOT_PERMITTED) }
    }

    /// Changes an export; its revision increases if a value differs.
    pub(super) fn change(&mut self, caller: Caller, id: &str, change: impl FnOnce(&mut Export)) {
        let before = self.exports[id].clone();
        let after = self.exports.get_mut(id).expect("the export exists");
        change(after);
        if *after != before {
            after.revision += 1;
            after.updater = caller;
        }
    }

    /// Adds an export to the attached exports of a connection.
    fn add_attachment(&mut self, connection: &str, id: &str) {
        let connection = self.connections.get_mut(connection).expect("the connection exists");
        connection.attached.push(id.to_owned());
        connection.attachments += 1;
    }

    /// Removes an export from the attached exports of its connection and cancels its runs, if it is attached.
    fn remove_attachment(&mut self, id: &str) {
        if let Ok(connection) = &self.exports[id].connection {
            let connection = self.connections.get_mut(connection).expect("the connection exists");
            connection.attached.retain(|attached| attached != id);
            self.cancel_runs(self.exports[id].incarnation);
        }
    }

    fn attach(&mut self, caller: Caller, ids: &[String], connection: &str) {
        for id in ids {
            if self.exports[id].connection.as_deref() != Ok(connection) {
                self.remove_attachment(id);
                let hour = self.hour;
                self.change(caller, id, |export| {
                    export.connection = Ok(connection.to_owned());
                    export.next_due = export.first_due(hour);
                });
                self.add_attachment(connection, id);
            }
        }
    }

    /// Detaches exports, and returns how many were attached.
    pub(super) fn detach(&mut self, ids: &[String], reason: &str, batch: bool) -> u64 {
        let mut count = 0;
        for id in ids {
            if let Ok(from) = self.exports[id].connection.clone() {
                self.remove_attachment(id);
                let detached = Detached { from, reason: reason.to_owned(), batch };
                self.change(Caller::Root, id, |export| export.connection = Err(detached));
                count += 1;
            }
        }
        count
    }

    fn remove(&mut self, ids: &[String]) -> Affected {
        let affected = self.affected(ids);
        for id in ids {
            self.remove_attachment(id);
            self.exports.remove(id);
        }
        affected
    }
}
