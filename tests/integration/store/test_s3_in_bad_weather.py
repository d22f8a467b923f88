"""Lost answers, refusals, rotations: what reaches the caller is trouble, or nothing at all."""

import contextlib
import os
import random
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kit.checkpoints import random_bytes
from kit.ports import free_port
from kit.s3_proxy import (
    Answer,
    Asked,
    Damage,
    Fault,
    HalfAnswer,
    Hang,
    LoseAnswer,
    LoseRequest,
    S3Proxy,
    s3_proxy,
    sometimes,
)
from kit.stores import ACCESS, SECRET, S3Server, s3_server, write_credentials
from spot_training.checkpoint import claim, keys
from spot_training.checkpoint.digest import Digests, digest_payload
from spot_training.checkpoint.retry import Retry
from spot_training.checkpoint.store import Denied, Misconfigured, StoreError, Unreachable
from spot_training.checkpoint.stores.s3 import S3Store
from spot_training.checkpoint.stores.s3_client import connect

MIB = 1 << 20
PART = 5 * MIB  # the smallest that servers take
RETRY = Retry(attempts=3, initial=0.01)
KEY = "data/object"
DATA = random_bytes(3 * PART + 100)
DIGESTS = digest_payload(DATA, part_size=PART)
PARTS = [1, 2, 3, 4]


@pytest.fixture(scope="module")
def proxied(server: S3Server) -> Iterator[S3Proxy]:
    with s3_proxy(server) as found:
        yield found


@pytest.fixture
def proxy(proxied: S3Proxy) -> Iterator[S3Proxy]:
    yield proxied
    proxied.fault = lambda _asked: None


@pytest.fixture
def store(proxy: S3Proxy, bucket: str) -> Iterator[S3Store]:
    found = S3Store(proxy.settings(bucket), retry=RETRY)
    found.probe()
    proxy.forget()
    yield found
    found.close()


def downloaded(store: S3Store, digests: Digests = DIGESTS) -> memoryview:
    into = memoryview(bytearray(digests.size))
    store.download(KEY, into, digests)
    return into


def open_uploads(server: S3Server, bucket: str) -> list[Any]:
    answer: dict[str, list[Any]] = connect(server.settings(bucket)).list_multipart_uploads(
        Bucket=bucket
    )
    return answer.get("Uploads", [])


TROUBLE: list[Fault] = [
    LoseRequest(), LoseAnswer(), HalfAnswer(),
    Answer(503, "SlowDown"), Answer(500, "InternalError"),
    Answer(400, "RequestTimeout"), Answer(409, "ConditionalRequestConflict"),
]  # fmt: skip


@pytest.mark.parametrize("fault", TROUBLE, ids=str)
def test_a_create_survives_trouble_and_knows_its_own_write(
    store: S3Store, proxy: S3Proxy, fault: Fault
) -> None:
    proxy.fault = sometimes(fault, "PutObject")
    assert store.create("claim", b"mine")
    assert store.read("claim") == b"mine"
    proxy.fault = sometimes(fault, "PutObject")
    assert not store.create("claim", b"theirs")


@pytest.mark.parametrize("status", [304, 412])
def test_however_it_says_that_the_key_exists_what_stands_decides(
    store: S3Store, proxy: S3Proxy, status: int
) -> None:
    """Some servers answered 304; and either may be about our own write, whose answer was lost."""
    proxy.fault = sometimes(LoseAnswer(), "PutObject")
    assert store.create("claim", b"mine")
    for body, ours in ((b"mine", True), (b"theirs", False)):
        proxy.fault = sometimes(Answer(status, "PreconditionFailed"), "PutObject")
        assert store.create("claim", body) is ours


@pytest.mark.parametrize("fault", TROUBLE, ids=str)
@pytest.mark.parametrize("operation", [
    "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "HeadObject",
    "ListMultipartUploads",
])  # fmt: skip
def test_an_upload_survives_trouble_at_every_request(
    store: S3Store, proxy: S3Proxy, fault: Fault, operation: str
) -> None:
    proxy.fault = sometimes(fault, operation)
    store.upload(KEY, DATA, DIGESTS)
    proxy.fault = lambda _asked: None
    assert downloaded(store) == DATA


@pytest.mark.parametrize("fault", [*TROUBLE, Damage()], ids=str)
def test_a_download_survives_trouble(store: S3Store, proxy: S3Proxy, fault: Fault) -> None:
    store.upload(KEY, DATA, DIGESTS)
    proxy.fault = sometimes(fault, "GetObject", times=2)
    assert downloaded(store) == DATA


