"""What the API server must take: changes of a good manifest, close to what it refuses."""

from typing import Any, Final

from kit.manifests.paths import ABSENT

Changes = dict[str, Any]

_POD: Final = "spec.template.spec"
_S3: Final = "spec.checkpoint.store.s3"
_TRAINER: Final = f"{_POD}.containers[0]"
_EXPORTER: Final = f"{_POD}.containers[1]"
_FETCH: Final = f"{_POD}.initContainers[0]"


def _each(path: str, *values: Any) -> tuple[Changes, ...]:
    return tuple({path: value} for value in values)


JOBS: Final[tuple[Changes, ...]] = (
    {},
    *_each("metadata.name", "d" * 40, "7", "a-b"),
    *_each("spec.suspend", True, ABSENT),
    *_each("spec.checkpoint.interval", "5s", "24h", "1h30m", "90m", "86400s", "Adaptive", ABSENT),
    *_each("spec.checkpoint.maxLostWork", "5m1s", "301s", "24h"),
    *_each("spec.checkpoint.keep", {}, {"newest": 1000, "milestoneEvery": "1m"}, ABSENT),
    *_each("spec.checkpoint.staging.sizeLimit", "1Mi", 1_048_576, "1.5Gi", "2G", "1e9", ABSENT),
    *_each("spec.checkpoint.staging", {}, ABSENT),
    *_each("spec.policyName", "a", "team.vision-1", ABSENT),
    *_each("spec.stallTimeout", "30s", "48h", ABSENT),
    *_each("spec.ttlSecondsAfterFinished", 0, ABSENT),
    *_each("spec.podCleanup", "DeleteAll", ABSENT),
    *_each("spec.completion", "ExitCode", ABSENT),
    *_each("spec.checkpoint.onNoneValid", "StartFresh", ABSENT),
    *_each("spec.checkpoint.deletionPolicy", "Delete", ABSENT),
    *_each("spec.checkpoint.resumeFrom", {"name": "digits", "uid": "7"}, ABSENT),
    *_each("spec.checkpoint.resumeFrom.uid", "1b4e28ba-2fa1-41d2-883f-0016d3cca427", "A-1"),
    *_each(f"{_S3}.bucket", "a.b", "0-9", "my.bucket-1"),
    *_each(f"{_S3}.prefix", "", "a", "a/b_c/d.e", "..a/b..", "run=1", ABSENT),
    *_each(
        f"{_S3}.endpointURL",
        "http://10.0.0.1:7070",
        "https://minio",
        "https://minio.storage.svc:9000/",
        "https://gateway/s3/v1",
        "http://[fd00::1]:9000",
        ABSENT,
    ),
    *_each(f"{_S3}.region", "us-east-1", "garage", "EU1", ABSENT),
    *_each(f"{_S3}.credentialsSecretName", "store.keys", ABSENT),
    *_each(f"{_S3}.addressing", "Auto", "Path", "VirtualHost", ABSENT),
    *_each(
        f"{_S3}.caBundle",
        {"secretName": "store.ca"},
        {"configMapName": "ca", "key": "..ca_1.pem"},
    ),
    {f"{_S3}.caBundle": {"secretName": "ca"}, f"{_S3}.endpointURL": ABSENT},
    *_each(
        "spec.checkpoint.store",
        {"volume": {"claimName": "ckpt"}},
        {"volume": {"claimName": "a.b-1", "path": ""}},
        {"volume": {"claimName": "ckpt", "path": "a/b_c/d.e"}},
    ),
    *_each(f"{_POD}.restartPolicy", "Never"),
    *_each(f"{_POD}.shareProcessNamespace", False),
    *_each(f"{_POD}.hostNetwork", False, True),
    *_each(f"{_POD}.hostPID", False),
    # The containers of a pod share that namespace in any case, and the sidecar keeps nothing in it.
    *_each(f"{_POD}.hostIPC", True),
    *_each(f"{_TRAINER}.volumeMounts[0].name", "spotless"),
    *_each(f"{_TRAINER}.volumeDevices", [{"name": "disk", "devicePath": "/dev/xvda"}]),
    *_each(f"{_POD}.os", {"name": "linux"}),
    *_each(f"{_POD}.terminationGracePeriodSeconds", 10, 3600, 86_400),
    *_each(f"{_POD}.nodeSelector", {"zone": "a"}),
    *_each(f"{_POD}.priorityClassName", "batch-high"),
    *_each(f"{_POD}.containers", [{"name": "any-name", "image": "a"}]),
    *_each(f"{_EXPORTER}.lifecycle", {"preStop": {"exec": {"command": ["flush"]}}}),
    *_each(f"{_TRAINER}.lifecycle", {"postStart": {"exec": {"command": ["warm-up"]}}}),
    *_each(f"{_TRAINER}.volumeMounts[0].mountPath", "/spotty", "/data/spot", "/mnt/spot/x"),
    *_each(f"{_TRAINER}.env[0].name", "SPOTLIGHT", "MY_SPOT_RANK", "spot_rank"),
    *_each(f"{_TRAINER}.envFrom[0].prefix", "SPOT", ABSENT),
    *_each(
        f"{_TRAINER}.ports[0]", {"containerPort": 8391}, {"containerPort": 53, "protocol": "UDP"}
    ),
    *_each(f"{_TRAINER}.restartPolicy", "Never"),
    *_each(f"{_FETCH}.restartPolicy", "Always"),
    *_each(f"{_FETCH}.name", "spotless"),
    *_each(f"{_POD}.volumes[0]", {"name": "data", "persistentVolumeClaim": {"claimName": "d"}}),
    *_each("spec.template.metadata.labels", {"example.com/spottraining.dev": "x"}),
    *_each("spec.template.metadata", {}, ABSENT),
    # As in a pod, whose quantities may be numbers.
    *_each(
        f"{_TRAINER}.resources",
        {"limits": {"cpu": 0.5, "memory": 1.5e9, "nvidia.com/gpu": 1}, "requests": {"cpu": 0.25}},
        {"limits": {"cpu": "0.5", "memory": "1.5Gi", "hugepages-2Mi": "4Mi"}},
    ),
    *_each(f"{_POD}.resources", {"limits": {"cpu": 1.5}}),
    *_each(f"{_POD}.volumes[0].emptyDir.sizeLimit", "1.5Gi", 1e9, 1_000_000),
    *_each(
        f"{_TRAINER}.livenessProbe",
        {"httpGet": {"path": "/", "port": 80}},
        {"httpGet": {"path": "/", "port": "metrics"}, "periodSeconds": 5},
    ),
    *_each(f"{_POD}.tolerations", [{"key": "gpu", "operator": "Exists", "tolerationSeconds": 60}]),
    *_each(f"{_POD}.imagePullSecrets", [{"name": "registry"}]),
)
"""Jobs that can be created."""

