"""Lost answers, refusals, rotations: what reaches the caller is trouble, or nothing at all."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kit.checkpoints import random_bytes
from kit.stores import (
    ACCESS,
    SECRET,
    FaultyWire,
    S3Server,
    free_port,
    ignoring_conditions,
    s3_server,
    sometimes,
    write_credentials,
)
from spot_training.checkpoint.digest import digest_payload
from spot_training.checkpoint.retry import Retry
from spot_training.checkpoint.store import Denied, Misconfigured, NotFound, StoreError, Unreachable
from spot_training.checkpoint.stores.s3 import SETTLE_SECONDS, S3Store
from spot_training.checkpoint.stores.s3_client import connect

MIB = 1 << 20
RETRY = Retry(attempts=3, initial=0.01)


@pytest.fixture
def client(server: S3Server, bucket: str) -> Any:
    return connect(server.settings(bucket))


@pytest.fixture
def wire(client: Any) -> FaultyWire:
    return FaultyWire(client)


@pytest.fixture
def store(server: S3Server, bucket: str, client: Any, wire: FaultyWire) -> Iterator[S3Store]:
    found = S3Store(server.settings(bucket), client=client, retry=RETRY)
    found.probe()
    yield found
    found.close()


def uploads_in_progress(client: Any, bucket: str) -> list[Any]:
    answer: dict[str, list[Any]] = client.list_multipart_uploads(Bucket=bucket)
    return answer.get("Uploads", [])


@pytest.mark.parametrize("fault", ["lose request", "lose answer", 503, 500])
def test_a_create_survives_trouble_and_knows_its_own_write(
    store: S3Store, wire: FaultyWire, fault: str | int
) -> None:
    wire.fault = sometimes(fault, method="PUT", containing="claim")
    assert store.create("claim", b"mine")
    assert store.read("claim") == b"mine"
    wire.fault = sometimes(fault, method="PUT", containing="claim")
    assert not store.create("claim", b"theirs")


@pytest.mark.parametrize("fault", ["lose request", "lose answer", 503])
@pytest.mark.parametrize(("method", "containing"), [
    ("POST", "uploads"), ("PUT", "partNumber=2"), ("POST", "uploadId"), ("HEAD", "data"),
])  # fmt: skip
def test_a_multipart_upload_survives_trouble_at_every_request(
    store: S3Store, wire: FaultyWire, fault: str | int, method: str, containing: str
) -> None:
    data = random_bytes(36 * MIB)
    wire.fault = sometimes(fault, method=method, containing=containing)
    store.upload("data/object", data, digest_payload(data))
    into = memoryview(bytearray(len(data)))
    wire.fault = sometimes(fault, method="GET", containing="data", times=2)
    store.download("data/object", into, digest_payload(data))
    assert into == data


def test_only_the_part_that_failed_is_sent_again(store: S3Store, wire: FaultyWire) -> None:
    data = random_bytes(36 * MIB)
    wire.fault = sometimes("lose answer", method="PUT", containing="partNumber=2")
    wire.sent.clear()
    store.upload("data/object", data, digest_payload(data))
    parts = [url for method, url in wire.sent if method == "PUT"]
    assert len(parts) == 4


def test_a_store_that_stays_away_is_unreachable_and_leaves_no_upload(
    store: S3Store, wire: FaultyWire, client: Any, bucket: str
) -> None:
    data = random_bytes(36 * MIB)
    wire.fault = sometimes(503, method="PUT", containing="partNumber=3", times=99)
    with pytest.raises(Unreachable, match="SlowDown"):
        store.upload("data/object", data, digest_payload(data))
    assert uploads_in_progress(client, bucket) == []
    assert store.list("data/") == ()


@pytest.mark.parametrize(("status", "error"), [(403, Denied), (400, Denied), (503, Unreachable)])
@pytest.mark.parametrize("call", ["read", "stat", "list", "create", "delete"])
def test_refusals_are_told_from_absence(
    store: S3Store, wire: FaultyWire, call: str, status: int, error: type[StoreError]
) -> None:
    wire.fault = lambda _method, _url: status
    calls: dict[str, Callable[[], object]] = {
        "read": lambda: store.read("x"), "stat": lambda: store.stat("x"),
        "list": lambda: store.list("x"), "create": lambda: store.create("x", b""),
        "delete": lambda: store.delete("x"),
    }  # fmt: skip
    with pytest.raises(error):
        calls[call]()


def test_a_missing_bucket_is_a_setting_not_an_absence(server: S3Server) -> None:
    store = S3Store(server.settings("no-such-bucket"), retry=RETRY)
    for call in (
        store.probe,
        lambda: store.read("x"),
        lambda: store.stat("x"),
        lambda: store.list(""),
        lambda: store.create("x", b""),
    ):
        with pytest.raises(Misconfigured, match=r"checkpoint\.store\.s3\.bucket"):
            call()
    store.close()


def test_a_wrong_region_or_endpoint_is_no_absence(server: S3Server, bucket: str) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    store = S3Store(replace(server.settings(bucket), endpoint_url=nobody), retry=RETRY)
    with pytest.raises(Unreachable):
        store.read("x")
    store.close()


def test_rotated_credentials_work_from_the_next_request_on(
    tmp_path: Path, server: S3Server
) -> None:
    server.make_bucket("rotating")
    folder = tmp_path / "credentials"
    write_credentials(folder, ACCESS, SECRET)
    settings = replace(server.settings("rotating"), credentials_dir=folder)
    store = S3Store(settings, retry=RETRY)
    store.create("x", b"body")
    for access, secret in (("nobody", SECRET), (ACCESS, "wrong")):
        write_credentials(folder, access, secret)
        for call in (
            lambda: store.read("x"),
            lambda: store.list(""),
            lambda: store.create("y", b""),
        ):
            with pytest.raises(Denied):
                call()
        with pytest.raises((Denied, Misconfigured)):
            store.stat("x")
    (folder / "AWS_SECRET_ACCESS_KEY").unlink()
    with pytest.raises(Denied, match="credentialsSecretName"):
        store.read("x")
    write_credentials(folder, ACCESS, SECRET)
    assert store.read("x") == b"body"
    store.close()


def test_long_lists_are_read_to_their_end(store: S3Store, server: S3Server, bucket: str) -> None:
    folder = server.object_path(bucket, "many")
    folder.mkdir(parents=True)
    for number in range(1203):
        (folder / f"{number:05d}").write_bytes(b"")
    assert store.list("many/") == tuple(f"many/{number:05d}" for number in range(1203))


def test_a_server_that_dies_and_returns_costs_retries_only(tmp_path: Path) -> None:
    port = free_port()
    data = random_bytes(64 * MIB)
    digests = digest_payload(data)
    with s3_server(tmp_path, port=port) as first:
        first.make_bucket("bucket")
        settings = first.settings("bucket")
        store = S3Store(settings, retry=Retry(attempts=40, initial=0.2, cap=0.5))
        store.probe()
    done: list[BaseException | None] = []

    def upload() -> None:
        try:
            store.upload("data/object", data, digests)
        except BaseException as error:  # noqa: BLE001 - told to the main thread
            done.append(error)
        else:
            done.append(None)

    thread = threading.Thread(target=upload)
    thread.start()
    with s3_server(tmp_path, port=port):
        thread.join(timeout=60)
        assert done == [None]
        into = memoryview(bytearray(len(data)))
        store.download("data/object", into, digests)
        assert into == data
    store.close()


def test_the_instance_metadata_is_never_asked(
    server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    original = socket.socket.connect

    def connecting(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            asked.append(address[0])
        original(self, address)

    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED", raising=False)
    monkeypatch.setattr(socket.socket, "connect", connecting)
    store = S3Store(server.settings(bucket), retry=RETRY)
    store.probe()
    store.close()
    assert set(asked) <= {"127.0.0.1"}


# -- servers without conditional writes ------------------------------------------------------------


@pytest.fixture
def simple(server: S3Server, bucket: str) -> Iterator[list[S3Store]]:
    """Several writers on a server that ignores If-None-Match; they settle for a moment only."""
    stores = [
        S3Store(
            server.settings(bucket),
            client=ignoring_conditions(connect(server.settings(bucket))),
            retry=RETRY,
            settle=time.sleep,
        )
        for _ in range(4)
    ]
    yield stores
    for store in stores:
        store.close()


def test_a_server_that_ignores_conditions_is_found_out(simple: list[S3Store]) -> None:
    assert not simple[0].probe().conditional_create


def test_creating_stays_create_only_without_conditions(simple: list[S3Store]) -> None:
    threads_done = threading.Barrier(4)
    won: dict[int, bool] = {}

    def create(number: int) -> None:
        simple[number].probe()
        threads_done.wait(30)
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


def test_absence_is_still_absence(simple: list[S3Store]) -> None:
    with pytest.raises(NotFound):
        simple[0].read("claim")
