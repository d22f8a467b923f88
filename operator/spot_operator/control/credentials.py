"""Where the API server is and who we are, read by the `kubernetes` package.

`load` looks where every Kubernetes client looks: a given kubeconfig, `$KUBECONFIG`, the pod's own
service account, `~/.kube/config`, in that order. Tokens on disk rotate (a projected one lives
an hour): `headers()` reads everything again after `REREAD_SECONDS`, and `renew()` at once, which
is also when exec plugins run again and client certificates are re-read.
"""

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spot_operator.control.clock import Clock
from spot_operator.control.errors import ControlError

__all__ = ["REREAD_SECONDS", "Connection", "CredentialsError", "load"]

REREAD_SECONDS = 60.0
"""How long a token is used before its file is looked at again; what client-go does."""

_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"


class CredentialsError(ControlError):
    """There is no usable configuration; the message says where we looked."""


@dataclass(frozen=True, slots=True)
class _Settings:
    """What one reading of the configuration gave."""

    host: str
    tls: ssl.SSLContext | None
    tls_server_name: str | None
    proxy: str | None
    authorization: str | None


class Connection:
    """One API server and one identity, kept current. Made by `load`."""

    def __init__(self, clock: Clock, kubeconfig: str | None, context: str | None) -> None:
        self._clock = clock
        self._kubeconfig = kubeconfig
        self._context = context
        self._settings: _Settings | None = None
        self._read_at = 0.0

    async def renew(self) -> None:
        """Read everything again, now. Raises CredentialsError."""
        self._settings = await _read(self._kubeconfig, self._context)
        self._read_at = self._clock.monotonic()

    async def headers(self) -> dict[str, str]:
        """What proves who we are; empty when a client certificate does. May raise as `renew`."""
        if self._settings is None or self._rotates():
            await self.renew()
        word = self._current.authorization
        return {"Authorization": word} if word else {}

    def _rotates(self) -> bool:
        old = self._clock.monotonic() - self._read_at > REREAD_SECONDS
        return old and self._kubeconfig is None and self._current.authorization is not None

    @property
    def host(self) -> str:
        """The server's address, without a slash at the end."""
        return self._current.host

    @property
    def tls(self) -> ssl.SSLContext | None:
        """How to verify the server; None for plain http."""
        return self._current.tls

    @property
    def tls_server_name(self) -> str | None:
        """The name its certificate carries, where it is not the one in the address."""
        return self._current.tls_server_name

    @property
    def proxy(self) -> str | None:
        """The address of an HTTP proxy to go through."""
        return self._current.proxy

    @property
    def _current(self) -> _Settings:
        if self._settings is None:
            raise CredentialsError("the connection was never read: use load()")
        return self._settings


async def load(
    clock: Clock, *, kubeconfig: str | None = None, context: str | None = None
) -> Connection:
    """Find the API server and read the credentials.

    Raises:
        CredentialsError: there are none, or they cannot be read.
    """
    connection = Connection(clock, kubeconfig or _kubeconfig_to_use(), context)
    await connection.renew()
    return connection


def _kubeconfig_to_use() -> str | None:
    """None means the pod's service account."""
    if named := os.environ.get("KUBECONFIG"):
        return named
    if os.environ.get(_IN_CLUSTER):
        return None
    usual = Path.home() / ".kube" / "config"
    if usual.exists():
        return str(usual)
    raise CredentialsError(
        f"no Kubernetes configuration: KUBECONFIG is not set, this is not a pod, and {usual} is "
        "missing; name a kubeconfig"
    )


async def _read(kubeconfig: str | None, context: str | None) -> _Settings:
    # Imported here: 0.2 s and 40 MB that tests and the command line need not pay for.
    from kubernetes.aio import client, config  # noqa: PLC0415

    settings = client.Configuration()
    try:
        if kubeconfig is None:
            config.load_incluster_config(client_configuration=settings, try_refresh_token=False)
        else:
            await config.load_kube_config(
                config_file=kubeconfig,
                context=context,
                client_configuration=settings,
                persist_config=False,
            )
        return _Settings(
            host=settings.host.rstrip("/"),
            tls=_tls(settings) if settings.host.startswith("https") else None,
            tls_server_name=settings.tls_server_name,
            proxy=settings.proxy,
            authorization=settings.api_key.get("BearerToken", "").strip() or None,
        )
    except (config.ConfigException, OSError, ssl.SSLError) as error:
        source = kubeconfig or "the pod's service account"
        raise CredentialsError(f"cannot use {source}: {error}") from error


def _tls(settings: Any) -> ssl.SSLContext:
    tls = ssl.create_default_context(cafile=settings.ssl_ca_cert, cadata=settings.ca_cert_data)
    if settings.cert_file:
        tls.load_cert_chain(settings.cert_file, keyfile=settings.key_file)
    if not settings.verify_ssl:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    # Clusters' own authorities are often older than the rules of RFC 5280 that Python 3.13 checks.
    tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return tls