_SCRIPT: Final = "spec.checkpoint.source.directory"
SCRIPTS: Final[tuple[Changes, ...]] = (
    {},
    {"spec.completion": "Marker", "spec.checkpoint.source": {}},
    {"spec.completion": "Marker", "spec.checkpoint.source": ABSENT},
    *_each(f"{_SCRIPT}.path", "/a/b-c/d.e", "/spotty", "/data/out"),
    *_each(f"{_SCRIPT}.processes", 8, ABSENT),
    *_each(f"{_SCRIPT}.settle", "1s", "1h", ABSENT),
    *_each(_SCRIPT, {"path": "/out", "format": "Plain", "marker": ".DONE"}),
    {f"{_SCRIPT}.resumeArgs": ABSENT, f"{_TRAINER}.command": ABSENT},
    {f"{_TRAINER}.command": ABSENT, f"{_TRAINER}.args": ["--epochs", "3"]},
    *_each(f"{_EXPORTER}.volumeMounts[0].mountPath", "/out"),
)
"""Jobs of scripts without the SDK that can be created."""

JOB_UPDATES: Final[tuple[Changes, ...]] = (
    *_each("spec.suspend", True),
    *_each("spec.policyName", "long-running", ABSENT),
    *_each("spec.checkpoint.interval", "1m", "Adaptive"),
    *_each("spec.checkpoint.maxLostWork", "6m"),
    *_each("spec.checkpoint.keep", {"newest": 9, "milestoneEvery": "24h"}),
    *_each("spec.checkpoint.onNoneValid", "StartFresh"),
    *_each("spec.stallTimeout", "1h", ABSENT),
    *_each("spec.ttlSecondsAfterFinished", 0, ABSENT),
    *_each("spec.podCleanup", "DeleteAll"),
    *_each("metadata.labels", {"team": "vision"}),
)
"""Changes of a job that exists."""

POLICIES: Final[tuple[Changes, ...]] = (
    {},
    *_each("spec", {}),
    *_each("spec.priorityClassNames", [], ["a.b", "system-node-critical"]),
    *_each("spec.default", True, ABSENT),
    *_each("spec.allowedNamespaces", ["*"], [], ["a", "b-1"]),
    *_each("spec.interruptions", {}, {"max": 0}, {"window": "1m"}, {"window": "720h"}, ABSENT),
    *_each("spec.failures", {}, {"max": 0}, {"refundAfterProgress": False}, ABSENT),
    *_each("spec.backoff", {}, ABSENT, {"initial": "5m"}, {"max": "10s"}),
    *_each("spec.backoff", {"initial": "24h", "max": "24h"}, {"initial": "1s", "max": "1s"}),
    *_each("spec.backoff.factor", 1, 1.5, 10),
    *_each("spec.backoff.jitter", "None"),
    *_each("spec.checkpoint.maxLostWork", "10s", "24h", ABSENT),
    *_each("spec.checkpoint", {}, ABSENT),
    *_each("spec.unreachable.after", "5s", "1h", "60m"),
    *_each("spec.unreachable", {}, ABSENT),
)
"""Policies that can be created."""
