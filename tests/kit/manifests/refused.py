"""What the API server refuses: one change of a good manifest per row, for each rule at least one.

A row names the rule, what is changed, and what the server must say: a part of the message that
names the remedy, and the field it blames (the changed one, unless the row says otherwise).
"""

from dataclasses import dataclass
from typing import Any, Final

from kit.manifests.good import a_pod_template
from kit.manifests.paths import ABSENT

POD: Final = "spec.template.spec"
STORE: Final = "spec.checkpoint.store"
S3: Final = f"{STORE}.s3"
RESUME_FROM: Final = "spec.checkpoint.resumeFrom"
_CONTAINERS: Final = f"{POD}.containers"
_PLAIN: Final = {"path": "/out", "format": "Plain"}


@dataclass(frozen=True)
class Refused:
    """One change that must be refused."""

    rule: str
    path: str
    value: Any
    says: str
    blames: str = ""
    """The field the server must name; empty: the changed one."""

    @property
    def blamed(self) -> str:
        return self.blames or self.path

    def __str__(self) -> str:
        shown = "absent" if self.value is ABSENT else str(self.value)
        return f"{self.path}={shown if len(shown) <= 30 else shown[:27] + '...'}"


def _duration(path: str, *values: str) -> tuple[Refused, ...]:
    return tuple(
        Refused(f"duration of {path}", path, value, 'as "90s" or "1h30m"') for value in values
    )


def _in_each_container(kind: str) -> tuple[Refused, ...]:
    at = f"{POD}.{kind}[]"
    first = f"{POD}.{kind}[0]"
    last = f"{POD}.{kind}[{len(a_pod_template()['spec'][kind]) - 1}]"
    return (
        Refused(f"image in {at}", f"{first}.image", ABSENT, "name the image"),
        Refused(f"image in {at}", f"{first}.image", "", "name the image"),
        Refused(f"no reserved name in {at}", f"{last}.name", "spot-x", "choose another"),
        Refused(
            f"no restart rules in {at}",
            f"{first}.restartPolicyRules",
            [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}],
            "leave restartPolicyRules out",
        ),
        Refused(
            f"no reserved variables in {at}", f"{first}.env[0].name", "SPOT_RANK", "another name"
        ),
        Refused(
            f"no reserved variable prefix in {at}",
            f"{first}.envFrom[0].prefix",
            "SPOT_",
            "another prefix",
        ),
        *(
            Refused(
                f"no reserved mounts in {at}",
                f"{first}.volumeMounts[0].mountPath",
                path,
                "mount elsewhere",
            )
            for path in ("/spot", "/spot/", "/spot/shared", "//spot/token", "spot")
        ),
        Refused(
            f"no reserved volumes mounted in {at}",
            f"{first}.volumeMounts[0].name",
            "spot-token",
            "use a volume of your own",
        ),
        Refused(
            f"no reserved volumes mounted in {at}",
            f"{first}.volumeMounts[0]",
            {"name": "spot-credentials", "mountPath": "/keys", "subPath": "AWS_SECRET_ACCESS_KEY"},
            "use a volume of your own",
            blames=f"{first}.volumeMounts[0].name",
        ),
        Refused(
            f"no reserved devices in {at}",
            f"{first}.volumeDevices",
            [{"name": "spot-store", "devicePath": "/dev/x"}],
            "use a volume of your own",
            blames=f"{first}.volumeDevices[0].name",
        ),
        Refused(
            f"no reserved device paths in {at}",
            f"{first}.volumeDevices",
            [{"name": "disk", "devicePath": "/spot/shared/sidecar.sock"}],
            "choose another path",
            blames=f"{first}.volumeDevices[0].devicePath",
        ),
        Refused(
            f"no variables from reserved volumes in {at}",
            f"{first}.env[0]",
            {
                "name": "NONCE",
                "valueFrom": {
                    "fileKeyRef": {"volumeName": "spot-private", "path": "nonce", "key": "nonce"}
                },
            },
            "use a volume of your own",
            blames=f"{first}.env[0].valueFrom.fileKeyRef.volumeName",
        ),
        Refused(
            f"no reserved port in {at}", f"{first}.ports[0].containerPort", 8390, "choose another"
        ),
    )


