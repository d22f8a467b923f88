"""A trainer that the kernel kills for its memory, beside a real sidecar: what is left of it.

The files of its cgroup are the test's own; that real ones are read so is shown on a node with
cgroup v2 (campaign `machine`).
"""

from __future__ import annotations

from pathlib import Path

from kit.sidecar import PodFolder, a_pod, eventually
from spot_training.backends.cgroup import hand_over
from spot_training.backends.session import Session

LIMIT = 100 * 2**20


class Trainer:
    """A process of the trainer, and the cgroup of its container."""

    def __init__(self, pod: PodFolder) -> None:
        self.events, self.pod = pod.folder / "cgroup" / "memory.events", pod
        self.events.parent.mkdir(exist_ok=True)
        (self.events.parent / "memory.max").write_text(f"{LIMIT}\n")
        (self.events.parent / "cgroup.events").write_text("populated 1\n")
        self.events.write_text("max 0\noom 0\noom_kill 0\n")
        self.session = Session(pod.socket, 0)
        assert self.hand_over()

    def hand_over(self) -> bool:
        """As each session does, of the real cgroup."""
        path = self.session.greeting().counters_path
        assert path is not None
        return hand_over(path, root=self.events.parent)

    def killed(self, oom: int, kill: int) -> None:
        with self.events.open("r+") as file:
            file.write(f"max 9\noom {oom}\noom_kill {kill}\n")

    def gone(self) -> None:
        self.session.close()


def expect_told(pod: PodFolder, *, ended: bool, oom: int, kill: int) -> None:
    """In the last word, as the operator reads it, and in a report."""

    def told() -> bool:
        found = pod.last_word().get("memory")
        return found is not None and (found["secondsBeforeEnd"] is not None) is ended

    eventually("the last word says so", told)
    found = pod.last_word()["memory"]
    assert (found["oom"], found["oomKill"], found["limitBytes"]) == (oom, kill, LIMIT)
    if ended:
        assert 0 <= found["secondsBeforeEnd"] < 10
    operator = pod.operator
    assert operator is not None
    eventually("a report says so", lambda: operator.find(lambda one: one.get("memory") == found))


def expect_alive(pod: PodFolder) -> None:
    """A sidecar that has begun since has the trainer's session."""
    operator = pod.operator
    assert operator is not None
    operator.reports.clear()
    eventually(
        "it knows that the trainer lives",
        lambda: operator.find(lambda one: one["trainer"]["registered"]),
    )


def test_the_kernels_counters_outlive_the_trainer(tmp_path: Path) -> None:
    with a_pod(tmp_path) as pod, pod.sidecar() as sidecar:
        trainer = Trainer(pod)
        trainer.killed(oom=1, kill=2)
        expect_told(pod, ended=False, oom=1, kill=2)
        trainer.gone()
        expect_told(pod, ended=True, oom=1, kill=2)
        sidecar.terminate()
        assert pod.last_word()["memory"]["oomKill"] == 2


def test_a_sidecar_that_restarts_is_given_them_again_and_forgets_nothing(tmp_path: Path) -> None:
    with a_pod(tmp_path) as pod:
        with pod.sidecar() as first:
            trainer = Trainer(pod)
            trainer.killed(oom=1, kill=1)
            expect_told(pod, ended=False, oom=1, kill=1)
            first.kill()
        with pod.sidecar():
            assert pod.last_word()["memory"]["oom"] == 1
            eventually("it is given them again", trainer.hand_over)
            expect_alive(pod)
            trainer.killed(oom=1, kill=3)
            trainer.gone()
            expect_told(pod, ended=True, oom=0, kill=2)


def test_a_trainer_that_goes_on_is_not_said_to_have_ended_by_it(tmp_path: Path) -> None:
    with a_pod(tmp_path) as pod, pod.sidecar():
        trainer = Trainer(pod)
        trainer.killed(oom=1, kill=1)
        trainer.gone()
        expect_told(pod, ended=True, oom=1, kill=1)
        again = Trainer(pod)
        expect_told(pod, ended=False, oom=1, kill=1)
        again.gone()
