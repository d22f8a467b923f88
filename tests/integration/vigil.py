"""Informers of kinds in which nothing happens, watched beside the other tests.

How long a server is silent in a watch shows only after more than a minute; a thread of its own
spends that minute while other tests run.
"""

import asyncio
import threading
import time

from integration.contract.world import WIDGETS, define_widgets
from spot_operator.control.clock import SystemClock, SystemEntropy
from spot_operator.control.credentials import load
from spot_operator.control.http_client import HttpClient
from spot_operator.control.informer import Informer
from spot_operator.control.resource import PODS, PRIORITYCLASSES

NOWHERE = "nothing-happens-here"
"""A namespace in which nothing is made."""
LOOK_SECONDS = 0.5


class Vigil:
    """Begins at once; `longest` is the longest silence so far, in seconds."""

    def __init__(self, kubeconfig: str) -> None:
        self.longest = 0.0
        self.errors: list[str] = []
        self._kubeconfig = kubeconfig
        self._synced = threading.Event()
        self._over = threading.Event()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._watch()))
        self._thread.start()

    def last(self, seconds: float) -> None:
        """Return once every informer has watched for so long."""
        assert self._synced.wait(30), self.errors
        time.sleep(max(0.0, self._began + seconds - time.monotonic()))

    def end(self) -> None:
        """Stop watching."""
        self._over.set()
        self._thread.join(30)

    async def _watch(self) -> None:
        clock, entropy = SystemClock(), SystemEntropy()
        connection = await load(clock, kubeconfig=self._kubeconfig)
        async with (
            HttpClient(connection, user_agent="vigil") as client,
            asyncio.TaskGroup() as group,
        ):
            await define_widgets(client)
            informers = [
                Informer(client, PRIORITYCLASSES, clock, entropy),
                *(Informer(client, kind, clock, entropy, namespace=NOWHERE)
                  for kind in (WIDGETS, PODS)),
            ]  # fmt: skip
            running = [group.create_task(informer.run()) for informer in informers]
            await asyncio.wait_for(asyncio.gather(*(i.synced.wait() for i in informers)), 20)
            self._began = time.monotonic()
            self._synced.set()
            while not self._over.is_set():
                self.longest = max(self.longest, *(one.silence() for one in informers))
                self.errors += [str(one.error) for one in informers if one.error is not None]
                await asyncio.sleep(LOOK_SECONDS)
            for task in running:
                task.cancel()