def test_a_server_that_does_not_answer_is_asked_again(proxy: S3Proxy, bucket: str) -> None:
    store = S3Store(replace(proxy.settings(bucket), read_seconds=1.0), retry=RETRY)
    store.probe()
    proxy.forget()
    proxy.fault = sometimes(Hang(), "UploadPart", "CompleteMultipartUpload", times=2)
    store.upload(KEY, DATA, DIGESTS)
    assert len(proxy.parts_sent()) <= len(PARTS) + 2
    assert downloaded(store) == DATA
    store.close()


def test_only_the_part_that_failed_is_sent_again(store: S3Store, proxy: S3Proxy) -> None:
    proxy.fault = sometimes(LoseAnswer(), "UploadPart", part=2)
    store.upload(KEY, DATA, DIGESTS)
    assert proxy.parts_sent() == [1, 2, 2, 3, 4]


@pytest.mark.parametrize("seed", range(12))
def test_whatever_goes_wrong_the_object_is_there_or_the_caller_knows(
    store: S3Store, proxy: S3Proxy, seed: int
) -> None:
    """And no part is sent more often than it failed, over all the calls that it takes."""
    chance = random.Random(seed)
    lock = threading.Lock()
    failed_parts: list[int] = []

    def fault(asked: Asked) -> Fault | None:
        with lock:
            if chance.random() > 0.25:
                return None
            if asked.operation == "UploadPart":
                failed_parts.append(asked.part)
            return chance.choice(TROUBLE)

    proxy.fault = fault
    for _ in range(8):
        with contextlib.suppress(Unreachable):
            store.upload(KEY, DATA, DIGESTS)
            break
    else:
        proxy.fault = lambda _asked: None
        store.upload(KEY, DATA, DIGESTS)
    proxy.fault = lambda _asked: None
    assert proxy.parts_sent() == sorted(PARTS + failed_parts) or _fewer(proxy, failed_parts)
    assert downloaded(store) == DATA


def _fewer(proxy: S3Proxy, failed_parts: list[int]) -> bool:
    """A part whose answer was lost may be there already when the next call looks."""
    allowed = sorted(PARTS + failed_parts)
    for part in proxy.parts_sent():
        if part not in allowed:
            return False
        allowed.remove(part)
    return set(proxy.parts_sent()) == set(PARTS)


# -- uploads that were interrupted -----------------------------------------------------------------


def test_what_trouble_left_is_gone_on_with(
    store: S3Store, proxy: S3Proxy, server: S3Server, bucket: str
) -> None:
    proxy.fault = sometimes(Answer(503, "SlowDown"), "UploadPart", part=3, times=99)
    with pytest.raises(Unreachable, match="SlowDown"):
        store.upload(KEY, DATA, DIGESTS)
    assert store.list("data/") == ()
    there = set(proxy.parts_sent()) - {3}
    proxy.forget()
    proxy.fault = lambda _asked: None
    store.upload(KEY, DATA, DIGESTS)
    assert not there & set(proxy.parts_sent())
    assert downloaded(store) == DATA
    assert open_uploads(server, bucket) == []


def test_another_process_goes_on_with_the_upload_of_one_that_died(
    store: S3Store, proxy: S3Proxy, bucket: str
) -> None:
    """A restarted sidecar knows nothing but the digests: the parts are found at the server."""
    proxy.fault = sometimes(Answer(503, "SlowDown"), "CompleteMultipartUpload", times=99)
    with pytest.raises(Unreachable):
        store.upload(KEY, DATA, DIGESTS)
    proxy.fault = lambda _asked: None
    proxy.forget()
    restarted = S3Store(proxy.settings(bucket), retry=RETRY)
    restarted.upload(KEY, DATA, DIGESTS)
    assert proxy.parts_sent() == []
    assert downloaded(restarted) == DATA
    restarted.close()


def test_a_completed_upload_whose_process_died_is_not_sent_again(
    store: S3Store, proxy: S3Proxy
) -> None:
    store.upload(KEY, DATA, DIGESTS)
    proxy.forget()
    store.upload(KEY, DATA, DIGESTS)
    assert proxy.parts_sent() == []


