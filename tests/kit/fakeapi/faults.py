"""What can go wrong on the way between one client and the server.

    client.faults.latency = 0.02            # seconds each call takes
    client.faults.lag = 5.0                 # watch events arrive this much late
    client.faults.blind = True              # watches stay open and say nothing, not even bookmarks
    client.faults.cut = True                # nothing reaches the server, nothing arrives
    client.faults.lose(pods_deleted)        # watch events that never arrive
    client.faults.on(the_write(3), after=fail(Unavailable("reset")))  # done, but nobody hears it
    client.faults.on(the_write(3), before=run(process.kill))          # the process dies first
    client.faults.on(calls("list"), before=delay(clock, 30), times=1)

`before` runs when the server has not acted yet, `after` when it has: an error in the first means
that nothing happened, one in the second that it did and the caller does not know.
"""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from spot_operator.control.client import WatchEvent
from spot_operator.control.clock import Clock
from spot_operator.control.resource import Resource

__all__ = ["Act", "Call", "Faults", "Match", "calls", "delay", "fail", "run", "the_write"]


@dataclass(frozen=True, slots=True)
class Call:
    """One request of one client. `write` counts its writes so far, this one included."""

    client: str
    verb: str
    resource: Resource
    namespace: str | None
    name: str
    subresource: str
    body: Any
    write: int

    @property
    def is_write(self) -> bool:
        """Whether it changes anything."""
        return self.verb not in {"get", "list", "watch", "dry-run"}

    def __str__(self) -> str:
        place = "/".join(part for part in (self.namespace, self.name, self.subresource) if part)
        return f"{self.verb} {self.resource} {place}".strip()


Match = Callable[[Call], bool]
Act = Callable[[Call], Awaitable[None]]


@dataclass(slots=True)
class _Rule:
    match: Match
    before: Act | None
    after: Act | None
    times: int | None


@dataclass(slots=True)
class Faults:
    """See the module. All of it is off at first."""

    latency: float = 0.0
    lag: float = 0.0
    blind: bool = False
    cut: bool = False
    undated: bool = False
    """Its answers carry no date, as those of no real server do."""
    _rules: list[_Rule] = field(default_factory=list)
    _lost: list[Callable[[Resource, WatchEvent], bool]] = field(default_factory=list)

    def on(
        self,
        match: Match,
        *,
        before: Act | None = None,
        after: Act | None = None,
        times: int | None = None,
    ) -> None:
        """Do something on each matching call, at most `times` times."""
        self._rules.append(_Rule(match, before, after, times))

    def lose(self, match: Callable[[Resource, WatchEvent], bool]) -> None:
        """Drop every watch event for which `match(resource, event)` holds."""
        self._lost.append(match)

    def clear(self) -> None:
        """Forget all rules and losses."""
        self._rules.clear()
        self._lost.clear()

    def loses(self, resource: Resource, event: WatchEvent) -> bool:
        """Whether this event never arrives."""
        return any(match(resource, event) for match in self._lost)

    async def before(self, call: Call) -> None:
        """The call is about to reach the server."""
        for rule in list(self._rules):
            if rule.before and self._applies(rule, call):
                await rule.before(call)

    async def after(self, call: Call) -> None:
        """The server has acted; its answer is about to reach the client."""
        for rule in list(self._rules):
            if rule.after and self._applies(rule, call):
                await rule.after(call)

    def _applies(self, rule: _Rule, call: Call) -> bool:
        if rule.times == 0 or not rule.match(call):
            return False
        if rule.times is not None:
            rule.times -= 1
        return True


def calls(verb: str = "", resource: Resource | None = None, name: str = "") -> Match:
    """Calls of one verb, of one kind, to one name; what is left out matches anything."""
    return lambda call: (
        verb in {"", call.verb} and resource in {None, call.resource} and name in {"", call.name}
    )


def the_write(number: int) -> Match:
    """The `number`-th write of the client, counted from 1."""
    return lambda call: call.is_write and call.write == number


def fail(error: Exception) -> Act:
    """Raise `error`."""

    async def act(_: Call) -> None:
        raise error

    return act


def delay(clock: Clock, seconds: float) -> Act:
    """Hold the call for so long."""

    async def act(_: Call) -> None:
        await clock.sleep(seconds)

    return act


def run(what: Callable[[], Any]) -> Act:
    """Call `what`, and await it if there is something to await."""

    async def act(_: Call) -> None:
        result = what()
        if inspect.isawaitable(result):
            await result

    return act
