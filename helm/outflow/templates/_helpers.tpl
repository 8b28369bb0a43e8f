{{/* The full name is truncated, so that names with a suffix have at most 63 characters. */}}

{{- define "outflow.name" -}}
{{- .Values.nameOverride | default .Chart.Name -}}
{{- end -}}

{{- define "outflow.fullname" -}}
{{- $name := include "outflow.name" . -}}
{{- $full := .Values.fullnameOverride | default (contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name)) -}}
{{- $full = $full | replace "." "-" -}}
{{- if gt (len $full) 40 -}}
{{- $full = printf "%s-%s" ($full | trunc 31 | trimSuffix "-") (sha256sum $full | trunc 8) -}}
{{- end -}}
{{- $full -}}
{{- end -}}

{{- define "outflow.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "outflow.fullname" .) "default") -}}
{{- end -}}

{{- define "outflow.claimName" -}}
{{- .Values.persistence.existingClaim | default (printf "%s-data" (include "outflow.fullname" .)) -}}
{{- end -}}

{{/* Arguments: root, component. */}}
{{- define "outflow.selectorLabels" -}}
app.kubernetes.io/name: {{ include "outflow.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Metadata of an object. Arguments: root, name, component, annotations and labels (both optional). */}}
{{- define "outflow.metadata" -}}
{{- $own := include "outflow.selectorLabels" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/version" (.root.Values.image.tag | default .root.Chart.AppVersion | toString) -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_") -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- merge $own (include "outflow.texts" .labels | fromYaml) (include "outflow.texts" .root.Values.labels | fromYaml) | toYaml | nindent 2 }}
{{- with merge (include "outflow.texts" .annotations | fromYaml) (include "outflow.texts" .root.Values.annotations | fromYaml) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Labels of a pod. Arguments: root, component, labels (optional). */}}
{{- define "outflow.podLabels" -}}
{{- $labels := merge (include "outflow.selectorLabels" . | fromYaml) (include "outflow.texts" .labels | fromYaml) -}}
{{- merge $labels (include "outflow.texts" .root.Values.podLabels | fromYaml) (include "outflow.texts" .root.Values.labels | fromYaml) | toYaml -}}
{{- end -}}

{{/* Environment variables of the server. extraEnv must not set them. Arguments: root, component. */}}
{{- define "outflow.env" -}}
{{- $runs := .root.Values.runs -}}
{{- $pod := include "outflow.pod" . | fromYaml -}}
{{- with .root -}}
{{- $postgresql := eq .Values.database.type "postgresql" -}}
OUTFLOW_LISTEN: "[::]:50051"
OUTFLOW_ADMIN_LISTEN: "[::]:50052"
OUTFLOW_DATA_DIR: /var/lib/outflow
OUTFLOW_MIGRATE: {{ $postgresql | ternary "check" "auto" }}
{{- include "outflow.databaseEnv" . }}
OUTFLOW_KEY_DIR: /etc/outflow/keys
OUTFLOW_PRIMARY_KEY: {{ .Values.keys.primary | quote }}
{{- include "outflow.identityEnv" . }}
{{- if .Values.tls.existingSecret }}
OUTFLOW_TLS_CERT_FILE: /etc/outflow/tls/tls.crt
OUTFLOW_TLS_KEY_FILE: /etc/outflow/tls/tls.key
{{- end }}
{{- with .Values.tls.plaintext }}
OUTFLOW_PLAINTEXT: {{ . }}
{{- end }}
{{- if .Values.config }}
OUTFLOW_CONFIG: /etc/outflow/config/outflow.toml
{{- end }}
{{- if .Values.catalog }}
OUTFLOW_CATALOG_DIR: /etc/outflow/catalog
{{- end }}
OUTFLOW_REFLECTION: {{ .Values.reflection | quote }}
OUTFLOW_LOG_FORMAT: {{ .Values.log.format }}
OUTFLOW_LOG: {{ .Values.log.filter | quote }}
{{- with .Values.datasets.location }}
OUTFLOW_DATASET_LOCATION: {{ . | quote }}
{{- end }}
{{- with .Values.datasets.sources }}
OUTFLOW_DATASET_SOURCES: {{ include "outflow.pairs" . | quote }}
{{- end }}
{{- if .Values.datasets.existingSecret }}
OUTFLOW_DATASET_OPTIONS_FILE: /etc/outflow/datasets/options.toml
{{- end }}
{{- if .Values.localDirectory.existingClaim }}
OUTFLOW_LOCAL_DIRECTORY_ROOT: /srv/outflow/exports
{{- end }}
{{- with .Values.outbound.allowed }}
OUTFLOW_OUTBOUND_ALLOWED: {{ join "," . | quote }}
{{- end }}
{{- if or .Values.outbound.ca.existingConfigMap .Values.outbound.ca.existingSecret }}
OUTFLOW_OUTBOUND_CA_FILE: /etc/outflow/outbound/ca.crt
{{- end }}
{{- $tenants := list }}
{{- range $organization, $ids := .Values.outbound.entraTenants }}
{{- range $ids }}
{{- $tenants = append $tenants (printf "%s=%s" $organization .) }}
{{- end }}
{{- end }}
{{- with $tenants }}
OUTFLOW_ENTRA_TENANTS: {{ join "," . | quote }}
{{- end }}
{{- end }}
OUTFLOW_RUNS: {{ $pod.runs | ternary "on" "off" | quote }}
OUTFLOW_RUN_MAX_CONCURRENT: {{ int64 $runs.maxConcurrent | quote }}
OUTFLOW_RUN_MAX_CONCURRENT_PER_ORGANIZATION: {{ int64 $runs.maxConcurrentPerOrganization | quote }}
OUTFLOW_RUN_MAX_CONCURRENT_PER_CONNECTION_TYPE: {{ int64 $runs.maxConcurrentPerConnectionType | quote }}
OUTFLOW_RUN_MAX_ATTEMPTS: {{ int64 $runs.maxAttempts | quote }}
OUTFLOW_RUN_RETRY_DELAY: {{ $runs.retryDelay }}
OUTFLOW_RUN_MAX_DURATION: {{ $runs.maxDuration }}
OUTFLOW_RUN_DRAIN_TIMEOUT: {{ $runs.drainTimeout }}
OUTFLOW_RUN_LEASE: {{ $runs.lease }}
OUTFLOW_RUN_HEARTBEAT: {{ $runs.heartbeat }}
OUTFLOW_RUN_RETENTION_DAYS: {{ int64 $runs.retentionDays | quote }}
OUTFLOW_ENGINE_MEMORY_MIB: {{ int64 $pod.engineMemoryMib | quote }}
{{- with $pod.engineThreads }}
OUTFLOW_ENGINE_THREADS: {{ int64 . | quote }}
{{- end }}
{{- end -}}

{{/* Volumes of the server with their mount paths. The Deployments render volumes and volumeMounts from this one list. */}}
{{- define "outflow.volumes" -}}
- name: tmp
  mountPath: /tmp
  source: {emptyDir: {}}
- name: data
  mountPath: /var/lib/outflow
  {{- if eq .Values.database.type "sqlite" }}
  source: {persistentVolumeClaim: {claimName: {{ include "outflow.claimName" . }}}}
  {{- else }}
  source: {emptyDir: {}}
  {{- end }}
- name: keys
  mountPath: /etc/outflow/keys
  source: {secret: {secretName: {{ .Values.keys.existingSecret | quote }}, defaultMode: 288}}
{{- include "outflow.databaseVolumes" . }}
{{- with .Values.tls.existingSecret }}
- name: tls
  mountPath: /etc/outflow/tls
  source: {secret: {secretName: {{ . | quote }}, defaultMode: 288}}
{{- end }}
{{- include "outflow.identityVolumes" . }}
{{- if .Values.config }}
- name: config
  mountPath: /etc/outflow/config
  source: {configMap: {name: {{ include "outflow.fullname" . }}-config}}
{{- end }}
{{- if .Values.catalog }}
- name: catalog
  mountPath: /etc/outflow/catalog
  source: {configMap: {name: {{ include "outflow.fullname" . }}-catalog}}
{{- end }}
{{- with .Values.datasets }}
{{- if .existingSecret }}
- name: dataset-options
  mountPath: /etc/outflow/datasets
  source: {secret: {secretName: {{ .existingSecret | quote }}, defaultMode: 288, items: [{key: {{ .existingSecretKey | quote }}, path: options.toml}]}}
{{- end }}
{{- if .existingClaim }}
- name: datasets
  mountPath: /srv/outflow/datasets
  readOnly: true
  source: {persistentVolumeClaim: {claimName: {{ .existingClaim | quote }}}}
{{- end }}
{{- end }}
{{- with .Values.localDirectory.existingClaim }}
- name: exports
  mountPath: /srv/outflow/exports
  source: {persistentVolumeClaim: {claimName: {{ . | quote }}}}
{{- end }}
{{- with .Values.outbound.ca }}
{{- $items := printf "items: [{key: %s, path: ca.crt}]" (quote .key) }}
{{- if .existingConfigMap }}
- name: outbound-ca
  mountPath: /etc/outflow/outbound
  source: {configMap: {name: {{ .existingConfigMap | quote }}, {{ $items }}}}
{{- else if .existingSecret }}
- name: outbound-ca
  mountPath: /etc/outflow/outbound
  source: {secret: {secretName: {{ .existingSecret | quote }}, defaultMode: 288, {{ $items }}}}
{{- end }}
{{- end }}
{{- end -}}

{{/* Maximum number of pods that serve the API outside an update. NOTES.txt computes the number of database connections from it. */}}
{{- define "outflow.mostReplicas" -}}
{{- .Values.autoscaling.enabled | ternary .Values.autoscaling.maxReplicas .Values.replicas | int -}}
{{- end -}}
