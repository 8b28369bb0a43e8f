{{/* The Deployments: those of the API, and those that only run exports. */}}
{{- define "outflow.components" -}}
{{- .Values.runner.enabled | ternary (list "server" "runner") (list "server") | toJson -}}
{{- end -}}

{{/* What differs between the Deployments. Arguments: root, component. */}}
{{- define "outflow.pod" -}}
{{- $v := .root.Values -}}
{{- $isRunner := eq .component "runner" -}}
{{- $own := $isRunner | ternary $v.runner $v -}}
{{- $runs := and $v.runs.enabled (eq $isRunner $v.runner.enabled) -}}
{{- /* No client connects to a runner, so it stops without a sleep. */ -}}
{{- $preStopSleep := $isRunner | ternary 0 $v.preStopSleepSeconds | int -}}
{{- /* The server waits for calls (30 s with all that follows), and for deliveries: 20 s to end what it interrupts, 5 s for the rest. */ -}}
{{- $stop := $runs | ternary (add (include "outflow.seconds" $v.runs.drainTimeout) 25) 0 | max 30 -}}
{{- $minGracePeriod := add $preStopSleep $stop -}}
{{- $gracePeriod := $own.terminationGracePeriodSeconds -}}
{{- if kindIs "invalid" $gracePeriod -}}
{{- $gracePeriod = add $minGracePeriod 5 -}}
{{- end -}}
{{- $engine := int64 ($isRunner | ternary ($v.runner.engineMemoryMib | default $v.runs.engineMemoryMib) $v.runs.engineMemoryMib) -}}
{{- /* Beside the engine, a delivery holds the parts of an upload. */ -}}
{{- $limit := add $engine 256 ($runs | ternary (mul 64 (int64 $v.runs.maxConcurrent)) 256) -}}
{{- $memory := dict "requests" (dict "memory" (printf "%dMi" (add $engine 128))) "limits" (dict "memory" (printf "%dMi" $limit)) -}}
{{- $pod := dict
  "name" ($isRunner | ternary (printf "%s-runner" (include "outflow.fullname" .root)) (include "outflow.fullname" .root))
  "values" ($isRunner | ternary "runner." "")
  "runs" $runs
  "preStopSleep" $preStopSleep
  "gracePeriod" $gracePeriod
  "minGracePeriod" $minGracePeriod
  "engineMemoryMib" $engine
  "engineThreads" ($isRunner | ternary ($v.runner.engineThreads | default $v.runs.engineThreads) $v.runs.engineThreads)
  "resources" (merge (deepCopy $own.resources) $memory)
-}}
{{- if or $isRunner (not $v.autoscaling.enabled) -}}
{{- $_ := set $pod "replicas" $own.replicas -}}
{{- end -}}
{{- $pod | toJson -}}
{{- end -}}

{{/* A duration such as 20s, 5m or 12h, in seconds. */}}
{{- define "outflow.seconds" -}}
{{- mul (regexFind "^[0-9]+" . | int64) (get (dict "s" 1 "m" 60 "h" 3600) (regexFind "[smh]$" .)) -}}
{{- end -}}

{{/* A quantity such as 512Mi, 1.5G or 1e9, in MiB, rounded down; -1 if it is not a quantity. */}}
{{- define "outflow.mebibytes" -}}
{{- $text := kindIs "string" . | ternary . (printf "%v" .) -}}
{{- $factors := dict "" 1 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 "Ei" 1152921504606846976 -}}
{{- if regexMatch "^[0-9]+(\\.[0-9]*)?[eE][+]?[0-9]+$" $text -}}
{{- divf (float64 $text) 1048576 | floor | int64 -}}
{{- else if regexMatch "^([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([KMGTPE]i|[mkMGTPE])?$" $text -}}
{{- divf (mulf (regexFind "^[0-9.]+" $text | float64) (get $factors (regexFind "[a-zA-Z]*$" $text))) 1048576 | floor | int64 -}}
{{- else -}}
-1
{{- end -}}
{{- end -}}
