"""An API server in the process: the rules of the real one, without the network.

`FakeApiServer(clock, entropy)` holds the built-in kinds a controller meets; custom ones are added
with `register(custom(resource))`. Its verbs are synchronous and atomic. Controllers reach it
through `FakeClient` (latency, faults); tests and fake kubelets may call it directly, as somebody
else in the cluster would. The contract tests hold it to the real server's behaviour.

Modelled: numbered changes, 409 on stale versions and taken names, uid preconditions, status
subresources, generation, finalizers, graceful deletion of pods, namespaces, selectors, pages that
expire, watches with history and bookmarks, no-op writes that change nothing. Not modelled: schemas
and defaults beyond the few that matter, server-side apply, access rights. What a test needs of
those it supplies: `admission` (refuse or warn), `virtual` (kinds that only answer, like reviews).
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, Literal

from kit.fakeapi.kinds import BUILT_IN, Kind
from kit.fakeapi.patches import patched
from kit.fakeapi.selectors import Matches, field_selector, label_selector
from kit.fakeapi.storage import Feed, Key, Storage, copied
from spot_operator.control.client import Created, Json, Page, PatchKind
from spot_operator.control.clock import Clock, Entropy, timestamp
from spot_operator.control.errors import (
    AlreadyExists,
    BadRequest,
    Conflict,
    Gone,
    Invalid,
    NamespaceTerminating,
    NotFound,
    Unavailable,
)
from spot_operator.control.resource import NAMESPACES, PODS, Resource

__all__ = ["Admission", "FakeApiServer"]

Admission = Callable[[Json | None, Json], Iterable[str]]
"""Sees (old, new) of a write, old None for a create; raises to refuse, may change `new` as a
mutating webhook does, returns warnings."""

_SERVER_OWNED = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")


class FakeApiServer:
    """See the module. `history` is how many changes a late watch can still ask for."""

    def __init__(
        self,
        clock: Clock,
        entropy: Entropy,
        *,
        history: int = 10_000,
        namespaces: Iterable[str] = ("default",),
    ) -> None:
        self.clock = clock
        self.storage = Storage(history)
        self.admission: dict[Resource, list[Admission]] = {}
        self.virtual: dict[Resource, Callable[[Json], Json]] = {}
        self.traffic: Counter[tuple[str, str, int]] = Counter()
        """How many requests of each verb and resource clients sent in each minute."""
        self._entropy = entropy
        self._kinds = {kind.resource: kind for kind in BUILT_IN}
        self._pages: dict[str, tuple[list[Json], int]] = {}
        self._page_numbers = itertools.count(1)
        # Every server has that one; the operators' claims are there.
        for name in dict.fromkeys((*namespaces, "kube-system")):
            self.create(NAMESPACES, {"metadata": {"name": name}})

    def register(self, kind: Kind) -> None:
        """Serve one more kind."""
        self._kinds[kind.resource] = kind

    # --- reading ---

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Json:
        """A copy of one object. Raises NotFound."""
        return copied(self._stored(self._kind(resource), (namespace or "", name)))

    def objects(self, resource: Resource, namespace: str | None = None) -> list[Json]:
        """Copies of all objects of a kind, by namespace and name."""
        return self.list(resource, namespace=namespace, limit=0).items

    def list(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        more: str = "",
    ) -> Page:
        """One page; see `Client.list`."""
        self._kind(resource)
        if more:
            found, number = self._continued(more)
        else:
            matches = _both(label_selector, field_selector)
            number = self.storage.number
            found = [
                item
                for (home, _), item in sorted(self.storage.of(resource).items())
                if (not namespace or home == namespace) and matches(item)
            ]
        page, rest = (found[:limit], found[limit:]) if limit else (found, [])
        token = self._remember_page(rest, number) if rest else ""
        return Page([copied(item) for item in page], str(number), token)

    def _remember_page(self, rest: Sequence[Json], number: int) -> str:
        token = f"page-{next(self._page_numbers)}"
        self._pages[token] = (list(rest), number)
        return token

    def _continued(self, token: str) -> tuple[Sequence[Json], int]:
        if token not in self._pages:
            raise Gone("The provided continue parameter is too old to display a consistent list")
        return self._pages[token]

    def open_watch(
        self,
        resource: Resource,
        *,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
    ) -> Feed:
        """A feed of the changes after `resource_version`; see `Client.watch`."""
        self._kind(resource)
        if not resource_version.isdigit() or int(resource_version) == 0:
            raise BadRequest(f"watch from a list's resourceVersion, not from {resource_version!r}")
        matches = _both(label_selector, field_selector)
        return self.storage.open(resource, namespace, matches, int(resource_version))

    # --- writing ---

    def create(
        self,
        resource: Resource,
        body: Json,
        *,
        namespace: str | None = None,
        dry_run: bool = False,
    ) -> Created:
        """POST; see `Client.create`."""
        if answer := self.virtual.get(resource):
            return Created(copied(answer(copied(body))), ())
        kind, item = self._kind(resource), copied(body)
        key = self._key_for_new(resource, item, namespace)
        self._check_new(kind, item, key)
        self._furnish(kind, item)
        warnings = self._admit(resource, None, item)
        if not dry_run:
            self.storage.put(resource, key, item, self._at())
            self._settle(kind, key)
        return Created(copied(item), warnings)

    def _key_for_new(self, resource: Resource, item: Json, namespace: str | None) -> Key:
        meta = item.setdefault("metadata", {})
        if not meta.get("name") and (prefix := meta.get("generateName")):
            meta["name"] = prefix + self._entropy.token()[:5]
        if not meta.get("name"):
            raise Invalid("metadata.name: Required value: name or generateName is required")
        if not resource.namespaced:
            return "", meta["name"]
        home = namespace or meta.get("namespace") or ""
        if meta.setdefault("namespace", home) != home or not home:
            raise BadRequest("the namespace of the provided object does not match the request")
        return home, meta["name"]

    def _check_new(self, kind: Kind, item: Json, key: Key) -> None:
        home, name = key
        if kind.resource.namespaced:
            place = self.storage.of(NAMESPACES).get(("", home))
            if place is None:
                raise NotFound(f'namespaces "{home}" not found')
            if "deletionTimestamp" in place["metadata"]:
                raise NamespaceTerminating(
                    f'{kind.resource} "{name}" is forbidden: unable to create new content in '
                    f"namespace {home} because it is being terminated"
                )
        if item["metadata"].get("resourceVersion"):
            # The real server calls its own refusal an internal error.
            raise Unavailable(
                "resourceVersion should not be set on objects to be created",
                status=500,
                reason="InternalError",
            )
        if key in self.storage.of(kind.resource):
            raise AlreadyExists(f'{kind.resource} "{name}" already exists')

    def _furnish(self, kind: Kind, item: Json) -> None:
        item["apiVersion"], item["kind"] = kind.resource.api_version, kind.resource.kind
        meta = item["metadata"]
        for name in (*_SERVER_OWNED, "generation"):
            meta.pop(name, None)
        meta["uid"] = self._uid()
        meta["creationTimestamp"] = timestamp(self.clock.now())
        if kind.generation:
            meta["generation"] = 1
        if kind.status:
            item.pop("status", None)
        kind.default(item)

    def _uid(self) -> str:
        digits = self._entropy.token() + self._entropy.token()
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def replace(self, resource: Resource, body: Json) -> Json:
        """PUT; see `Client.replace`."""
        return self._update(resource, _key(body), lambda _: body, whole=True)

    def replace_status(self, resource: Resource, body: Json, *, dry_run: bool = False) -> Json:
        """PUT to the status; see `Client.replace_status`."""
        return self._update(
            resource, _key(body), lambda _: body, "status", whole=True, dry_run=dry_run
        )

    def patch(
        self,
        resource: Resource,
        name: str,
        body: Json | Sequence[Json],
        *,
        namespace: str | None = None,
        kind: PatchKind = PatchKind.MERGE,
        subresource: str = "",
    ) -> Json:
        """PATCH; see `Client.patch`. APPLY is not modelled."""
        key = (namespace or "", name)
        return self._update(resource, key, lambda old: patched(old, body, kind), subresource)

    def _update(
        self,
        resource: Resource,
        key: Key,
        change: Callable[[Json], Json],
        subresource: str = "",
        *,
        whole: bool = False,
        dry_run: bool = False,
    ) -> Json:
        kind = self._kind(resource)
        served = {"", *(["status"] if kind.status else ()), *(["scale"] if kind.scale else ())}
        if subresource not in served:
            raise NotFound(f"the server could not find {resource}/{subresource}")
        old = self._stored(kind, key)
        new = copied(change(copied(old)))
        self._check_preconditions(kind, old, new, whole=whole)
        item = (
            _only_status(old, new)
            if subresource == "status"
            else self._all_but_status(kind, old, new)
        )
        self._admit(resource, old, item)
        if item == old or dry_run:
            return copied(item)
        stored = copied(self.storage.put(resource, key, item, self._at()))
        self._settle(kind, key)
        return stored

    def _check_preconditions(self, kind: Kind, old: Json, new: Json, *, whole: bool) -> None:
        """`whole`: the object was sent, not a patch; some kinds refuse one without a version."""
        meta, name = new.setdefault("metadata", {}), old["metadata"]["name"]
        version, uid = meta.get("resourceVersion"), meta.get("uid")
        if whole and not version and not kind.blind_updates:
            raise Invalid("metadata.resourceVersion: Invalid value: 0x0: must be specified")
        if uid and uid != old["metadata"]["uid"]:
            if not whole:
                raise Invalid(f'metadata.uid: Invalid value: "{uid}": field is immutable')
            raise Conflict(
                f'Operation cannot be fulfilled on {kind.resource} "{name}": Precondition failed: '
                f"UID in precondition: {uid}, UID in object meta: {old['metadata']['uid']}"
            )
        if version and version != old["metadata"]["resourceVersion"]:
            raise Conflict(
                f'Operation cannot be fulfilled on {kind.resource} "{name}": the object has been '
                "modified; please apply your changes to the latest version and try again"
            )

    def _all_but_status(self, kind: Kind, old: Json, new: Json) -> Json:
        kind.check_update(old, new)
        item = {**new, "apiVersion": old["apiVersion"], "kind": old["kind"]}
        if kind.status:
            item = _with(item, "status", old.get("status"))
        item["metadata"] = _kept_metadata(old["metadata"], new["metadata"])
        if kind.generation and _content(item) != _content(old):
            item["metadata"]["generation"] += 1
        return item

    def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
        grace_seconds: int | None = None,
        propagation: Literal["Background", "Foreground", "Orphan"] | None = None,
    ) -> Json:
        """DELETE; see `Client.delete`."""
        kind, key = self._kind(resource), (namespace or "", name)
        item = copied(self._stored(kind, key))
        meta = item["metadata"]
        self._check_deletion(kind, meta, uid, resource_version)
        _add_finalizer_for(propagation, meta)
        grace = _grace(kind, item, grace_seconds)
        if "deletionTimestamp" in meta:
            grace = min(grace, meta["deletionGracePeriodSeconds"])
        if meta.get("deletionGracePeriodSeconds") != grace:
            self._mark(meta, grace)
        if not kind.graceful and not _is_held(item):
            return copied(self.storage.remove(resource, key, self._at()))
        if item != self._stored(kind, key):
            self.storage.put(resource, key, item, self._at())
        self._settle(kind, key)
        return copied(item)

    def _check_deletion(
        self, kind: Kind, meta: Json, uid: str | None, resource_version: str | None
    ) -> None:
        for what, wanted in (("uid", uid), ("resourceVersion", resource_version)):
            if wanted is not None and wanted != meta[what]:
                raise Conflict(
                    f'Operation cannot be fulfilled on {kind.resource} "{meta["name"]}": '
                    f"Precondition failed: {what} is {meta[what]}, not {wanted}"
                )

    def _mark(self, meta: Json, grace: int) -> None:
        meta["deletionTimestamp"] = timestamp(self.clock.now() + timedelta(seconds=grace))
        meta["deletionGracePeriodSeconds"] = grace
        if "generation" in meta:
            meta["generation"] += 1

    def _settle(self, kind: Kind, key: Key) -> None:
        """Remove an object that is marked, has no grace left, and that nobody holds back."""
        item = self.storage.of(kind.resource)[key]
        if item["metadata"].get("deletionGracePeriodSeconds") == 0 and not _is_held(item):
            self.storage.remove(kind.resource, key, self._at())

    # --- what others in the cluster do ---

    def bind(self, namespace: str, pod: str, node: str) -> Json:
        """The scheduler's word: put a pod on a node. Raises Conflict if gated or placed."""
        item = self.get(PODS, pod, namespace)
        if item["spec"].get("nodeName") or item["spec"].get("schedulingGates"):
            raise Conflict(f'pod "{pod}" is already assigned to a node, or has scheduling gates')
        item["spec"]["nodeName"] = node
        conditions = item["status"].setdefault("conditions", [])
        conditions[:] = [c for c in conditions if c["type"] != "PodScheduled"]
        conditions.append(
            {
                "type": "PodScheduled",
                "status": "True",
                "lastTransitionTime": timestamp(self.clock.now()),
            }
        )
        return copied(self.storage.put(PODS, (namespace, pod), item, self._at()))

    def finalize_namespace(self, name: str) -> None:
        """The namespace controller's word: nothing is left in it."""
        item = self.get(NAMESPACES, name)
        item["spec"]["finalizers"] = []
        self.storage.put(NAMESPACES, ("", name), item, self._at())
        self._settle(self._kind(NAMESPACES), ("", name))

    def forget_history(self) -> None:
        """Compaction: what happened so far can be watched and paged no more."""
        self.storage.forget()
        self._pages.clear()

    def restart(self) -> None:
        """Every open watch breaks, and the history is gone; the objects stay."""
        self.forget_history()
        self.storage.sever(Unavailable("the connection was closed by the server"))

    # --- shared ---

    def _kind(self, resource: Resource) -> Kind:
        if resource not in self._kinds:
            raise NotFound(f"the server could not find the requested resource {resource}")
        return self._kinds[resource]

    def _stored(self, kind: Kind, key: Key) -> Json:
        item = self.storage.of(kind.resource).get(key)
        if item is None:
            raise NotFound(f'{kind.resource} "{key[1]}" not found')
        return item

    def _admit(self, resource: Resource, old: Json | None, new: Json) -> tuple[str, ...]:
        rules = self.admission.get(resource, ())
        return tuple(warning for rule in rules for warning in rule(old, new))

    def _at(self) -> float:
        return self.clock.monotonic()


