{{/* How callers are identified: jwt, mtls, or both. */}}
{{- define "outflow.identityModes" -}}
{{- splitList "," .Values.identity.mode | toJson -}}
{{- end -}}

{{/* The issuers of tokens as a list: the path of their values, the values, and the volume and the directory of a mounted key set. */}}
{{- define "outflow.issuers" -}}
{{- $jwt := .Values.identity.jwt -}}
{{- $issuers := list -}}
{{- if has "jwt" (include "outflow.identityModes" . | fromJsonArray) -}}
{{- range $name, $values := include "outflow.compact" $jwt.issuers | fromYaml -}}
{{- $issuers = append $issuers (dict "name" $name "path" (printf "identity.jwt.issuers.%s" $name) "values" $values "volume" (printf "jwks-%s" $name) "directory" (printf "/etc/outflow/jwks/%s" $name)) -}}
{{- end -}}
{{- if not $issuers -}}
{{- $issuers = list (dict "name" "" "path" "identity.jwt" "values" (omit $jwt "issuers") "volume" "jwks" "directory" "/etc/outflow/jwks") -}}
{{- end -}}
{{- end -}}
{{- $issuers | toJson -}}
{{- end -}}

{{/* The settings of an issuer with the names of the server, without empty ones. Argument: an entry of outflow.issuers. */}}
{{- define "outflow.issuerSettings" -}}
{{- $settings := dict "principal_prefix" (.values.principalPrefix | default "") -}}
{{- range $key, $value := omit .values "jwks" "principalPrefix" -}}
{{- if kindIs "map" $value -}}
{{- $value = include "outflow.texts" $value | fromYaml -}}
{{- end -}}
{{- if $value -}}
{{- $_ := set $settings (snakecase $key) $value -}}
{{- end -}}
{{- end -}}
{{- $jwks := .values.jwks | default dict -}}
{{- if $jwks.existingConfigMap -}}
{{- $_ := set $settings "jwks_file" (printf "%s/jwks.json" .directory) -}}
{{- else if $jwks.url -}}
{{- $_ := set $settings "jwks_url" $jwks.url -}}
{{- end -}}
{{- $settings | toJson -}}
{{- end -}}

{{/* A map as a list of key=value pairs. */}}
{{- define "outflow.pairs" -}}
{{- $pairs := list -}}
{{- range $key, $value := . -}}
{{- $pairs = append $pairs (printf "%s=%s" $key $value) -}}
{{- end -}}
{{- join "," $pairs -}}
{{- end -}}

{{- define "outflow.identityEnv" }}
OUTFLOW_IDENTITY_MODE: {{ .Values.identity.mode }}
{{- $entries := dict -}}
{{- range include "outflow.issuers" . | fromJsonArray }}
{{- $settings := include "outflow.issuerSettings" . | fromJson }}
{{- if .name }}
{{- $_ := set $entries .name $settings }}
{{- else }}
{{- range $key, $value := $settings }}
{{- if kindIs "map" $value }}
{{- $value = include "outflow.pairs" $value }}
{{- else if kindIs "slice" $value }}
{{- $value = join "," $value }}
{{- end }}
OUTFLOW_JWT_{{ upper $key }}: {{ $value | toJson }}
{{- end }}
{{- end }}
{{- end }}
{{- with $entries }}
OUTFLOW_JWT_ISSUERS: {{ toToml . | toJson }}
{{- end }}
{{- if has "mtls" (include "outflow.identityModes" . | fromJsonArray) }}
OUTFLOW_MTLS_CLIENT_CA_FILE: /etc/outflow/client-ca/ca.crt
OUTFLOW_MTLS_CLIENTS_FILE: /etc/outflow/clients/clients.toml
OUTFLOW_MTLS_PRINCIPAL_PREFIX: {{ .Values.identity.mtls.principalPrefix | quote }}
{{- end }}
{{- end -}}

