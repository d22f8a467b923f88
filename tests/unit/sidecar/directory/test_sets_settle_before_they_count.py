"""When a set counts, and when a script may start with the arguments that it has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from kit.filesets import as_seen, hugging_face, within, write
from spot_sidecar.directory.huggingface import HuggingFace
from spot_sidecar.directory.plain import Plain
from spot_sidecar.directory.scanner import Scanner, Settling
from spot_sidecar.directory.script_start import FRESH, RESUME, misfit
from spot_sidecar.directory.sets import FileSet, Format
from spot_sidecar.directory.tree import Tree
from spot_sidecar.resume.decision import Decision, Fresh, FromCheckpoint, Stop

FILES = as_seen({"s-1/a": b"1", "s-1/b": b"2"})
SET = FileSet("s-1", 1, FILES)


def grown(found: FileSet) -> FileSet:
    first, *others = found.files
    return replace(found, files=(replace(first, size=first.size + 1), *others))


def test_a_set_counts_once_it_has_stood_still() -> None:
    settling = Settling(5.0)
    assert settling.settled([SET], 0.0) == []
    assert settling.settled([SET], 4.9) == []
    assert settling.settled([SET], 5.0) == [SET]
    changed = grown(SET)
    assert settling.settled([changed], 6.0) == []
    assert settling.settled([changed], 11.0) == [changed]


def test_a_set_that_was_away_settles_again() -> None:
    settling = Settling(5.0)
    settling.settled([SET], 0.0)
    assert settling.settled([], 3.0) == []
    assert settling.settled([SET], 6.0) == []


def test_a_link_of_ours_is_no_change_of_the_scripts() -> None:
    settling = Settling(5.0)
    settling.settled([SET], 0.0)
    linked = replace(SET, files=tuple(replace(one, ctime=9, links=2) for one in SET.files))
    assert settling.settled([linked], 5.0) == [linked]


def test_the_newest_goes_first() -> None:
    newer = FileSet("s-2", 2, as_seen({"s-2/a": b"1"}))
    assert Settling(0.0).settled([SET, newer], 0.0) == [newer, SET]


def scanner(folder: Path, layout: Format, settle: float = 5.0) -> Scanner:
    return Scanner(Tree(folder), layout, settle)


def test_an_older_complete_set_is_taken_while_the_newer_is_not(tmp_path: Path) -> None:
    write(tmp_path, within("checkpoint-10", hugging_face(10)))
    write(tmp_path, within("checkpoint-20", {"config.json": b"{}"}))
    look = scanner(tmp_path, HuggingFace(), settle=0.0)
    found = look.newest(-1, 0.0)
    assert found is not None
    assert found.step == 10
    assert look.newest(10, 0.0) is None
    write(tmp_path, within("checkpoint-20", hugging_face(20)))
    newer = look.newest(10, 1.0)
    assert newer is not None
    assert newer.step == 20


@pytest.mark.parametrize(
    ("layout", "files", "taken"),
    [
        (HuggingFace(), within("checkpoint-1", hugging_face(1)), True),
        (Plain("DONE"), {"s-1/DONE": b""}, True),
        (Plain(), {"s-1/w": b"cut short?"}, False),
    ],
)
def test_at_the_end_only_what_shows_that_it_is_complete(
    tmp_path: Path, layout: Format, files: dict[str, bytes], taken: bool
) -> None:
    write(tmp_path, files)
    assert scanner(tmp_path, layout).newest(-1, 0.0) is None
    assert (scanner(tmp_path, layout).newest(-1, 0.0, ended=True) is not None) == taken


FOUND: Decision = FromCheckpoint(manifest=None, files=())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("decision", "promised", "by_arguments", "word"),
    [
        (Fresh(), False, True, ""),
        (Fresh(), True, True, FRESH),
        (Fresh(), True, False, ""),
        (FOUND, True, True, ""),
        (FOUND, False, True, RESUME),
        (FOUND, False, False, ""),
        (Stop("NoValidCheckpoint", "none"), True, True, ""),
        (None, True, True, ""),
    ],
)
def test_arguments_fit_what_was_decided_or_the_script_waits(
    decision: Decision | None, promised: bool, by_arguments: bool, word: str
) -> None:
    assert misfit(decision, promised=promised, by_arguments=by_arguments) == word