JOBS: Final[tuple[Refused, ...]] = (
    Refused("short name", "metadata.name", "d" * 41, "at most 40 characters"),
    Refused("name without dots", "metadata.name", "digits.v2", "without dots"),
    *_duration("spec.checkpoint.interval", "", "5", "5 m", "4s", "24h1s", "1m1h", "0.5h", "5min"),
    *_duration("spec.checkpoint.interval", "adaptive", "Adaptive "),
    *_duration("spec.checkpoint.maxLostWork", "", "10", "9s", "24h1s", "Adaptive"),
    *(
        Refused(
            "interval within maxLostWork",
            "spec.checkpoint.maxLostWork",
            value,
            "shorter than maxLostWork, or Adaptive",
            "spec.checkpoint.interval",
        )
        for value in ("10s", "5m", "300s")
    ),
    *_duration("spec.checkpoint.keep.milestoneEvery", "", "59s", "1d", "never"),
    *(
        Refused(f"{what} to resume from", f"{RESUME_FROM}.{field}", value, says)
        for what, field, says, values in (
            ("namespace", "namespace", "leave it out for the job's own", ("", "Vision", "a/b")),
            ("job", "name", "the other job's metadata.name", ("", "a.b", "Digits", "a/b")),
            ("uid", "uid", "the other job's metadata.uid", ("", "..", "a/b", "-a")),
            ("checkpoint", "checkpoint", "write the whole id", ("", "newest", "a2-s1200")),
        )
        for value in values
    ),
    *_duration("spec.stallTimeout", "", "29s", "-1m", "for ever"),
    Refused("name in spec.policyName", "spec.policyName", "", "the name of a SpotPolicy"),
    Refused("name in spec.policyName", "spec.policyName", "My Policy", "the name of a SpotPolicy"),
    Refused(
        f"name in {S3}.credentialsSecretName",
        f"{S3}.credentialsSecretName",
        "store_keys",
        "the name of a Secret",
    ),
    *(
        Refused("bucket name", f"{S3}.bucket", value, "belongs in prefix")
        for value in ("ab", "s3://checkpoints", "checkpoints/vision", "Checkpoints", "-ckpt")
    ),
    *(
        Refused(
            "prefix without stray slashes",
            f"{S3}.prefix",
            value,
            "parts other than . and .. joined by single slashes",
        )
        for value in ("/teams", "teams/", "teams//vision", "teams vision", "a/../b", ".", "a/.")
    ),
    *(
        Refused("endpoint URL", f"{S3}.endpointURL", value, "credentials belong in a Secret")
        for value in (
            "",
            "minio.storage.svc:9000",
            "s3://minio",
            "https://key:secret@minio:9000",
            "https://minio:9000/?x=1",
            "https://minio:9000#a",
            "https://",
        )
    ),
    Refused("one store", STORE, {}, "exactly one of s3 and volume"),
    Refused(
        "one store",
        STORE,
        {"s3": {"bucket": "ckpt"}, "volume": {"claimName": "ckpt"}},
        "exactly one of s3 and volume",
    ),
    Refused(
        f"name in {STORE}.volume.claimName",
        STORE,
        {"volume": {"claimName": "My Claim"}},
        "the name of a PersistentVolumeClaim",
        blames=f"{STORE}.volume.claimName",
    ),
    *(
        Refused(
            "path without stray slashes",
            STORE,
            {"volume": {"claimName": "ckpt", "path": path}},
            "parts other than . and .. joined by single slashes",
            blames=f"{STORE}.volume.path",
        )
        for path in ("/teams", "teams/", "a//b", "..", "a/../b", "a b", "a/.")
    ),
    *(
        Refused("one authority", f"{S3}.caBundle", value, "exactly one of secretName")
        for value in ({}, {"secretName": "a", "configMapName": "a"})
    ),
    Refused(
        f"name in {S3}.caBundle.secretName",
        f"{S3}.caBundle",
        {"secretName": "store_ca"},
        "the name of a Secret",
        blames=f"{S3}.caBundle.secretName",
    ),
    Refused(
        f"name in {S3}.caBundle.configMapName",
        f"{S3}.caBundle",
        {"configMapName": ""},
        "the name of a ConfigMap",
        blames=f"{S3}.caBundle.configMapName",
    ),
    *(
        Refused(
            "key of an authority",
            f"{S3}.caBundle",
            {"secretName": "a", "key": key},
            "write a key of the object",
            blames=f"{S3}.caBundle.key",
        )
        for key in ("", "..", "a/b")
    ),
    Refused(
        "authority for https",
        S3,
        {
            "bucket": "checkpoints",
            "endpointURL": "http://minio:9000",
            "caBundle": {"secretName": "a"},
        },
        "or write https://",
        blames=f"{S3}.caBundle",
    ),
    Refused("region", f"{S3}.region", "", "write the region's name"),
    Refused("region", f"{S3}.region", "eu central", "write the region's name"),
    *(
        Refused("staging has room", "spec.checkpoint.staging.sizeLimit", value, "at least 1Mi")
        for value in ("0", 0, 1_048_575, "1000Ki", "-4Gi", "1m")
    ),
    Refused("no nodeName", f"{POD}.nodeName", "node-1", "use nodeSelector or affinity"),
    Refused("no activeDeadlineSeconds", f"{POD}.activeDeadlineSeconds", 60, "stallTimeout"),
    Refused("no shareProcessNamespace", f"{POD}.shareProcessNamespace", True, "leave shareProcess"),
    Refused("no hostPID", f"{POD}.hostPID", True, "leave hostPID out"),
    Refused("restartPolicy Never", f"{POD}.restartPolicy", "OnFailure", "write Never"),
    Refused("restartPolicy Never", f"{POD}.restartPolicy", "Always", "write Never"),
    Refused("Linux only", f"{POD}.os", {"name": "windows"}, "write linux"),
    *(
        Refused("time to save", f"{POD}.terminationGracePeriodSeconds", value, "10 seconds or more")
        for value in (-1, 0, 9, 86_401, 999_999_999_999)
    ),
    Refused(
        "one trainer",
        f"{_CONTAINERS}[0].name",
        "main",
        "name the one that trains `trainer`",
        blames=_CONTAINERS,
    ),
    Refused(
        "no preStop of the trainer",
        f"{_CONTAINERS}[0].lifecycle",
        {"preStop": {"exec": {"command": ["true"]}}},
        "trap SIGTERM instead",
        blames=_CONTAINERS,
    ),
    Refused(
        "no preStop of the trainer",
        _CONTAINERS,
        [{"name": "main", "image": "a", "lifecycle": {"preStop": {"sleep": {"seconds": 1}}}}],
        "trap SIGTERM instead",
    ),
    *(
        Refused("no in-place restart", f"{_CONTAINERS}[1].restartPolicy", value, "write Never")
        for value in ("Always", "OnFailure")
    ),
    Refused("no reserved volume names", f"{POD}.volumes[0].name", "spot-shared", "choose another"),
    *(
        Refused(
            f"no reserved {kind}",
            f"spec.template.metadata.{kind}",
            {f"spottraining.dev/{key}": "x", "team": "vision"},
            "use a prefix of your own",
        )
        for kind, key in (("labels", "job-uid"), ("annotations", "grant"))
    ),
    *_in_each_container("containers"),
    *_in_each_container("initContainers"),
)
"""Jobs that cannot be created."""

