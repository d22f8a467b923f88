"""Why an attempt ended: a table over the evidence, first match wins.

The trainer's own word comes first, then what the platform says, then exit codes. Suspended,
NotPlaced and Stalled are not in it: only we end an attempt so, and say so in `stopping.cause`,
which yields to Completed alone.

Lists of what kubelets, runtimes and controllers write are open here: whatever says that the
platform ended a pod is believed, known or not, and what proves nothing is Unknown. The trainer is
to blame only for what it certainly did itself. docs/endings.md has all that we know can be written.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from spot_operator.api.job import Completion
from spot_operator.api.names import (
    EXIT_REFUSED,
    EXIT_STOPPED,
    SIDECAR_CONTAINER,
    VOLUME_SHARED,
    Ending,
    Reason,
)
from spot_operator.domain.attempt.notices import covers, explains
from spot_operator.domain.attempt.out_of_memory import beyond_its_own_limit, beyond_others, figures
from spot_operator.domain.attempt.start_problems import is_templates
from spot_operator.domain.observed.rank_end import NOT_BEGUN, OOM_KILLED, SENT, STATE_LOST
from spot_operator.domain.state.ledger import AttemptRecord, Fence, RankEnd, RankRecord, Stopping

REJECTED: Final = "Pod was rejected: "
"""Begins the message of each pod that a kubelet did not admit, whatever the reason beside it."""
NODE_SHUTDOWN: Final = frozenset({"Terminated", "Shutdown", "NodeShutdown"})
"""Pod reasons of the kubelet's graceful node shutdown, old and new."""
EVICTED: Final = "Evicted"
"""The pod reason of the kubelet's evictions."""
PREEMPTING: Final = "Preempting"
"""The pod reason with which a kubelet makes room for a critical pod."""
OWN_LIMIT: Final = re.compile(
    r'Usage of EmptyDir volume "(?P<volume>[^"]+)" exceeds the limit'
    r"|exceeds the total limit of containers"
    r"|Container (?P<container>\S+) exceeded its local ephemeral storage limit"
)
"""How a kubelet says that a pod wrote more than it asked for (pkg/kubelet/eviction/helpers.go)."""
EVICTIONS: Final = frozenset(
    {"EvictionByEvictionAPI", "DeletionByTaintManager", "DeletionByDeviceTaintManager"}
)
"""DisruptionTarget reasons of drains and taints, of nodes and of devices."""
REGRANT_FRESH: Final = "RegrantFresh"
"""The sidecar's word: the script was told to resume, and is to begin from zero."""
UNABLE: Final = frozenset({"StartFailed", "UnsupportedCheckpoint"})
"""The sidecar's words for: the trainer cannot be given a state."""
REGRANTS: Final = frozenset({"RegrantResume", REGRANT_FRESH})
TEXT: Final = 400
"""Characters of evidence quoted in a message."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of how one rank ended."""

    record: RankRecord
    end: RankEnd
    completion: Completion
    attempt: AttemptRecord
    stopped: bool
    """We were stopping the attempt when it ended."""
    proved: bool = False
    """Another trainer of the job had started: image, command and configuration are right."""
    proved_before: bool = False
    """One of an earlier attempt had, and was given its state."""
    warned_for: timedelta | None = None
    """For how long this leader knew of the notice that stands."""
    parts: frozenset[str] | None = None
    """The names of the containers and volumes of the job's template; None: nobody knows."""

    @property
    def word(self) -> str:
        """What the trainer said; empty when it said nothing."""
        return self.record.word.word if self.record.word is not None else ""

    @property
    def began(self) -> bool:
        """Whether the trainer's process ever ran, by what is seen now or was seen before."""
        return self.end.started or self.record.started is not None

    @property
    def announced(self) -> bool:
        """Whether a notice explains the ending."""
        notice = self.record.notice
        if self.warned_for is not None and covers(notice, self.warned_for):
            return True
        return explains(notice, self.end.at, self.end.finished_at)


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table."""

    ending: Ending
    matches: Callable[[Evidence], bool]
    says: Callable[[Evidence], str]
    """What happened, and what to do about it if that is not the operator's."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The ending of an attempt, and why."""

    ending: Ending | Reason
    message: str


def judge(evidence: Iterable[Evidence], stopping: Stopping) -> Verdict:
    """The one ending of an attempt whose every rank has ended."""
    ranks = tuple(evidence)
    completed = _first_match(ranks, TABLE[:1])
    if completed is not None:
        return completed
    if stopping.cause is not None:
        return Verdict(stopping.cause, stopping.message)
    lost = tuple(one for one in ranks if not one.stopped) or ranks
    return _first_match(lost, TABLE) or Verdict(Ending.UNKNOWN, "no pod was ever seen")


