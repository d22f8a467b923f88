"""A whole cluster: bring it up, find it again, change it, end it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Self

from toolchain.layout import cache_from

from . import control_plane, network
from .commands import programs, until
from .errors import ClusterError, PreconditionError
from .faults import Node
from .holders import hold, refuse_if_held
from .images import sandbox_image
from .machine import WITH_NETWORK, WITHOUT_NAMESPACES, Machine, Service, Spec, base_env
from .nodes import node_of
from .pools import DEFAULT_NODES, NodeSpec, new_node, parse_nodes
from .preconditions import check
from .progress import Progress, Tell, silent
from .readiness import await_ready
from .records import Home, Record, all_records, locked, state_root
from .s3 import S3, await_store, create_bucket, new_keys, store_of
from .site import Site
from .slots import free_slot
from .sweep import sweep


class Cluster:
    """A running cluster. As a context manager it goes down at the end."""

    def __init__(self, site: Site) -> None:
        self._site = site

    @classmethod
    def up(
        cls,
        id: str = "dev",  # noqa: A002 (what it is called everywhere)
        *,
        nodes: str | Sequence[NodeSpec] = DEFAULT_NODES,
        images: Iterable[Path | str] = (),
        lease_seconds: int = 10,
        grace_seconds: int = 50,
        tell: Tell = silent,
        replace: bool = False,
        held: bool = True,
        keep_failed: bool = False,
    ) -> Self:
        """A cluster with nodes that take pods; needs root. Blocks until it is ready.

        `images`: docker-archives that every node starts with. `lease_seconds`: how long a node's
        Lease lasts (kubelets renew it four times as often). `grace_seconds`: how long the
        controllers wait for a silent node. What an earlier cluster of this id left is removed
        first, also one that is up if `replace`, unless a living process holds it; `held`: this one
        does, as long as it lives. What a failed start made is removed, too, unless `keep_failed`.
        Raises `PreconditionError` when the id is in use or the machine lacks something,
        `NotReadyError` when something does not come up in its time.
        """
        specs = parse_nodes(nodes) if isinstance(nodes, str) else tuple(nodes)
        check(with_nodes=True, own_kernels=any(each.own_kernel for each in specs))
        archives = [sandbox_image(cache_from(os.environ).images)[1], *map(Path, images)]
        wanted = _blank(id, nodes=specs, lease_seconds=lease_seconds, grace_seconds=grace_seconds)
        return cls._up(
            wanted, archives, Progress(tell), over=replace, held=held, keep_failed=keep_failed
        )

    @classmethod
    def api_only(
        cls,
        id: str = "api",  # noqa: A002 (what it is called everywhere)
        *,
        controllers: bool = True,
        tell: Tell = silent,
        replace: bool = False,
        held: bool = True,
        keep_failed: bool = False,
    ) -> Self:
        """API server, controllers and object store on loopback; no nodes, no scheduler, no root.

        `controllers`: with kube-controller-manager (garbage collection, service accounts …); the
        rest as in `up`.
        """
        check(with_nodes=False)
        wanted = dataclasses.replace(_blank(id, nodes=None), controllers=controllers)
        return cls._up(wanted, [], Progress(tell), over=replace, held=held, keep_failed=keep_failed)

    @classmethod
    def attach(cls, id: str = "dev") -> Self:  # noqa: A002 (what it is called everywhere)
        """A cluster that is up; raises `PreconditionError` when there is none of that id."""
        home = Home(state_root(os.environ), id)
        record = home.read()
        if record is None or record.phase != "up" or not Machine(home.hub).is_running():
            raise PreconditionError(
                f"there is no cluster {id}; start it: hack/cluster up --id {id}"
            )
        return cls(Site(home, record))

    @classmethod
    def _up(
        cls,
        wanted: Record,
        archives: list[Path],
        progress: Progress,
        *,
        over: bool,
        held: bool,
        keep_failed: bool,
    ) -> Self:
        home = Home(state_root(os.environ), wanted.id)
        with locked(home.path):
            if not over and _is_up(home):
                raise PreconditionError(
                    f"cluster {home.id} is up; end it (hack/cluster down --id {home.id}), "
                    "replace it (up --replace), or choose another --id"
                )
            refuse_if_held(home)
            sweep(home, itself=False)
            try:
                if held:
                    hold(home)
                site = _start(home, _reserve(home, wanted), archives, progress)
            except BaseException:
                if not keep_failed:
                    sweep(home)
                raise
        return cls(site)

    @property
    def id(self) -> str:
        return self._site.home.id

    @property
    def kubeconfig(self) -> Path:
        """For an administrator of this cluster."""
        return self._site.home.kubeconfig

    @property
    def directory(self) -> Path:
        """All that it has on disk; logs are in `hub/log` and `nodes/<name>/log`."""
        return self._site.home.path

    @property
    def host_address(self) -> str:
        """Where pods find a server that runs on this host."""
        return str(self._site.record.addresses.host)

    @property
    def s3(self) -> S3:
        return store_of(self._site.record)

    @property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(node_of(self._site, spec) for spec in self._site.record.nodes or ())

    def node(self, name: str) -> Node:
        """The node of that name; raises `PreconditionError`."""
        found = {node.name: node for node in self.nodes}
        if name not in found:
            raise PreconditionError(f"there is no node {name}; there are: {', '.join(found)}")
        return found[name]

    def kubectl(self, *arguments: str, stdin: str | None = None, within: float = 60) -> str:
        """What kubectl prints; raises `CommandError` when it fails. `within` in seconds."""
        return self._site.kubectl(*arguments, stdin=stdin, within=within)

    def add_node(self, name: str, kind: str = "spot") -> Node:
        """One more node; returns when it takes pods. `kind` as in `--nodes`."""
        home = self._site.home
        if self._site.record.nodes is None:
            raise PreconditionError(f"cluster {self.id} is a control plane alone; it has no nodes")
        with locked(home.path):
            spec = new_node(name, kind, self._site.record.nodes or ())
            record = self._site.record.with_node(spec)
            home.write(record)
            self._site = Site(home, record)
        self.node(name).return_()
        return self.node(name)

    def load_image(self, *archives: Path | str) -> None:
        """Import docker-archives into every node, also into those that come (back) later."""
        paths = [Path(archive) for archive in archives]
        with locked(self._site.home.path), self._site.store.adding(paths):
            running = [node for node in self.nodes if node.is_running()]
            for node in running:
                node.import_images(paths)
        for node in running:
            node.catch_up_images()

    def stop_service(self, name: str) -> None:
        """End a program of the control plane (`kube-apiserver`, `versitygw` …) until started."""
        known = {service.name: service for service in self._hub_services()}
        if name not in known:
            raise PreconditionError(f"no service {name}; there are: {', '.join(known)}")
        running = self._site.hub.spec().services
        self._site.hub.reconfigure(each for each in running if each.name != name)

    def start_services(self) -> None:
        """Start all programs of the control plane that were stopped; wait until they answer."""
        self._site.hub.reconfigure(self._hub_services())
        await_control_plane(self._site)
        await_store(self.s3)

    def _hub_services(self) -> tuple[Service, ...]:
        return control_plane.services(self._site.home, self._site.record)

    def down(self) -> None:
        """End it and remove all that it made."""
        down(self.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.down()


def down(id: str = "dev") -> bool:  # noqa: A002 (what it is called everywhere)
    """End the cluster, or what is left of it, and remove all it made. False if there was nothing.

    Works whatever state it is in, also after everything was killed in the middle of a start.
    """
    home = Home(state_root(os.environ), id)
    if not home.path.exists():
        return False
    with locked(home.path):
        sweep(home)
    return True


def _blank(
    cluster_id: str,
    *,
    nodes: tuple[NodeSpec, ...] | None,
    lease_seconds: int = 40,
    grace_seconds: int = 50,
) -> Record:
    access_key, secret_key = new_keys()
    return Record(
        id=cluster_id,
        slot=-1,
        phase="starting",
        access_key=access_key,
        secret_key=secret_key,
        controllers=True,
        lease_seconds=lease_seconds,
        grace_seconds=grace_seconds,
        nodes=nodes,
    )


def _is_up(home: Home) -> bool:
    record = home.read()
    return record is not None and record.phase == "up" and Machine(home.hub).is_running()


def _reserve(home: Home, wanted: Record) -> Record:
    """Give the cluster its addresses; from here on its record says that they are taken."""
    with locked(home.root):
        record = dataclasses.replace(
            wanted, slot=free_slot(each.slot for each in all_records(home.root))
        )
        home.write(record)
    return record


def _start(home: Home, record: Record, archives: list[Path], progress: Progress) -> Site:
    site = Site(home, record)
    if record.nodes is None:
        with progress.step("control plane", 8):
            start_control_plane(site)
    else:
        with progress.step("control plane, images", 12), site.store.adding(archives):
            start_control_plane(site)
        with progress.step(f"{len(record.nodes)} nodes", 15):
            start_nodes(site)
    up = dataclasses.replace(record, phase="up")
    home.write(up)
    return Site(home, up)


def start_control_plane(site: Site) -> None:
    """Start the hub and wait until it answers."""
    home, record = site.home, site.record
    control_plane.prepare(home, record)
    services = control_plane.services(home, record)
    env = base_env(programs(), home.hub)
    if record.nodes is None:
        joins = site.cgroups.create("system") if os.geteuid() == 0 else ()
        site.hub.start(Spec(services, env, cgroups=joins), WITHOUT_NAMESPACES)
    else:
        setup = network.hub_setup(record.addresses)
        spec = Spec(services, env, setup, site.cgroups.create("system"))
        wire = network.connect_hub
        site.hub.start(spec, WITH_NETWORK, lambda pid: wire(home.id, record.addresses, pid))
    await_control_plane(site)
    if record.nodes is not None:
        site.kubectl.apply(control_plane.bootstrap_objects())
        control_plane.dns_may_start(home).touch()
    await_store(store_of(record))
    create_bucket(store_of(record))


def await_control_plane(site: Site, within: float = 60) -> None:
    """Wait until the API server and, if there is one, the controller manager do their work."""

    def explain() -> str:
        return "\n".join(
            site.hub.log_tail(name)
            for name in ("supervisor", "etcd", "kube-apiserver", "kube-controller-manager")
        )

    def answers(*arguments: str) -> bool:
        if not site.hub.is_running():
            raise ClusterError(f"the control plane ended\n{explain()}")
        return site.kubectl.answers(*arguments)

    until(
        "the API server", lambda: answers("get", "--raw", "/readyz"), within=within, explain=explain
    )
    if site.record.controllers:
        # The first thing that pods need of the controllers.
        account = ("get", "serviceaccount", "default", "--namespace", "default")
        until("the controllers", lambda: answers(*account), within=within, explain=explain)


def start_nodes(site: Site) -> None:
    """Start all nodes and wait until they take pods."""
    nodes = [node_of(site, spec) for spec in site.record.nodes or ()]
    for node in nodes:
        node.begin()
    limit = max((node.boots_within for node in nodes), default=0)
    # Each is asked again and again: a kernel of its own tells its boot only once it runs.
    await_ready(site, {node.name: partial(_boot_of, node) for node in nodes}, limit)
    for node in nodes:
        if node.spec.capacity == "spot":
            node.await_metadata()


def _boot_of(node: Node) -> str:
    return node.boot_id
