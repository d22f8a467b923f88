"""A pod whose script knows SIGTERM alone and writes its own checkpoints; the sidecar takes them.

It differs from a trainer with the SDK in how it begins and in what reaches it: its arguments were
made with the pod, so that the sidecar holds it back if they do not name what the store has; no
notice moves it, only the deletion of its pod.
"""

from dataclasses import dataclass, replace

from kit.simcluster.trainer import Exit, TrainerPod, reference

__all__ = ["ScriptPod"]

SIGTERM_EXIT = 143


@dataclass
class ScriptPod(TrainerPod):
    """One pod's program."""

    ready: bool = False

    async def _begin(self) -> Exit:
        newest = self.lineage.newest()
        if newest is None or self._grant()["newest"]:
            self.ready = True
            return await super()._begin()
        self.found = reference(newest)
        self._say("RegrantResume", f"{newest.id} was found, which the arguments do not name")
        return await self._held_back()

    async def _held_back(self) -> Exit:
        while not self.orders.deleted:
            await self._report_if_due()
            await self.clock.sleep(1.0)
        self.state = "Ended"
        await self._report()
        return Exit(None, self._last_word())

    def _told_to_go(self) -> bool:
        return self.orders.deleted

    async def _flush(self) -> Exit:
        """The script saves at SIGTERM; the sidecar takes what it wrote."""
        self.state = "Draining"
        await self._save("notice")
        return await self._end(SIGTERM_EXIT, "", "")

    async def _complete(self) -> Exit:
        if self.plan.uploading:
            ended = await self._end(0, "", "")
            return replace(ended, last_work=self._take_the_last_set, waits=True)
        await self._take_the_last_set()
        return await self._end(0, "", "")

    async def _take_the_last_set(self) -> None:
        await self.clock.sleep(self.plan.uploading)
        await self._save("final")
        self.lineage.complete.setdefault(self.attempt, self.model)
        self.settled = bool(self.plan.uploading)
        await self._report()
