# Issuers of tokens, and Entra tenants of organizations. Sourced by tests/helm.sh after tests/helm/platforms.sh.
# shellcheck shell=bash disable=SC2154

providers=(-f "$chart/ci/identity-providers-values.yaml")
issuers='tomllib.loads(env()["OUTFLOW_JWT_ISSUERS"])'
# jwt JSON: prints the path of a file with these values below identity.jwt.
jwt() { with "{\"identity\":{\"jwt\":$1}}"; }

## The examples of README.md

mapfile -t examples < <(python3 -B tests/helm/providers.py values "$work/providers")
if [ "${#examples[@]}" -eq 7 ]; then ok; else bad "README.md must have seven examples of identity providers" "${examples[*]}"; fi
for example in "${examples[@]}"; do
  file=$work/providers/$example
  if out=$( (template -f "$file.json" | to_json >"$work/objects" && python3 -B tests/helm/providers.py compare "$work/objects" "$file.toml" "$binary") 2>&1); then ok; else bad "the chart must express the example $example" "$out"; fi
done
# The comparison can fail: another role, another audience, and no groups.
template -f "$work/providers/okta.json" | to_json >"$work/objects"
for wrong in s/admin/viewer/ s,api://outflow,api://other, /groups_claim/d; do
  sed "$wrong" "$work/providers/okta.toml" >"$work/wrong.toml"
  if python3 -B tests/helm/providers.py compare "$work/objects" "$work/wrong.toml" "$binary" >/dev/null 2>&1; then bad "the comparison must report $wrong"; else ok; fi
done

## One issuer

expect "jwt: settings that are empty are left to the server" '{k for k in env() if "JWT" in k} == {"OUTFLOW_JWT_" + k for k in ("ISSUER", "AUDIENCE", "JWKS_URL", "PRINCIPAL_PREFIX", "ORGANIZATION_CLAIM", "ROLES_CLAIM", "GROUPS_CLAIM")} and "OUTFLOW_ENTRA_TENANTS" not in env()' "${sqlite[@]}"
expect "jwt: null leaves settings to the server" '{k for k in env() if "JWT" in k} == {"OUTFLOW_JWT_" + k for k in ("ISSUER", "AUDIENCE", "PRINCIPAL_PREFIX", "ORGANIZATION_CLAIM", "ROLES_CLAIM")}' "${sqlite[@]}" -f "$(jwt '{"audienceClaim":null,"requiredClaims":null,"principalClaim":null,"organizationValues":null,"roleValues":null,"groupsClaim":null,"issuers":null,"jwks":{"url":null,"existingConfigMap":null}}')" --set-json outbound.entraTenants=null
expect "jwt: neither URL nor ConfigMap means discovery" '"OUTFLOW_JWT_JWKS_URL" not in env() and "OUTFLOW_JWT_JWKS_FILE" not in env() and "jwks" not in {v["name"] for v in pod()["volumes"]}' "${sqlite[@]}" --set identity.jwt.jwks.url=
expect "jwt: no groups" '"OUTFLOW_JWT_GROUPS_CLAIM" not in env()' "${sqlite[@]}" --set identity.jwt.groupsClaim=
expect "jwt: lists and maps" '{k: v for k, v in env().items() if re.search("AUDIENCE|REQUIRED|VALUES|PRINCIPAL_CLAIM", k)} == {"OUTFLOW_JWT_AUDIENCE": "a,b c", "OUTFLOW_JWT_AUDIENCE_CLAIM": "client_id", "OUTFLOW_JWT_REQUIRED_CLAIMS": "email_verified=true,level=3000000,token_use=access=1", "OUTFLOW_JWT_PRINCIPAL_CLAIM": "oid", "OUTFLOW_JWT_ORGANIZATION_VALUES": "t1=acme,t2=globex", "OUTFLOW_JWT_ROLE_VALUES": "Outflow Admin=admin,ops=runner"}' "${sqlite[@]}" -f "$(jwt '{"audience":["a","b c"],"audienceClaim":"client_id","requiredClaims":{"token_use":"access=1","email_verified":true,"level":3000000},"principalClaim":"oid","organizationValues":{"t1":"acme","t2":"globex"},"roleValues":{"Outflow Admin":"admin","ops":"runner","old":null}}')"
expect "jwt: Kubernetes expands no variable in a value" 'any(e["value"] == "$$(HOME)$$$$x=admin" for e in server()["env"] if e["name"] == "OUTFLOW_JWT_ROLE_VALUES")' "${sqlite[@]}" --set-json 'identity.jwt.roleValues={"$(HOME)$$x":"admin"}'
refuse "an issuer without a discovery document" 'identity.jwt.jwks requires url or existingConfigMap, because an issuer that is not an https URL' "${sqlite[@]}" --set identity.jwt.jwks.url=,identity.jwt.issuer=id.example.com
refuse "two key sets" 'identity.jwt.jwks must not have both' "${sqlite[@]}" --set identity.jwt.jwks.existingConfigMap=x
refuse "an empty list of audiences" 'identity.jwt.audience is required' "${sqlite[@]}" --set-json 'identity.jwt.audience=[]'
refuse "an empty audience" "at '/identity/jwt/audience/0': '' does not match pattern" "${sqlite[@]}" --set-json 'identity.jwt.audience=[""]'
refuse "audiences between commas" "at '/identity/jwt/audience': 'a,b' does not match pattern" "${sqlite[@]}" --set 'identity.jwt.audience=a\,b'
refuse "an audience with a comma" "at '/identity/jwt/audience/1': 'b,c' does not match pattern" "${sqlite[@]}" --set 'identity.jwt.audience={a,b\,c}'
refuse "an audience that is a number" "at '/identity/jwt/audience': got number, want" "${sqlite[@]}" --set identity.jwt.audience=281234567890123456
for map in requiredClaims organizationValues roleValues; do
  for key in 'a,b' 'a=b' ' a' ''; do
    refuse "a key of $map that is '$key'" "identity.jwt.$map: the key \"$key\" must not be empty, contain a comma or an equals sign, or begin or end with a space" "${sqlite[@]}" --set-json "identity.jwt.$map={\"$key\":\"admin\"}"
  done
  refuse "a comma in a value of $map" "at '/identity/jwt/$map/a': .*(does not match pattern|value must be one of)" "${sqlite[@]}" --set-json "identity.jwt.$map={\"a\":\"admin,b\"}"
  refuse "an empty value of $map" "at '/identity/jwt/$map/a': .*(does not match pattern|value must be one of)" "${sqlite[@]}" --set-json "identity.jwt.$map={\"a\":\"\"}"
