"""What keeps a bound pod from starting: a table of the kubelet's reasons, each with its patience.

A retry changes the reason (ErrImagePull, ImagePullBackOff) but not the family, by which the trouble
is remembered. Patience is what the kubelet's own retries and a slow administrator may need.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from spot_operator.domain.ledger import Trouble
from spot_operator.domain.snapshot import ContainerView, PodView
from spot_operator.domain.text import STATUS_MESSAGE, WORD, shorten


@dataclass(frozen=True, slots=True)
class Rule:
    """Container waiting reasons that mean the same."""

    reasons: frozenset[str]
    family: str
    patience: int
    """Seconds."""
    remedy: str


IMAGE: Final = "correct the image name or the pull secret in spec.template of a new job"
CONFIG: Final = "create the ConfigMap or Secret that the message names, with the key"
CONTAINER: Final = "correct the container's command, mounts or devices in a new job"

TABLE: Final = (
    Rule(frozenset({"InvalidImageName", "ErrImageNeverPull"}), "Image", 0, IMAGE),
    Rule(
        frozenset({"ErrImagePull", "ImagePullBackOff", "ImageInspectError", "RegistryUnavailable"}),
        "Image",
        60,
        IMAGE,
    ),
    Rule(frozenset({"CreateContainerConfigError"}), "Config", 60, CONFIG),
    Rule(
        frozenset({"CreateContainerError", "RunContainerError", "PostStartHookError"}),
        "Container",
        60,
        CONTAINER,
    ),
)
DEFINITE: Final = re.compile(
    r"not found|manifest unknown|denied|unauthorized|does not exist|invalid reference",
    re.IGNORECASE,
)
"""The registry has answered; more patience would not change its mind."""
DEFINITE_PATIENCE: Final = 10
SIDECAR_PATIENCE: Final = 120
MOUNTS_PATIENCE: Final = timedelta(minutes=30)
"""From the binding until the first container runs: the largest images take most of it."""


def trouble_of(pod: PodView, known: Trouble | None, now: datetime) -> Trouble | None:
    """What keeps `pod` from starting at `now`; the `known` trouble as it was while it lasts."""
    if pod.node_name is None or pod.trainer.started or pod.terminal or pod.deletion_at:
        return None
    found = next(_found(pod, now), None)
    if found is None:
        return None
    if known is not None and found.family == known.family:
        return known
    return replace(
        found,
        reason=shorten(found.reason, WORD),
        message=shorten(found.message, STATUS_MESSAGE),
    )


def overdue(trouble: Trouble | None, now: datetime) -> bool:
    """Whether the trouble has lasted longer than its patience."""
    return trouble is not None and now >= deadline(trouble)


def deadline(trouble: Trouble) -> datetime:
    """When patience with this trouble ends."""
    return trouble.since + timedelta(seconds=trouble.patience)


def _found(pod: PodView, now: datetime) -> Iterator[Trouble]:
    containers = (pod.sidecar, *pod.others, pod.trainer)
    for container in containers:
        if container.state == "waiting":
            yield from _waiting(container, now)
    if pod.sidecar.restarts:
        yield _crashing(pod.sidecar, now)
    if not any(container.started for container in containers):
        yield from _mounts(pod, now)


def _waiting(container: ContainerView, now: datetime) -> Iterator[Trouble]:
    for rule in TABLE:
        if container.reason in rule.reasons:
            message = f"container {container.name}: {container.message or container.reason}"
            yield Trouble(
                rule.family,
                container.reason,
                f"{message}; {rule.remedy}",
                now,
                _patience(rule, container.message),
            )


def _patience(rule: Rule, message: str) -> int:
    definite = rule.family == "Image" and DEFINITE.search(message) is not None
    return min(rule.patience, DEFINITE_PATIENCE) if definite else rule.patience


def _crashing(sidecar: ContainerView, now: datetime) -> Trouble:
    last = sidecar.last_message or sidecar.message or "it left no message"
    message = f"container {sidecar.name} ended before the trainer began: {last}"
    return Trouble("Sidecar", sidecar.reason or "Restarted", message, now, SIDECAR_PATIENCE)


def _mounts(pod: PodView, now: datetime) -> Iterator[Trouble]:
    bound = next((one.since for one in pod.conditions if one.type == "PodScheduled"), None)
    if bound is not None and now - bound >= MOUNTS_PATIENCE:
        message = (
            f"no container of pod {pod.name} began within {MOUNTS_PATIENCE.seconds // 60} minutes: "
            "`kubectl describe pod` names the volume, image or network it waits for"
        )
        yield Trouble("Mounts", "ContainerCreating", message, now, 0)
