"""What the tests of the CRDs ask of the API server."""

import secrets
from dataclasses import dataclass
from typing import Any, Final

import pytest
from kit.manifests.paths import changed
from spot_operator.api import names
from spot_operator.control.client import Client, Json
from spot_operator.control.errors import ApiError, Invalid
from spot_operator.control.resource import Resource

JOBS: Final = Resource(names.GROUP, names.VERSION, names.JOB_PLURAL, names.JOB_KIND)
POLICIES: Final = Resource(
    names.GROUP, names.VERSION, names.POLICY_PLURAL, names.POLICY_KIND, namespaced=False
)
KINDS: Final = {one.kind: one for one in (JOBS, POLICIES)}


@dataclass(frozen=True)
class Api:
    """A client, and what to expect of it."""

    client: Client

    async def tried(self, manifest: Json) -> Json:
        """The object as the server would store it; nothing is stored."""
        kind = KINDS[manifest["kind"]]
        answer = await self.client.create(kind, manifest, field_validation="Strict", dry_run=True)
        assert answer.warnings == ()
        return answer.object

    async def created(self, manifest: Json) -> Json:
        """The object as stored, under a name of its own."""
        named = changed(manifest, {"metadata.name": f"digits-{secrets.token_hex(4)}"})
        kind = KINDS[manifest["kind"]]
        return (await self.client.create(kind, named, field_validation="Strict")).object

    async def replaced(self, stored: Json, changes: dict[str, Any]) -> Json:
        """The stored object after an update."""
        return await self.client.replace(KINDS[stored["kind"]], changed(stored, changes))

    async def expect_refused(self, manifest: Json, *, blames: str, says: str) -> None:
        """The server refuses the manifest for exactly one reason, which helps."""
        with pytest.raises(Invalid) as refused:
            await self.tried(manifest)
        expect_one_cause(refused.value, blames, says)


def expect_one_cause(error: ApiError, blames: str, says: str) -> None:
    """The error blames this field alone, in these words."""
    blamed = [cause["field"] for cause in error.details["causes"]]
    assert blamed == [blames], f"{blamed}: {error.message}"
    assert says in error.details["causes"][0]["message"], error.message


def expect_among_causes(error: ApiError, blames: str, says: str) -> None:
    """The error blames this field, in these words, and perhaps more."""
    causes = error.details.get("causes", ())
    found = [one for one in causes if one["field"] == blames and says in one["message"]]
    assert found, f"{blames} is not blamed with {says!r}: {error.message}"
