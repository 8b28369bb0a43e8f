//! Rows of `exports` joined with their connection, and their conversion.

use sea_orm::{DbErr, FromQueryResult, QueryResult};
use serde_json::Value;

use super::Scope;
use super::entities::export;
use crate::model::{
    Attachment, AttachmentState, Availability, CallerAccess, ConnectionName, ConnectionTypeId, ConnectionUid,
    Detachment, Error, Export, ExportName, ExportUid, Member, ResourceId, Result, SchedulePause,
};

pub struct Row {
    export: export::Model,
    connection_id: Option<String>,
    connection_display_name: Option<String>,
    availability: i32,
    managed: bool,
}

impl FromQueryResult for Row {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        Ok(Self {
            export: export::Model::from_query_result(row, prefix)?,
            connection_id: row.try_get(prefix, "connection_id")?,
            connection_display_name: row.try_get(prefix, "connection_display_name")?,
            availability: row.try_get(prefix, "availability")?,
            managed: row.try_get(prefix, "managed")?,
        })
    }
}

impl Row {
    pub fn into_model(self, scope: &Scope<'_>) -> Result<Export> {
        let attachment_state = self.attachment_state(scope)?;
        let row = self.export;
        let Value::Object(destination_settings) = row.destination_settings else {
            return Err(Error::internal("stored settings are not an object"));
        };
        Ok(Export {
            name: ExportName { organization: scope.organization.clone(), id: ResourceId::stored(row.id) },
            uid: ExportUid(row.uid),
            display_name: row.display_name,
            description: row.description,
            connection_type: ConnectionTypeId::new(row.connection_type),
            attachment_state,
            payload: serde_json::from_value(row.payload).map_err(Error::internal)?,
            schedule: row.schedule.map(serde_json::from_value).transpose().map_err(Error::internal)?,
            destination_settings,
            file_name: row.file_name,
            schedule_pause: row.schedule_pause_time.map(|time| SchedulePause {
                time,
                failures: u32::try_from(row.consecutive_failures).unwrap_or_default(),
            }),
            next_due_time: row.next_due_time,
            caller_access: if self.managed { CallerAccess::Manage } else { CallerAccess::View },
            labels: serde_json::from_value(row.labels).map_err(Error::internal)?,
            owner: row.owner.map_or_else(|| Member::user(&row.creator), |owner| Member::stored(&owner)),
            creator: row.creator,
            create_time: row.create_time,
            updater: row.updater,
            update_time: row.update_time,
            revision: row.revision,
            last_run: None,
        })
    }

    fn attachment_state(&self, scope: &Scope<'_>) -> Result<AttachmentState> {
        let row = &self.export;
        let name = |id: &str| ConnectionName {
            organization: scope.organization.clone(),
            id: ResourceId::stored(id.to_owned()),
        };
        let attached = (row.connection_uid, row.attached_revision, &self.connection_id, &self.connection_display_name);
        if let (Some(uid), Some(revision), Some(id), Some(display_name)) = attached {
            let availability =
                Availability::from_code(self.availability).ok_or_else(|| Error::internal("unknown availability"))?;
            return Ok(AttachmentState::Attached(Attachment {
                uid: ConnectionUid(uid),
                name: name(id),
                display_name: display_name.clone(),
                availability,
                revision,
            }));
        }
        let missing = || Error::internal("an export is neither attached nor detached");
        Ok(AttachmentState::Detached(Detachment {
            connection: ConnectionUid(row.detached_connection_uid.ok_or_else(missing)?),
            connection_name: name(row.detached_connection_id.as_deref().ok_or_else(missing)?),
            connection_display_name: row.detached_connection_display_name.clone().ok_or_else(missing)?,
            batch_id: row.detached_batch_id,
            principal: row.detached_principal.clone().ok_or_else(missing)?,
            time: row.detached_time.ok_or_else(missing)?,
            reason: row.detached_reason.clone().unwrap_or_default(),
        }))
    }
}
