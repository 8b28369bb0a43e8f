//! What contributors do with exports, and what happens to these.

use super::{ABSENT, Detached, Effect, Export, Outcome, RIGHT, Reference, check};
use crate::lifecycle_model::operations::{Op, Who};

impl Reference {
    pub(super) fn contribute(&mut self, who: Who, op: &Op) -> Outcome<Effect> {
        match op {
            Op::CreateExport { id, connection, enabled } => self.create(who, id, connection, *enabled),
            Op::DescribeExport { id, description, etag } => {
                self.find_managed(who, std::slice::from_ref(id))?;
                check(etag)?;
                self.change(who, id, |export| export.description.clone_from(description));
                Ok(self.effect([id]))
            }
            Op::DeleteExport { id, etag } => {
                self.find_managed(who, std::slice::from_ref(id))?;
                check(etag)?;
                Ok(self.remove(std::slice::from_ref(id)))
            }
            Op::DeleteExports { ids } => {
                self.find_managed(who, ids)?;
                Ok(self.remove(ids))
            }
            Op::Duplicate { id, copy } => self.duplicate(who, id, copy),
            Op::Attach { id, connection, etag } => {
                self.find_managed(who, std::slice::from_ref(id))?;
                self.target(who, connection)?;
                check(etag)?;
                self.attach(who, std::slice::from_ref(id), connection);
                Ok(self.effect([id]))
            }
            Op::AttachMany { ids, connection } => {
                self.find_managed(who, ids)?;
                self.target(who, connection)?;
                self.attach(who, ids, connection);
                Ok(self.effect(ids))
            }
            Op::Switch { ids, enabled } => {
                self.find_managed(who, ids)?;
                for id in ids {
                    self.change(who, id, |export| export.enabled = *enabled);
                }
                Ok(self.effect(ids))
            }
            _ => panic!("{op:?} is no contributor's"),
        }
    }

    fn create(&mut self, who: Who, id: &str, connection: &str, enabled: bool) -> Outcome<Effect> {
        self.target(who, connection)?;
        if self.exports.contains_key(id) {
            return Err("RESOURCE_EXISTS");
        }
        let export = Export {
            incarnation: self.next(),
            display_name: format!("Export {id}"),
            description: String::new(),
            creator: who,
            updater: who,
            connection: Ok(connection.to_owned()),
            enabled,
            revision: 1,
        };
        self.exports.insert(id.to_owned(), export);
        self.arrive(connection, id);
        Ok(self.effect([&id.to_owned()]))
    }

    fn duplicate(&mut self, who: Who, id: &String, copy: &String) -> Outcome<Effect> {
        self.find_managed(who, std::slice::from_ref(id))?;
        if self.exports.contains_key(copy) {
            return Err("RESOURCE_EXISTS");
        }
        let mut export = self.exports[id].clone();
        export.incarnation = self.next();
        export.display_name = format!("Copy of {}", export.display_name).chars().take(120).collect();
        (export.creator, export.updater, export.enabled, export.revision) = (who, who, false, 1);
        if let Err(detached) = &mut export.connection {
            detached.batch = false;
        }
        let connection = export.connection.clone().ok();
        self.exports.insert(copy.clone(), export);
        if let Some(connection) = connection {
            self.arrive(&connection, copy);
        }
        Ok(self.effect([copy]))
    }

    fn target(&self, who: Who, id: &str) -> Outcome<()> {
        match self.connections.get(id) {
            Some(connection) if connection.is_usable(who) => Ok(()),
            None if who == Who::Root => Err(ABSENT),
            _ => Err(RIGHT),
        }
    }

    pub(super) fn find(&self, ids: &[String]) -> Outcome<()> {
        if ids.iter().all(|id| self.exports.contains_key(id)) { Ok(()) } else { Err(ABSENT) }
    }

    fn find_managed(&self, who: Who, ids: &[String]) -> Outcome<()> {
        self.find(ids)?;
        if ids.iter().all(|id| self.manages(who, &self.exports[id])) { Ok(()) } else { Err(RIGHT) }
    }

    fn change(&mut self, who: Who, id: &str, change: impl FnOnce(&mut Export)) {
        let before = self.exports[id].clone();
        let after = self.exports.get_mut(id).expect("it was found");
        change(after);
        if *after != before {
            after.revision += 1;
            after.updater = who;
        }
    }

    fn arrive(&mut self, connection: &str, id: &str) {
        let connection = self.connections.get_mut(connection).expect("it was found");
        connection.attached.push(id.to_owned());
        connection.attachments += 1;
    }

    fn leave(&mut self, id: &str) {
        if let Ok(connection) = &self.exports[id].connection {
            let connection = self.connections.get_mut(connection).expect("it is attached there");
            connection.attached.retain(|attached| attached != id);
        }
    }

    fn attach(&mut self, who: Who, ids: &[String], connection: &str) {
        for id in ids {
            if self.exports[id].connection.as_deref() != Ok(connection) {
                self.leave(id);
                self.change(who, id, |export| export.connection = Ok(connection.to_owned()));
                self.arrive(connection, id);
            }
        }
    }

    pub(super) fn detach(&mut self, ids: &[String], reason: &str, batch: bool) -> u64 {
        let mut count = 0;
        for id in ids {
            if let Ok(from) = self.exports[id].connection.clone() {
                self.leave(id);
                let detached = Detached { from, reason: reason.to_owned(), batch };
                self.change(Who::Root, id, |export| export.connection = Err(detached));
                count += 1;
            }
        }
        count
    }

    fn remove(&mut self, ids: &[String]) -> Effect {
        let effect = self.effect(ids);
        for id in ids {
            self.leave(id);
            self.exports.remove(id);
        }
        effect
    }
}
