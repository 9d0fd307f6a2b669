{{- define "slipway.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (default .Chart.Name .Values.nameOverride) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (default .Chart.Name .Values.nameOverride) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "slipway.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "slipway.labels" -}}
{{ include "slipway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "slipway.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "slipway.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "slipway.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* "true" when the state is in PostgreSQL. */}}
{{- define "slipway.postgresql" -}}
{{- if or .Values.database.url .Values.secrets.existingSecret -}}true{{- end -}}
{{- end -}}

{{- define "slipway.secretName" -}}
{{- default (include "slipway.fullname" .) .Values.secrets.existingSecret -}}
{{- end -}}

{{/* "true" when nobody gives the first API key, so that the chart makes one. */}}
{{- define "slipway.makesAdminKey" -}}
{{- if not (or .Values.secrets.existingSecret .Values.secrets.adminKey) -}}true{{- end -}}
{{- end -}}

{{/* The Secret that has the first API key, under `admin-key`. */}}
{{- define "slipway.adminSecretName" -}}
{{- ternary (printf "%s-admin-key" (include "slipway.fullname" .)) (include "slipway.secretName" .) (eq (include "slipway.makesAdminKey" .) "true") -}}
{{- end -}}

{{/* What cannot work is refused before anything is installed, with what to do. */}}
{{- define "slipway.check" -}}
{{- $own := or .Values.database.url .Values.secrets.adminKey .Values.secrets.encryptionKey -}}
{{- if and .Values.secrets.existingSecret $own -}}
{{- fail "secrets.existingSecret holds them: leave database.url, secrets.adminKey and secrets.encryptionKey empty" -}}
{{- end -}}
{{- if and .Values.database.url (not .Values.secrets.encryptionKey) -}}
{{- fail "PostgreSQL needs secrets.encryptionKey, the same for every replica and kept: without it stored secrets are lost (openssl rand -base64 32)" -}}
{{- end -}}
{{- if and (gt (int .Values.worker.replicas) 0) (not (include "slipway.postgresql" .)) -}}
{{- fail "worker.replicas needs PostgreSQL: set database.url or secrets.existingSecret" -}}
{{- end -}}
{{- end -}}

{{- define "slipway.env" -}}
- name: SLIPWAY_DATABASE_URL
{{- if include "slipway.postgresql" . }}
  valueFrom: {secretKeyRef: {name: {{ include "slipway.secretName" . }}, key: database-url}}
{{- else }}
  value: sqlite:////data/slipway.db
{{- end }}
{{- if or .Values.secrets.existingSecret .Values.secrets.encryptionKey }}
- name: SLIPWAY_ENCRYPTION_KEY
  valueFrom: {secretKeyRef: {name: {{ include "slipway.secretName" . }}, key: encryption-key}}
{{- end }}
{{- with .Values.aws.region }}
- name: AWS_REGION
  value: {{ . | quote }}
{{- end }}
{{- range $name, $value := .Values.settings }}
- name: SLIPWAY_{{ $name | upper }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A pod of either kind: dict "root" $ "component" "api|worker" "arguments" [...] "resources" {...} */}}
{{- define "slipway.pod" -}}
{{- $root := .root -}}
metadata:
  labels:
    {{- include "slipway.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
    {{- with $root.Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    {{- if not $root.Values.secrets.existingSecret }}
    checksum/secret: {{ include (print $root.Template.BasePath "/secret.yaml") $root | sha256sum }}
    {{- end }}
    {{- with $root.Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "slipway.serviceAccountName" $root }}
  automountServiceAccountToken: false  # also with an account of the operator's; IRSA and Pod Identity bring their own
  terminationGracePeriodSeconds: {{ $root.Values.terminationGracePeriodSeconds }}
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    fsGroupChangePolicy: OnRootMismatch  # else each start gives the group what Slipway keeps for itself
    seccompProfile: {type: RuntimeDefault}
  {{- if include "slipway.postgresql" $root }}
  initContainers:
    # Every pod asks for the newest schema; a lock in the database lets one do it, and the others find it done. While
    # they are replaced, pods of the version before go on working on it.
    - name: migrate
      args: [slipway, migrate]
      {{- include "slipway.container" (dict "root" $root "component" "migrate" "resources" .resources) | nindent 6 }}
  {{- end }}
  containers:
    - name: slipway
      args: {{- toYaml .arguments | nindent 8 }}
      {{- include "slipway.container" (dict "root" $root "component" .component "resources" .resources) | nindent 6 }}
      {{- if eq .component "api" }}
      ports:
        - {name: http, containerPort: 8080}
      startupProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 2
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: http}
        periodSeconds: 5
        timeoutSeconds: 5
      {{- end }}
  volumes:
    - name: data
      {{- if include "slipway.postgresql" $root }}
      emptyDir: {sizeLimit: {{ $root.Values.storage.data | quote }}}
      {{- else }}
      persistentVolumeClaim:
        claimName: {{ default (include "slipway.fullname" $root) $root.Values.sqlite.existingClaim }}
      {{- end }}
    - name: tmp  # charts and helm's private homes
      emptyDir: {sizeLimit: {{ $root.Values.storage.tmp | quote }}}
  {{- range $key := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" }}
  {{- with index $root.Values $key }}
  {{ $key }}: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
{{- end -}}

{{- define "slipway.container" -}}
image: {{ include "slipway.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
env:
  {{- if eq .component "api" }}
  - name: SLIPWAY_ADMIN_KEY
    valueFrom: {secretKeyRef: {name: {{ include "slipway.adminSecretName" .root }}, key: admin-key}}
  {{- end }}
  {{- include "slipway.env" .root | nindent 2 }}
{{- with .root.Values.extraEnvFrom }}
envFrom: {{- toYaml . | nindent 2 }}
{{- end }}
resources: {{- toYaml .resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
volumeMounts:
  - {name: data, mountPath: /data}
  - {name: tmp, mountPath: /tmp}
{{- end -}}
