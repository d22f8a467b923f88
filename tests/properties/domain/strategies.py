"""Ledgers of every shape that fits into a status, up to their bounds."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st
from spot_operator.api.names import Bucket, Condition, Ending, Reason, State
from spot_operator.domain.attempt.starting import ATTEMPTS_KEPT
from spot_operator.domain.formats.text import CONDITION_MESSAGE, STATUS_MESSAGE, WORD, shorten
from spot_operator.domain.nodes.exclusions import KEPT
from spot_operator.domain.state import ledger as own
from spot_operator.domain.state.ledger import REPORTED

times = st.datetimes(
    min_value=datetime(2020, 1, 1),  # noqa: DTZ001 - the zone is given beside it
    max_value=datetime(2090, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
seconds_times = times.map(lambda at: at.replace(microsecond=0))
counts = st.integers(0, 2**40)
durations = st.timedeltas(timedelta(0), timedelta(days=3650))
figures = st.integers(0, 10**9).map(lambda milliseconds: milliseconds / 1000)


def lines(limit: int) -> st.SearchStrategy[str]:
    """Texts as the ledger holds them: one line, bounded in bytes."""
    return st.text(max_size=limit + 20).map(lambda text: shorten(text, limit))


words, messages = lines(WORD), lines(STATUS_MESSAGE)
names = st.text("abcdefgh-.", min_size=1, max_size=253)
uids = st.uuids().map(str)
refs = st.builds(own.CommitRef, counts, counts, st.text("as0123456789-", min_size=1, max_size=64))
nodes = st.builds(own.NodeIdentity, names, uids, uids)
notices = st.builds(
    own.Notice,
    st.sampled_from(["Preempt", "Rebalance", "Maintenance", "PodDeletion"]),
    st.none() | times,
    words,
    times,
    messages,
)
ends = st.builds(
    own.RankEnd,
    at=times,
    exit_code=st.none() | st.integers(-1, 255),
    reason=words,
    pod_reason=words,
    message=messages,
    disruption=words,
    fence=st.none() | st.sampled_from(own.Fence),
    deleted=st.booleans(),
    started=st.booleans(),
)
standstills = st.builds(own.Standstill, times, counts, words)
ranks = st.builds(
    own.RankRecord,
    rank=st.integers(0, 15),
    uid=uids,
    grace=st.integers(0, 86_400),
    node=st.none() | nodes,
    started=st.none() | times,
    notice=st.none() | notices,
    word=st.none() | st.builds(own.Word, words, messages),
    memory=st.none()
    | st.builds(
        own.MemoryKills,
        counts,
        counts,
        st.none() | counts,
        st.none() | st.floats(0, 1e9),
    ),
    trouble=st.none() | st.builds(own.Trouble, words, words, messages, times, st.integers(0, 1800)),
    lost_at=st.none() | times,
    trainer_end=st.none() | ends,
    ended=st.none() | ends,
    silent_since=st.none() | times,
    still=st.none() | standstills,
    unsaved=st.none() | standstills,
)
attempts = st.builds(
    own.AttemptRecord,
    number=counts,
    created_at=times,
    running_at=st.none() | times,
    ended_at=st.none() | times,
    ending=st.none() | st.sampled_from(Ending).map(str),
    message=messages,
    charged=st.none() | st.sampled_from(own.Charge),
    node=st.none() | names,
    resumed=st.sampled_from([None, "fresh", "checkpoint", "completed", "stop"]),
    resumed_from=st.none() | refs,
    step=st.none() | counts,
    loss=st.sampled_from([None, "Saved", "Lost"]),
    replayed_steps=counts,
    retry_seconds=st.none() | figures,
    last_lines=messages,
)
conditions = st.builds(
    own.ConditionRecord,
    type=st.sampled_from(Condition),
    status=st.sampled_from(["True", "False", "Unknown"]),
    reason=st.sampled_from(Reason).map(str),
    message=lines(CONDITION_MESSAGE),
    since=times,
    observed_generation=counts,
)
buckets = st.dictionaries(
    st.sampled_from(Bucket), durations.filter(bool), max_size=len(Bucket)
).map(lambda spent: tuple((one, spent[one]) for one in Bucket if one in spent))
reported = st.just(()) | st.tuples(*(durations for _ in REPORTED)).map(
    lambda amounts: tuple(zip(REPORTED, amounts, strict=True))
)
measured = st.none() | figures
intervals = st.builds(
    own.Interval,
    seconds=figures,
    why=words,
    inputs=st.builds(
        own.IntervalInputs,
        **{
            one: st.none() | counts if one in {"state_bytes", "saves"} else measured
            for one in own.IntervalInputs.__slots__
            if one not in {"interruptions_per_hour", "saved_share"}
        },
        interruptions_per_hour=figures,
        saved_share=figures,
    ),
    bounds=st.builds(own.IntervalBounds, **dict.fromkeys(own.IntervalBounds.__slots__, measured)),
)
ledgers = st.builds(
    own.Ledger,
    observed_generation=counts,
    attempt=counts,
    state=st.sampled_from(State),
    not_before=st.none() | times,
    stopping=st.none()
    | st.builds(
        own.Stopping,
        times,
        st.none() | st.sampled_from(Ending) | st.just(Reason.NO_PROGRESS),
        messages,
    ),
    ranks=st.lists(ranks, max_size=1).map(tuple),
    attempts=st.lists(attempts, max_size=ATTEMPTS_KEPT).map(tuple),
    budgets=st.builds(
        own.Budgets,
        counts,
        st.lists(seconds_times, max_size=20).map(lambda some: tuple(some * 25)),
        counts,
        counts,
    ),
    checkpoint=st.builds(
        own.Checkpoints,
        newest=st.none() | st.builds(own.Committed, refs, times, counts, figures),
        commits=counts,
        attempt_commits=counts,
        best_step=st.integers(-1, 2**40),
        suspects=st.lists(refs.map(lambda ref: ref.id), max_size=2).map(tuple),
        interval=st.none() | intervals,
    ),
    excluded=st.lists(st.builds(own.ExcludedNode, nodes, words, times), max_size=KEPT).map(tuple),
    time=st.builds(own.TimeLedger, st.none() | times, buckets, reported),
    policy=st.none() | names,
    progress=st.builds(own.Progress, counts, counts, counts, st.none() | times),
    totals=st.builds(own.Totals, counts, counts, counts, counts, figures),
    finished_at=st.none() | times,
    conditions=st.lists(conditions, max_size=6, unique_by=lambda one: one.type).map(tuple),
)