{{/* Key sets, and what identifies clients, with their mount paths. */}}
{{- define "outflow.identityVolumes" -}}
{{- range include "outflow.issuers" . | fromJsonArray }}
{{- $jwks := .values.jwks | default dict }}
{{- if $jwks.existingConfigMap }}
- name: {{ .volume }}
  mountPath: {{ .directory }}
  source: {configMap: {name: {{ $jwks.existingConfigMap | quote }}, items: [{key: {{ $jwks.key | default "jwks.json" | quote }}, path: jwks.json}]}}
{{- end }}
{{- end }}
{{- if has "mtls" (include "outflow.identityModes" . | fromJsonArray) }}
{{- with .Values.identity.mtls }}
{{- $items := printf "items: [{key: %s, path: ca.crt}]" (quote .ca.key) }}
- name: client-ca
  mountPath: /etc/outflow/client-ca
  {{- if .ca.existingConfigMap }}
  source: {configMap: {name: {{ .ca.existingConfigMap | quote }}, {{ $items }}}}
  {{- else }}
  source: {secret: {secretName: {{ .ca.existingSecret | quote }}, defaultMode: 288, {{ $items }}}}
  {{- end }}
- name: clients
  mountPath: /etc/outflow/clients
  {{- if .clients.existingConfigMap }}
  source: {configMap: {name: {{ .clients.existingConfigMap | quote }}, items: [{key: {{ .clients.key | quote }}, path: clients.toml}]}}
  {{- else }}
  source: {configMap: {name: {{ include "outflow.fullname" $ }}-clients}}
  {{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Paths of the settings of one issuer that are set. */}}
{{- define "outflow.setOfOneIssuer" -}}
{{- $jwt := .Values.identity.jwt -}}
{{- $defaults := dict "organizationClaim" "organization" "rolesClaim" "roles" "groupsClaim" "groups" -}}
{{- $set := list -}}
{{- range $key := list "issuer" "audience" "audienceClaim" "requiredClaims" "principalPrefix" "principalClaim" "organizationClaim" "organizationValues" "rolesClaim" "roleValues" "groupsClaim" -}}
{{- if ne (get $jwt $key | default "" | toJson) (get $defaults $key | toJson) -}}
{{- $set = append $set (printf "identity.jwt.%s" $key) -}}
{{- end -}}
{{- end -}}
{{- range $key := list "url" "existingConfigMap" -}}
{{- if get $jwt.jwks $key -}}
{{- $set = append $set (printf "identity.jwt.jwks.%s" $key) -}}
{{- end -}}
{{- end -}}
{{- $set | toJson -}}
{{- end -}}

{{/* Settings of a mode that is not enabled are refused too, because they would have no effect. */}}
{{- define "outflow.validateIdentity" -}}
{{- $jwt := .Values.identity.jwt -}}
{{- $mtls := .Values.identity.mtls -}}
{{- $modes := include "outflow.identityModes" . | fromJsonArray -}}
{{- $named := include "outflow.compact" $jwt.issuers | fromYaml -}}
{{- $single := include "outflow.setOfOneIssuer" . | fromJsonArray -}}
{{- $e := list -}}

{{- if has "jwt" $modes -}}
{{- if and $named $single -}}
{{- $e = append $e (printf "identity.jwt.issuers is set beside %s: set identity.jwt.issuers, or the settings of one issuer, not both" (join ", " $single)) -}}
{{- end -}}
{{- $e = concat $e (include "outflow.validateIssuers" . | fromJsonArray) -}}
{{- else if or $named $single -}}
{{- $e = append $e "identity.jwt is set, but identity.mode is mtls: remove it, or set identity.mode to \"jwt,mtls\"" -}}
{{- end -}}

{{- if has "mtls" $modes -}}
{{- if not .Values.tls.existingSecret -}}
{{- $e = append $e "identity.mode mtls requires tls.existingSecret: a mesh or proxy that terminates TLS hides client certificates; use jwt behind it" -}}
{{- end -}}
{{- if eq (empty $mtls.ca.existingConfigMap) (empty $mtls.ca.existingSecret) -}}
{{- $e = append $e "identity.mtls.ca requires exactly one of existingConfigMap and existingSecret" -}}
{{- end -}}
{{- if eq (empty $mtls.clients.table) (empty $mtls.clients.existingConfigMap) -}}
{{- $e = append $e "identity.mtls.clients requires exactly one of table and existingConfigMap" -}}
{{- end -}}
{{- else if or $mtls.ca.existingConfigMap $mtls.ca.existingSecret $mtls.clients.table $mtls.clients.existingConfigMap -}}
{{- $e = append $e "identity.mtls is set, but identity.mode is jwt: remove it, or set identity.mode to mtls or \"jwt,mtls\"" -}}
{{- end -}}

