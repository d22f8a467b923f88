"""Pod templates as manifests of other projects have them, in our words: what moves as it is, and
what has to be changed.

They were written from the samples that Kubeflow, KubeRay, JobSet, Kueue, Volcano, Argo Workflows,
SkyPilot, and the guides of GKE, EKS and OKE publish; nothing is copied.
"""

from typing import Any, Final, NamedTuple

Json = dict[str, Any]

_POD: Final = "spec.template.spec"
_GPU: Final[Json] = {"limits": {"nvidia.com/gpu": 8}}
_SHM: Final[Json] = {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "32Gi"}}


def _trains(**more: Any) -> Json:
    return {"name": "main", "image": "example.com/train:1", "resources": _GPU, **more}


def _pod(container: Json, **spec: Any) -> Json:
    return {"spec": {"containers": [container], **spec}}


MOVES: Final[dict[str, Json]] = {
    "a batch Job on GKE spot": _pod(
        _trains(env=[{"name": "BUCKET", "value": "a"}], envFrom=[{"secretRef": {"name": "keys"}}]),
        restartPolicy="Never",
        serviceAccountName="trainer",
        nodeSelector={"cloud.google.com/gke-spot": "true"},
        terminationGracePeriodSeconds=25,
    ),
    "gcsfuse": {
        "metadata": {"annotations": {"gke-gcsfuse/volumes": "true"}},
        **_pod(
            _trains(volumeMounts=[{"name": "data", "mountPath": "/mnt/data"}]),
            volumes=[
                {
                    "name": "data",
                    "csi": {
                        "driver": "gcsfuse.csi.storage.gke.io",
                        "volumeAttributes": {"bucketName": "data"},
                    },
                }
            ],
        ),
    },
    "EFA": _pod(
        _trains(
            resources={
                "requests": {"vpc.amazonaws.com/efa": 4, "cpu": 0.5, "hugepages-2Mi": "5120Mi"},
                "limits": {
                    "vpc.amazonaws.com/efa": 4,
                    "nvidia.com/gpu": 8,
                    "hugepages-2Mi": "5120Mi",
                    "memory": "64Gi",
                },
            },
            securityContext={"capabilities": {"add": ["IPC_LOCK"]}},
            volumeMounts=[{"name": "shm", "mountPath": "/dev/shm"}],
        ),
        volumes=[_SHM],
    ),
    "InfiniBand in the node's network": _pod(
        _trains(
            ports=[{"name": "ssh", "containerPort": 2222}],
            securityContext={"privileged": True, "capabilities": {"add": ["IPC_LOCK"]}},
            volumeMounts=[{"name": "ib", "mountPath": "/dev/infiniband"}],
        ),
        hostNetwork=True,
        dnsPolicy="ClusterFirstWithHostNet",
        volumes=[_SHM, {"name": "ib", "hostPath": {"path": "/dev/infiniband"}}],
    ),
    "Karpenter": _pod(
        _trains(),
        tolerations=[
            {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"},
            {"key": "karpenter.sh/provisioner-name", "operator": "Exists"},
            {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute",
             "tolerationSeconds": 300},
        ],
        affinity={
            "nodeAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 100, "preference": {"matchExpressions": [
                        {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["spot"]}
                    ]}}
                ]
            },
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {"topologyKey": "kubernetes.io/hostname",
                     "labelSelector": {"matchLabels": {"app": "train"}}}
                ]
            },
        },
        topologySpreadConstraints=[
            {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone",
             "whenUnsatisfiable": "ScheduleAnyway",
             "labelSelector": {"matchLabels": {"app": "train"}}}
        ],
    ),
    "DRA": _pod(
        _trains(resources={"claims": [{"name": "gpu"}], "requests": {"cpu": 1}}),
        resourceClaims=[{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}],
    ),
    "a Kueue pod": {
        "metadata": {"labels": {"kueue.x-k8s.io/queue-name": "team"}},
        **_pod(_trains(resources={"requests": {"cpu": "1", "memory": "200Mi"}})),
    },
    "KubeRay: env with nothing in it": _pod(_trains(env=None)),
    "a Volcano task": _pod(
        _trains(workingDir="/opt/train", ports=[{"containerPort": 2222, "name": "port"}]),
        schedulerName="volcano",
        imagePullSecrets=[{"name": "default-secret"}],
    ),
    "SkyPilot": _pod(
        _trains(
            env=[
                {"name": "CPUS", "valueFrom": {"resourceFieldRef": {
                    "containerName": "main", "resource": "requests.cpu"}}},
                {"name": "NODE_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
            ],
            ports=[{"containerPort": 22}, {"containerPort": 6380}],
            readinessProbe={"tcpSocket": {"port": 22}},
            volumeMounts=[{"name": "shm", "mountPath": "/dev/shm"}],
        ),
        volumes=[_SHM],
        runtimeClassName="nvidia",
        enableServiceLinks=False,
    ),
    "init containers, sidecars and a non-root user": {
        "spec": {
            "initContainers": [
                {"name": "fetch", "image": "example.com/fetch:1"},
                {"name": "cache", "image": "example.com/cache:1", "restartPolicy": "Always"},
            ],
            "containers": [
                {"name": "trainer", "image": "example.com/train:1"},
                {"name": "tensorboard", "image": "example.com/tb:1"},
            ],
            "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "fsGroup": 1000},
            "hostIPC": True,
        },
    },
}  # fmt: skip
"""Templates that are taken as they are."""


