"""Where a pod may run: spot nodes of any provider, and none of the nodes to avoid.

Providers agree on nothing: each marks a spot node with its own label, some with a taint. A pod asks
for *any* of the labels, tolerates all the taints and requires none. Sources, read in 2026: the
providers' documentation and Karpenter's `karpenter.sh/v1` labels.
"""

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any, Final, NamedTuple

__all__ = ["POOLS", "Pool", "node_affinity", "there_is_room_for", "tolerations"]

Json = dict[str, Any]


class Pool(NamedTuple):
    """How one provider marks its spot nodes."""

    provider: str
    label: str
    values: tuple[str, ...]
    taint: str | None
    """Key of the taint that comes with the label; None where the provider sets none itself."""


POOLS: Final = (
    Pool("EKS managed node groups", "eks.amazonaws.com/capacityType", ("SPOT",), None),
    # NodePools have no taint of their own; this key is the one their users choose most.
    Pool("Karpenter", "karpenter.sh/capacity-type", ("spot",), "karpenter.sh/capacity-type"),
    Pool("GKE", "cloud.google.com/gke-spot", ("true",), "cloud.google.com/gke-spot"),
    Pool("GKE", "cloud.google.com/gke-provisioning", ("spot",), None),
    Pool(
        "GKE, older pools",
        "cloud.google.com/gke-preemptible",
        ("true",),
        "cloud.google.com/gke-preemptible",
    ),
    Pool(
        "AKS",
        "kubernetes.azure.com/scalesetpriority",
        ("spot",),
        "kubernetes.azure.com/scalesetpriority",
    ),
    Pool("AKS, newer label", "kubernetes.azure.com/priority", ("spot",), None),
    Pool(
        "OKE",
        "oci.oraclecloud.com/oke-is-preemptible",
        ("true",),
        "oci.oraclecloud.com/oke-is-preemptible",
    ),
    Pool(
        "ACK",
        "node.alibabacloud.com/spot-strategy",
        ("SpotWithPriceLimit", "SpotAsPriceGo"),
        None,
    ),
    Pool("Together", "together.ai/compute-class", ("preemptible",), None),
)

_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"
_MOST: Final = 100
"""The highest weight that a preference can have."""
_ROOM: Final = 512 * 1024
"""Bytes of a pod for the names that it avoids: etcd takes no object beyond 1.5 MiB."""
_AROUND: Final = 64
"""Bytes of such a requirement, the name aside."""
_GPU_TAINT: Final = "nvidia.com/gpu"
_LOSS_TAINTS: Final = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def tolerations(own: Iterable[Mapping[str, Any]]) -> list[Json]:
    """The template's tolerations and ours, each once.

    Only the operator replaces a pod whose node went silent. The platform counts the shortest time
    limit of all tolerations that match, so a limit the template has for that case is left out.
    """
    kept = [dict(toleration) for toleration in own if not _limits_loss(toleration)]
    ours = [{"key": key, "operator": "Exists"} for key in _tolerated_keys()]
    ours += [{"key": key, "operator": "Exists", "effect": "NoExecute"} for key in _LOSS_TAINTS]
    return kept + [toleration for toleration in ours if toleration not in kept]


def _tolerated_keys() -> list[str]:
    return [pool.taint for pool in POOLS if pool.taint] + [_GPU_TAINT]


def _limits_loss(toleration: Mapping[str, Any]) -> bool:
    # Without a key it matches every taint, the two of a lost node included.
    matches = toleration.get("key") or _LOSS_TAINTS[0]
    return toleration.get("tolerationSeconds") is not None and matches in _LOSS_TAINTS


def there_is_room_for(barred: Iterable[str], own: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Those of `barred` that a pod can name, sorted: each stands in every term, and the template
    has up to 16 alternatives."""
    left = _ROOM // (len(POOLS) * max(1, len(_alternatives(own))))
    kept = []
    for name in sorted(set(barred)):
        left -= len(name) + _AROUND
        if left < 0:
            break
        kept.append(name)
    return tuple(kept)


def node_affinity(
    own: Mapping[str, Any] | None, barred: Iterable[str], last_resort: Iterable[str] = ()
) -> Json:
    """The template's node affinity, narrowed to spot nodes other than `barred`.

    Required terms are alternatives, each of which must hold whole: every term of the template is
    joined with every pool's, and the exclusions stand in each. Names are matched as fields, since
    the label `kubernetes.io/hostname` need not be the node's name; a field takes one value only.
    Preferences are the template's, and one of ours against the nodes of `last_resort`.
    """
    exclusions = _other_than(barred)
    terms = [_joined(term, pool, exclusions) for term, pool in product(_alternatives(own), POOLS)]
    affinity = {**(own or {}), _REQUIRED: {"nodeSelectorTerms": terms or [{}]}}
    others = _other_than(last_resort)
    if others:
        ours = {"weight": _MOST, "preference": {"matchFields": others}}
        affinity[_PREFERRED] = [*(affinity.get(_PREFERRED) or ()), ours]
    return affinity


def _other_than(names: Iterable[str]) -> list[Json]:
    return [
        {"key": "metadata.name", "operator": "NotIn", "values": [name]}
        for name in sorted(set(names))
    ]


def _alternatives(own: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    required = (own or {}).get(_REQUIRED)
    if required is None:
        return [{}]
    # The server takes an empty term, which matches no node; joined with ours it would match some.
    return [term for term in required.get("nodeSelectorTerms") or () if term]


def _joined(term: Mapping[str, Any], pool: Pool, exclusions: list[Json]) -> Json:
    spot = {"key": pool.label, "operator": "In", "values": list(pool.values)}
    joined: Json = {"matchExpressions": [*(term.get("matchExpressions") or ()), spot]}
    fields = [*(term.get("matchFields") or ()), *exclusions]
    if fields:
        joined["matchFields"] = fields
    return joined
