"""Why an attempt ended: a table over the evidence, first match wins.

The trainer's own word comes first, then what the platform says, then exit codes. Suspended,
NotPlaced and Stalled are not in it: only we end an attempt so, and say so in `stopping.cause`,
which yields to Completed alone.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from spot_operator.api.job import Completion
from spot_operator.api.names import EXIT_REFUSED, EXIT_STOPPED, Ending, Reason
from spot_operator.domain.ledger import AttemptRecord, Fence, RankEnd, RankRecord, Stopping
from spot_operator.domain.notices import explains

SCARCE: Final = re.compile(
    r"OutOf.+|NodeAffinity|NodePorts|NodeShutdown|UnexpectedAdmissionError|TopologyAffinityError"
    r"|PodOS.+|Pod\w+Unsupported|PodLevelResourcesNotSupported|SysctlForbidden|AppArmor"
    r"|InvalidNodeInfo"
)
"""Pod reasons with which a kubelet refuses a pod (pkg/kubelet/lifecycle, nodeshutdown)."""
NODE_SHUTDOWN: Final = frozenset({"Terminated", "Shutdown", "NodeShutdown"})
"""Pod reasons of the kubelet's graceful node shutdown, old and new."""
NOT_BEGUN: Final = frozenset({"StartError", "ContainerCannotRun", "CreateContainerError"})
"""Reasons of a terminated container whose process never came to life."""
FORGOTTEN: Final = "ContainerStatusUnknown"
"""The kubelet lost the container's state: the exit code beside it means nothing."""
REGRANT_FRESH: Final = "RegrantFresh"
"""The sidecar's word: the script was told to resume, and is to begin from zero."""
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

    @property
    def word(self) -> str:
        """What the trainer said; empty when it said nothing."""
        return self.record.word.word if self.record.word is not None else ""


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
    """Nobody asked the trainer to end: a trap of SIGTERM exits with 0 as well."""
    notice, end = one.record.notice, one.end
    warned = notice is not None and notice.kind in {"Preempt", "PodDeletion"}
    return not (warned or one.stopped or end.deleted or end.disruption or end.fence)


def _paused(one: Evidence) -> bool:
    return one.word == "Paused" and one.record.notice is not None


def _preempted(one: Evidence) -> bool:
    end = one.end
    if explains(one.record.notice, end.at) or end.fence is Fence.NODE_GONE:
        return True
    by_kubelet = end.disruption == "TerminationByKubelet"
    pressed = end.pod_reason in {"Evicted", "Preempting"}
    collected = end.disruption == "DeletionByPodGC" and end.fence is None
    shut_down = end.pod_reason in NODE_SHUTDOWN and end.started
    return (by_kubelet and not pressed) or collected or shut_down


def _evicted(one: Evidence) -> bool:
    by = one.end.disruption in {"EvictionByEvictionAPI", "DeletionByTaintManager"}
    return by or one.end.pod_reason == "Evicted"


def _scheduler_preempted(one: Evidence) -> bool:
    return one.end.disruption == "PreemptionByScheduler" or one.end.pod_reason == "Preempting"


def _start_failed(one: Evidence) -> bool:
    never = not one.end.started or one.end.reason in NOT_BEGUN
    return never or one.word == "StartFailed"


def _refused(one: Evidence) -> bool:
    return one.word == "Refused" or one.end.exit_code == EXIT_REFUSED


def _trainer_failed(one: Evidence) -> bool:
    known = one.end.exit_code is not None and one.end.reason != FORGOTTEN
    return known and one.end.exit_code != EXIT_STOPPED


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
    if notice is not None and explains(notice, one.end.at):
        until = notice.deadline.isoformat() if notice.deadline is not None else "no known time"
        return f"node {node} was preempted; {notice.source} had announced it for {until}"
    return f"node {node} was shut down ({one.end.disruption or one.end.pod_reason})"


NODE_LOST_TEXT: Final = {
    Fence.NODE_REPLACED: "was replaced by another machine of its name",
    Fence.NODE_REBOOTED: "rebooted",
    Fence.OUT_OF_SERVICE: "was put out of service",
    Fence.NODE_LOST: "went silent: its lease is stale, its reports are missing, others are seen",
}


def _says_node_lost(one: Evidence) -> str:
    node = one.record.node.name if one.record.node is not None else "its node"
    return f"node {node} {NODE_LOST_TEXT.get(one.end.fence or Fence.NODE_LOST, 'was lost')}"


def _says_trainer_failed(one: Evidence) -> str:
    if one.end.exit_code:
        return f"the trainer exited with {one.end.exit_code}{_quoted(one)}"
    if one.completion is Completion.EXIT_CODE:
        return "the trainer exited with 0 after it was told to end" + _quoted(one)
    return (
        "the trainer exited with 0 without a completion marker: end the script with "
        "`run.complete()`, or set `completion: ExitCode` in a new job"
    )


def _says_rejected(one: Evidence) -> str:
    return f"the kubelet refused the pod ({one.end.pod_reason}){_quoted(one)}"


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
    Rule(Ending.EVICTED, _evicted, _saying("the pod was evicted")),
    Rule(
        Ending.SCHEDULER_PREEMPTED,
        _scheduler_preempted,
        _saying("a pod of higher priority took the place"),
    ),
    Rule(
        Ending.ADMISSION_REJECTED,
        lambda one: not one.end.started and SCARCE.fullmatch(one.end.pod_reason) is not None,
        _says_rejected,
    ),
    Rule(
        Ending.RESURRECTED,
        lambda one: one.word == "Resurrected",
        _saying("the kubelet ran the pod a second time"),
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
    Rule(
        Ending.OUT_OF_MEMORY,
        lambda one: one.end.reason == "OOMKilled",
        lambda _: (
            "the trainer was killed for memory: raise its memory limit, or lower what it "
            "uses, in a new job"
        ),
    ),
    Rule(Ending.START_FAILED, _start_failed, _saying("the pod could not start")),
    Rule(
        Ending.NO_VALID_CHECKPOINT,
        lambda one: one.word == "NoValidCheckpoint",
        _saying(
            "checkpoints were committed and none is valid; restore the bucket, or set "
            "`checkpoint.onNoneValid: StartFresh` in a new job"
        ),
    ),
    Rule(Ending.TRAINER_REFUSED, _refused, _saying("the trainer refused to go on")),
    Rule(Ending.TRAINER_FAILED, _trainer_failed, _says_trainer_failed),
    Rule(Ending.UNKNOWN, lambda _: True, _saying("nothing says why the pod ended")),
)
