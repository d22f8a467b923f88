"""Lineages made by real sidecars and real trainers, and attempts that resume from what is left.

A lineage is recorded once for each kind of store and copied for every case.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from campaigns.corruption.place import ROT, VOLUME, Place
from campaigns.oracle import order_of
from campaigns.pods import (
    PRELOADED,
    WAIT_SECONDS,
    Attempt,
    WrongError,
    expect_healthy,
    start_sidecar,
    start_trainer,
    tail,
)
from kit.sidecar import BUCKET, PodFolder, a_pod
from kit.stores import S3Server, s3_server
from kit.zygote import Child, Zygote, a_zygote
from spot_training.checkpoint import keys, records
from spot_training.checkpoint.manifest import Expired, Pin
from spot_training.checkpoint.pruning import delete_checkpoint
from spot_training.times import utc_now

Json = dict[str, Any]
T = TypeVar("T")

SMALL, LARGE = 10_000, 1_300_000
"""Elements of each of two arrays; the large ones are uploaded and verified in parts."""
RECORDED = {"plain": SMALL, "large": LARGE, "quarantined": SMALL, "completed": SMALL, "one": SMALL}
"""The lineages there are: three attempts of two checkpoints or more; the same large; with the
newest one quarantined by a fourth; completed; with a single checkpoint."""
ATTEMPTS = {"large": 2, "one": 1}
PAUSE_SECONDS = 0.005
WORD_SECONDS = 3.0
"""How long after a trainer's end its sidecar's word is waited for."""
SIDECAR = "spot_sidecar.__main__:main"


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of an attempt: `word` is `resumed`, or what the sidecar said when it stopped."""

    attempt: int
    node: str
    word: str
    step: int = -1
    chosen: str | None = None
    """The checkpoint; None: none, or from zero."""
    wrong: tuple[str, ...] = ()
    """What of the loaded state does not belong to `step`."""
    said: str = ""


@dataclass(slots=True)
class Site:
    """The stores, and the processes that work on them."""

    folder: Path
    zygote: Zygote
    server: S3Server
    _recorded: dict[tuple[str, str], Path] = field(default_factory=dict)
    _cases: int = 0

    @property
    def mount(self) -> Path:
        return self.folder / "mount"

    @contextlib.contextmanager
    def case(self, kind: str, recorded: str) -> Iterator[Case]:
        """A copy of a recorded lineage, for one case."""
        self._cases += 1
        place = Place(kind, f"case-{self._cases}", self.server, self.mount)
        place.copy_from(self._record(VOLUME if kind == VOLUME else ROT, recorded))
        case = Case(self, place, RECORDED[recorded], self.folder / place.uid)
        try:
            yield case
        finally:
            place.remove()
            shutil.rmtree(case.folder, ignore_errors=True)

    def _record(self, kind: str, name: str) -> Path:
        if (kind, name) not in self._recorded:
            place = Place(kind, f"recorded-{name}", self.server, self.mount)
            case = Case(self, place, RECORDED[name], self.folder / f"{kind}-{name}")
            _record(case, name)
            self._recorded[kind, name] = place.root
        return self._recorded[kind, name]


