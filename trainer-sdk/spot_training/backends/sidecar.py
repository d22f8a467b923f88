"""Beside a sidecar: arenas, uploads and decisions are its work; this is the trainer's end."""

from __future__ import annotations

import mmap
import os
import threading
import time
from pathlib import Path
from typing import Any

from spot_training.backends import container
from spot_training.backends.backend import (
    Beginning,
    Done,
    Fresh,
    Halt,
    Lent,
    Restore,
    Ticket,
    let_go,
)
from spot_training.backends.session import Session
from spot_training.backends.socket_http import SidecarError, SidecarGone, SocketClient
from spot_training.checkpoint import records
from spot_training.checkpoint.arena import Arena, Control
from spot_training.checkpoint.manifest import Manifest
from spot_training.exits import tell
from spot_training.notices import DEFAULT_GRACE, Notice, NoticeFile, SigtermTrap, Watch
from spot_training.progress import Progress, ProgressWriter
from spot_training.snapshots import SnapshotFacts

POLL_SECONDS = 20
DEFAULT_INTERVAL = 300.0  # until the sidecar has said how often to save
_PROCESS = 0  # one process per pod


class SidecarBackend:
    """One process's end of the sidecar's socket."""

    def __init__(self, socket: Path, *, rank: int) -> None:
        self.rank = rank
        self.attempt = int(os.environ.get("SPOT_ATTEMPT", "0"))
        self._client = SocketClient(socket)
        self._session = Session(socket, _PROCESS)
        self._trap = SigtermTrap(DEFAULT_GRACE)
        self._watch = Watch(None, self._trap)
        self._progress: ProgressWriter | None = None
        self._arenas: list[Arena] = []
        self._releasing: threading.Thread | None = None

    @property
    def interval(self) -> float:
        pace = self._session.pace
        return pace.interval if pace is not None else DEFAULT_INTERVAL

    @property
    def cost(self) -> float | None:
        pace = self._session.pace
        return pace.cost if pace is not None else None

    def begin(self) -> Beginning:
        greeting = self._session.greeting()
        self.attempt = greeting.attempt
        self._watch = Watch(NoticeFile(greeting.notice_path), self._trap)
        self._progress = ProgressWriter(greeting.progress_path)
        answer = self._decision()
        found = answer.get("decision")
        if found == "checkpoint":
            return _restore(answer)
        if found == "completed":
            return Done(str(answer.get("reason", "an earlier attempt completed the job")))
        if found == "stop":
            return Halt(str(answer.get("word")), str(answer.get("reason", "")))
        if found == "fresh":
            return Fresh()
        return Halt("UnknownDecision", f"the sidecar decided {found!r}: upgrade spot-training")

    def resumed(self, *, step: int, differs: list[str], seconds: float) -> None:
        self._insist(
            "/v1/resumed",
            {"step": step, "verified": not differs, "differs": differs[:16], "seconds": seconds},
        )

    def release(self, payload: memoryview) -> None:
        self._releasing = let_go(payload)

    def lend(self, size: int, reason: str, seconds: float | None) -> Lent | None:
        try:
            if not self._arenas or self._arenas[0].capacity < size:
                self._map_arenas(size)
            index = self._acquire(reason, 0.0 if reason == "periodic" else seconds)
        except (SidecarError, SidecarGone) as error:
            tell(f"no snapshot ({reason}): {error}")
            return None
        return Lent(self._arenas[index], index)

    def submit(self, lent: Lent, control: Control, facts: SnapshotFacts) -> Ticket:
        ticket = Ticket(facts.step, control.payload_bytes)
        body = {
            "arena": lent.index,
            "generation": control.generation,
            "bytes": control.payload_bytes,
            "step": facts.step,
            "samples": facts.samples,
            "epoch": facts.epoch,
            "reason": facts.reason,
            "stallSeconds": facts.stall_seconds,
            "takenAt": facts.taken_at,
            "dataset": facts.dataset,
        }
        try:
            ticket.id = str(self._insist("/v1/snapshots", body, limit=20.0)["snapshot"])
        except (SidecarError, SidecarGone) as error:
            tell(f"step {facts.step} was not handed over: {error}")
            ticket.move("failed", str(error))
            return ticket
        follower = threading.Thread(
            target=self._follow, args=(ticket,), name="spot-follow", daemon=True
        )
        follower.start()
        return ticket

    def notice(self) -> Notice | None:
        return self._watch.look()

    def fits(self, seconds: float | None) -> bool | None:
        try:
            answer = self._insist("/v1/flush", {"seconds": seconds}, limit=5.0)
        except (SidecarError, SidecarGone) as error:
            tell(f"the sidecar does not say whether a last save fits: {error}")
            return None
        if "save" not in answer:
            return None
        tell(str(answer.get("why", "")))
        return bool(answer["save"])

    def publish(self, progress: Progress) -> None:
        if self._progress is not None:
            self._progress.write(progress)

    def say(self, word: str, reason: str) -> None:
        try:
            self._insist("/v1/word", {"word": word, "reason": reason}, limit=5.0)
        except (SidecarError, SidecarGone) as error:
            tell(f"the sidecar did not take the word {word}: {error}")

    def complete(self, ticket: Ticket) -> bool:
        body = {"snapshot": ticket.id, "wait": POLL_SECONDS}
        try:
            while not self._insist("/v1/complete", body).get("completed"):
                tell("waiting for the completion marker")
        except SidecarError as error:
            if error.status not in (404, 409):
                raise
            tell(f"the final snapshot is taken again: {error}")
            return False
        return True

    def busy(self, what: str | None) -> None:
        try:
            self._insist("/v1/busy", {"what": what}, limit=5.0)
        except (SidecarError, SidecarGone) as error:
            tell(f"the sidecar does not know that the trainer is busy: {error}")

    def close(self) -> None:
        self._session.close()
        self._trap.release()
        for arena in self._arenas:
            arena.close()
        if self._progress is not None:
            self._progress.close()
            self._progress = None

    def _decision(self) -> dict[str, Any]:
        """Waits for the grant and the choice; nothing but an answer ends it (fails closed)."""
        said, asked = "", {"wait": POLL_SECONDS, "container": container.identity()}
        while True:
            try:
                answer = self._insist("/v1/resume", asked)
            except SidecarGone as error:
                answer = {"state": "waiting", "why": str(error)}
            if "decision" in answer:
                return answer
            why = str(answer.get("why", ""))
            if why != said:
                tell(f"waiting: {why}")
                said = why

    def _map_arenas(self, size: int) -> None:
        if self._releasing is not None:  # the arenas take the place of what was restored
            self._releasing.join()
        answer = self._insist("/v1/arenas", {"bytes": size})
        for arena in self._arenas:
            arena.close()
        self._arenas = [Arena(Path(item["path"])) for item in answer["arenas"]]

    def _acquire(self, reason: str, seconds: float | None) -> int:
        """Asks for an arena until one is free or `seconds` are over (None: for ever)."""
        end = float("inf") if seconds is None else time.monotonic() + seconds
        while True:
            left = max(0.0, end - time.monotonic())
            body = {"reason": reason, "wait": min(POLL_SECONDS, left)}
            try:
                answer = self._insist("/v1/arenas/acquire", body, limit=min(60.0, max(2.0, left)))
                return int(answer["index"])
            except SidecarError as error:
                if error.status != 409 or time.monotonic() >= end:
                    raise

    def _follow(self, ticket: Ticket) -> None:
        """Long polls until the snapshot is settled, so that a save costs the trainer no wait."""
        while not ticket.settled:
            try:
                target = f"/v1/snapshots/{ticket.id}?wait={POLL_SECONDS}"
                answer = self._client.insist("GET", target).body
            except (SidecarError, SidecarGone) as error:
                ticket.move("failed", str(error))
                return
            ticket.move(str(answer.get("state")), str(answer.get("why", "")))

    def _insist(self, target: str, body: dict[str, Any], *, limit: float = 60.0) -> dict[str, Any]:
        answer = self._client.insist("POST", target, {"process": _PROCESS, **body}, limit=limit)
        return dict(answer.body)


def say_word(socket: Path, word: str, reason: str) -> None:
    """Tells the sidecar a word without a session (`refuse` before or after `resume`)."""
    body = {"process": _PROCESS, "word": word, "reason": reason}
    try:
        SocketClient(socket).insist("POST", "/v1/word", body, limit=5.0)
    except (SidecarError, SidecarGone) as error:
        tell(f"the sidecar did not take the word {word}: {error}")


def _restore(answer: dict[str, Any]) -> Restore:
    manifest = records.from_json(Manifest, answer["manifest"])
    (mine,) = (file for file in answer["files"] if file["process"] == _PROCESS)
    (item,) = (found for found in manifest.objects_of(_rank()) if found.process == _PROCESS)
    path = Path(mine["path"])
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), item.size, prot=mmap.PROT_READ)
    return Restore(manifest, memoryview(mapped), item.algorithm, dict(item.tensors))


def _rank() -> int:
    return int(os.environ.get("SPOT_RANK", "0"))
