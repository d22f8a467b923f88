"""What people do: to jobs, policies, CRDs, and to what the operator keeps for itself."""

from random import Random
from typing import Any, Final

from kit.simcluster.mishaps.chance import end_later
from kit.simcluster.replicas import NAMESPACE
from kit.simcluster.world import World
from spot_operator.control.clock import timestamp
from spot_operator.control.errors import ApiError, NotFound
from spot_operator.control.resource import ENDPOINTSLICES, SECRETS
from spot_operator.reconcile.kinds import JOBS, POLICIES

Json = dict[str, Any]

NOT_KEPT: Final = (
    "ranks[].trainerEnd",
    "ranks[].trouble",
    "ranks[].memory",
    "ranks[].silentSince",
    "excluded",
    "purge",
    "suspects",
    "firstStarted",
    "totals",
    "checkpoint.interval",
)
"""Fields of the status that an older CRD may not know."""

UNREADABLE: Final = "by tomorrow's rules"


def policy_away(world: World, chance: Random) -> str | None:
    try:
        policy = world.server.get(POLICIES, "default")
    except NotFound:
        return None
    if policy["spec"]["backoff"] == UNREADABLE:
        # It would come back unreadable, after who made it so has put it right.
        return None
    world.server.delete(POLICIES, "default")
    body = {"metadata": {"name": "default"}, "spec": policy["spec"]}
    end_later(world, chance, lambda: _create(world, POLICIES, body))
    return "the policy is away"


def policy_unreadable(world: World, chance: Random) -> str | None:
    """Stored under the rules of another version."""
    try:
        spec = world.server.get(POLICIES, "default")["spec"]
    except NotFound:
        return None
    if spec["backoff"] == UNREADABLE:
        return None
    _patch_policy(world, {"backoff": UNREADABLE})
    end_later(world, chance, lambda: _patch_policy(world, {"backoff": spec["backoff"]}))
    return "the policy cannot be read"


def policy_edited(world: World, chance: Random) -> str | None:
    """Bounds move while attempts run; none of them can end this job."""
    spec: Json = chance.choice(
        (
            {"unreachable": {"after": chance.choice(("15s", "40s", "5m"))}},
            {"backoff": {"jitter": "Full", "max": "60s"}},
            {"maxAttemptsWithoutProgress": chance.choice((60, 100))},
            {"interruptions": {"max": chance.choice((300, 400))}},
        )
    )
    _patch_policy(world, spec)
    return f"the policy is edited: {spec}"


def second_default(world: World, chance: Random) -> str | None:
    body = {"metadata": {"name": "other"}, "spec": {"default": True, "interruptions": {"max": 0}}}
    try:
        world.server.create(POLICIES, body)
    except ApiError:
        return None
    end_later(world, chance, lambda: _delete_policy(world, "other"))
    return "two policies are the default"


def spec_unreadable(world: World, chance: Random) -> str | None:
    """Stored by another version, and put right again."""
    field, value = chance.choice(
        (("podCleanup", "ByTomorrow"), ("completion", "ByVote"), ("stallTimeout", {"of": "all"}))
    )
    before = world.job()["spec"].get(field)
    if before == value:
        return None
    world.edit("digits", **{field: value})
    end_later(world, chance, lambda: world.edit("digits", **{field: before}))
    return f"spec.{field} cannot be read"


def held(world: World, chance: Random) -> str | None:
    """The user has the checkpoints deleted with the job, and changes his mind."""
    world.edit(checkpoint={"deletionPolicy": "Delete"})
    end_later(world, chance, lambda: world.edit(checkpoint={"deletionPolicy": "Retain"}))
    return "the deletion policy changes"


def crds_outdated(world: World, chance: Random) -> str | None:
    if world.not_kept:
        return None
    world.not_kept = tuple(chance.sample(NOT_KEPT, chance.randint(1, 3)))
    lost = ", ".join(world.not_kept)
    end_later(world, chance, lambda: setattr(world, "not_kept", ()))
    return f"the CRDs are replaced by older ones, without {lost}"


def suspended(world: World, chance: Random) -> str | None:
    world.edit(suspend=True)
    end_later(world, chance, lambda: world.edit(suspend=False))
    return "the user suspends the job"


def status_edited(world: World, chance: Random) -> str | None:
    """Somebody writes the status by hand; what was charged stays."""
    now = world.status()
    if now.get("state") in {None, "Finished"}:
        return None
    attempt = now.get("attempt", 0)
    edit: Json = chance.choice(
        (
            {"ranks": None},
            {"state": "Waiting"},
            {"state": "Creating"},
            {"state": "Stopping"},
            {"stopping": {"since": timestamp(world.clock.now())}},
            {"stopping": None},
            {"attempt": max(0, attempt - 1)},
            {"notBefore": None, "ranks": []},
        )
    )
    body = {"status": edit}
    world.server.patch(JOBS, "digits", body, namespace="research", subresource="status")
    return f"the status is edited: {edit}"


def endpoint_removed(world: World, chance: Random) -> str | None:
    for piece in world.server.objects(ENDPOINTSLICES, NAMESPACE):
        world.server.delete(ENDPOINTSLICES, piece["metadata"]["name"], namespace=NAMESPACE)
    return "the reports EndpointSlice is removed"


def secret_broken(world: World, chance: Random) -> str | None:
    name = "spot-training-reports-ca"
    secret = world.server.get(SECRETS, name, NAMESPACE)
    if "broken" in (secret.get("data") or {}):
        return None
    data = {"tls.crt": "bm90IGEgY2VydGlmaWNhdGU=", "broken": "eWVz"}
    world.server.replace(SECRETS, {**secret, "data": data})

    def mend() -> None:
        found = world.server.get(SECRETS, name, NAMESPACE)
        world.server.replace(SECRETS, {**found, "data": secret.get("data") or {}})

    end_later(world, chance, mend)
    return "the reports server's Secret is broken"


def authority_anew(world: World, chance: Random) -> str | None:
    """Somebody empties the Secret, so that a new authority is made."""
    secret = world.server.get(SECRETS, "spot-training-reports-ca", NAMESPACE)
    if "broken" in (secret.get("data") or {}):
        return None
    world.server.replace(SECRETS, {**secret, "data": {}})
    return "the reports server's Secret is emptied"


def _create(world: World, resource: Any, body: Json) -> None:
    try:
        world.server.create(resource, body)
    except ApiError:
        return


def _delete_policy(world: World, name: str) -> None:
    try:
        world.server.delete(POLICIES, name)
    except NotFound:
        return


def _patch_policy(world: World, spec: Json) -> None:
    try:
        world.server.patch(POLICIES, "default", {"spec": spec})
    except NotFound:
        return