{{- if has "mtls" $modes -}}
{{- range include "outflow.issuers" . | fromJsonArray -}}
{{- $path := .path -}}
{{- $prefix := .values.principalPrefix | default "" -}}
{{- if eq $prefix $mtls.principalPrefix -}}
{{- $e = append $e (printf "%s.principalPrefix and identity.mtls.principalPrefix must differ, so that principals do; one may be empty" $path) -}}
{{- else if hasPrefix $mtls.principalPrefix $prefix -}}
{{- range $id, $client := $mtls.clients.table -}}
{{- if hasPrefix $prefix (printf "%s%s" $mtls.principalPrefix $client.subject) -}}
{{- $e = append $e (printf "identity.mtls.clients.table: the principal of %s must not begin with %s.principalPrefix" $id $path) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $e | toJson -}}
{{- end -}}

{{/* Errors of the issuers, each alone and compared with the others. */}}
{{- define "outflow.validateIssuers" -}}
{{- $e := list -}}
{{- $issuers := dict -}}
{{- $prefixes := dict -}}
{{- range include "outflow.issuers" . | fromJsonArray -}}
{{- $values := .values -}}
{{- $jwks := $values.jwks | default dict -}}
{{- if not $values.issuer -}}
{{- $e = append $e (printf "%s.issuer is required: set it to the iss of accepted tokens" .path) -}}
{{- else if hasKey $issuers $values.issuer -}}
{{- $e = append $e (printf "%s.issuer and %s.issuer must differ: a token belongs to the one issuer that its iss names" (get $issuers $values.issuer) .path) -}}
{{- else -}}
{{- $_ := set $issuers $values.issuer .path -}}
{{- end -}}
{{- if not $values.audience -}}
{{- $e = append $e (printf "%s.audience is required: set it to the aud of accepted tokens" .path) -}}
{{- end -}}
{{- $path := .path -}}
{{- range $map := list "requiredClaims" "organizationValues" "roleValues" -}}
{{- range $key, $_ := get $values $map | default dict -}}
{{- if not (regexMatch "^[^,=\\s]([^,=]*[^,=\\s])?$" $key) -}}
{{- $e = append $e (printf "%s.%s: the key %q must not be empty, contain a comma or an equals sign, or begin or end with a space" $path $map $key) -}}
{{- else if and (eq $map "requiredClaims") (not (regexMatch "^(/([^~]|~[01])*|[^/].*)$" $key)) -}}
{{- $e = append $e (printf "%s.%s: the key %q has a ~ that is not part of ~0 or ~1" $path $map $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $jwks.url $jwks.existingConfigMap -}}
{{- $e = append $e (printf "%s.jwks must not have both url and existingConfigMap" .path) -}}
{{- else if and $values.issuer (not (or $jwks.url $jwks.existingConfigMap (hasPrefix "https://" $values.issuer))) -}}
{{- $e = append $e (printf "%s.jwks requires url or existingConfigMap, because an issuer that is not an https URL has no discovery document" .path) -}}
{{- end -}}
{{- if not (kindIs "string" $values.principalPrefix) -}}
{{- $e = append $e (printf "%s.principalPrefix is required; it may be empty" .path) -}}
{{- else if hasKey $prefixes $values.principalPrefix -}}
{{- $e = append $e (printf "%s.principalPrefix and %s.principalPrefix must differ, so that principals do; one may be empty" (get $prefixes $values.principalPrefix) .path) -}}
{{- else -}}
{{- $_ := set $prefixes $values.principalPrefix .path -}}
{{- end -}}
{{- end -}}
{{- $e | toJson -}}
{{- end -}}
