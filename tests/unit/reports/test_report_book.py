"""The newest report of every pod, and how old it is by our own clock."""

from collections.abc import Awaitable, Callable

import pytest
from kit.clock import FakeClock, in_fake_time
from kit.reports import a_notice, a_report
from spot_operator.reports.book import ReportBook

Scenario = Callable[[FakeClock], Awaitable[None]]


def step(number: int) -> dict[str, object]:
    return {"registered": True, "step": number}


def test_ages_are_counted_from_receipt_and_from_the_last_change_of_the_step() -> None:
    async def scenario(clock: FakeClock) -> None:
        book = ReportBook(clock)
        book.put(a_report(sequence=1, trainer=step(7)))
        await clock.sleep(15)
        book.put(a_report(sequence=2, trainer=step(7)))
        await clock.sleep(5)
        view = book.view("pod-1")
        assert view is not None
        assert (view.age, view.step_age, view.step) == (5, 20, 7)
        book.put(a_report(sequence=3, trainer=step(8)))
        view = book.view("pod-1")
        assert view is not None
        assert (view.age, view.step_age, view.step) == (0, 0, 8)

    in_fake_time(scenario)


@pytest.mark.parametrize(
    ("silence", "age"), [(15, 30), (60, 75), (61, 75), (400, 75), (86_400, 75)]
)
def test_a_silence_is_no_standstill_of_the_trainer(silence: float, age: float) -> None:
    """A frozen node, a sidecar that is away for minutes: the trainer may have waited for it."""

    async def scenario(clock: FakeClock) -> None:
        book = ReportBook(clock)
        book.put(a_report(sequence=1, trainer=step(7)))
        await clock.sleep(15)
        book.put(a_report(sequence=2, trainer=step(7)))
        await clock.sleep(silence)
        book.put(a_report(sequence=3, trainer=step(7)))
        view = book.view("pod-1")
        assert view is not None
        assert (view.age, view.step_age) == (0, age)

    in_fake_time(scenario)


def test_what_is_kept_of_a_report_is_small_whatever_it_holds() -> None:
    """Any pod of any tenant fills one entry."""
    full = a_report(
        events=[
            {"type": "Normal", "reason": "A", "message": "x" * 5000, "at": "2026-01-01T00:00:00Z"}
        ]
        * 32,
        sources={
            f"{number}" * 4000: {"healthy": True, "detail": "y" * 5000} for number in range(10)
        },
        quarantined=[{"id": "z" * 200, "why": "z" * 5000}] * 16,
    )

    async def scenario(clock: FakeClock) -> None:
        book = ReportBook(clock)
        assert book.put(full)
        kept = book.latest("pod-1")
        assert kept is not None
        assert len(kept.model_dump_json()) < 32 * 1024

    assert len(full.events) == 32
    in_fake_time(scenario)


def test_a_new_phase_begins_to_count_anew() -> None:
    """An image that took long, a restore, an announced silence: no step was expected meanwhile."""

    async def scenario(clock: FakeClock) -> None:
        book = ReportBook(clock)
        phases: tuple[dict[str, object], ...] = (
            {"state": "Waiting", "trainer": step(0)},
            {"state": "Training", "trainer": step(0)},
            {"state": "Training", "trainer": {**step(0), "busy": "eval"}},
            {"state": "Training", "trainer": step(0)},
        )
        for sequence, phase in enumerate(phases):
            await clock.sleep(3600)
            book.put(a_report(sequence=sequence, **phase))
            view = book.view("pod-1")
            assert view is not None
            assert (view.step_age, view.commit_age) == (0, 0)

    in_fake_time(scenario)


def test_the_age_of_a_commit_goes_on_while_steps_are_made() -> None:
    async def scenario(clock: FakeClock) -> None:
        book = ReportBook(clock)
        commit = {
            "attempt": 1,
            "step": 7,
            "id": "a1-s7",
            "bytes": 1,
            "committedAt": "2026-01-01T00:00:00Z",
            "writeSeconds": 1.0,
        }
        for sequence in range(3):
            book.put(a_report(sequence=sequence, trainer=step(7 + sequence), commit=commit))
            await clock.sleep(10)
        view = book.view("pod-1")
        assert view is not None
        assert (view.step_age, view.commit_age) == (10, 30)
        book.put(a_report(sequence=9, trainer=step(9), commit={**commit, "id": "a1-s9"}))
        view = book.view("pod-1")
        assert view is not None
        assert (view.step_age, view.commit_age) == (10, 0)

    in_fake_time(scenario)


def test_the_age_of_the_word_is_counted_from_when_it_was_first_heard() -> None:
    async def scenario(clock: FakeClock) -> None:
        book = ReportBook(clock)
        book.put(a_report(sequence=1))
        await clock.sleep(15)
        view = book.view("pod-1")
        assert view is not None
        assert view.word_age is None
        word = {"word": "Finished", "reason": "", "at": "2026-01-01T00:00:00Z"}
        for sequence in (2, 3):
            book.put(a_report(sequence=sequence, word=word))
            await clock.sleep(15)
        view = book.view("pod-1")
        assert view is not None
        assert (view.age, view.word_age) == (15, 30)

    in_fake_time(scenario)


