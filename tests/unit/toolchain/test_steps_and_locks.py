"""Long steps are bounded and tell why they failed; two runs do not collide; what lands is whole."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from toolchain import commands
from toolchain.build import empty_folder, point
from toolchain.commands import Step, output_of, perform, succeeds
from toolchain.errors import StepError
from toolchain.locking import exclusive


def a_step(code: str, expected: float = 1) -> Step:
    return Step("step", [sys.executable, "-c", code], expected)


def test_a_steps_output_goes_to_its_log(tmp_path: Path) -> None:
    log = tmp_path / "logs/step.log"
    assert perform(a_step("print('made')"), log) >= 0
    assert log.read_text() == "made\n"


def test_a_failed_step_says_its_last_words_and_where_the_rest_is(tmp_path: Path) -> None:
    log = tmp_path / "step.log"
    code = "print(*range(100), sep='\\n'); print('no space left'); raise SystemExit(3)"
    with pytest.raises(StepError, match="step ended with 3") as failure:
        perform(a_step(code), log)
    text = str(failure.value)
    assert "no space left" in text
    assert str(log) in text
    assert len(text.splitlines()) == commands.SHOWN_LINES + 1


def test_a_step_that_does_not_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Step, "limit_seconds", property(lambda _step: 0.0))
    with pytest.raises(StepError, match="took longer than 0 s"):
        perform(a_step("import time; time.sleep(600)"), tmp_path / "step.log")


def test_a_program_that_is_not_there_is_an_error_of_ours() -> None:
    with pytest.raises(StepError, match="no-such-program"):
        output_of(["no-such-program"])
    assert not succeeds(["no-such-program"])
    assert succeeds([sys.executable, "-c", ""])


def test_a_second_run_waits_says_so_and_gives_up_in_the_end(tmp_path: Path) -> None:
    said: list[str] = []
    lock = tmp_path / "locks/build"
    with (
        exclusive(lock, said.append),
        pytest.raises(StepError, match="end that run first"),
        exclusive(lock, said.append, patience=0),
    ):
        raise AssertionError("two runs at once")
    assert said == [f"another run holds {lock}; waiting for it"]
    with exclusive(lock, said.append, patience=0):
        assert len(said) == 1


def test_a_link_is_replaced_and_relative(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for version in ("1", "2"):
        (tmp_path / version).write_text(version)
        point(tmp_path / "bin/tool", tmp_path / version)
    link = tmp_path / "bin/tool"
    assert link.read_text() == "2"
    assert str(link.readlink()) == "../2"
    assert [path.name for path in link.parent.iterdir()] == ["tool"]


def test_a_scratch_folder_starts_empty(tmp_path: Path) -> None:
    (tmp_path / "scratch/left").mkdir(parents=True)
    assert list(empty_folder(tmp_path / "scratch").iterdir()) == []