JOB_UPDATES: Final[tuple[Refused, ...]] = tuple(
    Refused(f"{blames} is immutable", path, value, "create a job of another name", blames=blames)
    for blames, path, value in (
        ("spec.template", f"{_CONTAINERS}[0].image", "example.com/digits:2"),
        ("spec.template", f"{_CONTAINERS}[0].resources.limits", {"nvidia.com/gpu": 2}),
        ("spec.template", f"{_CONTAINERS}[0].resources.limits", {"nvidia.com/gpu": 1.5}),
        ("spec.template", f"{POD}.volumes[0].emptyDir.sizeLimit", "2Gi"),
        ("spec.template", f"{POD}.volumes[0].emptyDir.sizeLimit", 0.5),
        ("spec.template", f"{POD}.priorityClassName", "batch-high"),
        ("spec.template", "spec.template.metadata.labels.team", "speech"),
        ("spec.checkpoint.store", f"{S3}.bucket", "elsewhere"),
        ("spec.checkpoint.store", f"{S3}.prefix", ABSENT),
        ("spec.checkpoint.store", f"{S3}.endpointURL", ABSENT),
        ("spec.checkpoint.store", f"{S3}.credentialsSecretName", "other-keys"),
        ("spec.checkpoint.store", STORE, {"volume": {"claimName": "ckpt"}}),
        ("spec.checkpoint.staging", "spec.checkpoint.staging.sizeLimit", "8Gi"),
        ("spec.checkpoint.staging", "spec.checkpoint.staging", ABSENT),
        (RESUME_FROM, f"{RESUME_FROM}.uid", "another"),
        (RESUME_FROM, f"{RESUME_FROM}.checkpoint", ABSENT),
        (RESUME_FROM, RESUME_FROM, ABSENT),
        ("spec.completion", "spec.completion", "ExitCode"),
    )
)
"""Changes of a job that exists."""

