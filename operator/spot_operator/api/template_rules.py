"""What a pod template may not say: what the operator sets itself, or does not support."""

from typing import Final

from spot_operator.api import names
from spot_operator.api.rules import FORBIDDEN, REQUIRED, Bound, Rule

MIN_GRACE_SECONDS: Final = 10
MAX_GRACE_SECONDS: Final = 86_400
"""A pod that is gone from the API may live so long, and nothing is started beside it."""

_POD: Final = "spec.template.spec"
_CONTAINERS: Final = (f"{_POD}.containers[]", f"{_POD}.initContainers[]")


_VOLUMES: Final = (
    "volumes that begin with spot- are the operator's, and some hold what only the sidecar may "
    "see: use a volume of your own"
)


def _absent(field: str, message: str) -> Rule:
    return Rule(
        name=f"no {field}",
        at=_POD,
        cel=f"!has(self.{field})",
        message=message,
        field=f".{field}",
        reason=FORBIDDEN,
    )


def _off(field: str, message: str) -> Rule:
    return Rule(
        name=f"no {field}",
        at=_POD,
        cel=f"!has(self.{field}) || !self.{field}",
        message=message,
        field=f".{field}",
        reason=FORBIDDEN,
    )


def _reserved_keys(field: str) -> Rule:
    # On the parent: the server reports a rule that stands on a map itself twice.
    return Rule(
        name=f"no reserved {field}",
        at="spec.template.metadata",
        cel=f"!has(self.{field}) || self.{field}.all(key, !key.startsWith('{names.GROUP}/'))",
        message=f"keys that begin with {names.GROUP}/ are the operator's: use a prefix of your own",
        field=f".{field}",
        reason=FORBIDDEN,
    )