@dataclass(slots=True)
class Case:
    """One job on its lineage; attempts go on in number where the lineage ends."""

    site: Site
    place: Place
    size: int
    folder: Path
    attempts: int = field(init=False)

    def __post_init__(self) -> None:
        claims = [path for path in (self.place.root / "claim").glob("*") if path.is_dir()]
        self.attempts = max((int(path.name) for path in claims), default=0)

    @contextlib.contextmanager
    def pod(
        self, *, node: str = "node-a", newest: Json | None = None, **config: Any
    ) -> Iterator[PodFolder]:
        """The next attempt's pod, granted; nothing runs in it yet."""
        self.attempts += 1
        options: Json = {"interval": 300.0, "stagingBytes": 192 * 2**20, "with_operator": False}
        options |= self.place.pod_options() | config
        with a_pod(self.folder / str(self.attempts), attempt=self.attempts, **options) as pod:
            pod.uid, pod.node = f"pod-{self.attempts}", node
            pod.grant(newest=newest)
            yield pod

    @contextlib.contextmanager
    def running(self, pod: PodFolder, *, program: str = SIDECAR) -> Iterator[Attempt]:
        """A sidecar and a trainer in the pod; both get SIGKILL at the end."""
        with self.sidecar(pod, program=program) as sidecar:
            trainer = self.trainer(pod)
            try:
                yield Attempt(pod.config["attempt"], pod, sidecar, trainer, None)
            finally:
                trainer.kill()

    @contextlib.contextmanager
    def sidecar(self, pod: PodFolder, *, program: str = SIDECAR) -> Iterator[Child]:
        """A sidecar alone, healthy."""
        sidecar = start_sidecar(self.site.zygote, pod, program)
        try:
            expect_healthy(pod, sidecar)
            yield sidecar
        finally:
            sidecar.kill()

    def trainer(self, pod: PodFolder) -> Child:
        argv = [str(self.size), str(PAUSE_SECONDS), str(self.folder / "target")]
        return start_trainer(self.site.zygote, pod, argv)

    def resume(
        self, *, node: str = "node-a", program: str = SIDECAR, through: str = "", **options: Any
    ) -> Ending:
        """One attempt, until it has begun or was stopped; `through` a proxy at that URL."""
        with self.pod(node=node, **options) as pod:
            if through:
                pod.config["store"]["s3"]["endpointURL"] = through
            with self.running(pod, program=program) as attempt:
                return self.ending(attempt)

    def ending(self, attempt: Attempt) -> Ending:
        """Wait until the attempt has begun or was stopped."""
        number, node = attempt.number, attempt.pod.node

        def begun() -> Ending | None:
            ended = attempt.trainer.poll() is not None
            if line := attempt.said("resumed"):
                chosen = self.place.seen.chosen(number)
                return Ending(number, node, "resumed", line["step"], chosen, tuple(line["wrong"]))
            return self._stopped(attempt) if ended else None

        return self.eventually(f"attempt {number} begins or stops", begun, attempt.pod)

    def _stopped(self, attempt: Attempt) -> Ending:
        """The trainer was sent away by a word; or it failed, and there is none."""
        pod = attempt.pod

        def told() -> Json | None:
            found = pod.last_word()
            return found if found.get("word") else None

        try:
            word = self.eventually("a word", told, pod, seconds=WORD_SECONDS)
        except WrongError:
            log = tail(pod.folder / "trainer.log")
            return Ending(attempt.number, pod.node, "the trainer failed", said=log)
        return Ending(attempt.number, pod.node, word["word"], said=word["reason"])

    def eventually(
        self,
        what: str,
        look: Callable[[], T | None],
        pod: PodFolder,
        *,
        seconds: float = WAIT_SECONDS,
    ) -> T:
        """The first true result of `look`; raises WrongError, with the pod's logs."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := look():
                return found
            time.sleep(0.005)
        logs = "\n".join(tail(pod.folder / f"{name}.log") for name in ("sidecar", "trainer"))
        raise WrongError(f"{what}: not within {seconds:g} s\n{logs}")

    def train(self, commits: int, *, complete: bool = False, **options: Any) -> None:
        """An attempt that commits so often, and then loses its node, or completes."""
        with (
            self.pod(interval=0.02, with_operator=complete, **options) as pod,
            self.running(pod) as attempt,
        ):
            self.eventually("commits", lambda: self.commits() >= commits, pod)
            if complete:
                (self.folder / "target").write_text("0")
                self.eventually("the end", lambda: attempt.trainer.poll() is not None, pod)

    def commits(self) -> int:
        """How many checkpoints this attempt has committed."""
        return sum(attempt == self.attempts for attempt, _ in self.place.seen.committed())


@contextlib.contextmanager
def a_site(folder: Path) -> Iterator[Site]:
    """Runs the server and the process to fork from."""
    (folder / "mount").mkdir()
    with (
        a_zygote(*PRELOADED, "campaigns.corruption.bad_memory") as zygote,
        s3_server(folder) as server,
    ):
        server.make_bucket(BUCKET)
        yield Site(folder, zygote, server)


def origin(id_: str | None) -> Json | None:
    """A checkpoint as the operator's status records it."""
    if id_ is None:
        return None
    attempt, step = order_of(id_)
    return {"attempt": attempt, "step": step, "id": id_}


def _record(case: Case, name: str) -> None:
    for number in range(1, ATTEMPTS.get(name, 3) + 1):
        last = number == ATTEMPTS.get(name, 3)
        case.train(1 if name == "one" else 2, complete=last and name == "completed")
    if name == "one":
        for id_ in case.place.seen.valid_ids()[1:]:
            delete_checkpoint(case.place.store(), id_)
    seen = case.place.seen
    _keep_and_expire(case, seen.valid_ids())
    if name == "quarantined":
        newest, before, *_ = seen.valid_ids()
        path = next((case.place.root / "data" / newest).iterdir())
        case.place.put(path, path.read_bytes()[:-1] + b"\xff")
        ending = case.resume(node="node-of-old")
        if ending.chosen != before or not seen.tombstones():
            raise WrongError(f"the lineage cannot be recorded: {ending}")


def _keep_and_expire(case: Case, ids: list[str]) -> None:
    """A person's pins on all, and retention's word on the oldest."""
    store, at = case.place.store(), utc_now().isoformat().replace("+00:00", "Z")
    for id_ in ids:
        store.create(keys.pin(id_), records.dump(Pin(id=id_, by="a person", why="it stays", at=at)))
    given_up = Expired(id=ids[-1], attempt=case.attempts, why="newer ones are kept", at=at)
    store.create(keys.expired(ids[-1]), records.dump(given_up))