def test_an_older_report_never_replaces_a_newer_one() -> None:
    async def scenario(clock: FakeClock) -> None:
        book = ReportBook(clock)
        assert book.put(a_report(sequence=5, state="Draining"))
        assert not book.put(a_report(sequence=4))
        assert not book.put(a_report(sequence=5))
        latest = book.latest("pod-1")
        assert latest is not None
        assert latest.state == "Draining"

    in_fake_time(scenario)


def test_a_restarted_sidecar_counts_from_the_start_and_is_believed() -> None:
    async def scenario(clock: FakeClock) -> None:
        book = ReportBook(clock)
        book.put(a_report(sequence=50))
        assert book.put(a_report(sequence=1, startedAt="2026-01-01T00:09:00Z", state="Waiting"))
        assert not book.put(a_report(sequence=51))

    in_fake_time(scenario)


T0, T1 = "2026-01-01T00:09:00Z", "2026-01-01T00:00:00Z"
"""Starts by the node's clock; it was put back between them."""


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        pytest.param(
            ("a", 50, T0), ("b", 1, T1), True, id="restarted after the clock was put back"
        ),
        pytest.param(("a", 50, T0), ("b", 1, T0), True, id="restarted, its start remembered"),
        pytest.param(("a", 50, T0), ("a", 51, T1), True, id="put back amid a run"),
        pytest.param(("a", 50, T0), ("a", 50, T0), False, id="the same again"),
        pytest.param(("a", 50, T0), ("a", 49, T0), False, id="the one before, late"),
        pytest.param(("a", 50, T0), ("a", 1, T0), False, id="the first, late"),
        pytest.param(("", 50, T0), ("", 1, T1), True, id="older: restarted, clock put back"),
        pytest.param(("", 50, T0), ("", 1, T0), True, id="older: restarted, its start remembered"),
        pytest.param(("", 50, T0), ("", 49, T0), False, id="older: the one before, late"),
        pytest.param(("", 50, T0), ("b", 1, T1), True, id="another sidecar image by now"),
    ],
)
def test_reports_are_ordered_by_their_number(
    first: tuple[str, int, str], second: tuple[str, int, str], kept: bool
) -> None:
    async def scenario(clock: FakeClock) -> None:
        book = ReportBook(clock)
        for (run, number, began), new in ((first, True), (second, kept)):
            named = {"run": run} if run else {}
            assert book.put(a_report(sequence=number, startedAt=began, **named)) is new

    in_fake_time(scenario)


def test_what_comes_late_from_a_run_that_is_over_is_refused() -> None:
    async def scenario(clock: FakeClock) -> None:
        book = ReportBook(clock)
        assert book.put(a_report(run="a", sequence=7))
        assert book.put(a_report(run="b", sequence=1))
        assert not book.put(a_report(run="a", sequence=8))
        assert book.put(a_report(run="b", sequence=2))

    in_fake_time(scenario)


def test_pods_that_are_going_are_known_until_forgotten() -> None:
    async def scenario(clock: FakeClock) -> None:
        book = ReportBook(clock)
        book.put(a_report(sequence=1, notice=a_notice("Rebalance")))
        assert book.preempted_pods() == frozenset()
        book.put(a_report(sequence=2, notice=a_notice("Preempt")))
        assert book.preempted_pods() == {"pod-1"}
        book.forget("pod-1")
        assert book.preempted_pods() == frozenset()
        assert book.view("pod-1") is None

    in_fake_time(scenario)


def test_a_notice_in_the_last_word_of_a_pod_does_not_bar_its_node_for_ever() -> None:
    """The pod of a failed job is kept for its logs, and its node may come back."""

    async def scenario(clock: FakeClock) -> None:
        book = ReportBook(clock)
        book.put(a_report(sequence=1, notice=a_notice("Preempt")))
        await clock.sleep(300)
        assert book.preempted_pods() == {"pod-1"}
        await clock.sleep(301)
        assert book.preempted_pods() == frozenset()
        book.put(a_report(sequence=2, notice=a_notice("Preempt")))
        assert book.preempted_pods() == {"pod-1"}

    in_fake_time(scenario)


def test_the_book_is_bounded_and_drops_who_was_silent_longest() -> None:
    async def scenario(clock: FakeClock) -> None:
        book = ReportBook(clock, limit=2)
        for pod in ("a", "b"):
            book.put(a_report(podUID=pod))
        book.put(a_report(podUID="a", sequence=2, notice=a_notice()))
        book.put(a_report(podUID="c"))
        assert [book.latest(pod) is not None for pod in "abc"] == [True, False, True]
        assert len(book) == 2

    in_fake_time(scenario)
