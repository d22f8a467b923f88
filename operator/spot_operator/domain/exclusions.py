"""Which nodes new pods avoid: a metadata notice taints nothing, and a stale lease precedes the
platform's own taint, so the scheduler alone would send the next attempt to the same end."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Final

from spot_operator.api.names import Ending
from spot_operator.domain.elapsed import excluded, left_of_long
from spot_operator.domain.ledger import ExcludedNode, Ledger, RankRecord
from spot_operator.domain.node_signals import is_leaving
from spot_operator.domain.scene import Scene
from spot_operator.domain.sight import is_stale
from spot_operator.domain.snapshot import Snapshot

LASTS: Final = timedelta(hours=1)
"""A node that has come to its senses is worth having again."""
KEPT: Final = 16
"""Records in status; the oldest go first."""
NAMED: Final = 64
"""Names in a pod's affinity: in a partition every lease is stale, and a pod must stay small."""
EXCLUDING: Final = frozenset(
    {Ending.PREEMPTED, Ending.NODE_LOST, Ending.BAD_NODE, Ending.ADMISSION_REJECTED}
)


def exclude(scene: Scene, ledger: Ledger, ending: str, ranks: Iterable[RankRecord]) -> Ledger:
    """`ledger` with the nodes of the `ranks` that ended so, and those told of their preemption."""
    new = tuple(
        ExcludedNode(record.node, str(ending), scene.now)
        for record in ranks
        if record.node is not None and (_excludes(ending, record) or _told(record))
    )
    known = {one.node for one in new}
    kept = tuple(one for one in ledger.excluded if one.node not in known)
    return replace(ledger, excluded=(*kept, *new)[-KEPT:])


def prune(scene: Scene, ledger: Ledger) -> Ledger:
    """`ledger` without the exclusions that no longer hold; for a write that happens anyway."""
    kept = tuple(one for one in ledger.excluded if _holds(scene.snapshot, one))
    return ledger if kept == ledger.excluded else replace(ledger, excluded=kept)


def excluded_names(scene: Scene, ledger: Ledger) -> tuple[str, ...]:
    """The names of the nodes that a pod created now avoids, sorted."""
    recorded = [one.node.name for one in ledger.excluded if _holds(scene.snapshot, one)]
    seen = dict.fromkeys((*reversed(recorded), *sorted(_seen(scene))))
    return tuple(sorted(list(seen)[:NAMED]))


def _excludes(ending: str, record: RankRecord) -> bool:
    """A bad node is that of the rank which says so: its gang-mates' nodes are as good as ever."""
    if ending == Ending.BAD_NODE:
        return record.word is not None and record.word.word == "BadNode"
    return ending in EXCLUDING


def _told(record: RankRecord) -> bool:
    return record.notice is not None and record.notice.kind == "Preempt"


def _holds(snapshot: Snapshot, one: ExcludedNode) -> bool:
    node = snapshot.nodes.get(one.node.name)
    same = node is not None and node.identity == one.node
    return same and left_of_long(snapshot, excluded(one), one.since, LASTS) > timedelta(0)


def _seen(scene: Scene) -> Iterator[str]:
    snapshot = scene.snapshot
    for node in snapshot.nodes.values():
        noticed = node.name in snapshot.noticed_nodes or is_leaving(node, scene.now)
        if noticed or is_stale(node, snapshot.sight, scene.unreachable_after):
            yield node.name
