"""Whatever the sources say and in whatever order: properties of the notice in force."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from spot_sidecar.notices.bus import NoticeBus
from spot_sidecar.notices.notice import Kind, Notice, read_notice

NOW = datetime(2026, 1, 1, tzinfo=UTC)
notices = st.builds(
    Notice,
    kind=st.sampled_from(Kind),
    source=st.sampled_from(["imds", "operator", "drain"]),
    observed_at=st.just(NOW),
    deadline=st.none()
    | st.integers(min_value=-600, max_value=3600).map(lambda s: NOW + timedelta(seconds=s)),
    raw=st.text(max_size=600),
)


@given(st.lists(notices, min_size=1))
def test_the_deadline_is_the_earliest_and_the_kind_the_highest(heard: list[Notice]) -> None:
    bus = NoticeBus()
    for notice in heard:
        bus.tell(notice)
    in_force = bus.in_force
    assert in_force is not None
    deadlines = [notice.deadline for notice in heard if notice.deadline]
    assert in_force.deadline == min(deadlines, default=None)
    assert in_force.kind == max(notice.kind for notice in heard)


@given(st.lists(notices, min_size=1))
def test_saying_everything_twice_changes_nothing(heard: list[Notice]) -> None:
    bus = NoticeBus()
    for notice in heard:
        bus.tell(notice)
    sequence, in_force = bus.sequence, bus.in_force
    assert not any(bus.tell(notice) for notice in heard)
    assert (bus.sequence, bus.in_force) == (sequence, in_force)


@given(notices)
def test_the_wire_form_reads_back(notice: Notice) -> None:
    again = read_notice(notice.to_json())
    assert (again.kind, again.source, again.deadline) == (
        notice.kind,
        notice.source,
        notice.deadline,
    )
    assert notice.raw.startswith(again.raw)
