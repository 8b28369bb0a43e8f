//! Issuers of tokens: whose tokens are accepted, and what their claims mean.

use std::collections::BTreeMap;

use super::caller::Role;
use super::claim_path::ClaimPath;
use super::id::OrganizationId;

/// What an issuer is called, and what the claims of its tokens mean.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// The exact value of `iss`.
    pub issuer: String,
    /// The claim with the audience, a string or an array of strings.
    pub audience_claim: ClaimPath,
    /// The accepted audiences. The claim must contain at least one of them.
    pub audiences: Vec<String>,
    /// Claims that must have a value, or contain it.
    pub required_claims: Vec<(ClaimPath, String)>,
    /// The prefix of principals: a principal is this prefix and the principal claim. It must be unique among the issuers.
    pub principal_prefix: String,
    /// The claim that identifies a principal, a string.
    pub principal_claim: ClaimPath,
    /// The claim with the organization: a string, an array of one string, or an object with one key, also in an array.
    pub organization_claim: ClaimPath,
    /// The organization of each value of that claim. `None`: the values are the ids. Other values are ignored.
    pub organization_values: Option<BTreeMap<String, OrganizationId>>,
    /// The claim with the roles: a string, an array of strings, or an object with the roles as keys, each with an object of
    /// the organizations that grant it; or an array of such objects.
    pub roles_claim: ClaimPath,
    /// The role of each value of the roles claim. `None`: the names of the roles, in lower or upper case.
    pub role_values: Option<BTreeMap<String, Role>>,
    /// The claim with the groups, a string or an array of strings. `None`: callers have no groups.
    pub groups_claim: Option<ClaimPath>,
}