def _first_match(ranks: tuple[Evidence, ...], table: tuple[Rule, ...]) -> Verdict | None:
    for rule in table:
        for one in ranks:
            if rule.matches(one):
                which = f"rank {one.record.rank}: " if len(ranks) > 1 else ""
                return Verdict(rule.ending, which + rule.says(one))
    return None


def _completed(one: Evidence) -> bool:
    if one.word == "Finished" or one.attempt.resumed == "completed":
        return True
    return one.completion is Completion.EXIT_CODE and one.end.exit_code == 0 and _undisturbed(one)


def _undisturbed(one: Evidence) -> bool:
    """Nobody asked the trainer to end: a trap of SIGTERM exits with 0 as well.

    Nor did it, or its sidecar, say any other word: a shell makes 0 of every exit code behind a
    pipe, and may outlive a process that is killed for its memory.
    """
    end = one.end
    outside = end.deleted or end.disruption or end.pod_reason or end.fence or end.node_away
    killed = beyond_its_own_limit(one.record.memory, end) is not None
    lost = killed or end.reason in {*STATE_LOST, OOM_KILLED}
    return not (one.word or _was_warned(one) or one.stopped or outside or lost)


def _was_warned(one: Evidence) -> bool:
    notice = one.record.notice
    return notice is not None and notice.kind in {"Preempt", "PodDeletion"}


def _obeyed(one: Evidence) -> bool:
    """It ended because it was told to: by its own word, or as an exit with 0 may mean it."""
    if one.word == "Paused":
        return True
    counts = one.completion is Completion.EXIT_CODE
    return counts and one.end.exit_code == 0 and one.began and _was_warned(one)


def _paused(one: Evidence) -> bool:
    return one.word == "Paused" and one.record.notice is not None


def _preempted(one: Evidence) -> bool:
    end = one.end
    if one.announced or end.fence is Fence.NODE_GONE:
        return True
    by_kubelet = end.disruption == "TerminationByKubelet"
    pressed = end.pod_reason in {EVICTED, PREEMPTING}
    collected = end.disruption == "DeletionByPodGC" and end.fence is None
    shut_down = end.pod_reason in NODE_SHUTDOWN and one.began
    return (by_kubelet and not pressed) or collected or shut_down


def _rejected(one: Evidence) -> bool:
    """A kubelet refuses new pods; one that restarted refuses those that it finds running, too."""
    end = one.end
    if end.message.startswith(REJECTED):
        return True
    by_others = end.disruption or end.pod_reason in {"", EVICTED, PREEMPTING, "DeadlineExceeded"}
    return not by_others and not one.began and not end.blocked_by


def _limit(one: Evidence) -> re.Match[str] | None:
    evicted = one.end.pod_reason == EVICTED and not one.end.disruption
    return OWN_LIMIT.search(one.end.message) if evicted else None


def _over_its_limit(one: Evidence) -> bool:
    return _limit(one) is not None


def _added_over_its_limit(one: Evidence) -> bool:
    """What the template has not wrote too much: our sidecar, or what a webhook added."""
    found = _limit(one)
    name = found and (found["container"] or found["volume"])
    if not name or name == VOLUME_SHARED:
        return False
    return name == SIDECAR_CONTAINER or (one.parts is not None and name not in one.parts)


def _evicted(one: Evidence) -> bool:
    return one.end.disruption in EVICTIONS or one.end.pod_reason == EVICTED


def _scheduler_preempted(one: Evidence) -> bool:
    return one.end.disruption == "PreemptionByScheduler" or one.end.pod_reason == PREEMPTING


def _ended_from_outside(one: Evidence) -> bool:
    """A pod has a reason, and a true DisruptionTarget, only if something ended it from outside."""
    return bool(one.end.disruption or one.end.pod_reason)


def _state_lost(one: Evidence) -> bool:
    code = one.end.exit_code
    return one.end.reason in STATE_LOST or (code is not None and code < 0)


def _out_of_memory(one: Evidence) -> bool:
    """By the reason: with cgroup v1 one process dies, and the exit code is that of the rest.

    Or by what the sidecar saw the kernel count: a runtime may come too late to know the reason.
    """
    if one.end.reason == OOM_KILLED:
        return True
    return not one.stopped and beyond_its_own_limit(one.record.memory, one.end) is not None


def _not_started(one: Evidence) -> bool:
    if one.word in UNABLE:
        return True
    return one.end.reason in NOT_BEGUN or (not one.began and bool(one.end.blocked_by))


