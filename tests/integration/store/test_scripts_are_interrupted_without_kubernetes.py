"""`spot-training run` and `verify` with real processes and real kills."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from kit.commands import Said, Shell, flip
from spot_training import steplog
from spot_training.checkpoint import keys
from spot_training.checkpoint.stores.directory import DirectoryStore
from spot_training.cli.run.supervise import STEPS

EXAMPLE = Path(__file__).parents[3] / "examples" / "numpy_local" / "train.py"

SCRIPT = """
import sys, time
import numpy as np
import spot_training as spot

w = np.zeros(16)
run = spot.resume(arrays={"w": w}, seed=3)
for epoch in run.epochs(4):
    for rows in run.batches(spot.ShuffledBatches(320, batch_size=4, seed=3)):
        w += run.rng.standard_normal(16) * rows.mean() BIAS
        time.sleep(0.01)
        run.step(loss=float(w.sum()))
run.complete()
"""


def script(folder: Path, *, bias: str = "") -> str:
    path = folder / "train.py"
    path.write_text(SCRIPT.replace("BIAS", bias))
    return str(path)


def spot_training(*arguments: str | Path, cwd: Path) -> Said:
    """The command as its own process."""
    done = subprocess.run(
        [sys.executable, "-m", "spot_training.cli", *map(str, arguments)],
        cwd=cwd, env=environment(), capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    return Said(done.returncode, done.stdout, done.stderr)


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SPOT_")}
    return kept | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}


def test_the_example_is_killed_until_it_completes(tmp_path: Path) -> None:
    said = spot_training(
        "run", "--kill-every", "4s", "--jitter", "0.2", "--max-kills", "1", "--seed", "5",
        "--lineage", tmp_path / "run", "--", sys.executable, EXAMPLE, "0.006", cwd=tmp_path,
    )  # fmt: skip
    assert said.code == 0, said.err
    told = [line for line in said.err.splitlines() if line.startswith("spot-training run:")]
    assert "killed (SIGKILL) after 3.2 to 4.8 s" in told[0]
    assert "seed 5" in told[1]
    assert "attempt 1 begins from zero" in told[2]
    assert "killed at step" in told[3]
    assert "attempt 2 resumes at step" in told[4]
    assert "1 interruption, 1 resume, 2 starts" in told[-4]
    assert told[-3].split(": ")[1].startswith("1,280 steps, ")
    store = DirectoryStore(tmp_path / "run")
    assert len(store.list(keys.MARKERS)) == 1


@pytest.mark.parametrize("how", ["TERM", "notice"])
def test_a_warning_lets_it_save_and_replays_nothing(tmp_path: Path, how: str) -> None:
    said = spot_training(
        "run", "--kill-every", "2.5s", "--jitter", "0", "--max-kills", "1", "--signal", how,
        "--grace", "20s", "--lineage", "run", "--", sys.executable, script(tmp_path), cwd=tmp_path,
    )  # fmt: skip
    assert said.code == 0, said.err
    assert "paused at step" in said.err
    assert "1 interruption, 1 resume, 2 starts" in said.err
    assert "320 steps, 0 of them done again" in said.err


def test_interrupted_equals_uninterrupted(tmp_path: Path) -> None:
    said = spot_training(
        "verify", "--kill-every", "2.5s", "--jitter", "0.1", "--kills", "1", "--keep", "both",
        "--", sys.executable, script(tmp_path), cwd=tmp_path,
    )  # fmt: skip
    assert said.code == 0, said.err
    assert said.lines[-1] == "A and B are bit-identical"
    assert "1 of 1 tensor bit-identical" in said.lines
    assert any(line.startswith("320 steps compared") for line in said.lines)
    steps = steplog.read(tmp_path / "both" / "interrupted" / STEPS)
    assert len({line.attempt for line in steps}) > 1


def test_a_script_that_depends_on_its_process_is_found_out(tmp_path: Path) -> None:
    said = spot_training(
        "verify", "--kill-every", "2.5s", "--jitter", "0.1", "--kills", "1",
        "--", sys.executable, script(tmp_path, bias="+ (1e-9 if run.attempt > 1 else 0)"),
        cwd=tmp_path,
    )  # fmt: skip
    assert said.code == 1, said.err
    assert "0 of 1 tensor bit-identical" in said.lines
    assert any("values differ, first at [0]" in line for line in said.lines)
    assert any("is the first that differs" in line for line in said.lines)
    assert any("state outside of resume()" in line for line in said.lines)


def test_a_run_that_was_never_resumed_proves_nothing(tmp_path: Path) -> None:
    said = spot_training(
        "verify", "--kill-every", "0.5s", "--jitter", "0", "--kills", "1",
        "--", sys.executable, "-c",
        SCRIPT.replace("BIAS", "").replace("seed=3)\nfor", "seed=3, interval=60)\nfor"),
        cwd=tmp_path,
    )  # fmt: skip
    assert said.code == 1
    assert "nothing is proved: no start resumed from a checkpoint" in said.err


def test_what_starts_slowly_is_killed_while_it_trains(tmp_path: Path) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text("import time\ntime.sleep(2)\n" + SCRIPT.replace("BIAS", ""))
    said = spot_training(
        "verify", "--kills", "1", "--jitter", "0", "--", sys.executable, slow, cwd=tmp_path
    )
    assert said.code == 0, said.err
    assert "killed before it began" not in said.err
    assert "attempt 2 resumes at step" in said.err
    assert said.lines[-1] == "A and B are bit-identical"


@pytest.mark.parametrize(
    ("body", "code", "why"),
    [
        ("spot.refuse('no labels')", 93, "the script refused"),
        ("sys.exit(7)", 7, "it failed 2 times"),
        ("pass", 1, "never called run.complete()"),
    ],
)
def test_its_own_end_is_told_from_ours(tmp_path: Path, body: str, code: int, why: str) -> None:
    source = f"""
        import sys
        import numpy as np
        import spot_training as spot
        run = spot.resume(arrays={{"w": np.zeros(2)}})
        {body}
    """
    said = spot_training(
        "run", "--max-failures", "1", "--lineage", "run", "--",
        sys.executable, "-c", textwrap.dedent(source), cwd=tmp_path,
    )  # fmt: skip
    assert (said.code, why in said.err) == (code, True), said.err


def test_a_script_that_keeps_its_state_elsewhere_is_told(tmp_path: Path) -> None:
    said = spot_training(
        "run", "--lineage", "run", "--", sys.executable, "-c", "print('hello')", cwd=tmp_path
    )
    assert said.code == 1
    assert "give that as --lineage" in said.err


def test_what_cannot_be_started_is_refused(tmp_path: Path) -> None:
    missing = spot_training("run", "--lineage", "x", "--", "/no/such/program", cwd=tmp_path)
    assert (missing.code, "cannot be started" in missing.err) == (2, True)
    nothing = spot_training("run", cwd=tmp_path)
    assert (nothing.code, "behind --" in nothing.err) == (2, True)


def test_ctrl_c_ends_the_script_and_all_it_started(tmp_path: Path) -> None:
    source = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "open('pids', 'w').write(str(child.pid) + ' ')\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "spot_training.cli", "run", "--lineage", "run", "--",
         sys.executable, "-c", source],
        cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    pids = tmp_path / "pids"
    expect(lambda: pids.exists() and pids.read_text().endswith(" "))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted; the script is ended" in err
    child = Path(f"/proc/{int(pids.read_text())}")
    expect(lambda: not child.exists() or "State:\tZ" in (child / "status").read_text())


def test_two_lineages_are_compared(tmp_path: Path, shell: Shell) -> None:
    for name in ("one", "two"):
        done = subprocess.run(
            [sys.executable, str(EXAMPLE), "0"], check=True, capture_output=True,
            env=environment() | {"SPOT_DIR": str(tmp_path / name)}, timeout=60,
        )  # fmt: skip
        assert b"weights" in done.stdout
    completed = spot_training("run", "--lineage", "one", "--", "true", cwd=tmp_path)
    assert (completed.code, "was completed" in completed.err) == (1, True)
    said = shell("verify", tmp_path / "one", tmp_path / "two")
    assert (said.code, said.lines[-1]) == (0, "A and B are bit-identical")
    (data,) = (tmp_path / "two" / "data").rglob("*001280*/*.safetensors")
    flip(data, data.stat().st_size // 2)
    damaged = shell("verify", tmp_path / "one", tmp_path / "two")
    assert damaged.code == 1
    assert "do not match their digest" in damaged.err


def expect(condition: object, seconds: float = 20.0) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)
