"""What keeps a bound pod from starting: a table of what kubelets and runtimes write, and whose it
is.

Three may be at fault. The **job**: its image name, its command, a Secret that it names. Only while
none of its attempts has ever started: the template cannot change, so what has once worked is right.
The **operator's release**: the sidecar's image, or the sidecar itself; never the job. The
**platform**: registries, volumes, nodes, runtimes, and whatever this table does not know.

A retry changes the reason (ErrImagePull, ImagePullBackOff) but not the family, by which the trouble
is remembered. Patience is what the kubelet's own retries and a slow administrator may need; when it
ends the attempt is given up, for another node may do better.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from spot_operator.api.names import SIDECAR_CONTAINER, Ending, Reason
from spot_operator.domain.formats.text import STATUS_MESSAGE, WORD, shorten
from spot_operator.domain.observed.snapshot import ConditionView, ContainerView, PodView
from spot_operator.domain.state.ledger import Trouble


class Family(StrEnum):
    """What is at fault."""

    IMAGE = "Image"
    """The registry has answered: there is no such image for us."""
    REGISTRY = "Registry"
    """The image could not be fetched, and nothing says that it never will be."""
    CONFIG = "Config"
    """A Secret or ConfigMap that a container names."""
    CONTAINER = "Container"
    """The container's command, mounts or devices."""
    MOUNTS = "Mounts"
    """Volumes, network or devices: no container has begun at all."""
    ADDED = "Added"
    """A container that is not of the job's template: a webhook added it to the pod."""
    NODE = "Node"
    """The node's kubelet or runtime, by their own words or by words that nobody knows."""
    SIDECAR_IMAGE = "SidecarImage"
    """The image of the sidecar."""
    SIDECAR = "Sidecar"
    """The sidecar does not start, or ends before the trainer begins."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Container waiting reasons that mean the same."""

    reasons: frozenset[str]
    family: Family
    patience: int
    """Seconds, while it is the job's own."""
    remedy: str
    """What its owner does about it then."""
    proof: re.Pattern[str] | None = None
    """What its message says where it is the job's; None: the reason alone says so."""


IMAGE: Final = "correct the image name or the pull secret in spec.template of a new job"
CONFIG: Final = "create the ConfigMap or Secret that the message names, with the key"
CONTAINER: Final = "correct the container's command, mounts or devices in a new job"

DEFINITE: Final = re.compile(
    r"not found|manifest unknown|denied|unauthorized|does not exist|invalid reference"
    r"|signature|no basic auth|no match for platform",
    re.IGNORECASE,
)
"""The registry has answered; more patience would not change its mind."""
SETTING: Final = re.compile(
    r"""(?:secret|configmap)s? "[^"]*" not found|couldn't find key|not found in file"""
    r"|couldn't parse env file|cannot find (?:the )?volume|runAsNonRoot|runAsUser breaks"
    r"|error (?:SubPath|DevicePath) |provision SubPath|invalid MountPropagation"
    r"|recursive read-only|is not a valid DNS"
)
"""What a kubelet says of the template's own settings, or of what they name and is not there
(pkg/kubelet/kubelet_pods.go, kuberuntime/security_context_others.go)."""
COMMAND: Final = re.compile(
    r"executable file (?:\S+ )?not found|finding executable|exec format error|chdir to cwd"
    r"|exec: .*(?:no such file|permission denied)|empty entrypoint and cmd"
    r"|no (?:command|arguments) specified|no (?:users|groups) found|unable to find (?:user|group)"
    r"|invalid USER value|memory limit too low|mount a directory onto a file",
    re.IGNORECASE,
)
"""What a runtime says of a command, a user, a mount or a limit of the template; what else it says
is of its own parts, of the node's storage and of its devices (containerd pkg/oci, runc, crun)."""
OWN_PARTS: Final = re.compile(
    r"running (?:\w+ )?hook|hook #\d|start shim"
    r'|exec: "(?:[^"]*/)?(?:(?:containerd-shim|kata|nvidia-c)[\w-]*|runc|crun|runsc|conmon)"',
    re.IGNORECASE,
)
"""Programs that a runtime itself lacks, of which it speaks as of the template's command."""
REFERENCE: Final = re.compile(r"""(?<![^\s"])[^\s"]*[/:][^\s"]+""")
"""An image, an address or a digest: what is in a name says nothing."""

