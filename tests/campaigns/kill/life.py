"""A job's life under SIGKILLs at random instants, and what must hold after each of them."""

from __future__ import annotations

import collections
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from campaigns import trainer
from campaigns.kill.world import World, a_world
from campaigns.oracle import Order
from campaigns.pods import WAIT_SECONDS, WrongError, tail
from kit.zygote import Zygote

Victim = str
T = TypeVar("T")
POLL_SECONDS = 0.0003
PATIENCE_SECONDS = 3.0
"""How long a kill waits for the instant it is meant for."""
AWAY_SECONDS = 0.4
"""The longest that the server stays away."""
FINAL_STEPS = 5

VICTIMS: dict[Victim, int] = {
    "trainer": 3, "sidecar": 3, "committer": 4, "pod": 3, "server": 3, "server and sidecar": 1,
}  # fmt: skip
"""Who is killed, and how often in proportion. The committer is the sidecar between the last
receipt and the manifest; a pod's kill is a lost node."""
INSTANTS: dict[str, tuple[str, ...]] = {
    "trainer": ("any", "beginning", "data", "ready", "commits"),
    "sidecar": ("any", "beginning", "data", "commits", "choice", "post", "claim"),
    "committer": ("ready",),
    "pod": ("any", "beginning", "data", "ready", "commits", "choice", "post", "claim"),
    "server": ("any", "beginning", "data", "ready", "commits"),
    "server and sidecar": ("any", "ready"),
}
"""`any` time, at the `beginning` of an attempt, or when a document of that folder has appeared."""

EARLY = ("claim", "choice", "post")
"""These are written before the trainer begins; later they are no instants."""


@dataclass(slots=True)
class Account:
    """What a life showed. Everything in `wrong` is a broken promise, in words."""

    kills: collections.Counter[str] = field(default_factory=collections.Counter)
    counts: collections.Counter[str] = field(default_factory=collections.Counter)
    wrong: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        return {"kills": dict(self.kills), "counts": dict(self.counts), "wrong": self.wrong}


def live(zygote: Zygote, folder: Path, *, seed: int, kills: int) -> Account:
    """A job that is killed `kills` times and then completes."""
    chance = random.Random(seed)
    large = seed % 5 == 0
    account = Account()
    with a_world(
        zygote, folder, uid=f"job-{seed}",
        size=1_300_000 if large else chance.choice([500, 20_000, 100_000]),
        pause=0.02 if large else 0.004, interval=chance.choice([0.02, 0.1]),
    ) as world:  # fmt: skip
        life = Life(world, chance, account)
        try:
            life.lead(kills)
        except (WrongError, TimeoutError) as error:
            attempt = world.attempt
            logs = attempt.pod.folder if attempt else folder
            account.wrong.append(
                f"seed {seed}: {error}\n{tail(logs / 'sidecar.log')}\n{tail(logs / 'trainer.log')}"
            )
    return account


