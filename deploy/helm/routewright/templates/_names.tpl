{{- define "routewright.name" -}}
{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- end -}}

{{- define "routewright.selector" -}}
app.kubernetes.io/name: routewright
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "routewright.labels" -}}
{{ include "routewright.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}
