"""The kubelet's file of annotations: Go's quoting, and changes seen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from kit.clock import FakeClock, HandClock, in_fake_time
from kit.sidecar import write_annotations
from spot_sidecar.base.clock import SystemClock
from spot_sidecar.notices.notice import Kind, Notice
from spot_sidecar.operator_link.annotations import AnnotationReader
from spot_sidecar.operator_link.downward_api import read_annotations, unquote, watch_annotations
from spot_sidecar.operator_link.grant import Grant, GrantWatcher, read_grant
from spot_sidecar.state.attempt_state import Origin
from spot_sidecar.state.pod_journal import PodJournal


@pytest.mark.parametrize(
    ("quoted", "plain"),
    [
        (r"a\nb", "a\nb"),
        (r"\"x\"", '"x"'),
        (r"back\\slash", r"back\slash"),
        (r"\\n", r"\n"),
        (r"é", "é"),
        (r"\u00e9\U0001f600", "é😀"),
        (r"\x00\x7f", "\x00\x7f"),
        (r"\xe2\x82\xac", "€"),
        (r"\xff", "\ufffd"),
        (r"\t\r\a\b\f\v", "\t\r\a\b\f\v"),
    ],
)
def test_go_quoting_is_undone(quoted: str, plain: str) -> None:
    assert unquote(quoted) == plain


def test_a_file_as_the_kubelet_writes_it() -> None:
    text = 'kubernetes.io/config.seen="2026-01-01T00:00:00Z"\nx="{\\"a\\": \\"b=c\\"}"\nbroken\n'
    assert read_annotations(text) == {
        "kubernetes.io/config.seen": "2026-01-01T00:00:00Z",
        "x": '{"a": "b=c"}',
    }


def test_the_first_sight_and_every_change_are_told(tmp_path: Path) -> None:
    path = tmp_path / "annotations"
    seen: list[Mapping[str, str]] = []

    async def scenario(clock: FakeClock) -> None:
        watch = asyncio.create_task(watch_annotations(path, clock, seen.append))
        await clock.sleep(2)
        for value in ("1", "2"):
            write_annotations(path, {"a": value})
            await clock.sleep(2)
        watch.cancel()

    in_fake_time(scenario)
    assert seen == [{"a": "1"}, {"a": "2"}]


def test_a_grant_is_read_whole() -> None:
    text = json.dumps(
        {
            "attempt": 3,
            "newest": {"attempt": 2, "step": 400, "id": "x"},
            "suspects": ["y"],
            "startFresh": True,
        }
    )
    assert read_grant(text) == Grant(3, Origin(2, 400, "x"), ("y",), start_fresh=True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"attempt":"x"}',
        '{"attempt":1,"newest":{}}',
        '{"attempt":1e999}',
        '{"attempt":' * 5000,
    ],
)
def test_what_is_no_grant_grants_nothing(text: str) -> None:
    grants = GrantWatcher(1, start_fresh=False)
    grants.read({"spottraining.dev/grant": text})
    assert grants.grant is None


def test_a_grant_for_another_attempt_counts_for_nothing() -> None:
    grants = GrantWatcher(2, start_fresh=False)
    grants.read({"spottraining.dev/grant": '{"attempt":1}'})
    assert grants.grant is None
    grants.read({"spottraining.dev/grant": '{"attempt":2}'})
    assert grants.grant == Grant(2)


def test_each_annotation_reaches_whom_it_is_for(tmp_path: Path) -> None:
    told: list[Notice] = []
    bundles: list[str | None] = []
    grants = GrantWatcher(1, start_fresh=True)
    ends: list[bool] = []
    reader = AnnotationReader(
        grants=grants,
        clock=SystemClock(),
        journal=PodJournal(tmp_path / "memory"),
        tell=told.append,
        trust=bundles.append,
        ended=lambda: ends.append(True),
    )
    notice = {"kind": "Maintenance", "source": "operator", "observedAt": "2026-01-01T00:00:00Z"}
    reader.read(
        {
            "spottraining.dev/grant": '{"attempt":1}',
            "spottraining.dev/notice": json.dumps(notice),
            "spottraining.dev/ca": "PEM",
        }
    )
    assert ends == []
    reader.read(
        {
            "spottraining.dev/notice": "not JSON",
            "spottraining.dev/trainer-ended": "2026-01-01T00:00:00Z",
        }
    )
    assert ends == [True]
    assert grants.grant == Grant(1, start_fresh=True)
    assert [one.kind for one in told] == [Kind.Maintenance]
    assert bundles == ["PEM", None]
    assert SystemClock().now().tzinfo is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "?",
        "null",
        "[" * 5000,
        '{"kind":["Preempt"],"observedAt":"2026-01-01T00:00:00Z"}',
        '{"kind":"Preempt","observedAt":1e999}',
        '{"kind":"Preempt","observedAt":"0001-01-01T00:00:00Z","deadline":"9999-12-31T23:59:59Z"}',
    ],
)
def test_whatever_stands_in_the_annotation_the_sidecar_lives(tmp_path: Path, text: str) -> None:
    bundles: list[str | None] = []
    reader = AnnotationReader(
        grants=GrantWatcher(1, start_fresh=False),
        clock=HandClock(),
        journal=PodJournal(tmp_path / "memory"),
        tell=lambda _: None,
        trust=bundles.append,
        ended=lambda: None,
    )
    for _ in range(2):
        reader.read({"spottraining.dev/notice": text, "spottraining.dev/ca": "PEM"})
    assert bundles == ["PEM", "PEM"]


@pytest.mark.parametrize(
    ("ahead", "left"),
    [
        pytest.param(0.0, 30.0, id="the same clock"),
        pytest.param(-3.0, 33.0, id="all but the same"),
        pytest.param(90.0, -60.0, id="a kubelet that looked late"),
        pytest.param(600.0, 30.0, id="ten minutes ahead"),
        pytest.param(-600.0, 30.0, id="ten minutes behind"),
        pytest.param(-86_400.0, 30.0, id="a day behind"),
    ],
)
def test_a_deadline_is_as_far_off_on_a_node_whose_clock_is_wrong(
    tmp_path: Path, ahead: float, left: float
) -> None:
    """The operator gives thirty seconds; the container is restarted ten seconds later."""

    def told_at(clock: HandClock) -> float:
        told: list[Notice] = []
        reader = AnnotationReader(
            grants=GrantWatcher(1, start_fresh=False),
            clock=clock,
            journal=PodJournal(tmp_path / "memory"),
            tell=told.append,
            trust=lambda _: None,
            ended=lambda: None,
        )
        reader.read({"spottraining.dev/notice": json.dumps(notice)})
        assert told[0].deadline is not None
        return (told[0].deadline - clock.now()).total_seconds()

    clock = HandClock()
    observed = clock.now() - timedelta(seconds=ahead)
    notice = {
        "kind": "Preempt",
        "source": "operator",
        "observedAt": observed.isoformat(),
        "deadline": (observed + timedelta(seconds=30)).isoformat(),
    }
    assert told_at(clock) == left
    clock.step(10)
    assert told_at(clock) == left - 10