def test_parts_of_other_bytes_are_sent_again(store: S3Store, proxy: S3Proxy) -> None:
    other = bytearray(DATA)
    other[PART + 5] ^= 1
    proxy.fault = sometimes(Answer(503, "SlowDown"), "CompleteMultipartUpload", times=99)
    with pytest.raises(Unreachable):
        store.upload(KEY, memoryview(other), digest_payload(other, part_size=PART))
    proxy.fault = lambda _asked: None
    proxy.forget()
    store.upload(KEY, DATA, DIGESTS)
    assert proxy.parts_sent() == [2]
    assert downloaded(store) == DATA


def test_an_upload_that_somebody_aborted_is_begun_anew(
    store: S3Store, proxy: S3Proxy, server: S3Server, bucket: str
) -> None:
    def abort_once(asked: Asked) -> Fault | None:
        if asked.operation == "CompleteMultipartUpload":
            proxy.fault = lambda _asked: None
            client = connect(server.settings(bucket))
            (upload,) = open_uploads(server, bucket)
            client.abort_multipart_upload(
                Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
            )
        return None

    proxy.fault = abort_once
    store.upload(KEY, DATA, DIGESTS)
    assert downloaded(store) == DATA


@pytest.mark.parametrize("code", ["NoSuchUpload", "InvalidPart"])
def test_a_server_that_loses_every_upload_is_told_as_trouble(
    store: S3Store, proxy: S3Proxy, server: S3Server, bucket: str, code: str
) -> None:
    proxy.fault = sometimes(Answer(404, code), "CompleteMultipartUpload", times=99)
    with pytest.raises(Unreachable, match="lost the upload"):
        store.upload(KEY, DATA, DIGESTS)
    assert open_uploads(server, bucket) == []


def test_abandoned_uploads_go_and_others_stay(
    store: S3Store, proxy: S3Proxy, server: S3Server, bucket: str
) -> None:
    client = connect(server.settings(bucket))
    prefix = server.settings(bucket).prefix
    for key in (f"{prefix}data/old", f"{prefix}data/spared", "another/lineage/data/old"):
        client.create_multipart_upload(Bucket=bucket, Key=key)
    discard = store.discard_abandoned
    assert discard(lambda _key: False, older_seconds=3600) == ()
    assert discard(lambda key: key == "data/spared", older_seconds=0) == ("data/old",)
    left = {upload["Key"] for upload in open_uploads(server, bucket)}
    assert left == {f"{prefix}data/spared", "another/lineage/data/old"}


def test_an_upload_under_way_is_never_taken_for_abandoned(store: S3Store, proxy: S3Proxy) -> None:
    discarded: list[tuple[str, ...]] = []

    def meanwhile(asked: Asked) -> Fault | None:
        if asked.operation == "CompleteMultipartUpload" and not discarded:
            discarded.append(store.discard_abandoned(lambda _key: False, older_seconds=0))
        return None

    proxy.fault = meanwhile
    store.upload(KEY, DATA, DIGESTS)
    assert discarded == [()]


# -- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "error"), [
    (Answer(403, "AccessDenied"), Denied),
    (Answer(400, "ExpiredToken"), Denied),
    (Answer(503, "SlowDown"), Unreachable),
])  # fmt: skip
@pytest.mark.parametrize("call", ["read", "stat", "list", "create", "delete"])
def test_refusals_are_told_from_absence(
    store: S3Store, proxy: S3Proxy, call: str, fault: Fault, error: type[StoreError]
) -> None:
    proxy.fault = lambda _asked: fault
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


def test_a_wrong_endpoint_is_no_absence(server: S3Server, bucket: str) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    store = S3Store(replace(server.settings(bucket), endpoint_url=nobody), retry=RETRY)
    with pytest.raises(Unreachable):
        store.read("x")
    store.close()


def test_long_lists_are_read_to_their_end(store: S3Store, server: S3Server, bucket: str) -> None:
    folder = server.object_path(bucket, "many")
    folder.mkdir(parents=True)
    for number in range(1203):
        (folder / f"{number:05d}").write_bytes(b"")
    assert store.list("many/") == tuple(f"many/{number:05d}" for number in range(1203))


def test_looking_for_a_higher_claim_is_one_request_however_many_there_are(
    store: S3Store, proxy: S3Proxy, server: S3Server, bucket: str
) -> None:
    for attempt in range(1, 1203):
        path = server.object_path(bucket, keys.claim(attempt, 0))
        path.parent.mkdir(parents=True)
        path.write_bytes(b"{}")
    proxy.forget()
    assert claim.superseded_by(store, 1200) == 1202
    assert claim.superseded_by(store, 1202) is None
    assert [asked.operation for asked in proxy.asked] == ["ListObjectsV2"] * 2


