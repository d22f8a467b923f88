"""Which nodes new pods avoid: a metadata notice taints nothing, and a stale lease precedes the
platform's own taint, so the scheduler alone would send the next attempt to the same end.

A node is *barred* while going there would end the attempt at once or again: the pod does not go
there, and says so in an annotation, for what a pod requires can never be changed. A node that may
have recovered is a *last resort*: others are preferred. So is one of which only another
namespace's sidecar says that it goes, for a tenant may say that of every node. When a barred node
would take the pod again, an attempt that found no other place is given up, uncharged, and the next
one may go.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Final

from spot_operator.api.names import Ending
from spot_operator.domain.nodes.node_loss import is_seen_alive, is_stale
from spot_operator.domain.nodes.signals import is_leaving
from spot_operator.domain.observed.context import Context
from spot_operator.domain.observed.elapsed import excluded, left_of_long
from spot_operator.domain.observed.rank_end import NOT_BEGUN
from spot_operator.domain.observed.snapshot import NodeView, PodView, Snapshot
from spot_operator.domain.state.ledger import ExcludedNode, Ledger, RankRecord

LASTS: Final = timedelta(hours=1)
"""A node that has recovered may be used again after this."""
BARRED: Final[dict[str, timedelta]] = {
    # A node that is silent now is barred for that; one that is heard of again may be well.
    Ending.NODE_LOST: timedelta(0),
    # A registry, or the node's disk, driver or network: nobody knows, and it is worth a try.
    Ending.PLATFORM_TROUBLE: timedelta(0),
    # The kubelet may have lost a race for the last core, or a device for good.
    Ending.ADMISSION_REJECTED: timedelta(minutes=5),
    Ending.BAD_NODE: LASTS,
}
"""For how long a node is barred by the ending that it was excluded for; then, until the exclusion
lasts no longer, it is a last resort."""
GOING: Final = timedelta(minutes=10)
"""The same for every other ending: no platform needs longer to take a machine away, unless the node
itself says that it is leaving."""
KEPT: Final = 16
"""Records in status; of more those go first that bar nothing, the oldest before the others."""
NAMED: Final = 64
"""Names in a pod's affinity: in a partition every lease is stale, and a pod must stay small."""
PLATFORM_TAINTS: Final = "node.kubernetes.io/"
"""Prefix of the taints by which the platform keeps pods off a node that is not well."""
EXCLUDING: Final = frozenset(
    {Ending.PREEMPTED, Ending.NODE_LOST, Ending.BAD_NODE, Ending.ADMISSION_REJECTED}
)
"""Endings by which every rank's node is avoided; `_excludes` has those of one rank's alone."""


def exclude(context: Context, ledger: Ledger, ending: str, ranks: Iterable[RankRecord]) -> Ledger:
    """`ledger` with the nodes of the `ranks` that ended so, and those told of their preemption."""
    new = tuple(
        ExcludedNode(record.node, str(ending), context.now)
        for record in ranks
        if record.node is not None and (_excludes(ending, record) or _told(record))
    )
    known = {one.node for one in new}
    kept = tuple(one for one in ledger.excluded if one.node not in known)
    return replace(ledger, excluded=_newest((*kept, *new)))


def prune(context: Context, ledger: Ledger) -> Ledger:
    """`ledger` without the exclusions that no longer hold; for a write that happens anyway."""
    kept = tuple(one for one in ledger.excluded if _holds(context.snapshot, one))
    return ledger if kept == ledger.excluded else replace(ledger, excluded=kept)


def barred_names(context: Context, ledger: Ledger) -> tuple[str, ...]:
    """The names of the nodes that a pod created now does not go to, sorted."""
    recorded = [one.node.name for one in ledger.excluded if _bars(context.snapshot, one)]
    seen = dict.fromkeys((*reversed(recorded), *sorted(_seen(context))))
    return tuple(sorted(list(seen)[:NAMED]))


def last_resort_names(context: Context, ledger: Ledger) -> tuple[str, ...]:
    """The names of the nodes that a pod created now goes to where no other takes it, sorted."""
    barred = set(barred_names(context, ledger))
    held = {one.node.name for one in ledger.excluded if _holds(context.snapshot, one)}
    doubted = sorted(context.snapshot.doubted_nodes)[:NAMED]
    return tuple(sorted({*held, *doubted} - barred))


def freed(context: Context, ledger: Ledger, pod: PodView) -> tuple[str, ...]:
    """The names of nodes that `pod` may never go to, although they would take it by now, sorted.

    Only for a pod that the scheduler finds no node for, and only what this leader saw itself.
    """
    if not pod.avoids or pod.unschedulable is None or pod.node_name or pod.deletion_at:
        return ()
    if not context.snapshot.visibility.fresh:
        return ()
    there = (context.snapshot.nodes.get(name) for name in pod.avoids)
    able = {node.name for node in there if node is not None and _would_take(context, node)}
    return tuple(sorted(able - set(barred_names(context, ledger))))


def _newest(known: tuple[ExcludedNode, ...]) -> tuple[ExcludedNode, ...]:
    spare = len(known) - KEPT
    weak = [one for one in known if one.reason == Ending.PLATFORM_TROUBLE][: max(0, spare)]
    return tuple(one for one in known if one not in weak)[-KEPT:]


def _excludes(ending: str, record: RankRecord) -> bool:
    """Only the rank that reports BadNode has a bad node; its gang-mates' nodes stay in use."""
    if ending == Ending.BAD_NODE:
        return record.word is not None and record.word.word == "BadNode"
    if ending == Ending.PLATFORM_TROUBLE:
        return record.trouble is not None or _never_began(record)
    return ending in EXCLUDING


def _never_began(record: RankRecord) -> bool:
    """Whether its pod ended by itself before its trainer began."""
    end = record.ended
    by_itself = end is not None and bool(end.blocked_by or end.reason in NOT_BEGUN)
    return by_itself and record.started is None


def _told(record: RankRecord) -> bool:
    return record.notice is not None and record.notice.kind == "Preempt"


def _holds(snapshot: Snapshot, one: ExcludedNode) -> bool:
    node = snapshot.nodes.get(one.node.name)
    same = node is not None and node.identity == one.node
    return same and _lasts(snapshot, one, LASTS)


def _bars(snapshot: Snapshot, one: ExcludedNode) -> bool:
    return _holds(snapshot, one) and _lasts(snapshot, one, BARRED.get(one.reason, GOING))


def _lasts(snapshot: Snapshot, one: ExcludedNode, wait: timedelta) -> bool:
    return left_of_long(snapshot, excluded(one), one.since, wait) > timedelta(0)


def _would_take(context: Context, node: NodeView) -> bool:
    """Whether the node itself is fit for a pod, as far as this leader has seen it alive."""
    kept_off = any(
        taint.key.startswith(PLATFORM_TAINTS) and taint.effect in {"NoSchedule", "NoExecute"}
        for taint in node.taints
    )
    alive = is_seen_alive(node, context.snapshot.visibility, context.unreachable_after)
    return node.ready and not node.unschedulable and not kept_off and alive


def _seen(context: Context) -> Iterator[str]:
    snapshot = context.snapshot
    for node in snapshot.nodes.values():
        noticed = node.name in snapshot.noticed_nodes or is_leaving(node, context.now)
        if noticed or is_stale(node, snapshot.visibility, context.unreachable_after):
            yield node.name
