//! Properties of connections: checked against the type, and against what the operator permits to the organization.

use crate::app::App;
use crate::catalog::ConnectionType;
use crate::model::json::Object;
use crate::model::{OrganizationId, Violations};

/// Path of the properties in requests.
pub const PATH: &str = "connection.properties";

/// Checks properties and returns them in their normal form, with defaults filled in; as they are given if they are invalid.
pub fn check(
    violations: &mut Violations,
    app: &App,
    organization: &OrganizationId,
    connection_type: &ConnectionType,
    given: &Object,
) -> Object {
    match connection_type.check_properties(given, PATH) {
        Ok(checked) => {
            for (key, tenant) in connection_type.entra_tenants(&checked) {
                if !app.entra_tenants().permits(organization, tenant) {
                    let reason = "is not a tenant that the operator of this service permits to your organization";
                    violations.add(format!("{PATH}.{key}"), reason);
                }
            }
            checked
        }
        Err(found) => {
            violations.extend(found);
            given.clone()
        }
    }
}