done
refuse "an unknown role" "at '/identity/jwt/roleValues/a': value must be one of" "${sqlite[@]}" --set identity.jwt.roleValues.a=owner
refuse "an organization without a valid id" "at '/identity/jwt/organizationValues/a': 'Acme' does not match pattern" "${sqlite[@]}" --set identity.jwt.organizationValues.a=Acme
refuse "a pointer with a tilde that is no escape" "at '/identity/jwt/rolesClaim': '/a~b' does not match pattern" "${sqlite[@]}" --set identity.jwt.rolesClaim=/a~b
refuse "a required claim with a tilde that is no escape" 'identity.jwt.requiredClaims: the key "/a~b" has a ~' "${sqlite[@]}" --set-json 'identity.jwt.requiredClaims={"/a~b":"c"}'
refuse "a setting of tokens in mode mtls" 'identity.jwt is set, but identity.mode is mtls' "${mtls[@]}" --set identity.jwt.principalClaim=oid
refuse "issuers in mode mtls" 'identity.jwt is set, but identity.mode is mtls' "${mtls[@]}" --set identity.jwt.issuers.a.issuer=https://a
refuse "a setting of tokens in the environment" 'extraEnv must not set OUTFLOW_JWT_ISSUERS: use the values below identity' "${sqlite[@]}" --set 'extraEnv[0].name=OUTFLOW_JWT_ISSUERS,extraEnv[0].value=x'
refuse "a setting of tokens in the configuration" 'config must not set jwt_principal_claim: use the values below identity' "${sqlite[@]}" --set-string config=$'[jwt]\nprincipal_claim = "oid"'
refuse "issuers in the configuration" 'config must not set jwt_issuers: ' "${providers[@]}" --set-string config=$'[jwt.issuers.a]\nissuer = "https://a"'

