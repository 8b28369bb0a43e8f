{{/* What depends on the platform: the image, security contexts, scheduling, sidecars. The Deployments and the Job share it, so that what the pods can reach, the Job can too. */}}

{{/* A map of labels or annotations, whose values are text: numbers and booleans are converted, and null removes a key. */}}
{{- define "outflow.texts" -}}
{{- $texts := dict -}}
{{- range $key, $value := . -}}
{{- if kindIs "float64" $value -}}
{{- $_ := set $texts $key (eq (floor $value) $value | ternary (int64 $value | toString) (toString $value)) -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $_ := set $texts $key (toString $value) -}}
{{- end -}}
{{- end -}}
{{- toYaml $texts -}}
{{- end -}}

{{/* A repository without a registry is pulled from global.imageRegistry, if there is one. */}}
{{- define "outflow.image" -}}
{{- $image := .Values.image -}}
{{- $repository := $image.repository -}}
{{- $registry := dig "imageRegistry" "" (.Values.global | default dict) -}}
{{- $first := regexFind "^[^/]+/" $repository -}}
{{- if and $registry (not (regexMatch "[.:]|^localhost/" $first)) -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" $registry) $repository -}}
{{- end -}}
{{- if $image.digest -}}
{{ $repository }}@{{ $image.digest }}
{{- else -}}
{{ $repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* Secrets for pulling the image: those of the chart, and those of a parent chart. Each is a name, or an object with a name. */}}
{{- define "outflow.imagePullSecrets" -}}
{{- $names := list -}}
{{- range concat (.Values.imagePullSecrets | default list) (dig "imagePullSecrets" list (.Values.global | default dict) | default list) -}}
{{- $names = append $names (kindIs "map" . | ternary (get (kindIs "map" . | ternary . dict) "name") .) -}}
{{- end -}}
{{- range uniq $names }}
- name: {{ . }}
{{- end -}}
{{- end -}}

{{/* A map without its null values, which unset a default. */}}
{{- define "outflow.compact" -}}
{{- $kept := dict -}}
{{- range $key, $value := . -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $_ := set $kept $key $value -}}
{{- end -}}
{{- end -}}
{{- toYaml $kept -}}
{{- end -}}

{{/* OpenShift assigns user and group from the range of the namespace, and its SCC restricted-v2 refuses others. There, the defaults of this chart are left out. */}}
{{- define "outflow.podSecurityContext" -}}
{{- $context := deepCopy .Values.podSecurityContext -}}
{{- if .Capabilities.APIVersions.Has "security.openshift.io/v1" -}}
{{- range list "runAsUser" "runAsGroup" "fsGroup" -}}
{{- if eq (get $context . | toString) "65532" -}}
{{- $_ := unset $context . -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- include "outflow.compact" $context -}}
{{- end -}}

{{/* The part of the spec that all pods share. */}}
{{- define "outflow.podSpec" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- include "outflow.podSecurityContext" . | nindent 2 }}
{{- with include "outflow.imagePullSecrets" . }}
imagePullSecrets:
  {{- . | nindent 2 }}
{{- end }}
{{- range $key := list "priorityClassName" "runtimeClassName" "schedulerName" "dnsPolicy" "dnsConfig" "hostAliases" "nodeSelector" "affinity" "tolerations" }}
{{- with get $.Values $key }}
{{ dict $key . | toYaml }}
{{- end }}
{{- end }}
{{- with .Values.initContainers }}
# Sidecars with restartPolicy Always, such as proxies of databases, end with the container of a Job.
initContainers:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The mounts of a container. Arguments: root, volumes. */}}
{{- define "outflow.volumeMounts" -}}
{{- range .volumes }}
- name: {{ .name }}
  mountPath: {{ .mountPath }}
  {{- if or .readOnly .source.secret .source.configMap .source.projected }}
  readOnly: true
  {{- end }}
{{- end }}
{{- with .root.Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The volumes of a pod. Arguments: root, volumes. */}}
{{- define "outflow.podVolumes" -}}
{{- range .volumes }}
- name: {{ .name }}
  {{- toYaml .source | nindent 2 }}
{{- end }}
{{- with .root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
