{{/* Checks values that depend on each other, and reports all errors at once. values.schema.json checks the format of each value. */}}
{{- define "outflow.validate" -}}
{{- $v := .Values -}}
{{- $postgresql := eq $v.database.type "postgresql" -}}
{{- $e := list -}}

{{- if not $v.keys.existingSecret -}}
{{- $e = append $e "keys.existingSecret is required: set it to the Secret with the key ring; outflow keys generate creates a key" -}}
{{- end -}}
{{- if not $v.keys.primary -}}
{{- $e = append $e "keys.primary is required: set it to the id of the key that seals new credentials" -}}
{{- end -}}

{{- if and (hasKey $v "enabled") (not $v.enabled) -}}
{{- $e = append $e (printf "enabled is false, but the dependency of the parent chart has no condition: add condition: %s.enabled to it in Chart.yaml" .Chart.Name) -}}
{{- end -}}
{{- $e = concat $e (include "outflow.validateDatabase" . | fromYamlArray) (include "outflow.validateRoutes" . | fromYamlArray) -}}
{{- if and $postgresql $v.persistence.existingClaim -}}
{{- $e = append $e "persistence.existingClaim is set, but database.type is postgresql: remove it, or set database.type to sqlite" -}}
{{- end -}}

{{- $e = concat $e (include "outflow.validateIdentity" . | fromYamlArray) -}}
{{- if eq (empty $v.tls.existingSecret) (empty $v.tls.plaintext) -}}
{{- $e = append $e "tls requires exactly one of existingSecret and plaintext: behind-tls" -}}
{{- end -}}

{{- range include "outflow.components" . | fromYamlArray -}}
{{- $e = concat $e (include "outflow.validatePod" (dict "root" $ "component" .) | fromYamlArray) -}}
{{- end -}}
{{- $e = concat $e (include "outflow.validateRuns" . | fromYamlArray) (include "outflow.validateDatasets" . | fromYamlArray) -}}
{{- if and $v.outbound.ca.existingConfigMap $v.outbound.ca.existingSecret -}}
{{- $e = append $e "outbound.ca must not have both existingConfigMap and existingSecret" -}}
{{- end -}}

{{- if $v.autoscaling.enabled -}}
{{- if gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas) -}}
{{- $e = append $e "autoscaling.minReplicas must not be greater than autoscaling.maxReplicas" -}}
{{- end -}}
{{- if not (dig "requests" "cpu" "" $v.resources) -}}
{{- $e = append $e "autoscaling requires resources.requests.cpu: its target is a percentage of that request" -}}
{{- end -}}
{{- end -}}

{{- $config := fromToml ($v.config | default "") -}}
{{- if hasKey $config "Error" -}}
{{- $e = append $e (printf "config is not valid TOML: %s" $config.Error) -}}
{{- end -}}
{{- range $key := list "pooler" "ssl_mode" "ca_file" "host" "port" "name" "user" "password" "password_file" "allow_unverified" -}}
{{- if or (hasKey $config (printf "database_%s" $key)) (and (kindIs "map" $config.database) (hasKey $config.database $key)) -}}
{{- $e = append $e (printf "config must not set database_%s, because the Job of the migrations needs it too: use the values below database" $key) -}}
{{- end -}}
{{- end -}}
{{- if or (hasKey $config "database_url") (and (kindIs "map" $config.database) (hasKey $config.database "url")) -}}
{{- $e = append $e "config must not set database_url, because a ConfigMap must not contain secrets: use database.existingSecret" -}}
{{- end -}}
{{- if hasKey $config "keys" -}}
{{- $e = append $e "config must not set keys, because a ConfigMap must not contain secrets: use keys.existingSecret" -}}
{{- end -}}

{{- if hasKey $config "dataset_options" -}}
{{- $e = append $e "config must not set dataset_options, because a ConfigMap must not contain secrets: use datasets.existingSecret" -}}
{{- end -}}

{{- $set := include "outflow.env" (dict "root" . "component" "server") | fromYaml | keys -}}
{{- $e = concat $e (include "outflow.validateConfig" (dict "config" $config "set" $set) | fromYamlArray) -}}
{{- $reserved := concat $set (list "OUTFLOW_DATABASE_URL" "OUTFLOW_DATABASE_PASSWORD" "OUTFLOW_KEYS" "OUTFLOW_DATASET_OPTIONS") -}}
{{- range $v.extraEnv -}}
{{- if regexMatch "^PG(PASSWORD|HOST|PORT|USER|DATABASE)$" .name -}}
{{- $e = append $e (printf "extraEnv must not set %s: set the values below database, such as database.secretKeys" .name) -}}
{{- end -}}
{{- if has .name $reserved -}}
{{- $e = append $e (printf "extraEnv must not set %s: the chart sets it, or mounts a file for it" .name) -}}
{{- else if regexMatch "^OUTFLOW_(JWT|MTLS)_" .name -}}
{{- $e = append $e (printf "extraEnv must not set %s: use the values below identity" .name) -}}
{{- end -}}
{{- end -}}

{{- $volumes := include "outflow.volumes" . | fromYamlArray -}}
{{- $names := list -}}
{{- $paths := list -}}
{{- range $volumes -}}
{{- $names = append $names .name -}}
{{- $paths = append $paths .mountPath -}}
{{- end -}}
{{- range concat ($v.initContainers | default list) ($v.extraContainers | default list) -}}
{{- if has .name (list "outflow" "migrate") -}}
{{- $e = append $e (printf "initContainers and extraContainers must not use the name %s: the chart has a container of that name" .name) -}}
{{- end -}}
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