@dataclass(slots=True)
class Life:
    """Kills, restarts and judgements."""

    world: World
    chance: random.Random
    account: Account

    def lead(self, kills: int) -> None:
        """From the first attempt to the completion."""
        self.world.next_attempt()
        for _ in range(kills):
            self._kill()
        self._complete()

    def _kill(self) -> None:
        victim = self.chance.choices([*VICTIMS], [*VICTIMS.values()])[0]
        instant = self.chance.choice(INSTANTS[victim])
        if instant in EARLY and self.world.now.judged:
            instant = "any"
        if instant not in (*EARLY, "beginning"):
            self._judge_beginning()
        self._await(instant)
        self.account.kills[victim] += 1
        self.account.counts[f"at {instant}"] += 1
        self._count_window(victim)
        _STRIKES[victim](self)

    def _await(self, instant: str) -> None:
        """Wait for the instant, and then a little, at random."""
        if instant in ("any", "beginning"):
            time.sleep(self.chance.uniform(0, 0.3))
            return
        bucket, end = self.world.bucket, time.monotonic() + PATIENCE_SECONDS
        folder = f"{instant}/{self.world.now.number:08d}" if instant in EARLY else instant
        before = 0 if instant in EARLY else bucket.count(folder)
        while bucket.count(folder) == before and time.monotonic() < end:
            time.sleep(POLL_SECONDS)
        time.sleep(self.chance.choice([0, 0, 0.001, 0.003, 0.01]))

    def _count_window(self, victim: str) -> None:
        """How often a kill met a checkpoint that had its receipts and no manifest yet."""
        bucket = self.world.bucket
        if victim in ("committer", "pod", "sidecar") and bucket.orders() - bucket.committed():
            self.account.counts["between receipt and manifest"] += 1

    # -- what kubelet and operator do after each kill ----------------------------------------------

    def trainer(self) -> None:
        self.world.now.trainer.kill()
        self._go_on()

    def sidecar(self) -> None:
        self.world.now.sidecar.kill()
        self.world.restart_sidecar()

    def pod(self) -> None:
        """Both at once, the sidecar first or last."""
        first, second = self.world.now.sidecar, self.world.now.trainer
        if self.chance.random() < 0.5:
            first, second = second, first
        first.kill()
        second.kill()
        self._go_on()

    def server(self) -> None:
        self.world.server.die()
        time.sleep(self.chance.uniform(0, AWAY_SECONDS))
        self.world.server.come_back()

    def server_and_sidecar(self) -> None:
        self.world.server.die()
        self.world.now.sidecar.kill()
        self.world.server.come_back()
        self.world.restart_sidecar()

    def _go_on(self) -> None:
        """The trainer is gone: the pod ends, in its grace or at once; the next attempt begins."""
        if self.world.now.sidecar.poll() is None:
            self.world.drain()
        self.world.next_attempt()

    # -- what must hold ----------------------------------------------------------------------------

    def _judge_beginning(self) -> None:
        """Wait until the attempt has begun; it resumed the newest valid checkpoint, whole."""
        attempt = self.world.now
        if attempt.judged:
            return
        line = self._eventually("the attempt begins", lambda: attempt.said("resumed"))
        upper = self.world.upper()
        attempt.judged = True
        self.account.counts["beginnings judged"] += 1
        step, low, high = line["step"], _step(attempt.lower), _step(upper)
        if line["wrong"]:
            self._wrong(
                "wrong state", f"attempt {attempt.number} holds a wrong {line['wrong']} at {step}"
            )
        if not low <= step <= high:
            self._wrong(
                "not the newest", f"attempt {attempt.number} began at {step}, not {low}..{high}"
            )
        if self.world.bucket.tombstones():
            self._wrong("quarantined", f"attempt {attempt.number} quarantined what was whole")
        self.account.counts["resumed the newest"] += low <= step <= high
        self.account.counts["from a checkpoint"] += step > 0

    def _complete(self) -> None:
        """Left alone, the job ends with the state of a job that nothing ever happened to."""
        self._judge_beginning()
        attempt = self.world.now
        steps = [line["step"] for line in attempt.lines() if "step" in line]
        self.world.set_target(max(steps, default=0) + FINAL_STEPS)
        line = self._eventually("the job completes", lambda: attempt.said("complete"))
        self._eventually("the trainer ends", lambda: attempt.trainer.poll() is not None)
        self.account.counts["lives"] += 1
        self.account.counts["attempts"] += attempt.number
        self.account.counts["checkpoints"] += len(self.world.bucket.committed())
        same = line["digest"] == trainer.uninterrupted(self.world.size, line["step"])
        if attempt.trainer.code != 0 or not same:
            self._wrong("end state", f"exit {attempt.trainer.code}, bits the same: {same}")
        self.account.counts["ended bit-identical"] += same

    def _eventually(self, what: str, look: Callable[[], T | None]) -> T:
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end:
            if found := look():
                return found
            if self.world.now.trainer.poll() is not None and not (found := look()):
                raise WrongError(f"{what}: the trainer ended with {self.world.now.trainer.code}")
            time.sleep(0.003)
        raise WrongError(f"{what}: not within {WAIT_SECONDS:g} s")

    def _wrong(self, what: str, words: str) -> None:
        self.account.counts[f"wrong: {what}"] += 1
        self.account.wrong.append(f"{self.world.uid}: {words}")


_STRIKES: dict[Victim, Callable[[Life], None]] = {
    "trainer": Life.trainer,
    "sidecar": Life.sidecar,
    "committer": Life.sidecar,
    "pod": Life.pod,
    "server": Life.server,
    "server and sidecar": Life.server_and_sidecar,
}


def _step(order: Order | None) -> int:
    return order[1] if order else 0
