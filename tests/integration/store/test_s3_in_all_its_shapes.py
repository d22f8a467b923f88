"""S3 in all its shapes: what each kind of server gets, through a proxy that plays it."""

import datetime as dt
import ipaddress
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kit.checkpoints import random_bytes
from kit.s3_proxy import Answer, S3Proxy, Shape, s3_proxy, sometimes
from kit.stores import ACCESS, SECRET, S3Server, s3_server
from spot_training.checkpoint.digest import digest_payload
from spot_training.checkpoint.retry import Retry
from spot_training.checkpoint.store import Corrupt, Denied, Misconfigured, NotFound, Unreachable
from spot_training.checkpoint.stores.s3 import SETTLE_SECONDS, S3Store
from spot_training.checkpoint.stores.s3_client import S3Settings

MIB = 1 << 20
PART = 5 * MIB
RETRY = Retry(attempts=3, initial=0.01)
KEY = "data/object"
DATA = random_bytes(2 * PART + 100)
DIGESTS = digest_payload(DATA, part_size=PART)

Playing = Callable[[Shape], S3Store]


@pytest.fixture
def proxy(server: S3Server) -> Iterator[S3Proxy]:
    with s3_proxy(server) as found:
        yield found


@pytest.fixture
def playing(proxy: S3Proxy, bucket: str) -> Iterator[Playing]:
    """A store on a server of some shape."""
    made: list[S3Store] = []

    def play(shape: Shape) -> S3Store:
        proxy.shape = shape
        made.append(S3Store(proxy.settings(bucket), retry=RETRY))
        return made[-1]

    yield play
    for store in made:
        store.close()


def expect_round_trip(store: S3Store) -> None:
    store.upload(KEY, DATA, DIGESTS)
    into = memoryview(bytearray(len(DATA)))
    store.download(KEY, into, DIGESTS)
    assert into == DATA


@pytest.mark.parametrize(
    ("shape", "conditional", "checksums"),
    [
        (Shape(), True, True),
        (Shape(conditions=False), False, True),
        (Shape(checksums=False), True, False),
        (Shape(checksums=False, md5=False), True, False),
        (Shape(unsigned=False), True, True),
        (Shape(lists_uploads=False), True, True),
        (Shape(conditions=False, checksums=False, md5=False, unsigned=False), False, False),
    ],
    ids=str,
)
def test_what_a_server_can_do_is_found_out_and_the_rest_is_done_here(
    playing: Playing, shape: Shape, conditional: bool, checksums: bool
) -> None:
    store = playing(shape)
    found = store.probe()
    assert (found.conditional_create, found.checksums) == (conditional, checksums)
    assert store.list("probe/") == ()
    expect_round_trip(store)
    with pytest.raises(NotFound):
        store.read("absent")


def test_unsigned_payloads_are_sent_where_they_are_taken(playing: Playing, proxy: S3Proxy) -> None:
    expect_round_trip(playing(Shape()))
    sent = {asked.headers["x-amz-content-sha256"] for asked in proxy.asked if asked.part}
    assert sent == {"UNSIGNED-PAYLOAD"}
    assert all("aws-chunked" not in str(asked.headers) for asked in proxy.asked)


def test_without_checksums_every_part_carries_its_md5(playing: Playing, proxy: S3Proxy) -> None:
    expect_round_trip(playing(Shape(checksums=False)))
    assert all("content-md5" in asked.headers for asked in proxy.asked if asked.part)


def test_without_checksums_an_upload_goes_on_by_md5(playing: Playing, proxy: S3Proxy) -> None:
    store = playing(Shape(checksums=False))
    proxy.fault = sometimes(Answer(503, "SlowDown"), "CompleteMultipartUpload", times=99)
    with pytest.raises(Unreachable):
        store.upload(KEY, DATA, DIGESTS)
    proxy.fault = lambda _asked: None
    proxy.forget()
    expect_round_trip(store)
    assert proxy.parts_sent() == []


