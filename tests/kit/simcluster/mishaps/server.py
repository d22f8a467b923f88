"""What an API server, or a webhook behind it, may answer."""

from random import Random
from typing import Final

from kit.fakeapi import Call, fail
from kit.simcluster.mishaps.chance import a_while
from kit.simcluster.world import World
from spot_operator.control.errors import from_status
from spot_operator.control.resource import (
    ENDPOINTSLICES,
    EVENTS,
    LEASES,
    PODS,
    SECRETS,
    TOKENREVIEWS,
)
from spot_operator.reconcile.kinds import JOBS

REFUSALS: Final = (403, 404, 408, 409, 413, 422, 429, 400, 500, 502, 503, 504)
"""What a webhook, or a server in trouble, may answer to a write."""


def refused(world: World, chance: Random) -> str | None:
    """A webhook, a role or the server itself refuses one kind of write, of every replica."""
    verb, resource = chance.choice(
        [
            ("create", PODS),
            ("patch", PODS),
            ("delete", PODS),
            ("replace", JOBS),
            ("patch", JOBS),
            ("replace", ENDPOINTSLICES),
            ("create", ENDPOINTSLICES),
            ("replace", SECRETS),
            ("create", TOKENREVIEWS),
            ("create", EVENTS),
            ("replace", LEASES),
        ]
    )
    code = chance.choice(REFUSALS)
    if verb == "create" and code in {400, 422} and not world.steps:
        # Of the first pod this is the template's fault, as far as anybody can tell.
        return None
    error = from_status(code, {"message": "admission webhook says no"})
    until = world.clock.monotonic() + a_while(chance)

    def strikes(call: Call) -> bool:
        asked = call.is_write and (call.verb, call.resource) == (verb, resource)
        return asked and world.clock.monotonic() < until

    for replica in world.replicas.all:
        replica.meet(strikes, fail(error))
    return f"every {verb} of {resource.plural} is answered {code}"


def unheard(world: World, chance: Random) -> str | None:
    """Writes are done, and their answers lost."""
    until = world.clock.monotonic() + chance.uniform(5, 60)
    error = from_status(0, {"message": "connection reset"})

    def strikes(call: Call) -> bool:
        asked = call.is_write and call.resource != LEASES
        return asked and world.clock.monotonic() < until

    for replica in world.replicas.all:
        replica.meet(strikes, None, fail(error))
    return "answers to writes are lost"
