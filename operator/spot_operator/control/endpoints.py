"""Where a Service without a selector leads: one EndpointSlice that one process writes.

The leader of several replicas publishes its own address, so that clients of the Service reach the
leader alone. The slice carries the label by which kube-proxy finds it and a manager of our own, so
that the platform's endpoint controllers leave it alone.
"""

from dataclasses import dataclass, field
from ipaddress import ip_address

from spot_operator.control.client import Client, Json
from spot_operator.control.errors import AlreadyExists, Conflict, NotFound
from spot_operator.control.resource import ENDPOINTSLICES

__all__ = ["ServiceAddress", "publish", "withdraw"]

_TRIES = 4
_SERVICE = "kubernetes.io/service-name"
_MANAGER = "endpointslice.kubernetes.io/managed-by"


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    """Where `service` shall lead: to `port` of `address` (a pod's IP), under `port_name`.

    `manager` names the writing program, as in `endpointslice.kubernetes.io/managed-by`; it must
    be a valid label value (no slash).
    """

    namespace: str
    service: str
    address: str
    port: int
    port_name: str
    manager: str
    owners: list[Json] = field(default_factory=list)
    """Owner references of the slice: it is deleted with them."""

    @property
    def name(self) -> str:
        """The slice's name; the address type is part of it, for it can never be changed."""
        return self._named(self._type)

    @property
    def other_name(self) -> str:
        """The name of the slice of the other address type, which a former leader may have made."""
        return self._named("IPv4" if self._type == "IPv6" else "IPv6")

    def _named(self, kind: str) -> str:
        return f"{self.service}-{kind.lower()}"

    @property
    def _type(self) -> str:
        return f"IPv{ip_address(self.address).version}"

    def rendered(self) -> Json:
        """The EndpointSlice."""
        return {
            "apiVersion": ENDPOINTSLICES.api_version,
            "kind": ENDPOINTSLICES.kind,
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "labels": {
                    _SERVICE: self.service,
                    _MANAGER: self.manager,
                },
                "ownerReferences": self.owners,
            },
            "addressType": self._type,
            "endpoints": [{"addresses": [self.address], "conditions": {"ready": True}}],
            "ports": [{"name": self.port_name, "port": self.port, "protocol": "TCP"}],
        }


async def publish(client: Client, address: ServiceAddress) -> bool:
    """Make the Service lead there and nowhere else; whether that took a write.

    Raises:
        ApiError: the server refused, or others kept changing the slice.
    """
    led_elsewhere = await _empty_other(client, address)
    for _ in range(_TRIES):
        try:
            return await _publish_once(client, address) or led_elsewhere
        except (Conflict, AlreadyExists):
            continue
    return await _publish_once(client, address) or led_elsewhere


async def _empty_other(client: Client, address: ServiceAddress) -> bool:
    """A Service of two families leads to the slices of both; whether the other one led anywhere."""
    try:
        found = await client.get(ENDPOINTSLICES, address.other_name, namespace=address.namespace)
        if not found.get("endpoints"):
            return False
        await client.replace(ENDPOINTSLICES, {**found, "endpoints": []})
    except (NotFound, Conflict):
        # It is looked at again before long.
        return False
    return True


async def _publish_once(client: Client, address: ServiceAddress) -> bool:
    wanted = address.rendered()
    try:
        found = await client.get(ENDPOINTSLICES, address.name, namespace=address.namespace)
    except NotFound:
        await client.create(ENDPOINTSLICES, wanted)
        return True
    if not address.owners:
        # Who knows no owner takes none away.
        wanted["metadata"]["ownerReferences"] = found["metadata"].get("ownerReferences") or []
    if _leads_to(found) == _leads_to(wanted) and _owners(found) == _owners(wanted):
        return False
    wanted["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"]
    await client.replace(ENDPOINTSLICES, wanted)
    return True


async def withdraw(client: Client, address: ServiceAddress) -> bool:
    """Take our address away, unless somebody else's stands there by now; whether it stood.

    Raises:
        ApiError: the server refused.
    """
    try:
        found = await client.get(ENDPOINTSLICES, address.name, namespace=address.namespace)
        if _leads_to(found) != _leads_to(address.rendered()):
            return False
        # `found` carries its resourceVersion: if another leader publishes meanwhile, it stands.
        await client.replace(ENDPOINTSLICES, {**found, "endpoints": []})
    except (NotFound, Conflict):
        return False
    return True


def _owners(item: Json) -> list[str]:
    return [one["uid"] for one in item["metadata"].get("ownerReferences") or ()]


def _leads_to(item: Json) -> tuple[object, ...]:
    """What of a slice decides where traffic goes, and whether others leave it alone."""
    targets = [
        (sorted(endpoint["addresses"]), _is_ready(endpoint.get("conditions") or {}))
        for endpoint in item.get("endpoints") or ()
    ]
    ports = [(p.get("name"), p.get("port"), p.get("protocol")) for p in item.get("ports") or ()]
    labels = item["metadata"].get("labels") or {}
    marks = [labels.get(name) for name in (_SERVICE, _MANAGER)]
    return item["addressType"], targets, ports, marks


def _is_ready(conditions: Json) -> bool:
    """Whether kube-proxy sends traffic there; not said means ready."""
    return conditions.get("ready") is not False and not conditions.get("terminating")
