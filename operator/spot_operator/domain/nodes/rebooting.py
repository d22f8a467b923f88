"""Whether a machine that was silent when a trainer on it exited with 0 had gone down.

One that goes down ends the trainer by SIGTERM, of which a trap makes 0; one that was only not heard
of did not touch it. The boot id tells the two apart, but the news of the pod and of the node come
over two watches, in either order. So such an exit waits for the node's own word: completing the job
and training again are both wrong on the other's evidence.

A machine that goes down may tell of the trainer's end and of nothing after that: a node that goes
silent with the end is treated as one that was silent before it.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from spot_operator.api.job import Completion
from spot_operator.domain.nodes.node_loss import AWAY
from spot_operator.domain.observed.context import Context
from spot_operator.domain.observed.elapsed import lasted, left, lost
from spot_operator.domain.state.ledger import RankEnd, RankRecord

RENEWALS: Final = 2
"""Of the node's lease, seen after the end: by then a kubelet that started has told its boot id."""
PATIENCE: Final = timedelta(minutes=4)
"""For a node that was there to tell of the end, and then says nothing more."""
TOGETHER: Final = 15.0
"""Seconds from the trainer's end to the last renewal of its node's lease; a live kubelet renews it
every ten."""


def is_doubtful(context: Context, end: RankEnd, *, ours: bool) -> bool:
    """Whether `end` completes the job if its node stayed up, and does not if it went down."""
    counts = context.job.spec.completion is Completion.EXIT_CODE and end.exit_code == 0
    return counts and end.node_away and not ours


def doubt_left(context: Context, record: RankRecord) -> timedelta:
    """How long the node's word is still waited for; zero or less: it is judged without."""
    since = record.lost_at or context.now
    return left(context.snapshot, lost(record), since, PATIENCE)


def cleared(context: Context, record: RankRecord, end: RankEnd) -> RankEnd:
    """`end`, which is not the silence's doing if the machine was up all the time."""
    return replace(end, node_away=False) if _stayed_up(context, record) else end


def silenced(context: Context, record: RankRecord, end: RankEnd) -> RankEnd:
    """`end` as one of a silent node, if nothing was heard of the machine after it."""
    shows = silence_shows_in(context, record)
    went = shows is not None and shows <= timedelta(0)
    return replace(end, node_away=True) if went else end


def silence_shows_in(context: Context, record: RankRecord) -> timedelta | None:
    """How long until it shows that the node went silent with the trainer's end; None: it did not,
    or cannot be seen."""
    node = context.snapshot.nodes.get(record.node.name) if record.node is not None else None
    if node is None or node.lease_age is None or not context.snapshot.visibility.fresh:
        return None
    over_since = lasted(context.snapshot, lost(record), record.lost_at or context.now)
    heard_after = over_since.total_seconds() - node.lease_age
    return None if heard_after > TOGETHER else timedelta(seconds=AWAY - node.lease_age)


def _stayed_up(context: Context, record: RankRecord) -> bool:
    known, visibility = record.node, context.snapshot.visibility
    node = context.snapshot.nodes.get(known.name) if known is not None else None
    if known is None or node is None or not node.ready or not visibility.fresh:
        return False
    if not known.boot_id or (node.uid, node.boot_id) != (known.uid, known.boot_id):
        return False
    passed = (PATIENCE - doubt_left(context, record)).total_seconds()
    return sum(age < passed for age in visibility.leases.get(node.name, ())) >= RENEWALS