TEMPLATE: Final[tuple[Rule, ...]] = (
    _absent(
        "nodeName",
        "leave nodeName out: the scheduler places each attempt; to choose nodes "
        "use nodeSelector or affinity",
    ),
    _absent(
        "activeDeadlineSeconds",
        "leave activeDeadlineSeconds out: it would end attempts, not "
        "the job; to end one that hangs use spec.stallTimeout",
    ),
    _off(
        "shareProcessNamespace",
        "leave shareProcessNamespace out: the trainer could read the "
        "store's credentials out of the sidecar",
    ),
    _off(
        "hostPID",
        "leave hostPID out: the trainer could read the store's credentials out of the sidecar, "
        "and out of every process of the node",
    ),
    Rule(
        name="restartPolicy Never",
        at=_POD,
        cel="!has(self.restartPolicy) || self.restartPolicy == 'Never'",
        message="write Never, or leave restartPolicy out: a new attempt, which resumes from a "
        "verified checkpoint, replaces the restart",
        field=".restartPolicy",
        reason=FORBIDDEN,
    ),
    Rule(
        name="Linux only",
        at=_POD,
        cel="!has(self.os) || self.os.name == 'linux'",
        message="write linux, or leave os out: the sidecar runs on Linux",
        field=".os",
    ),
    Rule(
        name="time to save",
        at=_POD,
        cel="!has(self.terminationGracePeriodSeconds)"
        f" || (self.terminationGracePeriodSeconds >= {MIN_GRACE_SECONDS}"
        f" && self.terminationGracePeriodSeconds <= {MAX_GRACE_SECONDS})",
        message=f"grant {MIN_GRACE_SECONDS} seconds or more and at most {MAX_GRACE_SECONDS}, a "
        "day, or leave it out for 120: 5 are reserved for the trainer's end, the last state "
        "is saved in the rest",
        field=".terminationGracePeriodSeconds",
    ),
    Rule(
        name="one trainer",
        at=_POD,
        cel="size(self.containers) == 1"
        f" || self.containers.exists(c, c.name == '{names.TRAINER_CONTAINER}')",
        message="with several containers name the one that trains `trainer`",
        field=".containers",
        reason=REQUIRED,
    ),
    Rule(
        name="no preStop of the trainer",
        at=_POD,
        cel="!self.containers.exists(c, (size(self.containers) == 1"
        f" || c.name == '{names.TRAINER_CONTAINER}')"
        " && has(c.lifecycle) && has(c.lifecycle.preStop))",
        message="leave the trainer's lifecycle.preStop out: the operator puts the hook there that "
        "holds SIGTERM back until the last checkpoint is saved; trap SIGTERM instead",
        field=".containers",
        reason=FORBIDDEN,
    ),
    Rule(
        name="no in-place restart",
        at=f"{_POD}.containers[]",
        cel="!has(self.restartPolicy) || self.restartPolicy == 'Never'",
        message="write Never, or leave restartPolicy out: a new attempt, which resumes from a "
        "verified checkpoint, replaces the restart",
        field=".restartPolicy",
        reason=FORBIDDEN,
    ),
    Rule(
        name="no reserved volume names",
        at=f"{_POD}.volumes[]",
        cel=f"!self.name.startsWith('{names.RESERVED_PREFIX}')",
        message="volume names that begin with spot- are the operator's: choose another",
        field=".name",
        reason=FORBIDDEN,
    ),
    _reserved_keys("labels"),
    _reserved_keys("annotations"),
    *(
        rule
        for containers in _CONTAINERS
        for rule in (
            Rule(
                name=f"image in {containers}",
                at=containers,
                cel="has(self.image) && self.image != ''",
                message="name the image to run",
                field=".image",
                reason=REQUIRED,
            ),
            Rule(
                name=f"no reserved name in {containers}",
                at=containers,
                cel=f"!self.name.startsWith('{names.RESERVED_PREFIX}')",
                message="container names that begin with spot- are the operator's: choose another",
                field=".name",
                reason=FORBIDDEN,
            ),
            Rule(
                name=f"no restart rules in {containers}",
                at=containers,
                cel="!has(self.restartPolicyRules)",
                message="leave restartPolicyRules out: a new attempt, which resumes from a "
                "verified checkpoint, replaces the restart",
                field=".restartPolicyRules",
                reason=FORBIDDEN,
            ),
            Rule(
                name=f"no reserved variables in {containers}",
                at=f"{containers}.env[]",
                cel=f"!self.name.startsWith('{names.RESERVED_ENV_PREFIX}')",
                message="variables that begin with SPOT_ are the operator's: choose another name",
                field=".name",
                reason=FORBIDDEN,
            ),
            Rule(
                name=f"no reserved variable prefix in {containers}",
                at=f"{containers}.envFrom[]",
                cel=f"!has(self.prefix) || !self.prefix.startsWith('{names.RESERVED_ENV_PREFIX}')",
                message="variables that begin with SPOT_ are the operator's: choose another prefix",
                field=".prefix",
                reason=FORBIDDEN,
            ),
            Rule(
                name=f"no reserved mounts in {containers}",
                at=f"{containers}.volumeMounts[]",
                cel="!self.mountPath.matches('^/*spot(/|$)')",
                message="/spot and what is below it are the operator's: mount elsewhere",
                field=".mountPath",
                reason=FORBIDDEN,
            ),
            Rule(
                name=f"no reserved volumes mounted in {containers}",
                at=f"{containers}.volumeMounts[]",
                cel=f"!self.name.startsWith('{names.RESERVED_PREFIX}')",
                message=_VOLUMES,
                field=".name",
                reason=FORBIDDEN,
            ),
            Rule(
                name=f"no reserved devices in {containers}",
                at=f"{containers}.volumeDevices[]",
                cel=f"!self.name.startsWith('{names.RESERVED_PREFIX}')",
                message=_VOLUMES,
                field=".name",
                reason=FORBIDDEN,
            ),
            Rule(
                name=f"no reserved device paths in {containers}",
                at=f"{containers}.volumeDevices[]",
                cel="!self.devicePath.matches('^/*spot(/|$)')",
                message="/spot and what is below it are the operator's: choose another path",
                field=".devicePath",
                reason=FORBIDDEN,
            ),
            Rule(
                name=f"no variables from reserved volumes in {containers}",
                at=f"{containers}.env[].valueFrom.fileKeyRef",
                cel=f"!self.volumeName.startsWith('{names.RESERVED_PREFIX}')",
                message=_VOLUMES,
                field=".volumeName",
                reason=FORBIDDEN,
            ),
            Rule(
                name=f"no reserved port in {containers}",
                at=f"{containers}.ports[]",
                cel=f"self.containerPort != {names.SIDECAR_PORT}",
                message=f"port {names.SIDECAR_PORT} is the sidecar's: choose another",
                field=".containerPort",
                reason=FORBIDDEN,
            ),
        )
    ),
)
"""Rules on `spec.template`."""

TEMPLATE_BOUNDS: Final[tuple[Bound, ...]] = (
    Bound(f"{_POD}.containers", "minItems", 1),
    Bound(f"{_POD}.containers", "maxItems", 16),
    Bound(f"{_POD}.initContainers", "maxItems", 16),
    Bound(f"{_POD}.volumes", "maxItems", 64),
    # Each alternative is joined with every provider's spot label.
    Bound(
        f"{_POD}.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
        ".nodeSelectorTerms",
        "maxItems",
        16,
    ),
    Bound("spec.template.metadata.labels", "maxProperties", 64),
    Bound("spec.template.metadata.annotations", "maxProperties", 64),
    *(
        bound
        for containers in _CONTAINERS
        for bound in (
            Bound(f"{containers}.env", "maxItems", 256),
            Bound(f"{containers}.envFrom", "maxItems", 32),
            Bound(f"{containers}.volumeMounts", "maxItems", 64),
            Bound(f"{containers}.volumeMounts[].mountPath", "maxLength", 1024),
            Bound(f"{containers}.volumeDevices", "maxItems", 64),
            Bound(f"{containers}.volumeDevices[].devicePath", "maxLength", 1024),
            Bound(f"{containers}.ports", "maxItems", 32),
        )
    ),
)
"""Limits on the pod template; 16 containers and 64 volumes are more than a pod of ours ever had."""
