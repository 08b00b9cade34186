{{- define "fastserve.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-{{ .Chart.Name }}{{ end }}
{{- end }}

{{- define "fastserve.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "fastserve.metadata" -}}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "fastserve.selector" . | nindent 2 }}
  app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ .Release.Service }}
  helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* Not empty where any call needs a token. */ -}}
{{- define "fastserve.authenticates" -}}
{{- .Values.auth.tokensKey }}{{ .Values.auth.adminTokensKey }}
{{- end }}

{{- define "fastserve.ports" -}}
- name: grpc
  port: {{ .Values.service.grpcPort }}
  targetPort: grpc
  appProtocol: kubernetes.io/h2c
- name: rest
  port: {{ .Values.service.restPort }}
  targetPort: rest
  appProtocol: http
{{- end }}