def test_a_server_that_dies_and_returns_costs_retries_only(tmp_path: Path) -> None:
    port = free_port()
    with s3_server(tmp_path, port=port) as first:
        first.make_bucket("bucket")
        store = S3Store(first.settings("bucket"), retry=Retry(attempts=40, initial=0.2, cap=0.5))
        store.probe()
    done: list[BaseException | None] = []

    def upload() -> None:
        try:
            store.upload(KEY, DATA, DIGESTS)
        except BaseException as error:  # noqa: BLE001 - told to the main thread
            done.append(error)
        else:
            done.append(None)

    thread = threading.Thread(target=upload)
    thread.start()
    with s3_server(tmp_path, port=port):
        thread.join(timeout=60)
        assert done == [None]
        assert downloaded(store) == DATA
    store.close()


# -- credentials -----------------------------------------------------------------------------------


def test_rotated_credentials_work_from_the_next_request_on(
    tmp_path: Path, server: S3Server, bucket: str
) -> None:
    folder = tmp_path / "credentials"
    write_credentials(folder, ACCESS, SECRET)
    settings = replace(server.settings(bucket), credentials_dir=folder)
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


def test_key_and_secret_are_read_of_one_version(
    tmp_path: Path, server: S3Server, bucket: str
) -> None:
    """As the kubelet mounts it: the files are links into `..data`, which is replaced as a whole."""
    folder = tmp_path / "mounted"
    for version, access in (("..1", "nobody"), ("..2", ACCESS)):
        write_credentials(folder / version, access, SECRET)
    (folder / "..data").symlink_to("..1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        (folder / name).symlink_to(f"..data/{name}")
    store = S3Store(replace(server.settings(bucket), credentials_dir=folder), retry=RETRY)
    with pytest.raises(Denied):
        store.probe()
    (folder / "..new").symlink_to("..2")
    (folder / "..new").replace(folder / "..data")
    assert store.probe().conditional_create
    store.close()


def test_credentials_that_expire_amid_an_upload_are_replaced_and_it_goes_on(
    tmp_path: Path, proxy: S3Proxy, bucket: str
) -> None:
    folder = tmp_path / "credentials"
    write_credentials(folder, "before", "anything")
    proxy.resigned = True
    store = S3Store(proxy.settings(bucket, credentials_dir=folder), retry=RETRY)
    store.probe()
    proxy.forget()

    def expiring(asked: Asked) -> Fault | None:
        if asked.part == 2:
            write_credentials(folder, "after", "anything")
            (folder / "expired").touch()
        expired = (folder / "expired").exists() and asked.access_key == "before"
        return Answer(400, "ExpiredToken") if expired else None

    proxy.fault = expiring
    store.upload(KEY, DATA, DIGESTS)
    assert set(proxy.parts_sent()) == set(PARTS)
    begun = [asked for asked in proxy.asked if asked.operation == "CreateMultipartUpload"]
    assert len(begun) == 1
    assert downloaded(store) == DATA
    proxy.resigned = False
    store.close()


def test_credentials_that_stay_expired_cost_no_part_twice(
    tmp_path: Path, proxy: S3Proxy, bucket: str
) -> None:
    """The rotation comes late: the caller is told, tries again, and only the rest is sent."""
    folder = tmp_path / "credentials"
    write_credentials(folder, "before", "anything")
    proxy.resigned = True
    settings = proxy.settings(bucket, credentials_dir=folder, connections=1)
    store = S3Store(settings, retry=RETRY)
    store.probe()
    proxy.forget()
    proxy.fault = lambda asked: (
        Answer(400, "ExpiredToken") if asked.access_key == "before" and asked.part == 3 else None
    )
    with pytest.raises(Denied, match="rotate"):
        store.upload(KEY, DATA, DIGESTS)
    assert set(proxy.parts_sent()) == {1, 2, 3}
    write_credentials(folder, "after", "anything")
    proxy.forget()
    store.upload(KEY, DATA, DIGESTS)
    assert proxy.parts_sent() == [3, 4]
    proxy.resigned = False
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
    assert os.environ.get("AWS_EC2_METADATA_DISABLED") is None
