"""A ledger survives its way through the API server, and always fits into the object."""

import json
from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from kit.builders import NOW
from properties.domain.strategies import ledgers, lines
from spot_operator.api.names import Condition
from spot_operator.domain.attempt.failed_attempts import LOOKED_AT
from spot_operator.domain.attempt.starting import ATTEMPTS_KEPT
from spot_operator.domain.formats.text import (
    CONDITION_MESSAGE,
    STATUS_MESSAGE,
    WORD,
    last_lines,
    shorten,
)
from spot_operator.domain.nodes.exclusions import KEPT
from spot_operator.domain.state import ledger as own
from spot_operator.domain.state.ledger import Ledger
from spot_operator.domain.state.status import ledger_of, status_of

LIMIT = 64 * 1024


@given(ledgers)
@settings(max_examples=60, deadline=None)
def test_nothing_is_lost_on_the_way_through_json(ledger: Ledger) -> None:
    written = json.loads(json.dumps(status_of(ledger)))
    assert ledger_of(written) == ledger
    assert status_of(ledger_of(written)) == written


def test_no_status_is_the_ledger_of_a_job_nobody_looked_at() -> None:
    assert ledger_of(None) == ledger_of({}) == Ledger()
    assert ledger_of(status_of(Ledger())) == Ledger()


def test_conditions_that_are_not_ours_are_let_be() -> None:
    status = status_of(Ledger())
    status["conditions"] = [
        {
            "type": "Foreign",
            "status": "True",
            "reason": "Other",
            "lastTransitionTime": "2026-03-01T12:00:00Z",
        }
    ]
    assert ledger_of(status).conditions == ()


def test_the_largest_status_fits() -> None:
    """Every list full, every text at its limit, of the characters that take most room."""
    wide = shorten("é" * 2000, STATUS_MESSAGE)
    word, name = "W" * WORD, "n" * 253
    at = NOW + timedelta(microseconds=123_456)
    node = own.NodeIdentity(name, word, word)
    ref = own.CommitRef(10**9, 10**12 - 1, word)
    notice = own.Notice("Maintenance", at, word, at, wide)
    lines = last_lines("é" * 2000)
    end = own.RankEnd(
        at,
        255,
        word,
        word,
        wide,
        word,
        own.Fence.OUT_OF_SERVICE,
        True,
        True,
        word,
        last_lines=lines,
    )
    still = own.Standstill(at, 10**12, word)
    kills = own.MemoryKills(2**53, 2**53, 2**53, 1e9 + 0.123)
    trouble = own.Trouble(word, word, wide, at, 1800)
    said = own.Word(word, wide)
    rank = own.RankRecord(
        0, word, 86_400, node, at, notice, said, kills, trouble, at, end, end, at, still, still
    )
    attempt = own.AttemptRecord(
        10**9,
        at,
        at,
        at,
        word,
        wide,
        own.Charge.INTERRUPTION,
        name,
        "checkpoint",
        ref,
        10**12,
        "Saved",
        10**12,
        1e9 + 0.123,
        True,
        lines,
    )
    condition = own.ConditionRecord(
        Condition.SUCCEEDED, "Unknown", word, shorten("é" * 2000, CONDITION_MESSAGE), at, 10**9
    )
    number = 123_456.789_012
    interval = own.Interval(
        number,
        word,
        own.IntervalInputs(
            number, number, number, 10**15, number, number, number, 10**9, number, number
        ),
        own.IntervalBounds(number, number, number, number),
    )
    ledger = Ledger(
        stopping=own.Stopping(at, None, wide),
        not_before=at,
        ranks=(rank,),
        attempts=(
            *(replace(attempt, last_lines="") for _ in range(ATTEMPTS_KEPT - LOOKED_AT - 1)),
            *(attempt for _ in range(LOOKED_AT + 1)),
        ),
        budgets=own.Budgets(10**9, (NOW,) * 500, 100, 100),
        checkpoint=own.Checkpoints(
            own.Committed(ref, at, 10**15, 1e9), 10**9, 10**9, 10**12, (word, word), interval, True
        ),
        purge=own.Purge(4, at, "Left", shorten("é" * 2000, CONDITION_MESSAGE)),
        excluded=(own.ExcludedNode(node, word, at),) * KEPT,
        policy=name,
        finished_at=at,
        conditions=tuple(replace(condition, type=one) for one in Condition),
    )
    assert len(json.dumps(status_of(ledger), ensure_ascii=False).encode()) < LIMIT


@given(st.text(max_size=600), st.integers(8, 64))
def test_a_shortened_text_is_one_line_of_at_most_so_many_bytes(text: str, limit: int) -> None:
    short = shorten(text, limit)
    assert len(short.encode()) <= limit
    assert "\n" not in short
    assert shorten(short, limit) == short


@given(lines(STATUS_MESSAGE))
def test_a_line_is_left_as_it_is(line: str) -> None:
    assert shorten(line, STATUS_MESSAGE) == line