def _platforms_trouble(one: Evidence) -> bool:
    """What keeps a pod from starting is the job's only while nothing proves its template."""
    if not _not_started(one):
        return False
    if one.word in UNABLE:
        return one.proved_before
    if one.end.blocked_outside and not one.began:
        return True
    runtime = one.end.reason in NOT_BEGUN and not is_templates(one.end.message)
    return one.proved or runtime or one.end.blocked_by == SIDECAR_CONTAINER


def _refused(one: Evidence) -> bool:
    return one.word == "Refused" or one.end.exit_code == EXIT_REFUSED


def _killed(one: Evidence) -> bool:
    code = one.end.exit_code
    return code in SENT or (one.end.node_away and code is not None)


def _on_a_sick_device(one: Evidence) -> bool:
    """No script can go on with a device that fails: what it made of that proves nothing."""
    return bool(one.end.sick_device and one.end.exit_code)


def _trainer_failed(one: Evidence) -> bool:
    return one.end.exit_code is not None and one.end.exit_code != EXIT_STOPPED and one.began


def _quoted(one: Evidence) -> str:
    said = (one.record.word.reason if one.record.word is not None else "") or one.end.message
    return f": {said.strip()[:TEXT]}" if said.strip() else ""


def _saying(text: str) -> Callable[[Evidence], str]:
    return lambda one: text + _quoted(one)


def _says_preempted(one: Evidence) -> str:
    node = one.record.node.name if one.record.node is not None else "its node"
    if one.end.fence is Fence.NODE_GONE:
        return f"node {node} was removed"
    notice = one.record.notice
    if notice is not None and one.announced:
        until = f" for {notice.deadline.isoformat()}" if notice.deadline is not None else ""
        return f"node {node} was preempted; {notice.source} had announced it{until}"
    return f"node {node} was shut down ({one.end.disruption or one.end.pod_reason})"


NODE_LOST_TEXT: Final = {
    Fence.NODE_REPLACED: "was replaced by another machine of the same name",
    Fence.NODE_REBOOTED: "rebooted",
    Fence.OUT_OF_SERVICE: "was put out of service",
    Fence.NODE_LOST: "went silent: its lease is stale and reports are missing, others are seen",
}


def _says_node_lost(one: Evidence) -> str:
    node = one.record.node.name if one.record.node is not None else "its node"
    return f"node {node} {NODE_LOST_TEXT.get(one.end.fence or Fence.NODE_LOST, 'was lost')}"


def _says_trainer_failed(one: Evidence) -> str:
    if one.end.exit_code:
        return f"the trainer exited with {one.end.exit_code}{_quoted(one)}"
    return (
        "the trainer exited with 0 without a completion marker: end the script with "
        "`run.complete()`, or set `completion: ExitCode` in a new job"
    )


def _says_rejected(one: Evidence) -> str:
    what = "a kubelet that restarted refused the running pod" if one.began else "refused the pod"
    said = what if one.began else f"the kubelet {what}"
    return f"{said} ({one.end.pod_reason}){_quoted(one)}"


def _says_over_its_limit(one: Evidence) -> str:
    setting = "raise ephemeral-storage, or the volume's sizeLimit, in spec.template"
    if VOLUME_SHARED in one.end.message:
        setting = "raise checkpoint.staging.sizeLimit"
    said = _quoted(one).rstrip(". ")
    return f"the pod wrote more than its own limit{said}; {setting} of a new job"


def _says_outside(one: Evidence) -> str:
    by = one.end.disruption or one.end.pod_reason
    return f"something outside the trainer ended the pod ({by}){_quoted(one)}"


def _says_state_lost(one: Evidence) -> str:
    return f"the node lost the state of the trainer's container{_quoted(one)}"


def _says_killed(one: Evidence) -> str:
    if one.end.node_away:
        return (
            f"the trainer ended (exit {one.end.exit_code}) at about the time when its node was "
            "silent; the node may have rebooted"
        )
    elsewhere = beyond_others(one.record.memory, one.end)
    if elsewhere is not None:
        return (
            "the kernel killed the trainer because memory ran out on its node or in its pod, while "
            f"the container was within its limit ({figures(elsewhere)}): the pods of a node use "
            f"more than they request, and more than the node has{_quoted(one)}"
        )
    signal = SENT.get(one.end.exit_code or 0, "a signal")
    return (
        f"something killed the trainer (exit {one.end.exit_code}, {signal}), and nothing says "
        "what: a probe, a person, or a lack of memory on the node or beyond its own limit"
        f"{_quoted(one)}"
    )


def _says_sick_device(one: Evidence) -> str:
    return (
        f"the trainer exited with {one.end.exit_code}, and the kubelet reports that its device "
        f"{one.end.sick_device} is not healthy{_quoted(one)}"
    )


