"""Our own writes that the caches do not show yet: nothing is decided before they do.

Names stand for pods created, `<uid>` for pods asked to go, `<uid>!` for pods asked to go by force,
`<kind>@<version>` for objects changed. A write whose news is lost is waited for a minute.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from spot_operator.control.clock import Clock
from spot_operator.control.errors import ApiError, Unavailable
from spot_operator.control.expectations import Expectations
from spot_operator.control.informers import Cache
from spot_operator.control.store import Change
from spot_operator.domain.observed.snapshot import JobKey
from spot_operator.reconcile.caches import Caches, key_of_job, key_of_pod

__all__ = ["Expecting"]

Json = dict[str, Any]

TIMEOUT_SECONDS: Final = 60.0
"""Then the write is taken for seen; every action is idempotent, so looking again is safe."""


class Expecting:
    """Expectations by job over the job and pod caches."""

    def __init__(self, caches: Caches, clock: Clock) -> None:
        self._expectations: Expectations[JobKey] = Expectations(
            clock, timeout_seconds=TIMEOUT_SECONDS
        )
        self._caches = caches
        caches.jobs.subscribe(self._job_changed)
        caches.pods.subscribe(self._pod_changed)

    def expires_in(self, key: JobKey) -> float | None:
        """Seconds until the job may be looked at even unseen; None when all is seen."""
        return self._expectations.expires_in(key)

    @contextmanager
    def creation(self, key: JobKey, name: str) -> Iterator[None]:
        """Around the POST of a pod."""
        with self._around(key, name, unsure=True):
            yield
        if self._caches.pods.named(name, key.namespace) is not None:
            # It was there before we asked: no news will come of it.
            self._expectations.seen(key, name)

    @contextmanager
    def deletion(self, key: JobKey, uid: str, *, forced: bool) -> Iterator[None]:
        """Around the DELETE of a pod."""
        mark = f"{uid}!" if forced else uid
        # Asking again harms nobody: one of unknown outcome must not hold the job up.
        with self._around(key, mark, unsure=False):
            yield
        if self._caches.pods.get(uid) is None:
            self._expectations.seen(key, mark)

    def change(self, key: JobKey, informer: Cache, written: Json) -> None:
        """After a write that returned `written`: wait until the cache is as new."""
        meta = written["metadata"]
        cached = informer.get(meta["uid"])
        if cached is None or not _at_least(cached, meta["resourceVersion"]):
            mark = f"{informer.resource.plural}@{meta['resourceVersion']}"
            self._expectations.expect(key, [mark])

    def gone(self, key: JobKey, uid: str) -> None:
        """The server says that this pod is gone: wait until the cache does not show it either.

        A cache that missed the news would have it asked for again and again.
        """
        if self._caches.pods.get(uid) is not None:
            self._expectations.expect(key, [uid])

    def forget(self, key: JobKey) -> None:
        """The job is gone."""
        self._expectations.forget(key)

    @contextmanager
    def _around(self, key: JobKey, mark: str, *, unsure: bool) -> Iterator[None]:
        """`unsure`: a write of unknown outcome is waited for as if it had been done."""
        self._expectations.expect(key, [mark])
        try:
            yield
        except ApiError as error:
            unknown = isinstance(error, Unavailable) and not error.refused
            if not (unsure and unknown):
                self._expectations.seen(key, mark)
            raise

    def _job_changed(self, change: Change) -> None:
        key = key_of_job(change.item)
        self._versions_seen(key, self._caches.jobs.resource.plural, change)

    def _pod_changed(self, change: Change) -> None:
        key, meta = key_of_pod(change.item), change.item["metadata"]
        if key is None:
            return
        self._expectations.seen(key, meta["name"])
        gone, grace = change.new is None, meta.get("deletionGracePeriodSeconds")
        if gone or grace is not None:
            self._expectations.seen(key, meta["uid"])
        if gone or grace == 0:
            self._expectations.seen(key, f"{meta['uid']}!")
        self._versions_seen(key, self._caches.pods.resource.plural, change)

    def _versions_seen(self, key: JobKey, kind: str, change: Change) -> None:
        for mark in self._expectations.missing(key):
            prefix, _, version = mark.partition("@")
            if prefix == kind and (change.new is None or _at_least(change.new, version)):
                self._expectations.seen(key, mark)


def _at_least(item: Json, version: str) -> bool:
    """Versions of one kind are comparable decimal numbers (KEP-5504)."""
    have = item["metadata"]["resourceVersion"]
    return bool(have.isdigit() and version.isdigit() and int(have) >= int(version))
