"""An operator that only listens: reports over TLS, with a certificate of its own authority."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Json = dict[str, Any]
Answer = tuple[int, Json]


@dataclass(slots=True)
class FakeOperator:
    """What was reported, and how the next reports are answered."""

    port: int = 0
    bundle: str = ""
    reports: list[Json] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    """Taken one by one; when there is none left, reports are acknowledged."""

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def find(self, wanted: Callable[[Json], object]) -> Json | None:
        """The newest report that is wanted."""
        return next((report for report in reversed(self.reports) if wanted(report)), None)

    async def receive(self, request: web.Request) -> web.Response:
        report = await request.json()
        self.reports.append(report)
        self.tokens.append(request.headers.get("Authorization", ""))
        sequence = report["sequence"]
        usual: Answer = (200, {"version": 1, "sequence": sequence, "acknowledged": True})
        status, body = self.answers.pop(0) if self.answers else usual
        return web.json_response(body, status=status)


@contextlib.contextmanager
def fake_operator(folder: Path) -> Iterator[FakeOperator]:
    """Serves on loopback, in a thread with its own loop, until the block ends."""
    operator = FakeOperator()
    operator.bundle = make_authority(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "operator.crt", folder / "operator.key")
    loop = asyncio.new_event_loop()
    started = threading.Event()
    stop = asyncio.Event()

    async def serve() -> None:
        app = web.Application()
        app.router.add_post("/v1/reports", operator.receive)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        operator.port = runner.addresses[0][1]
        started.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        if not started.wait(10):
            raise RuntimeError("the fake operator did not start")
        yield operator
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def make_authority(folder: Path) -> str:
    """Writes operator.crt and operator.key for 127.0.0.1; returns the authority's certificate."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("authority", authority_key, "authority", authority_key, ca=True)
    key = ec.generate_private_key(ec.SECP256R1())
    server = _certificate("operator", key, "authority", authority_key, ca=False)
    (folder / "operator.crt").write_bytes(server.public_bytes(serialization.Encoding.PEM))
    (folder / "operator.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return authority.public_bytes(serialization.Encoding.PEM).decode()


def _certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    signer: ec.EllipticCurvePrivateKey,
    *,
    ca: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
            critical=False,
        )
    )
    return builder.sign(signer, hashes.SHA256())