class Stands(NamedTuple):
    """A template that is refused: why, and where."""

    template: Json
    blames: str
    says: str


STAND: Final[dict[str, Stands]] = {
    "PyTorchJob: restartPolicy": Stands(
        _pod(_trains(), restartPolicy="OnFailure"), f"{_POD}.restartPolicy", "write Never"
    ),
    "KubeRay: preStop": Stands(
        _pod(_trains(lifecycle={"preStop": {"exec": {"command": ["ray", "stop"]}}})),
        f"{_POD}.containers",
        "trap SIGTERM instead",
    ),
    "JobSet: no grace": Stands(
        _pod(_trains(), terminationGracePeriodSeconds=0),
        f"{_POD}.terminationGracePeriodSeconds",
        "or leave it out for 120",
    ),
    "Argo: a deadline": Stands(
        _pod(_trains(), activeDeadlineSeconds=3600),
        f"{_POD}.activeDeadlineSeconds",
        "use spec.stallTimeout",
    ),
    "Argo: several containers": Stands(
        {"spec": {"containers": [_trains(), {"name": "wait", "image": "example.com/wait:1"}]}},
        f"{_POD}.containers",
        "name the one that trains `trainer`",
    ),
    "MPIJob: one process namespace": Stands(
        _pod(_trains(), shareProcessNamespace=True),
        f"{_POD}.shareProcessNamespace",
        "leave shareProcessNamespace out",
    ),
}
"""What such templates have that cannot stay: each is refused once, by its field."""

UNKNOWN: Final[dict[str, tuple[Json, str]]] = {
    "kubectl create job --dry-run": (
        {"metadata": {"creationTimestamp": None}, **_pod(_trains())},
        "spec.template.metadata.creationTimestamp",
    ),
    "TrainingRuntime: a name": (
        {"metadata": {"name": "train"}, **_pod(_trains())},
        "spec.template.metadata.name",
    ),
    "DRA before Kubernetes 1.31": (
        _pod(
            _trains(),
            resourceClaims=[{"name": "gpu", "source": {"resourceClaimTemplateName": "one"}}],
        ),
        "spec.template.spec.resourceClaims[0].source",
    ),
    "a field of a job in the pod": (
        _pod(_trains(), backoffLimit=3),
        "spec.template.spec.backoffLimit",
    ),
}
"""What no pod template of ours knows: kubectl names the field, which is left out."""