TABLE: Final = (
    Rule(frozenset({"InvalidImageName", "ErrImageNeverPull"}), Family.IMAGE, 0, IMAGE),
    Rule(
        frozenset(
            {
                "ErrImagePull",
                "ImagePullBackOff",
                "ImageInspectError",
                "RegistryUnavailable",
                "SignatureValidationFailed",
                "ImageVolumeMountFailed",
            }
        ),
        Family.IMAGE,
        60,
        IMAGE,
    ),
    Rule(frozenset({"CreateContainerConfigError"}), Family.CONFIG, 60, CONFIG, SETTING),
    Rule(
        frozenset({"CreateContainerError", "RunContainerError"}),
        Family.CONTAINER,
        60,
        CONTAINER,
        COMMAND,
    ),
    Rule(
        frozenset({"PostStartHookError", "RROUnsupported", "CrashLoopBackOff"}),
        Family.CONTAINER,
        60,
        CONTAINER,
    ),
)
ORDINARY: Final = frozenset({"", "ContainerCreating", "PodInitializing", "RestartingAllContainers"})
"""Waiting reasons of every start. Any other that the table lacks is the node's trouble."""
PASSING: Final = re.compile(
    r"too ?many ?requests|rate limit|quota|time[d ]*out|deadline exceeded|temporar|unavailable"
    r"|bad gateway|server error|\bEOF\b|reset by peer|connection refused|no such host|unreachable"
    r"|no space left|input/output error|too many open files|cannot allocate memory|resource busy"
    r"|content digest|parent snapshot|broken pipe|error while dialing",
    re.IGNORECASE,
)
"""What registries and runtimes say of trouble of their own; it is never the job's."""
JOBS_OWN: Final = frozenset({Family.IMAGE, Family.CONFIG, Family.CONTAINER, Family.MOUNTS})
"""The job's, as long as no attempt has ever started."""
VAGUER: Final[dict[str, frozenset[Family]]] = {
    Family.REGISTRY: frozenset({Family.IMAGE}),
    Family.NODE: frozenset({Family.CONFIG, Family.CONTAINER}),
}
"""What says less than these of the same trouble: it must not begin anew with every retry."""
TOLD: Final = {
    Family.IMAGE: (Reason.REGISTRY_TROUBLE, "a registry"),
    Family.REGISTRY: (Reason.REGISTRY_TROUBLE, "a registry"),
    Family.CONFIG: (Reason.VOLUME_TROUBLE, "a Secret or ConfigMap"),
    Family.MOUNTS: (Reason.VOLUME_TROUBLE, "a volume or the network"),
    Family.CONTAINER: (Reason.NODE_TROUBLE, "the cluster"),
    Family.ADDED: (Reason.NODE_TROUBLE, "what adds that container to pods, not the job,"),
    Family.NODE: (Reason.NODE_TROUBLE, "the node"),
    Family.SIDECAR_IMAGE: (Reason.SIDECAR_TROUBLE, "the operator's release"),
    Family.SIDECAR: (Reason.SIDECAR_TROUBLE, "the operator's release"),
}
"""How a trouble that is not the job's is told: the condition's reason, and who owns it."""

READ: Final = 2000
"""Characters of what a kubelet says that are read, half of them the last: hooks write into it."""
QUOTED: Final = 200
"""Bytes of what a kubelet says, so that there is room for what to do about it."""
DEFINITE_PATIENCE: Final = 10
PLATFORM_PATIENCE: Final = 600
"""Twice the kubelet's longest back-off between two pulls or starts."""
ELSEWHERE_PATIENCE: Final = 60
"""Of what waiting on this node does not mend; another node may have the image."""
SIDECAR_RESTARTS: Final = 6
"""By then the kubelet has tried for ten minutes: a sidecar that comes and goes has had its time."""
MOUNTS_PATIENCE: Final = timedelta(minutes=30)
"""From the binding until the first container runs: the largest images take most of it."""
BESIDE_PATIENCE: Final = 1800
"""Of what does not hold the trainer back: as long as it may wait for its own image."""


def trouble_of(
    pod: PodView,
    known: Trouble | None,
    now: datetime,
    *,
    started: bool = False,
    placed_for: timedelta = timedelta(0),
    template: frozenset[str] | None = None,
) -> Trouble | None:
    """What keeps `pod` from starting at `now`; the `known` trouble as it was while it lasts.

    `started`: an attempt of the job has started before, so its template is right. `placed_for`: how
    long this leader has seen it on its node. `template`: the names of the job's own containers;
    None: all are.
    """
    if pod.node_name is None or pod.trainer.started or pod.terminal or pod.deletion_at:
        return None
    troubles = (
        *_waits(pod, now, started=started, template=template),
        *_sidecars(pod.sidecar, now),
        *_unbegun(pod, now, started=started, placed_for=placed_for),
        *_without_sandbox(pod, now),
    )
    found = next(iter(troubles), None)
    if found is None:
        return None
    if known is not None and _same(found, known):
        return known
    return replace(
        found,
        reason=shorten(found.reason, WORD),
        message=shorten(found.message, STATUS_MESSAGE),
    )


