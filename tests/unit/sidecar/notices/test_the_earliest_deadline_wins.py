"""Notices: which one is in force, who hears it, and that it is never extended."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from spot_sidecar.notices.bus import NoticeBus, write_notice_file
from spot_sidecar.notices.notice import Kind, Notice, combine, read_notice

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def a_notice(kind: Kind = Kind.Preempt, seconds: float | None = 120, **fields: str) -> Notice:
    deadline = None if seconds is None else NOW + timedelta(seconds=seconds)
    return Notice(kind, fields.get("source", "imds"), NOW, deadline, fields.get("raw", ""))


@pytest.mark.parametrize(
    ("first", "second", "kind", "seconds"),
    [
        ((Kind.Preempt, 120), (Kind.Preempt, 60), Kind.Preempt, 60),
        ((Kind.Preempt, 60), (Kind.Preempt, 120), Kind.Preempt, 60),
        ((Kind.Rebalance, None), (Kind.Preempt, 120), Kind.Preempt, 120),
        ((Kind.Preempt, 120), (Kind.Rebalance, None), Kind.Preempt, 120),
        ((Kind.Preempt, 120), (Kind.PodDeletion, 25), Kind.Preempt, 25),
        ((Kind.PodDeletion, 25), (Kind.Preempt, 120), Kind.Preempt, 25),
        ((Kind.Maintenance, 3600), (Kind.Preempt, 120), Kind.Preempt, 120),
        ((Kind.Preempt, None), (Kind.PodDeletion, 25), Kind.Preempt, 25),
        ((Kind.Rebalance, None), (Kind.Rebalance, None), Kind.Rebalance, None),
    ],
)
def test_the_higher_kind_names_it_and_the_earlier_deadline_binds_it(
    first: tuple[Kind, float | None],
    second: tuple[Kind, float | None],
    kind: Kind,
    seconds: float | None,
) -> None:
    assert combine(a_notice(*first), a_notice(*second)) == a_notice(kind, seconds)


def test_a_deadline_that_slides_with_each_question_changes_nothing() -> None:
    heard: list[Notice] = []
    bus = NoticeBus(heard.append)
    for later in range(5):
        bus.tell(a_notice(seconds=120 + later))
    assert heard == [a_notice(seconds=120)]
    assert bus.sequence == 1


async def test_waiters_hear_of_a_change_and_only_of_a_change() -> None:
    bus = NoticeBus()
    assert await bus.beyond(0, 0.01) == 0
    bus.tell(a_notice())
    assert await bus.beyond(0, 5) == 1


def test_the_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "notice.json"
    write_notice_file(path, a_notice(Kind.Rebalance, None))
    before = path.stat().st_ino
    write_notice_file(path, a_notice())
    assert path.stat().st_ino != before
    assert path.stat().st_mode & 0o777 == 0o660
    assert read_notice(json.loads(path.read_text())) == a_notice()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ([], "object"),
        ({"kind": "Boom"}, "Boom"),
        ({"kind": "Preempt", "observedAt": "yesterday"}, "yesterday"),
        ({"kind": "Preempt", "observedAt": "2026-01-01T00:00:00"}, "zone"),
        ({"kind": "Preempt", "observedAt": "2026-01-01T00:00:00Z", "deadline": "x"}, "x"),
    ],
)
def test_what_is_no_notice_is_refused(raw: object, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        read_notice(raw)