## Several issuers

expect "issuers: the only variable of tokens" '[k for k in env() if "JWT" in k] == ["OUTFLOW_JWT_ISSUERS"] and env()["OUTFLOW_IDENTITY_MODE"] == "jwt"' "${providers[@]}"
expect "issuers: a table each" "$issuers"' == {"entra": {"issuer": "https://login.microsoftonline.com/aaaabbbb-0000-cccc-1111-dddd2222eeee/v2.0", "audience": ["00001111-aaaa-2222-bbbb-3333cccc4444", "api://outflow.example.com"], "principal_prefix": "entra:", "principal_claim": "oid", "organization_claim": "tid", "organization_values": {"aaaabbbb-0000-cccc-1111-dddd2222eeee": "acme"}, "role_values": {"Outflow.Admin": "admin", "Outflow.Contributor": "contributor", "Outflow.Viewer": "viewer"}, "groups_claim": "groups"}, "keycloak": {"issuer": "https://keycloak.example.com/realms/globex", "audience": "outflow", "required_claims": {"typ": "Bearer"}, "jwks_url": "https://keycloak.auth.svc:8443/realms/globex/protocol/openid-connect/certs", "principal_prefix": "", "roles_claim": "/resource_access/outflow.example.com/roles", "groups_claim": "groups"}, "machines": {"issuer": "machines.example.com", "audience": "outflow", "jwks_file": "/etc/outflow/jwks/machines/jwks.json", "principal_prefix": "machine:", "roles_claim": "scope", "role_values": {"outflow.run": "runner"}}}' "${providers[@]}"
expect "issuers: key sets are mounted from ConfigMaps" 'mounts()["/etc/outflow/jwks/machines"]["readOnly"] and volume("jwks-machines")["configMap"] == {"name": "machines-jwks", "items": [{"key": "jwks.json", "path": "jwks.json"}]} and volume("jwks-entra")["configMap"]["items"] == [{"key": "entra.json", "path": "jwks.json"}]' "${providers[@]}" -f "$(jwt '{"issuers":{"entra":{"jwks":{"existingConfigMap":"entra-jwks","key":"entra.json"}}}}')"
expect "issuers: null removes one" 'set('"$issuers"') == {"entra", "machines"}' "${providers[@]}" --set identity.jwt.issuers.keycloak=null
expect "issuers: null leaves settings to the server" "$issuers"'["a"] == {"issuer": "https://a", "audience": "x", "principal_prefix": ""}' "${providers[@]}" -f "$(jwt '{"issuers":{"entra":null,"keycloak":null,"machines":null,"a":{"issuer":"https://a","audience":"x","principalPrefix":"","audienceClaim":null,"requiredClaims":null,"jwks":null,"principalClaim":"","organizationClaim":null,"organizationValues":{},"rolesClaim":"","roleValues":{"x":null},"groupsClaim":null}}}')"
expect "issuers: with client certificates" 'env()["OUTFLOW_MTLS_PRINCIPAL_PREFIX"] == "workload:" and len('"$issuers"') == 3' "${mtls[@]}" "${providers[@]}" --set 'identity.mode=jwt\,mtls'
expect "issuers: every pod has them" 'all("OUTFLOW_JWT_ISSUERS" in env(end=e) and "/etc/outflow/jwks/machines" in mounts(e) for e in ("", "-runner")) and not any("JWT" in k for k in env("Job"))' "${postgresql[@]}" "${providers[@]}" --set identity.jwt.issuer=,identity.jwt.audience=,identity.jwt.jwks.url=,runner.enabled=true,tls.plaintext=
expect "issuers: the policy permits the key set of the example" '{"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "auth"}}}], "ports": [{"port": 8443}]} in one("NetworkPolicy")["spec"]["egress"]' "${providers[@]}"
# The example in the README of the chart is accepted.
awk '/Identity providers/ { found = 1 } block && /```/ { exit } block { print substr($0, 3) } found && /```yaml/ { block = 1 }' "$chart/README.md" >"$work/example.yaml"
expect "issuers: the example in the README" 'set('"$issuers"') == {"entra", "keycloak"}' "${sqlite[@]}" --set identity.jwt.issuer=,identity.jwt.audience=,identity.jwt.jwks.url= -f "$work/example.yaml"
# Quotes, backslashes, line breaks, comments and other characters in values arrive as they are, for Python and for the binary.
odd='{"principalPrefix":"a\"b\\c#[d] é😀$(HOME)$$","issuer":"https://x\"y","audience":["it'"'"'s","\"\"\"","a\nb"],"organizationValues":{"k.\"x\" \\ y":"acme"},"requiredClaims":{"a.b":"c=d #e"},"rolesClaim":"/a~1b c"}'
escaped='{"principal_prefix": "a\"b\\c#[d] é😀$(HOME)$$", "issuer": "https://x\"y", "audience": ["it'"'"'s", "\"\"\"", "a\nb"], "organization_values": {"k.\"x\" \\ y": "acme"}, "required_claims": {"a.b": "c=d #e"}, "roles_claim": "/a~1b c"}'
expect "issuers: values are escaped in TOML" "$issuers['odd'] == $escaped" "${providers[@]}" -f "$(jwt "{\"issuers\":{\"odd\":$odd}}")"
for values in "$chart/ci/identity-providers-values.yaml" "$(jwt "{\"issuers\":{\"odd\":$odd}}")"; do
  template "${providers[@]}" -f "$values" | to_json >"$work/objects"
  if out=$(python3 -B tests/helm/providers.py check "$work/objects" "$binary" 2>&1); then ok; else bad "the binary must accept the issuers of $values" "$out"; fi
