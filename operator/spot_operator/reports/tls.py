"""The server's TLS: certificates live in memory, are renewed in time, and never touch a disk.

The leader fills and advances the Secret of the authority; a replica that does not lead only reads
it. The Secret itself is the chart's: the operator may not create any.
"""

import os
import ssl
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from spot_operator.control.client import Client
from spot_operator.control.clock import Clock
from spot_operator.control.errors import NotFound
from spot_operator.control.resource import SECRETS
from spot_operator.reports.authority import Authority, AuthorityError, KeyPair, advance, issue

__all__ = ["CHECK_SECONDS", "ServerTls", "service_names"]

CHECK_SECONDS: Final = 3600.0
"""How often `ServerTls.refresh` should be called; certificates live 30 days."""
RENEW: Final = timedelta(days=10)
"""A server certificate with less life left is replaced."""


def service_names(service: str, namespace: str) -> tuple[str, ...]:
    """The names under which pods may reach a Service; the one we tell them first."""
    return (f"{service}.{namespace}.svc", f"{service}.{namespace}", service)


class ServerTls:
    """An `ssl.SSLContext` that is always current. Create it, then `refresh` before serving."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        *,
        namespace: str,
        secret_name: str,
        dns_names: tuple[str, ...],
        writes: Callable[[], bool],
    ) -> None:
        """`client` must be the fenced one; `writes` says whether we lead, and so may fill."""
        self._client = client
        self._clock = clock
        self._namespace = namespace
        self._secret_name = secret_name
        self._dns_names = dns_names
        self._writes = writes
        self._authority: Authority | None = None
        self._served: KeyPair | None = None
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2

    @property
    def bundle(self) -> str:
        """The authorities pods are told to trust (PEM); empty before the first `refresh`."""
        return self._authority.bundle if self._authority else ""

    @property
    def ready(self) -> bool:
        """Whether the context has a certificate that a sidecar would accept."""
        return self._served is not None and self._served.expires() > self._clock.now()

    async def refresh(self) -> None:
        """Read the Secret, advance it if we lead, renew the server certificate if it is time.

        What a leader has yet to write is not used by others: they keep what they have, at first
        nothing. Open connections keep the certificate they were made with.

        Raises:
            AuthorityError: the Secret is missing, or holds something else.
            ApiError: it could not be read or written; a Conflict means try again.
        """
        authority = await self._current_authority()
        if authority is None:
            return
        now = self._clock.now()
        if authority != self._authority or self._ends_soon(now):
            self._serve(issue(authority, self._dns_names, now))
        self._authority = authority

    async def _current_authority(self) -> Authority | None:
        try:
            secret = await self._client.get(SECRETS, self._secret_name, namespace=self._namespace)
        except NotFound:
            raise AuthorityError(
                f"Secret {self._namespace}/{self._secret_name} is missing: the chart creates it "
                "empty; upgrade the release, or create a Secret of that name without data"
            ) from None
        data = secret.get("data") or {}
        kept, authority = advance(data, self._clock.now())
        if kept == data:
            return authority
        if not self._writes():
            return self._authority
        await self._client.replace(SECRETS, {**secret, "data": kept})
        return authority

    def _ends_soon(self, now: datetime) -> bool:
        return self._served is None or self._served.expires() - now <= RENEW

    def _serve(self, pair: KeyPair) -> None:
        # The ssl module reads files only; an anonymous one in memory leaves nothing behind.
        descriptor = os.memfd_create("server-certificate")
        try:
            os.write(descriptor, pair.key + pair.certificate)
            self.context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
        self._served = pair