{{/* Errors of a Deployment as a list. Arguments: root, component. */}}
{{- define "outflow.validatePod" -}}
{{- $pod := include "outflow.pod" . | fromYaml -}}
{{- $e := list -}}
{{- if lt (int $pod.gracePeriod) (int $pod.minGracePeriod) -}}
{{- $sleep := $pod.preStopSleep | empty | ternary "" "preStopSleepSeconds plus " -}}
{{- $drain := $pod.runs | ternary "30 seconds, or plus runs.drainTimeout and 25 seconds if that is more" "30 seconds of drain" -}}
{{- $e = append $e (printf "%sterminationGracePeriodSeconds must be at least %d: %s%s" $pod.values (int $pod.minGracePeriod) $sleep $drain) -}}
{{- end -}}
{{- $memory := dict -}}
{{- range $kind := list "requests" "limits" -}}
{{- $mebibytes := include "outflow.mebibytes" (get (get $pod.resources $kind) "memory") | int64 -}}
{{- $_ := set $memory $kind $mebibytes -}}
{{- if lt $mebibytes 0 -}}
{{- $e = append $e (printf "%sresources.%s.memory must be a quantity, such as 1Gi" $pod.values $kind) -}}
{{- end -}}
{{- end -}}
{{- $least := add (int64 $pod.engineMemoryMib) 256 -}}
{{- if and (ge $memory.limits 0) (lt $memory.limits $least) -}}
{{- $e = append $e (printf "%sresources.limits.memory must be at least %dMi: engineMemoryMib plus 256 MiB for everything else" $pod.values $least) -}}
{{- else if gt $memory.requests $memory.limits -}}
{{- $e = append $e (printf "%sresources.requests.memory must not be greater than the limit, which is %dMi" $pod.values $memory.limits) -}}
{{- end -}}
{{- $e | toJson -}}
{{- end -}}

{{- define "outflow.validateRuns" -}}
{{- $runs := .Values.runs -}}
{{- $e := list -}}
{{- if and .Values.runner.enabled (not $runs.enabled) -}}
{{- $e = append $e "runner.enabled requires runs.enabled" -}}
{{- end -}}
{{- if gt (mul 3 (include "outflow.seconds" $runs.heartbeat)) (include "outflow.seconds" $runs.lease | int64) -}}
{{- $e = append $e "runs.heartbeat must be at most a third of runs.lease" -}}
{{- end -}}
{{- $e | toJson -}}
{{- end -}}

{{/* Directories of datasets must be on a volume, and what is mounted must be used. */}}
{{- define "outflow.validateDatasets" -}}
{{- $datasets := .Values.datasets -}}
{{- $claim := "/srv/outflow/datasets/" -}}
{{- $locations := dict "datasets.location" $datasets.location -}}
{{- range $organization, $location := $datasets.sources -}}
{{- $_ := set $locations (printf "datasets.sources.%s" $organization) $location -}}
{{- end -}}
{{- $mounts := eq .Values.database.type "sqlite" | ternary (list "/var/lib/outflow/") list -}}
{{- if $datasets.existingClaim -}}
{{- $mounts = append $mounts $claim -}}
{{- end -}}
{{- range .Values.extraVolumeMounts -}}
{{- $mounts = append $mounts (printf "%s/" (trimSuffix "/" .mountPath)) -}}
{{- end -}}

{{- $e := list -}}
{{- $isClaimUsed := false -}}
{{- range $name, $location := $locations -}}
{{- if regexMatch "^[a-z0-9]+://[^/?#]*:[^/?#]*@" $location -}}
{{- $e = append $e (printf "%s must not contain a password: use datasets.existingSecret" $name) -}}
{{- end -}}
{{- if hasPrefix "/" $location -}}
{{- $directory := printf "%s/" (trimSuffix "/" $location) -}}
{{- $isMounted := false -}}
{{- range $mounts -}}
{{- $isMounted = or $isMounted (hasPrefix . $directory) -}}
{{- end -}}
{{- if not $isMounted -}}
{{- $e = append $e (printf "%s is a directory on no volume: set datasets.existingClaim and use a path at or below /srv/outflow/datasets, or mount a volume with extraVolumeMounts" $name) -}}
{{- end -}}
{{- $isClaimUsed = or $isClaimUsed (hasPrefix $claim $directory) -}}
{{- end -}}
{{- end -}}
{{- if and $datasets.existingClaim (not $isClaimUsed) -}}
{{- $e = append $e "datasets.existingClaim is mounted at /srv/outflow/datasets, but neither datasets.location nor datasets.sources uses that path" -}}
{{- end -}}
{{- if and $datasets.existingSecret (has $datasets.location (list "" "none")) (not $datasets.sources) -}}
{{- $e = append $e "datasets.existingSecret is set, but neither datasets.location nor datasets.sources is: set the source that its credentials are for" -}}
{{- end -}}
{{- $e | toJson -}}
{{- end -}}

{{/* Settings that the chart sets override those in config. Arguments: config (parsed), set (names of environment variables). */}}
{{- define "outflow.validateConfig" -}}
{{- $keys := list -}}
{{- range $key, $value := .config -}}
{{- $keys = append $keys $key -}}
{{- if kindIs "map" $value -}}
{{- range $inner, $_ := $value -}}
{{- $keys = append $keys (printf "%s_%s" $key $inner) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $e := list -}}
{{- range $keys -}}
{{- if has (printf "OUTFLOW_%s" (upper .)) $.set -}}
{{- $e = append $e (printf "config must not set %s: the chart sets it from another value" .) -}}
{{- else if regexMatch "^(jwt|mtls)_" . -}}
{{- $e = append $e (printf "config must not set %s: use the values below identity" .) -}}
{{- end -}}
{{- end -}}
{{- $e | toJson -}}
{{- end -}}