def test_where_nothing_is_compared_the_object_is_read_back(
    playing: Playing, proxy: S3Proxy, server: S3Server, bucket: str
) -> None:
    store = playing(Shape(checksums=False, md5=False))
    store.probe()

    def spoil(asked: Any) -> None:
        path = server.object_path(bucket, KEY)
        if asked.operation == "HeadObject" and path.exists():
            body = bytearray(path.read_bytes())
            body[PART + 7] ^= 1
            path.write_bytes(body)

    proxy.fault = spoil
    with pytest.raises(Corrupt, match="do not match their digest"):
        store.upload(KEY, DATA, DIGESTS)


def test_chunk_framing_in_objects_is_found_out_at_the_start(playing: Playing) -> None:
    store = playing(Shape(framing=True))
    for call in (store.probe, lambda: store.upload(KEY, DATA, DIGESTS)):
        with pytest.raises(Misconfigured, match="aws-chunked framing"):
            call()


@pytest.mark.parametrize("size", [1000, len(DATA)])
def test_chunk_framing_that_begins_later_is_found_out_after_the_upload(
    playing: Playing, proxy: S3Proxy, size: int
) -> None:
    store = playing(Shape(checksums=False))
    store.probe()
    proxy.shape = Shape(checksums=False, framing=True)
    data = memoryview(DATA)[:size]
    with pytest.raises(Misconfigured, match="aws-chunked framing"):
        store.upload(KEY, data, digest_payload(data, part_size=PART))


# -- servers without conditional writes ------------------------------------------------------------


@pytest.fixture
def simple(playing: Playing) -> list[S3Store]:
    """Several writers on a server that ignores If-None-Match."""
    return [playing(Shape(conditions=False)) for _ in range(4)]