def is_jobs_own(trouble: Trouble, *, started: bool) -> bool:
    """Whether the job is to blame for it; `started` as in `trouble_of`."""
    return not started and trouble.family in JOBS_OWN


def ending_by(trouble: Trouble, *, started: bool) -> Ending:
    """How an attempt ends that is given up for this trouble."""
    own = is_jobs_own(trouble, started=started)
    return Ending.START_FAILED if own else Ending.PLATFORM_TROUBLE


def told_as(trouble: Trouble) -> Reason:
    """The reason by which a condition tells of a trouble that is not the job's."""
    family = Family(trouble.family) if trouble.family in set(Family) else Family.NODE
    return TOLD[family][0]


def _same(found: Trouble, known: Trouble) -> bool:
    """What is definite by now is news; a mere back-off after a definite answer is not."""
    return found.family == known.family or known.family in VAGUER.get(found.family, ())


def _waits(
    pod: PodView, now: datetime, *, started: bool, template: frozenset[str] | None
) -> Iterator[Trouble]:
    # First those that hold the trainer back, as its own trouble does.
    everything = sorted((*pod.others, pod.trainer), key=lambda one: _is_beside(pod, one))
    for container in everything:
        if container.state != "waiting":
            continue
        added = template is not None and container.name not in {*template, pod.trainer.name}
        found = _added(container, now) if added else _waiting(container, now, started=started)
        for trouble in found:
            own = is_jobs_own(trouble, started=started)
            long = _is_beside(pod, container) and not own
            yield replace(trouble, patience=BESIDE_PATIENCE) if long else trouble


def _is_beside(pod: PodView, container: ContainerView) -> bool:
    """Whether the trainer begins without it."""
    return container is not pod.trainer and not container.is_init


def _added(container: ContainerView, now: datetime) -> Iterator[Trouble]:
    if container.reason in ORDINARY:
        return
    message = (
        f"container {container.name}: {_quoted(container.message or container.reason)}; it is not "
        "in spec.template, so a webhook of the cluster added it to the pod: ask who runs that "
        "webhook. The operator waits and tries again, uncharged"
    )
    yield Trouble(Family.ADDED, container.reason, message, now, PLATFORM_PATIENCE)


def _unbegun(
    pod: PodView, now: datetime, *, started: bool, placed_for: timedelta
) -> Iterator[Trouble]:
    begun = any(one.started for one in (pod.sidecar, *pod.others, pod.trainer))
    if not begun and placed_for >= MOUNTS_PATIENCE:
        yield _mounts(pod, now, started=started)


def _without_sandbox(pod: PodView, now: datetime) -> Iterator[Trouble]:
    """A kubelet makes a second sandbox only for a pod of which no container was ever created."""
    containers = (pod.sidecar, *pod.others, pod.trainer)
    idle = not any(one.state == "running" for one in containers)
    begun = any(one.started for one in containers)
    if begun and idle and any(_is_lost(one) for one in pod.conditions):
        message = (
            f"the sandbox of pod {pod.name} was lost before its trainer began, and its kubelet "
            f"starts nothing in the pod again; the operator waits and tries again, uncharged"
        )
        yield Trouble(Family.NODE, "PodSandboxNotReady", message, now, PLATFORM_PATIENCE)


def _is_lost(condition: ConditionView) -> bool:
    return condition.type == "PodReadyToStartContainers" and condition.status == "False"


def _waiting(container: ContainerView, now: datetime, *, started: bool) -> Iterator[Trouble]:
    if container.reason in ORDINARY:
        return
    rule = _rule(container.reason)
    family = _family(rule, container)
    said = f"container {container.name}: {_quoted(container.message or container.reason)}"
    trouble = Trouble(family, container.reason, said, now, PLATFORM_PATIENCE)
    if rule is not None and is_jobs_own(trouble, started=started):
        patience = (
            min(rule.patience, DEFINITE_PATIENCE) if family is Family.IMAGE else rule.patience
        )
        yield replace(trouble, message=f"{said}; {rule.remedy}", patience=patience)
        return
    patience = ELSEWHERE_PATIENCE if family is Family.IMAGE else PLATFORM_PATIENCE
    yield replace(trouble, message=f"{said}; {_excuse(family, started)}", patience=patience)


