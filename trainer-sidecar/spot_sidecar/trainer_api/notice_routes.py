"""What the trainer tells and is told beside its state: notice, word, busy."""

from dataclasses import dataclass

from aiohttp import web

from spot_sidecar.interval.slowdown import SlowdownMeter
from spot_sidecar.notices.bus import NoticeBus
from spot_sidecar.state.attempt_state import AttemptState
from spot_sidecar.trainer_api.requests import Busy, Say, Waiting, read_body, read_query

__all__ = ["NoticeRoutes"]


@dataclass(frozen=True, slots=True)
class NoticeRoutes:
    """Answers about notices, takes words."""

    bus: NoticeBus
    attempt_state: AttemptState
    slowdown_meter: SlowdownMeter
    """Step times: a long silence is not one."""

    def routes(self) -> list[web.RouteDef]:
        """Notice, word, busy."""
        return [
            web.get("/v1/notice", self.notice),
            web.post("/v1/word", self.word),
            web.post("/v1/busy", self.busy),
        ]

    async def notice(self, request: web.Request) -> web.Response:
        """The notice in force; with `after` equal to the present sequence it waits for a change.

        A sequence that was never reached is one of a sidecar that has restarted: answered at once.
        """
        asked = read_query(request, Waiting)
        bus = self.bus
        if asked.after == bus.sequence:
            await bus.beyond(bus.sequence, asked.wait)
        in_force = bus.in_force.to_json() if bus.in_force else None
        return web.json_response({"sequence": bus.sequence, "notice": in_force})

    async def word(self, request: web.Request) -> web.Response:
        """The trainer's own word: Finished, Paused or Refused."""
        said = await read_body(request, Say)
        self.attempt_state.say(said.word, said.reason)
        return web.json_response({})

    async def busy(self, request: web.Request) -> web.Response:
        """A long silence begins, or ends (null)."""
        said = await read_body(request, Busy)
        self.attempt_state.trainer.busy = said.what
        self.slowdown_meter.disturbed()
        self.attempt_state.changed()
        return web.json_response({})