def test_creating_stays_create_only_without_conditions(simple: list[S3Store]) -> None:
    together = threading.Barrier(4)
    won: dict[int, bool] = {}

    def create(number: int) -> None:
        simple[number].probe()
        together.wait(30)
        won[number] = simple[number].create("claim", f"writer {number}".encode())

    threads = [threading.Thread(target=create, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=4 * SETTLE_SECONDS + 30)
    assert sum(won.values()) == 1
    (winner,) = (number for number, result in won.items() if result)
    body = f"writer {winner}".encode()
    assert {store.read("claim") for store in simple} == {body}
    assert simple[winner].create("claim", body)
    assert not simple[0].create("claim", b"late")


def test_a_writer_that_died_before_its_key_is_adopted(simple: list[S3Store]) -> None:
    """Its ballot stands: whoever comes next writes the earlier body, and says it did not win."""
    simple[0].probe()
    simple[0]._calls.put(".ballots/claim/00000000", b"died")
    assert not simple[1].create("claim", b"later")
    assert simple[2].read("claim") == b"died"


def test_deleted_is_gone_without_conditions_too(simple: list[S3Store]) -> None:
    """Its ballots go with it: else they would bring the earlier body back."""
    simple[0].probe()
    assert simple[0].create("pins/a", b"first")
    simple[0].delete("pins/a")
    assert simple[0].list("") == ()
    assert simple[1].create("pins/a", b"second")
    assert simple[2].read("pins/a") == b"second"


# -- TLS with a private authority ------------------------------------------------------------------


class Authority:
    """A private certificate authority, and certificates for loopback that it signs."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.pem = _pem(self._signed(self._name, self._key.public_key(), authority=True))

    def issue(self, folder: Path) -> tuple[Path, Path]:
        """Files of a certificate and its key, for 127.0.0.1 and localhost."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "store")])
        certificate, private = folder / "tls.crt", folder / "tls.key"
        certificate.write_bytes(_pem(self._signed(subject, key.public_key(), authority=False)))
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return certificate, private

    def _signed(self, subject: x509.Name, key: Any, *, authority: bool) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        names = [
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.DNSName("store.test"),
            x509.DNSName("*.store.test"),
        ]
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def test_a_private_authority_is_trusted_alone_and_may_change(tmp_path: Path) -> None:
    first, second = Authority("first"), Authority("second")
    bundle = tmp_path / "ca.crt"
    bundle.write_bytes(first.pem)
    with s3_server(tmp_path, tls=first.issue(tmp_path)) as server:
        server.make_bucket("bucket")
        settings = replace(server.settings("bucket"), ca_file=bundle)
        assert settings.endpoint_url == f"https://127.0.0.1:{server.port}"
        store = S3Store(settings, retry=RETRY)
        expect_round_trip(store)
        stranger = S3Store(replace(settings, ca_file=None), retry=RETRY)
        with pytest.raises(Misconfigured, match=r"checkpoint\.store\.s3\.caBundle"):
            stranger.read("x")
        bundle.write_bytes(second.pem)
        with pytest.raises(Misconfigured, match="caBundle"):
            store.read("x")
    with s3_server(tmp_path, tls=second.issue(tmp_path), port=server.port):
        assert store.stat(KEY).size == len(DATA)
        bundle.write_bytes(b"no certificate")
        with pytest.raises(Misconfigured, match="holds no PEM certificate"):
            store.read("x")
        bundle.write_bytes(second.pem)
        with pytest.raises(NotFound):
            store.read("x")
    for one in (store, stranger):
        one.close()


def test_the_bucket_may_be_in_the_name_of_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority("test")
    bundle = tmp_path / "ca.crt"
    bundle.write_bytes(authority.pem)
    asked: set[str] = set()
    resolve = socket.getaddrinfo

    def here(host: Any, *rest: Any, **options: Any) -> Any:
        asked.add(str(host))
        return resolve("127.0.0.1", *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    tls = authority.issue(tmp_path)
    with s3_server(tmp_path, tls=tls, virtual_domain="store.test") as server:
        server.make_bucket("bucket")
        settings = replace(
            server.settings("bucket"),
            endpoint_url=f"https://store.test:{server.port}",
            ca_file=bundle,
            addressing="virtual",
        )
        asked.clear()
        store = S3Store(settings, retry=RETRY)
        expect_round_trip(store)
        store.close()
    assert asked == {"bucket.store.test"}


# -- identity of the pod ---------------------------------------------------------------------------


class _Sts(BaseHTTPRequestHandler):
    """Gives credentials for a web identity token, as the cloud's token service does."""

    tokens: list[str] = []  # noqa: RUF012 - the tests read it

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        type(self).tokens.append(body)
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        answer = (
            "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
            f"<AccessKeyId>{ACCESS}</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>"
            f"<SessionToken>session</SessionToken><Expiration>{until}</Expiration>"
            "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def sts() -> Iterator[str]:
    _Sts.tokens.clear()
    service = HTTPServer(("127.0.0.1", 0), _Sts)
    thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{service.server_address[1]}"
    service.shutdown()
    service.server_close()
    thread.join(10)


def test_a_web_identity_gives_credentials(
    tmp_path: Path, sts: str, proxy: S3Proxy, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    token = tmp_path / "token"
    token.write_text("token-of-the-pod")
    for name, value in {
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": "arn:aws:iam::1:role/trainer",
        "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_STS": sts, "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(tmp_path),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    proxy.resigned = True  # the server knows nothing of the session's token
    store = S3Store(proxy.settings(bucket, credentials_dir=None), retry=RETRY)
    expect_round_trip(store)
    assert {asked.access_key for asked in proxy.asked} == {ACCESS}
    assert len(_Sts.tokens) == 1
    assert "token-of-the-pod" in _Sts.tokens[0]
    proxy.fault = sometimes(Answer(400, "ExpiredToken"), "GetObject")
    token.write_text("renewed-token")
    with pytest.raises(NotFound):
        store.read("absent")
    assert "renewed-token" in _Sts.tokens[1]
    store.close()


def test_without_any_identity_the_message_says_what_to_give(
    tmp_path: Path, bucket: str, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    settings: S3Settings = replace(server.settings(bucket), credentials_dir=None)
    store = S3Store(settings, retry=RETRY)
    with pytest.raises(Denied, match="credentialsSecretName or give the pods"):
        store.probe()
    store.close()
