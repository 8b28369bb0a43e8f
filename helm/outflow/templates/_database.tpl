{{/* Settings of the database: a URL in a Secret, or separate settings, each a value or a key of the Secret. */}}

{{/* Whether there are separate settings instead of a URL. */}}
{{- define "outflow.databaseIsSplit" -}}
{{- $d := .Values.database -}}
{{- $k := $d.secretKeys -}}
{{- if or $d.host $d.name $d.user $d.port $k.host $k.port $k.name $k.user $k.password -}}true{{- end -}}
{{- end -}}

{{/* The keys of the Secret that are mounted, by the names of their files: `url`, or the separate settings. */}}
{{- define "outflow.databaseKeys" -}}
{{- $keys := dict -}}
{{- if include "outflow.databaseIsSplit" . -}}
{{- range $name, $key := .Values.database.secretKeys -}}
{{- if $key -}}
{{- $_ := set $keys $name $key -}}
{{- end -}}
{{- end -}}
{{- else -}}
{{- $_ := set $keys "url" .Values.database.existingSecretKey -}}
{{- end -}}
{{- toYaml $keys -}}
{{- end -}}

{{/* Environment variables of the server and of the Job. */}}
{{- define "outflow.databaseEnv" -}}
{{- if eq .Values.database.type "postgresql" -}}
{{- $d := .Values.database -}}
{{- range $name, $_ := include "outflow.databaseKeys" . | fromYaml }}
OUTFLOW_DATABASE_{{ upper $name }}_FILE: /etc/outflow/database/{{ $name }}
{{- end }}
{{- range $name := list "host" "port" "name" "user" }}
{{- with get $d $name }}
OUTFLOW_DATABASE_{{ upper $name }}: {{ kindIs "string" . | ternary . (printf "%v" .) | quote }}
{{- end }}
{{- end }}
{{- with $d.sslMode }}
OUTFLOW_DATABASE_SSL_MODE: {{ . }}
{{- end }}
{{- if or $d.ca.existingConfigMap $d.ca.existingSecret }}
OUTFLOW_DATABASE_CA_FILE: /etc/outflow/database-ca/ca.crt
{{- end }}
{{- with $d.pooler }}
OUTFLOW_DATABASE_POOLER: {{ . }}
{{- end }}
{{- if $d.allowUnverified }}
OUTFLOW_DATABASE_ALLOW_UNVERIFIED: "true"
{{- end }}
{{- end }}
{{- end -}}

{{/* Volumes of the server and of the Job, with their mount paths. */}}
{{- define "outflow.databaseVolumes" -}}
{{- if eq .Values.database.type "postgresql" -}}
{{- $d := .Values.database -}}
{{- $items := list -}}
{{- range $name, $key := include "outflow.databaseKeys" . | fromYaml -}}
{{- $items = append $items (dict "key" $key "path" $name) -}}
{{- end -}}
{{- if and $d.existingSecret $items }}
- name: database
  mountPath: /etc/outflow/database
  source: {secret: {secretName: {{ $d.existingSecret | quote }}, defaultMode: 288, items: {{ toJson $items }}}}
{{- end }}
{{- $authorities := toJson (list (dict "key" $d.ca.key "path" "ca.crt")) }}
{{- if $d.ca.existingConfigMap }}
- name: database-ca
  mountPath: /etc/outflow/database-ca
  source: {configMap: {name: {{ $d.ca.existingConfigMap | quote }}, items: {{ $authorities }}}}
{{- else if $d.ca.existingSecret }}
- name: database-ca
  mountPath: /etc/outflow/database-ca
  source: {secret: {secretName: {{ $d.ca.existingSecret | quote }}, defaultMode: 288, items: {{ $authorities }}}}
{{- end }}
{{- end }}
{{- end -}}

{{/* The port that NetworkPolicies permit. */}}
{{- define "outflow.databasePort" -}}
{{- .Values.networkPolicy.database.port | default .Values.database.port | default 5432 | int -}}
{{- end -}}

{{/* Errors as a list. */}}
{{- define "outflow.validateDatabase" -}}
{{- $d := .Values.database -}}
{{- $k := $d.secretKeys -}}
{{- $isSplit := include "outflow.databaseIsSplit" . -}}
{{- $e := list -}}
{{- if eq $d.type "sqlite" -}}
{{- if or $d.existingSecret $isSplit $d.ca.existingConfigMap $d.ca.existingSecret $d.sslMode $d.pooler -}}
{{- $setting := empty $d.existingSecret | not | ternary "database.existingSecret is set" "a setting of PostgreSQL is set below database" -}}
{{- $e = append $e (printf "%s, but database.type is sqlite: remove it, or set database.type to postgresql" $setting) -}}
{{- end -}}
{{- else if $isSplit -}}
{{- range $name := list "host" "name" "user" -}}
{{- if and (get $d $name) (get $k $name) -}}
{{- $e = append $e (printf "database.%s and database.secretKeys.%s are both set: set one of them" $name $name) -}}
{{- else if not (or (get $d $name) (get $k $name)) -}}
{{- $e = append $e (printf "database.%s or database.secretKeys.%s is required, because other separate settings of the database are set" $name $name) -}}
{{- end -}}
{{- end -}}
{{- if and $d.port $k.port -}}
{{- $e = append $e "database.port and database.secretKeys.port are both set: set one of them" -}}
{{- end -}}
{{- if and (not $d.existingSecret) (or $k.host $k.port $k.name $k.user $k.password) -}}
{{- $e = append $e "database.secretKeys requires database.existingSecret: set it to the Secret with these keys" -}}
{{- end -}}
{{- if and $d.existingSecret (not (or $k.host $k.port $k.name $k.user $k.password)) -}}
{{- $e = append $e "database.existingSecret is set beside separate settings, but no key of it is: set database.secretKeys.password, or remove the separate settings if the Secret has a URL" -}}
{{- end -}}
{{- else if not $d.existingSecret -}}
{{- $e = append $e "database.existingSecret is required with PostgreSQL: set it to the Secret with the database URL, or set database.host, database.name and database.user" -}}
{{- end -}}
{{- if and $d.ca.existingConfigMap $d.ca.existingSecret -}}
{{- $e = append $e "database.ca must not have both existingConfigMap and existingSecret" -}}
{{- end -}}
{{- if and .Values.migrations.hook (eq $d.type "postgresql") .Values.serviceAccount.create .Values.initContainers -}}
{{- $e = append $e "migrations.hook runs the Job before the ServiceAccount of the chart exists, and initContainers may need it: set serviceAccount.create to false and serviceAccount.name to an existing one, or migrations.hook to false" -}}
{{- end -}}
{{- $e | toJson -}}
{{- end -}}
