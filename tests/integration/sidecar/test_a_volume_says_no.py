"""A volume that may not be written, or is full: reported with its remedy, waited for, no crash."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from kit.sidecar import PodFolder, SidecarProcess, a_pod, eventually, lineage_in
from kit.trainer_process import a_trainer
from spot_training.checkpoint import keys, selection, verify
from spot_training.checkpoint.stores.directory import DirectoryStore

USER = 65532
"""The sidecar's user and group in a pod; root needs a capability less to be held by permissions."""
AS_IN_A_POD = (
    "setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups",
    "--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search",
)  # fmt: skip
"""It may look everywhere, as at the checkout and the test's own folders, and write only what it
is given."""


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    found = tmp_path / "volume"
    found.mkdir(mode=0o755)
    return found


def problem_of(pod: PodFolder) -> dict[str, str] | None:
    reports = pod.operator.reports if pod.operator else []
    found: dict[str, str] | None = reports[-1]["problem"] if reports else None
    return found


def expect_problem(pod: PodFolder, kind: str, *said: str) -> None:
    def told() -> bool:
        problem = problem_of(pod)
        return bool(
            problem
            and problem["kind"] == kind
            and all(words in problem["message"] for words in said)
        )

    eventually(f"{kind}: {said}", told)


def expect_no_problem(pod: PodFolder) -> None:
    eventually("no problem any more", lambda: problem_of(pod) is None)


def give_to_user(folder: Path) -> None:
    """What a kubelet makes for the pod belongs to the pod's user."""
    for found in (folder, *folder.rglob("*")):
        os.chown(found, USER, USER)


def test_the_group_of_the_sidecar_is_all_that_the_volume_needs_to_let_in(
    folder: Path, volume: Path
) -> None:
    """The report says whom the directory must be given to; nothing has to be restarted then."""
    with a_pod(folder / "pod", volume=volume, interval=0.1) as pod:
        pod.grant()
        if os.geteuid() == 0:
            give_to_user(pod.folder)
            pod.launcher = AS_IN_A_POD
            user = USER
        else:
            volume.chmod(0o555)
            user = os.geteuid()
        with pod.sidecar() as sidecar:
            expect_problem(pod, "StoreDenied", "fsGroup to 65532", f"user {user} ")
            assert list(volume.iterdir()) == []
            if user == USER:  # as docs/jobs.md says
                os.chown(volume, 0, USER)
                volume.chmod(0o2775)
            else:
                volume.chmod(0o755)
            store = lineage_in(volume)
            eventually("the claim", lambda: store.root.is_dir() and store.list(keys.CLAIMS))
            expect_no_problem(pod)
            assert store.root.stat().st_uid == user
            assert sidecar.process.poll() is None


@dataclass(frozen=True, slots=True)
class SmallVolume:
    """A file system of its own in the sidecar's mount namespace; it goes with the process."""

    sidecar: SidecarProcess
    path: Path

    @property
    def seen(self) -> Path:
        """Where this process sees it."""
        return Path(f"/proc/{self.sidecar.process.pid}/root") / self.path.relative_to("/")

    def enlarge(self, size: str) -> None:
        inside = ["nsenter", f"--mount=/proc/{self.sidecar.process.pid}/ns/mnt"]
        command = [*inside, "mount", "-o", f"remount,size={size}", str(self.path)]
        subprocess.run(command, check=True)


def mounting(path: Path, size: str) -> tuple[str, ...]:
    """Starts what follows with a new file system of this size at `path`."""
    script = 'mount -t tmpfs -o "size=$1" tmpfs "$2" && shift 2 && exec "$@"'
    return (
        "unshare",
        "--mount",
        "--propagation=private",
        "sh",
        "-c",
        script,
        "sh",
        size,
        str(path),
    )


@contextlib.contextmanager
def small_volume(pod: PodFolder, path: Path, size: str) -> Iterator[SmallVolume]:
    pod.launcher = mounting(path, size)
    with pod.sidecar() as sidecar:
        yield SmallVolume(sidecar, path)


def expect_whole(store: DirectoryStore) -> int:
    """What can be seen of checkpoints is whole: of data that nothing names, too; how many are."""
    for key in store.list(keys.DATA):
        assert store.stat(key).size >= 8 * NUMBERS
    for key in store.list(keys.RECEIPTS):
        assert store.read(key).endswith(b"}")
    commits = [str(keys.parse_commit(key)) for key in store.list(keys.COMMITS)]
    for checkpoint in commits:
        assert isinstance(verify.verdict(store, checkpoint, node="any"), selection.Good)
    return len(commits)


NUMBERS = 200_000
"""1.6 MB each: a volume of 4 MiB holds two checkpoints."""


def later(look: Callable[[], int], than: int) -> Callable[[], bool]:
    return lambda: look() > than


def test_a_full_volume_costs_checkpoints_only_until_there_is_room(
    folder: Path, volume: Path
) -> None:
    with a_pod(folder / "pod", volume=volume, interval=0.1) as pod:
        pod.grant()
        with (
            small_volume(pod, volume, "4m") as small,
            a_trainer(pod, steps=100_000, pause=0.01, size=NUMBERS) as trainer,
        ):
            expect_problem(pod, "StoreUnreachable", "No space left", "enlarge the volume")
            store = lineage_in(small.seen)
            before = expect_whole(store)
            assert before >= 1
            reached = len(trainer.steps())
            eventually("training goes on", later(lambda: len(trainer.steps()), reached + 20))
            assert expect_whole(store) == before
            small.enlarge("64m")
            eventually("commits go on", later(lambda: expect_whole(store), before))
            expect_no_problem(pod)
            drafts = store.root / ".tmp"
            trainer.kill()
            eventually("no draft is left", lambda: not any(drafts.iterdir()))
            assert small.sidecar.process.poll() is None
