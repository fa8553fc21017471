{{- define "plumbline.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 52 characters: the controller of a StatefulSet puts its name and a hash of ten into a label of 63. */}}
{{- define "plumbline.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 52 | trimAll "-." -}}
{{- end -}}

{{- define "plumbline.selector" -}}
app.kubernetes.io/name: {{ include "plumbline.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "plumbline.labels" -}}
{{ include "plumbline.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "plumbline.serviceAccountName" -}}
{{- default (include "plumbline.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{/* The watched namespaces, separated by commas. */}}
{{- define "plumbline.watchNamespaces" -}}
{{- default (list .Release.Namespace) .Values.watchNamespaces | join "," -}}
{{- end -}}

{{- define "plumbline.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Ports of a NetworkPolicy: (dict "protocols" (list "TCP") "ports" (list 443)) */}}
{{- define "plumbline.ports" -}}
{{- range $port := .ports }}
{{- range $.protocols }}
- {protocol: {{ . }}, port: {{ $port }}}
{{- end }}
{{- end }}
{{- end -}}