POLICIES: Final[tuple[Refused, ...]] = (
    *(
        Refused(
            "name in spec.priorityClassNames[]",
            "spec.priorityClassNames[0]",
            value,
            "the name of a PriorityClass",
        )
        for value in ("Batch Low", "batch_low", "-batch")
    ),
    *(
        Refused("namespaces", "spec.allowedNamespaces[0]", value, 'or "*" alone for all')
        for value in ("team-*", "Research", "a.b")
    ),
    Refused(
        "all namespaces or some",
        "spec.allowedNamespaces",
        ["*", "research"],
        'leave the others out, or leave "*" out',
    ),
    *_duration("spec.interruptions.window", "", "59s", "720h1s", "1d"),
    *_duration("spec.backoff.initial", "", "0s", "10"),
    *_duration("spec.backoff.max", "", "500ms", "25h"),
    *_duration("spec.checkpoint.maxLostWork", "", "9s", "24h1s", "1d"),
    *_duration("spec.unreachable.after", "", "4s", "61m"),
    Refused("backoff grows", "spec.backoff.max", "9s", "not below backoff.initial"),
    Refused(
        "backoff grows",
        "spec.backoff.initial",
        "25h",
        "not below backoff.initial",
        blames="spec.backoff.max",
    ),
)
"""Policies that cannot be created."""

_SCRIPT: Final = "spec.checkpoint.source.directory"
SCRIPTS: Final[tuple[Refused, ...]] = (
    Refused("a script's success is its exit code", "spec.completion", "Marker", "write ExitCode"),
    Refused("a script's success is its exit code", "spec.completion", ABSENT, "write ExitCode"),
    Refused(
        "arguments to append to",
        f"{_CONTAINERS}[0].command",
        ABSENT,
        "command or args",
        blames=_CONTAINERS,
    ),
    Refused(
        "a directory of its own",
        f"{_CONTAINERS}[0].volumeMounts[0].mountPath",
        "/out",
        "mounts nothing",
        blames=f"{_SCRIPT}.path",
    ),
    *(
        Refused("path of a directory", f"{_SCRIPT}.path", path, "an absolute path")
        for path in (
            "",
            "/",
            "out",
            "/out/",
            "/a//b",
            "/a/../b",
            "/spot",
            "/spot/x",
            "/dev/shm",
            "/a b",
        )
    ),
    *_duration(f"{_SCRIPT}.settle", "", "0s", "999ms", "1h1s"),
    Refused("marker of Plain", f"{_SCRIPT}.marker", "DONE", "only format Plain"),
    *(
        Refused(
            "marker is a file's name",
            _SCRIPT,
            {**_PLAIN, "marker": name},
            "file alone",
            blames=f"{_SCRIPT}.marker",
        )
        for name in ("a/b", "..", "a b")
    ),
    Refused(
        "processes of HuggingFace",
        _SCRIPT,
        {**_PLAIN, "processes": 2},
        "only format",
        blames=f"{_SCRIPT}.processes",
    ),
)
"""Jobs of scripts without the SDK that cannot be created."""

SCRIPT_UPDATES: Final[tuple[Refused, ...]] = tuple(
    Refused(
        "spec.checkpoint.source is immutable",
        path,
        value,
        "create a job of another name",
        blames="spec.checkpoint.source",
    )
    for path, value in ((f"{_SCRIPT}.format", "DCP"), ("spec.checkpoint.source", ABSENT))
)
"""Changes of such a job that must be refused."""
