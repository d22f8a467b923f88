"""What a program makes for itself goes with its release: one cluster-wide object owns it all.

The garbage collector deletes what an owner leaves behind, in any namespace when the owner belongs
to none; so nothing has to run at the end for its traces to go.
"""

import logging
from dataclasses import dataclass, field

from spot_operator.control.client import Client, Json
from spot_operator.control.errors import ApiError
from spot_operator.control.resource import CLUSTERROLES

__all__ = ["Owner"]

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Owner:
    """The ClusterRole of the release. `cluster_role` empty: what is made belongs to nobody."""

    client: Client
    cluster_role: str
    _references: list[Json] = field(default_factory=list)
    _told: bool = False

    async def find(self) -> None:
        """Look the owner up, now and then: one that was deleted and created again has another uid,
        and the garbage collector would take everything that names the old one.

        While it cannot be read, the one that is known stays. That costs only the tidiness of the
        end.
        """
        if not self.cluster_role:
            return
        try:
            role = await self.client.get(CLUSTERROLES, self.cluster_role)
        except ApiError as error:
            self._tell(error)
            return
        self._references = [
            {
                "apiVersion": CLUSTERROLES.api_version,
                "kind": CLUSTERROLES.kind,
                "name": role["metadata"]["name"],
                "uid": role["metadata"]["uid"],
            }
        ]

    def references(self) -> list[Json]:
        """As in `metadata.ownerReferences`; empty while there is none."""
        return [dict(one) for one in self._references]

    def _tell(self, error: ApiError) -> None:
        if not self._told and not self._references:
            log.warning(
                "the ClusterRole %s cannot be read: until it can, the Leases and the EndpointSlice "
                "stay behind when the release is uninstalled: %s",
                self.cluster_role,
                error,
            )
        self._told = True