done
# The check can fail.
sed -i 's/principal_prefix = /principal_prefixes = /' "$work/objects"
if out=$(python3 -B tests/helm/providers.py check "$work/objects" "$binary" 2>&1); then bad "the binary must refuse an unknown setting of an issuer"; else ok; fi

refuse "issuers beside the settings of one issuer" 'identity.jwt.issuers is set beside identity.jwt.issuer, identity.jwt.audience, identity.jwt.jwks.url: set identity.jwt.issuers, or the settings of one issuer, not both' "${sqlite[@]}" "${providers[@]}"
for setting in audienceClaim principalPrefix principalClaim organizationClaim rolesClaim groupsClaim requiredClaims.a organizationValues.a; do
  refuse "issuers beside $setting" "identity.jwt.issuers is set beside identity.jwt.${setting%.a}: set" "${providers[@]}" --set "identity.jwt.$setting=acme"
done
refuse "issuers beside no groups" 'identity.jwt.issuers is set beside identity.jwt.groupsClaim: set' "${providers[@]}" --set identity.jwt.groupsClaim=
refuse "issuers beside a key set" 'identity.jwt.issuers is set beside identity.jwt.jwks.existingConfigMap: set' "${providers[@]}" --set identity.jwt.jwks.existingConfigMap=x
refuse "an issuer without a name" 'identity.jwt.issuers.entra.issuer is required: set it to the iss' "${providers[@]}" --set identity.jwt.issuers.entra.issuer=
refuse "an issuer without an audience" 'identity.jwt.issuers.entra.audience is required: set it to the aud' "${providers[@]}" --set identity.jwt.issuers.entra.audience=null
refuse "an issuer without settings" 'identity.jwt.issuers.new.issuer is required' "${providers[@]}" --set-json 'identity.jwt.issuers.new={}'
refuse "an issuer without a prefix" 'identity.jwt.issuers.entra.principalPrefix is required; it may be empty' "${providers[@]}" --set identity.jwt.issuers.entra.principalPrefix=null
refuse "an issuer with two key sets" 'identity.jwt.issuers.keycloak.jwks must not have both' "${providers[@]}" --set identity.jwt.issuers.keycloak.jwks.existingConfigMap=x
refuse "an issuer that has no discovery document" 'identity.jwt.issuers.machines.jwks requires url or existingConfigMap' "${providers[@]}" --set identity.jwt.issuers.machines.jwks=null
refuse "an issuer twice" 'identity.jwt.issuers.entra.issuer and identity.jwt.issuers.keycloak.issuer must differ' "${providers[@]}" --set identity.jwt.issuers.entra.issuer=https://keycloak.example.com/realms/globex
refuse "equal prefixes of issuers" 'identity.jwt.issuers.entra.principalPrefix and identity.jwt.issuers.machines.principalPrefix must differ' "${providers[@]}" --set identity.jwt.issuers.entra.principalPrefix=machine:
refuse "a prefix of an issuer and of clients" 'identity.jwt.issuers.machines.principalPrefix and identity.mtls.principalPrefix must differ' "${mtls[@]}" "${providers[@]}" --set 'identity.mode=jwt\,mtls,identity.mtls.principalPrefix=machine:'
refuse "a client whose principal is one of several issuers" 'the principal of spiffe://example.org/x must not begin with identity.jwt.issuers.machines.principalPrefix' "${mtls[@]}" "${providers[@]}" --set 'identity.mode=jwt\,mtls,identity.mtls.principalPrefix=m' --set-json 'identity.mtls.clients.table={"spiffe://example.org/x":{"organization":"acme","subject":"achine:x"}}'
refuse "an issuer whose name is no name" "at '/identity/jwt/issuers': additional properties 'A.b' not allowed" "${providers[@]}" --set-json 'identity.jwt.issuers={"A.b":{}}'
refuse "an unknown setting of an issuer" "at '/identity/jwt/issuers/entra': additional properties 'jwksUrl' not allowed" "${providers[@]}" --set identity.jwt.issuers.entra.jwksUrl=https://x
refuse "a key set of an issuer without TLS" "at '/identity/jwt/issuers/entra/jwks/url': 'http://id' does not match pattern" "${providers[@]}" --set identity.jwt.issuers.entra.jwks.url=http://id
refuse "a comma in a claim of an issuer" 'identity.jwt.issuers.entra.roleValues: the key "a,b" must not be empty, contain a comma' "${providers[@]}" --set-json 'identity.jwt.issuers.entra.roleValues={"a,b":"admin"}'
refuse "a mount at the path of a key set" 'extraVolumeMounts must not use the path /etc/outflow/jwks/machines:' "${providers[@]}" --set 'extraVolumeMounts[0].name=x,extraVolumeMounts[0].mountPath=/etc/outflow/jwks/machines'

