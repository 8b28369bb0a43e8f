//! The Microsoft Entra tenants that the operator permits to organizations.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::id::OrganizationId;

/// The tenants of each organization. An organization that is not listed may use every tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntraTenants(BTreeMap<OrganizationId, BTreeSet<String>>);

impl EntraTenants {
    /// Parses `organization=tenant` pairs between commas. An organization with several tenants has several pairs.
    pub fn parse(text: &str) -> Option<Self> {
        let mut tenants: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (organization, tenant) = pair.split_once('=')?;
            let tenant = normal_form(tenant.trim())?;
            tenants.entry(OrganizationId::parse(organization.trim())?).or_default().insert(tenant);
        }
        Some(Self(tenants))
    }

    /// Whether an organization may use a tenant, in the spelling of stored properties: its ID or domain in lower case.
    pub fn permits(&self, organization: &OrganizationId, tenant: &str) -> bool {
        self.0.get(organization).is_none_or(|permitted| permitted.contains(tenant))
    }
}

fn normal_form(tenant: &str) -> Option<String> {
    if let Ok(id) = Uuid::parse_str(tenant) {
        return Some(id.hyphenated().to_string());
    }
    let is_domain = tenant.contains('.') && tenant.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    is_domain.then(|| tenant.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_organizations_may_use_their_tenants_only() {
        let text = "acme=6731DE76-14A6-49AE-97BC-6EBA6914391E, acme=Contoso.onmicrosoft.com,globex=globex.com,";
        let tenants = EntraTenants::parse(text).unwrap();
        let permits = |organization, tenant| tenants.permits(&OrganizationId::parse(organization).unwrap(), tenant);
        assert!(permits("acme", "6731de76-14a6-49ae-97bc-6eba6914391e") && permits("acme", "contoso.onmicrosoft.com"));
        assert!(!permits("acme", "globex.com") && permits("globex", "globex.com") && permits("initech", "globex.com"));
        for invalid in ["acme", "acme=common", "Acme=contoso.com", "acme=https://login.microsoftonline.com/a.b"] {
            assert!(EntraTenants::parse(invalid).is_none(), "{invalid}");
        }
    }
}
