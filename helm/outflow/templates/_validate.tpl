{{/* Checks values that depend on each other, and reports all errors at once. values.schema.json checks the format of each value. */}}
{{- define "outflow.validate" -}}
{{- $v := .Values -}}
{{- $jwt := $v.identity.jwt -}}
{{- $postgresql := eq $v.database.type "postgresql" -}}
{{- $e := list -}}

{{- if not $v.keys.existingSecret -}}
{{- $e = append $e "keys.existingSecret is required: set it to the Secret with the key ring; outflow keys generate creates a key" -}}
{{- end -}}
{{- if not $v.keys.primary -}}
{{- $e = append $e "keys.primary is required: set it to the id of the key that seals new credentials" -}}
{{- end -}}

{{- if and $postgresql (not $v.database.existingSecret) -}}
{{- $e = append $e "database.existingSecret is required with PostgreSQL: set it to the Secret with the database URL" -}}
{{- end -}}
{{- if and (not $postgresql) $v.database.existingSecret -}}
{{- $e = append $e "database.existingSecret is set, but database.type is sqlite: remove it, or set database.type to postgresql" -}}
{{- end -}}
{{- if and $postgresql $v.persistence.existingClaim -}}
{{- $e = append $e "persistence.existingClaim is set, but database.type is postgresql: remove it, or set database.type to sqlite" -}}
{{- end -}}

{{- if not $jwt.issuer -}}
{{- $e = append $e "identity.jwt.issuer is required: set it to the iss of accepted tokens" -}}
{{- end -}}
{{- if not $jwt.audience -}}
{{- $e = append $e "identity.jwt.audience is required: set it to the aud of accepted tokens" -}}
{{- end -}}
{{- if eq (empty $jwt.jwks.url) (empty $jwt.jwks.existingConfigMap) -}}
{{- $e = append $e "identity.jwt.jwks requires exactly one of url and existingConfigMap" -}}
{{- end -}}
{{- if eq (empty $v.tls.existingSecret) (empty $v.tls.plaintext) -}}
{{- $e = append $e "tls requires exactly one of existingSecret and plaintext: behind-tls" -}}
{{- end -}}

{{- $grace := add $v.preStopSleepSeconds 30 -}}
{{- if lt (int $v.terminationGracePeriodSeconds) (int $grace) -}}
{{- $e = append $e (printf "terminationGracePeriodSeconds must be at least %d: preStopSleepSeconds plus 30 seconds of drain" $grace) -}}
{{- end -}}

{{- if $v.autoscaling.enabled -}}
{{- if gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas) -}}
{{- $e = append $e "autoscaling.minReplicas must not be greater than autoscaling.maxReplicas" -}}
{{- end -}}
{{- if not (dig "requests" "cpu" "" $v.resources) -}}
{{- $e = append $e "autoscaling requires resources.requests.cpu: its target is a percentage of that request" -}}
{{- end -}}
{{- end -}}

{{- $config := fromToml $v.config -}}
{{- if hasKey $config "Error" -}}
{{- $e = append $e (printf "config is not valid TOML: %s" $config.Error) -}}
{{- end -}}
{{- if or (hasKey $config "database_url") (and (kindIs "map" $config.database) (hasKey $config.database "url")) -}}
{{- $e = append $e "config must not set database_url, because a ConfigMap must not contain secrets: use database.existingSecret" -}}
{{- end -}}
{{- if hasKey $config "keys" -}}
{{- $e = append $e "config must not set keys, because a ConfigMap must not contain secrets: use keys.existingSecret" -}}
{{- end -}}

{{- $reserved := concat (include "outflow.env" . | fromYaml | keys) (list "OUTFLOW_DATABASE_URL" "OUTFLOW_KEYS") -}}
{{- range $v.extraEnv -}}
{{- if has .name $reserved -}}
{{- $e = append $e (printf "extraEnv must not set %s: the chart sets it, or mounts a file for it" .name) -}}
{{- end -}}
{{- end -}}

{{- $volumes := include "outflow.volumes" . | fromYamlArray -}}
{{- $names := list -}}
{{- $paths := list -}}
{{- range $volumes -}}
{{- $names = append $names .name -}}
{{- $paths = append $paths .mountPath -}}
{{- end -}}
{{- range $v.extraVolumes -}}
{{- if has .name $names -}}
{{- $e = append $e (printf "extraVolumes must not use the name %s: the chart has a volume of that name" .name) -}}
{{- end -}}
{{- end -}}
{{- range $v.extraVolumeMounts -}}
{{- if has (trimSuffix "/" .mountPath) $paths -}}
{{- $e = append $e (printf "extraVolumeMounts must not use the path %s: the chart mounts a volume there" .mountPath) -}}
{{- end -}}
{{- end -}}

{{- if $e -}}
{{- fail (printf "\n  - %s" (join "\n  - " $e)) -}}
{{- end -}}
{{- end -}}
