{{- define "agentcore.name" -}}
{{ .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "agentcore.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "agentcore.name" .) .Release.Name -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name (include "agentcore.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "agentcore.selector" -}}
app.kubernetes.io/name: {{ include "agentcore.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "agentcore.labels" -}}
{{ include "agentcore.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "agentcore.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{- /* Notice, 10 s for requests that are being answered, drain, 5 s for what is handed back, and 10 s in reserve. */ -}}
{{- define "agentcore.grace" -}}
{{ add .Values.stop.noticeSeconds 10 .Values.stop.drainSeconds 5 10 }}
{{- end }}

{{- define "agentcore.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "agentcore.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* The pod of a job of the owner's: "agentcore migrate". */ -}}
{{- define "agentcore.ownerPod" -}}
metadata:
  labels:
    {{- include "agentcore.selector" . | nindent 4 }}
    app.kubernetes.io/component: migration
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  # A Service called "agentcore" would put AGENTCORE_PORT and the like into the environment, which are no settings.
  enableServiceLinks: false
  securityContext:
    {{- include "agentcore.podSecurity" . | nindent 4 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: migrate
      image: {{ include "agentcore.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [migrate]
      env:
        - name: AGENTCORE_DATABASE_URL
          valueFrom: {secretKeyRef: {name: {{ .Values.migration.secretName }}, key: AGENTCORE_DATABASE_URL}}
      securityContext:
        {{- include "agentcore.containerSecurity" . | nindent 8 }}
      resources:
        {{- toYaml .Values.jobResources | nindent 8 }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
  volumes:
    - {name: tmp, emptyDir: {}}
{{- end }}
