{{/* What belongs together. The shape of each value is checked by values.schema.json; all findings are told at once. */}}
{{- define "outflow.validate" -}}
{{- $v := .Values -}}
{{- $jwt := $v.identity.jwt -}}
{{- $postgresql := eq $v.database.type "postgresql" -}}
{{- $e := list -}}

{{- if not $v.keys.existingSecret -}}
{{- $e = append $e "keys.existingSecret is required: the Secret with the key ring (outflow keys generate makes a key)" -}}
{{- end -}}
{{- if not $v.keys.primary -}}
{{- $e = append $e "keys.primary is required: the id of the key that seals new credentials" -}}
{{- end -}}

{{- if and $postgresql (not $v.database.existingSecret) -}}
{{- $e = append $e "database.existingSecret is required with PostgreSQL: the Secret with the database URL" -}}
{{- end -}}
{{- if and (not $postgresql) $v.database.existingSecret -}}
{{- $e = append $e "database.existingSecret is set, but database.type is sqlite" -}}
{{- end -}}
{{- if and $postgresql $v.persistence.existingClaim -}}
{{- $e = append $e "persistence.existingClaim is set, but database.type is postgresql" -}}
{{- end -}}

{{- if not $jwt.issuer -}}
{{- $e = append $e "identity.jwt.issuer is required" -}}
{{- end -}}
{{- if not $jwt.audience -}}
{{- $e = append $e "identity.jwt.audience is required" -}}
{{- end -}}
{{- if eq (empty $jwt.jwks.url) (empty $jwt.jwks.existingConfigMap) -}}
{{- $e = append $e "identity.jwt.jwks needs exactly one of url and existingConfigMap" -}}
{{- end -}}
{{- if eq (empty $v.tls.existingSecret) (empty $v.tls.plaintext) -}}
{{- $e = append $e "tls needs exactly one of existingSecret and plaintext: behind-tls" -}}
{{- end -}}

{{- $grace := add $v.preStopSleepSeconds 30 -}}
{{- if lt (int $v.terminationGracePeriodSeconds) (int $grace) -}}
{{- $e = append $e (printf "terminationGracePeriodSeconds must be at least %d: preStopSleepSeconds and 30 seconds of drain" $grace) -}}
{{- end -}}

{{- if $v.autoscaling.enabled -}}
{{- if gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas) -}}
{{- $e = append $e "autoscaling.minReplicas is more than maxReplicas" -}}
{{- end -}}
{{- if not (dig "requests" "cpu" "" $v.resources) -}}
{{- $e = append $e "autoscaling needs resources.requests.cpu: its target is a percentage of it" -}}
{{- end -}}
{{- end -}}

{{- if regexMatch "(?m)^\\s*[\"']?database_url[\"']?\\s*=" $v.config -}}
{{- $e = append $e "config holds database_url: a ConfigMap is no place for a secret, use database.existingSecret" -}}
{{- end -}}

{{- if regexMatch "(?m)^\\s*[\"']?keys[\"']?\\s*=" $v.config -}}
{{- $e = append $e "config holds keys: a ConfigMap is no place for a secret, use keys.existingSecret" -}}
{{- end -}}

{{- $reserved := concat (include "outflow.env" . | fromYaml | keys) (list "OUTFLOW_DATABASE_URL" "OUTFLOW_KEYS") -}}
{{- range $v.extraEnv -}}
{{- if has .name $reserved -}}
{{- $e = append $e (printf "extraEnv sets %s, which the chart sets or mounts itself" .name) -}}
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
{{- $e = append $e (printf "extraVolumes has %s, the name of a volume of the chart" .name) -}}
{{- end -}}
{{- end -}}
{{- range $v.extraVolumeMounts -}}
{{- if has (trimSuffix "/" .mountPath) $paths -}}
{{- $e = append $e (printf "extraVolumeMounts has %s, where the chart mounts its own" .mountPath) -}}
{{- end -}}
{{- end -}}

{{- if $e -}}
{{- fail (printf "\n  - %s" (join "\n  - " $e)) -}}
{{- end -}}
{{- end -}}