def _quoted(said: str) -> str:
    return shorten(said, QUOTED)


def _rule(reason: str) -> Rule | None:
    return next((rule for rule in TABLE if reason in rule.reasons), None)


def _family(rule: Rule | None, container: ContainerView) -> Family:
    if rule is None:
        return Family.NODE
    if rule.proof is not None:
        return rule.family if _proves(rule.proof, container.message) else Family.NODE
    passing = _is_passing(container.message)
    if rule.family is Family.IMAGE:
        definite = rule.patience == 0 or _is_definite(container)
        return Family.IMAGE if definite and not passing else Family.REGISTRY
    return Family.NODE if passing else rule.family


def _is_definite(container: ContainerView) -> bool:
    return DEFINITE.search(f"{container.reason} {_nameless(container.message)}") is not None


def is_templates(message: str) -> bool:
    """Whether a runtime that did not start a container says that the template is to blame."""
    return _proves(COMMAND, message)


def _proves(proof: re.Pattern[str], message: str) -> bool:
    said = _ends_of(message)
    return proof.search(said) is not None and OWN_PARTS.search(said) is None


def _is_passing(message: str) -> bool:
    """Whether a registry or runtime speaks of trouble of its own."""
    return PASSING.search(_nameless(message)) is not None


def _nameless(message: str) -> str:
    return REFERENCE.sub("", _ends_of(message))


def _ends_of(message: str) -> str:
    return message if len(message) <= READ else f"{message[: READ // 2]} {message[-READ // 2 :]}"


def _excuse(family: Family, started: bool) -> str:  # noqa: FBT001 - of this module alone
    owner = TOLD[family][1]
    proof = "an earlier start has proved the template; " if started else ""
    excuse = f"{proof}{owner} is at fault; the operator waits and tries again, uncharged"
    if started or family is not Family.NODE:
        return excuse
    return f"{excuse}; if every node says the same, correct spec.template in a new job"


def _sidecars(sidecar: ContainerView, now: datetime) -> Iterator[Trouble]:
    """Trouble with our own container, which is never the job's."""
    if sidecar.state == "running":
        return
    waits = sidecar.state == "waiting" and sidecar.reason not in {*ORDINARY, "CrashLoopBackOff"}
    rule = _rule(sidecar.reason) if waits else None
    if rule is not None and rule.family is Family.IMAGE:
        yield _sidecar_image(sidecar, now)
    elif waits:
        yield _sidecar_fails(
            sidecar, f"does not start: {_quoted(sidecar.message or sidecar.reason)}", now
        )
    elif sidecar.restarts or sidecar.reason == "CrashLoopBackOff" or sidecar.ended:
        # Of a pod whose sandbox is lost before its trainer begins, a kubelet starts none again.
        last = sidecar.last_message or sidecar.message or "it left no message"
        stays_so = " and has not been started again" if sidecar.ended else ""
        what = f"ended before the trainer began{stays_so}: {_quoted(last)}"
        yield _sidecar_fails(sidecar, what, now)


def _sidecar_image(sidecar: ContainerView, now: datetime) -> Trouble:
    message = (
        f"container {SIDECAR_CONTAINER}: {_quoted(sidecar.message or sidecar.reason)}; the "
        "operator's release sets this image, not the job: correct `sidecar.image` in the Helm "
        "values, or wait for its registry. Nothing is charged"
    )
    definite = _is_definite(sidecar) and not _is_passing(sidecar.message)
    patience = ELSEWHERE_PATIENCE if definite else PLATFORM_PATIENCE
    return Trouble(Family.SIDECAR_IMAGE, sidecar.reason, message, now, patience)


def _sidecar_fails(sidecar: ContainerView, what: str, now: datetime) -> Trouble:
    message = (
        f"container {SIDECAR_CONTAINER} {what}; it is the operator's, not the job's: see its log, "
        "and `sidecar.image` in the Helm values of the operator. Nothing is charged"
    )
    tried = sidecar.restarts >= SIDECAR_RESTARTS
    return Trouble(
        Family.SIDECAR,
        sidecar.reason or "Restarted",
        message,
        now,
        0 if tried else PLATFORM_PATIENCE,
    )


def _mounts(pod: PodView, now: datetime, *, started: bool) -> Trouble:
    message = (
        f"no container of pod {pod.name} began within {MOUNTS_PATIENCE.seconds // 60} minutes: "
        "`kubectl describe pod` names the volume, image or network it waits for"
    )
    if started:
        message = f"{message}; {_excuse(Family.MOUNTS, started)}"
    return Trouble(Family.MOUNTS, "ContainerCreating", message, now, 0)
