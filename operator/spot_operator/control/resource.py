"""Which kind of object: enough to make its URL and to fill in `apiVersion` and `kind`."""

from dataclasses import dataclass
from urllib.parse import quote

__all__ = [
    "CLUSTERROLES",
    "CONFIGMAPS",
    "DEPLOYMENTS",
    "ENDPOINTSLICES",
    "EVENTS",
    "LEASES",
    "NAMESPACES",
    "NODES",
    "PERSISTENTVOLUMECLAIMS",
    "PODS",
    "PRIORITYCLASSES",
    "SECRETS",
    "SERVICES",
    "TOKENREVIEWS",
    "Resource",
]


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind as the API server serves it; `group` is empty for the core group.

    A custom one is made like the constants below:
    `Resource("example.com", "v1", "widgets", "Widget", namespaced=True)`.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As in `apiVersion`: `v1` or `group/version`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str = "", subresource: str = "") -> str:
        """URL path below the server's address.

        For a namespaced kind, no namespace means every namespace, which only list and watch allow.

        Raises:
            ValueError: a namespace for a cluster-wide kind, or a name without the namespace.
        """
        self._check(namespace, name)
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        # A subresource belongs to one object; asked without a name it is simply not there.
        parts += [quote(part, safe="") for part in (name, subresource if name else "") if part]
        return "/" + "/".join(parts)

    def _check(self, namespace: str | None, name: str) -> None:
        if namespace and not self.namespaced:
            raise ValueError(f"{self.plural} are cluster-wide: leave out namespace {namespace!r}")
        if name and self.namespaced and not namespace:
            raise ValueError(f"{self.plural} are namespaced: say which namespace {name!r} is in")

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


PODS = Resource("", "v1", "pods", "Pod")
SERVICES = Resource("", "v1", "services", "Service")
CONFIGMAPS = Resource("", "v1", "configmaps", "ConfigMap")
SECRETS = Resource("", "v1", "secrets", "Secret")
PERSISTENTVOLUMECLAIMS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
EVENTS = Resource("events.k8s.io", "v1", "events", "Event")
ENDPOINTSLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
CLUSTERROLES = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False
)
PRIORITYCLASSES = Resource(
    "scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", namespaced=False
)
TOKENREVIEWS = Resource(
    "authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False
)