def _says_out_of_memory(one: Evidence) -> str:
    seen = beyond_its_own_limit(one.record.memory, one.end)
    counted = "" if seen is None else f" ({figures(seen)})"
    goes_on = one.end.exit_code == 0
    which = "a process of the trainer, which exited with 0, was" if goes_on else "the trainer was"
    return (
        f"{which} killed because it ran out of memory{counted}: raise its memory limit, or "
        "lower what it uses, in a new job"
    )


def _says_obeyed(one: Evidence) -> str:
    notice = one.record.notice
    by = f"by {notice.source}" if notice is not None and notice.source else "by SIGTERM"
    whose = "" if notice is not None else ", and nothing says who sent it"
    code = one.end.exit_code
    ended = "ended" if code is None else f"exited with {code}"
    return (
        f"the trainer {ended} after it was told to end, {by}{whose}; this does not prove that "
        f"training is complete{_quoted(one)}"
    )


def _says_platforms_trouble(one: Evidence) -> str:
    if one.end.blocked_by == SIDECAR_CONTAINER:
        return f"the operator's sidecar did not start{_quoted(one)}"
    if one.end.blocked_outside and not one.began:
        return (
            f"container {one.end.blocked_by} ended before the trainer began, and nothing says that "
            "the job is the cause: a webhook added it to the pod, something killed it, or its node "
            f"was silent{_quoted(one)}"
        )
    proof = "; earlier attempts started with the same template" if one.proved else ""
    return f"the pod could not start{_quoted(one)}{proof}"


TABLE: Final = (
    Rule(Ending.COMPLETED, _completed, lambda _: "training is complete"),
    Rule(Ending.PAUSED, _paused, _saying("the trainer paused after a notice")),
    Rule(Ending.PREEMPTED, _preempted, _says_preempted),
    Rule(Ending.NODE_LOST, lambda one: one.end.fence is not None, _says_node_lost),
    Rule(
        Ending.DELETED,
        lambda one: one.end.deleted and not one.end.disruption,
        lambda _: "somebody deleted the pod",
    ),
    Rule(Ending.ADMISSION_REJECTED, _rejected, _says_rejected),
    Rule(
        Ending.PLATFORM_TROUBLE,
        _added_over_its_limit,
        _saying(
            "the operator's sidecar, or what a webhook added to the pod, wrote more than it is "
            "allowed"
        ),
    ),
    Rule(Ending.OUT_OF_STORAGE, _over_its_limit, _says_over_its_limit),
    Rule(Ending.EVICTED, _evicted, _saying("the pod was evicted")),
    Rule(
        Ending.SCHEDULER_PREEMPTED,
        _scheduler_preempted,
        _saying("a pod of higher priority took the place"),
    ),
    Rule(Ending.UNKNOWN, _ended_from_outside, _says_outside),
    Rule(
        Ending.RESURRECTED,
        lambda one: one.word == "Resurrected",
        _saying("the kubelet ran the pod a second time"),
    ),
    Rule(
        Ending.UNKNOWN,
        lambda one: one.word == "Superseded",
        _saying("a later attempt of the job has begun, so this one was stopped"),
    ),
    Rule(
        Ending.REGRANTED,
        lambda one: one.word in REGRANTS,
        _saying("the script's arguments did not fit what the store holds"),
    ),
    Rule(
        Ending.BAD_NODE,
        lambda one: one.word == "BadNode",
        _saying("two checkpoints failed to verify on this node"),
    ),
    Rule(Ending.OUT_OF_MEMORY, _out_of_memory, _says_out_of_memory),
    Rule(
        Ending.TRAINER_FAILED,
        lambda one: one.word == "StartedAgain",
        _saying("the trainer ended, and its own container started it again"),
    ),
    Rule(Ending.PLATFORM_TROUBLE, _platforms_trouble, _says_platforms_trouble),
    Rule(Ending.START_FAILED, _not_started, _saying("the pod could not start")),
    Rule(
        Ending.NO_VALID_CHECKPOINT,
        lambda one: one.word == "NoValidCheckpoint",
        _saying(
            "checkpoints were committed and none is valid; restore the bucket, or set "
            "`checkpoint.onNoneValid: StartFresh` in a new job"
        ),
    ),
    Rule(Ending.TRAINER_REFUSED, _refused, _saying("the trainer refused to go on")),
    Rule(Ending.UNKNOWN, _state_lost, _says_state_lost),
    Rule(Ending.UNKNOWN, _obeyed, _says_obeyed),
    Rule(Ending.UNKNOWN, _killed, _says_killed),
    Rule(Ending.UNKNOWN, _on_a_sick_device, _says_sick_device),
    Rule(Ending.TRAINER_FAILED, _trainer_failed, _says_trainer_failed),
    Rule(Ending.UNKNOWN, lambda _: True, _saying("nothing says why the pod ended")),
)
