{{- define "spot.name" -}}
{{- .Release.Name | replace "." "-" | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{- /* Of what lies outside the release's namespace: no other release has it. */ -}}
{{- define "spot.clusterName" -}}
{{- printf "%s.%s" (include "spot.name" .) .Release.Namespace -}}
{{- end }}

{{- /* The Lease that says which namespaces this release watches; `control/watch_claim.py` names it. */ -}}
{{- define "spot.claimName" -}}
{{- printf "spot-training.%s.%s" .Release.Namespace (include "spot.name" .) -}}
{{- end }}

{{- define "spot.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "spot.name" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{- define "spot.subjects" -}}
- kind: ServiceAccount
  name: {{ include "spot.serviceAccount" . | quote }}
  namespace: {{ .Release.Namespace | quote }}
{{- end }}

{{- /* What is done with jobs and their pods, in every namespace or in each that is watched. */ -}}
{{- define "spot.jobRules" -}}
- apiGroups: [spottraining.dev]
  resources: [spottrainingjobs]
  # patch: the finalizer of deletionPolicy: Delete; delete: ttlSecondsAfterFinished
  verbs: [get, list, watch, patch, delete]
- apiGroups: [spottraining.dev]
  resources: [spottrainingjobs/status]
  verbs: [update]
- apiGroups: [spottraining.dev]
  resources: [spottrainingjobs/finalizers]
  verbs: [update]  # owner references that block the owner's deletion
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{- define "spot.selector" -}}
app.kubernetes.io/name: spot-training-operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "spot.labels" -}}
app.kubernetes.io/name: spot-training-operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
app.kubernetes.io/part-of: spot-training-operator
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Of a pod: dict "root" "component"; podLabels go before commonLabels of the same name. */ -}}
{{- define "spot.podLabels" -}}
{{- $labels := fromYaml (include "spot.labels" .root) -}}
{{- toYaml (mergeOverwrite $labels (default dict .root.Values.podLabels) (dict "app.kubernetes.io/component" .component)) -}}
{{- end }}

{{- /* An image reference: dict "image" <values> "version" <default tag> */ -}}
{{- define "spot.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ default .version .image.tag }}
{{- end -}}
{{- end }}

{{- /* Where a pod of ours may run, the same for the operator and for its hook. */ -}}
{{- define "spot.placement" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.podSecurityContext }}
securityContext: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* A SpotPolicy or PriorityClass of that name that another owner made: dict "kind" "api" "name" "root" */ -}}
{{- define "spot.foreign" -}}
{{- if .root.Capabilities.APIVersions.Has .api }}
{{- $found := lookup .api .kind "" .name }}
{{- if $found }}
{{- $notes := default dict $found.metadata.annotations }}
{{- $ours := and (eq (get $notes "meta.helm.sh/release-name") .root.Release.Name) (eq (get $notes "meta.helm.sh/release-namespace") .root.Release.Namespace) }}
{{- if not $ours }}foreign{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Keep Istio and Kuma out of a pod, and Linkerd, Istio before 1.10 and Consul by annotations. */ -}}
{{- define "spot.noMesh.labels" -}}
sidecar.istio.io/inject: "false"
kuma.io/sidecar-injection: disabled
{{- end }}
{{- define "spot.noMesh.annotations" -}}
sidecar.istio.io/inject: "false"
linkerd.io/inject: disabled
consul.hashicorp.com/connect-inject: "false"
{{- end }}