def _key(body: Json) -> Key:
    return body["metadata"].get("namespace", ""), body["metadata"]["name"]


def _both(labels: str, fields: str) -> Matches:
    by_label, by_field = label_selector(labels), field_selector(fields)
    return lambda item: by_label(item) and by_field(item)


def _with(item: Json, field: str, value: Any) -> Json:
    """`item` with `field` set, or without it if `value` is None."""
    rest = {name: each for name, each in item.items() if name != field}
    return rest if value is None else {**rest, field: value}


def _only_status(old: Json, new: Json) -> Json:
    return copied(_with(old, "status", new.get("status")))


def _content(item: Json) -> Json:
    return {name: part for name, part in item.items() if name not in {"metadata", "status"}}


def _kept_metadata(old: Json, new: Json) -> Json:
    """What the user may change of the metadata, and the rest as it was."""
    meta = {name: part for name, part in new.items() if name not in _SERVER_OWNED}
    meta |= {name: old[name] for name in _SERVER_OWNED if name in old}
    for name in ("name", "namespace", "generation", "resourceVersion"):
        meta = _with(meta, name, old.get(name))
    added = set(meta.get("finalizers") or ()) - set(old.get("finalizers") or ())
    if "deletionTimestamp" in old and added:
        raise Invalid(
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is "
            f"being deleted, found new finalizers {sorted(added)}"
        )
    return meta


def _is_held(item: Json) -> bool:
    """By a finalizer; a namespace has its own kind of them in its spec."""
    own = item.get("spec", {}).get("finalizers") if item["kind"] == NAMESPACES.kind else None
    return bool(item["metadata"].get("finalizers") or own)


def _grace(kind: Kind, item: Json, asked: int | None) -> int:
    """Seconds a deletion waits: only running pods have any, the kubelet ends the wait."""
    if not kind.graceful or not item["spec"].get("nodeName"):
        return 0
    if item["status"].get("phase") in {"Succeeded", "Failed"}:
        return 0
    return int(item["spec"]["terminationGracePeriodSeconds"] if asked is None else asked)


def _add_finalizer_for(propagation: str | None, meta: Json) -> None:
    name = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(propagation or "")
    if name and name not in meta.setdefault("finalizers", []):
        meta["finalizers"].append(name)
