//! Properties of connections: checked against the type, and against what the operator permits to the organization.

use crate::app::App;
use crate::catalog::ConnectionType;
use crate::model::json::Object;
use crate::model::{OrganizationId, Violations};

/// Path of the properties in requests.
pub const PATH: &str = "connection.properties";

/// Checks properties, and returns the valid ones in their normal form, with defaults filled in.
pub fn check(
    violations: &mut Violations,
    app: &App,
    organization: &OrganizationId,
    connection_type: &ConnectionType,
    given: &Object,
) -> Object {
    let (checked, found) = connection_type.check_properties(given, PATH);
    violations.extend(found);
    for (key, tenant) in connection_type.entra_tenants(&checked) {
        if !app.entra_tenants().permits(organization, tenant) {
            let reason = "is not a tenant that the operator of this service permits to your organization";
            violations.add(format!("{PATH}.{key}"), reason);
        }
    }
    checked
}