notes "notes: a token of one of several issuers" '"set $TOKEN to a token of https://login.microsoftonline.com/aaaabbbb-0000-cccc-1111-dddd2222eeee/v2.0 or https://keycloak.example.com/realms/globex or machines.example.com and run" in one("Notes")["text"]' "${providers[@]}"

## Entra tenants

expect "entra: tenants of organizations" 'env()["OUTFLOW_ENTRA_TENANTS"] == "acme=contoso.com,acme=6731de76-14a6-49ae-97bc-6eba6914391e,globex=globex.onmicrosoft.com"' "${providers[@]}"
expect "entra: null removes an organization" 'env()["OUTFLOW_ENTRA_TENANTS"] == "globex=globex.onmicrosoft.com"' "${providers[@]}" --set outbound.entraTenants.acme=null
refuse "no tenant of an organization" "at '/outbound/entraTenants/acme': minItems" "${providers[@]}" --set-json 'outbound.entraTenants.acme=[]'
refuse "a tenant that is every tenant" "at '/outbound/entraTenants/acme/0': 'common' does not match pattern" "${providers[@]}" --set 'outbound.entraTenants.acme={common}'
refuse "tenants between commas" "at '/outbound/entraTenants/acme/0': .* does not match pattern" "${providers[@]}" --set 'outbound.entraTenants.acme={a.com\,b.com}'
refuse "a tenant that is no list" "at '/outbound/entraTenants/acme': got string, want" "${providers[@]}" --set outbound.entraTenants.acme=contoso.com
refuse "tenants of an organization without a valid id" "at '/outbound/entraTenants': additional properties 'Acme' not allowed" "${providers[@]}" --set 'outbound.entraTenants.Acme={contoso.com}'
refuse "tenants in the environment" 'extraEnv must not set OUTFLOW_ENTRA_TENANTS:' "${providers[@]}" --set 'extraEnv[0].name=OUTFLOW_ENTRA_TENANTS,extraEnv[0].value=a=b.com'
refuse "tenants in the configuration" 'config must not set entra_tenants:' "${providers[@]}" --set-string config='entra_tenants = "a=b.com"'
