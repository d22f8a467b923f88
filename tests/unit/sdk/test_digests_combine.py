import sys
import zlib

import pytest
from kit.checkpoints import random_bytes
from spot_training.checkpoint import digest


@pytest.fixture(params=["crc64nvme", "crc32"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_parts_tensors_and_whole_come_from_one_pass(name: str) -> None:
    data = random_bytes(10_001)
    tensors = [("a", 0, 100), ("empty", 100, 100), ("b", 100, 5000), ("c", 6000, 10_001)]
    found = digest.digest_payload(data, tensors=tensors, part_size=1024, algorithm_name=name)
    of = digest.algorithm(name).of
    assert found.whole == of(data)
    assert found.parts == tuple(of(data[a:b]) for a, b in found.part_ranges())
    assert found.tensors == {tensor: of(data[a:b]) for tensor, a, b in tensors}
    assert digest.combined(name, found.size, found.part_size, found.parts) == found.whole


def test_an_empty_payload_has_no_parts(name: str) -> None:
    found = digest.digest_payload(b"", algorithm_name=name)
    assert (found.parts, found.size) == ((), 0)
    assert found.whole == digest.algorithm(name).of(b"")


def test_crc32_is_the_usual_one() -> None:
    assert digest.algorithm("crc32").of(b"123456789") == "cbf43926"


def test_crc64nvme_is_the_one_that_object_stores_compute() -> None:
    # The check value of the CRC catalogue for CRC-64/NVME.
    assert digest.algorithm("crc64nvme").of(b"123456789") == "ae8b14860a799888"


def test_without_awscrt_zlib_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "awscrt", None)
    digest.algorithm.cache_clear()
    try:
        found = digest.digest_payload(b"abc" * 1000, part_size=100)
        assert found.algorithm == "crc32"
        assert int(found.whole, 16) == zlib.crc32(b"abc" * 1000)
        with pytest.raises(digest.AlgorithmUnavailable, match=r"spot-training\[fast\]"):
            digest.algorithm("crc64nvme")
    finally:
        digest.algorithm.cache_clear()


def test_an_unknown_algorithm_asks_for_an_upgrade() -> None:
    with pytest.raises(digest.AlgorithmUnavailable, match="upgrade"):
        digest.algorithm("xxh3")


@pytest.mark.parametrize("tensors", [[("a", 0, 10), ("b", 5, 20)], [("a", 0, 99)], [("a", 9, 3)]])
def test_overlapping_tensors_are_refused(tensors: list[tuple[str, int, int]]) -> None:
    with pytest.raises(ValueError, match="overlaps"):
        digest.digest_payload(bytes(50), tensors=tensors)


def test_a_missing_part_is_noticed(name: str) -> None:
    with pytest.raises(ValueError, match="part digests"):
        digest.combined(name, 100, 10, ["00"] * 9)


@pytest.mark.parametrize(
    ("size", "expected"),
    [(0, 16 << 20), (1 << 30, 16 << 20), (9000 * (16 << 20) + 1, 17 << 20), (1 << 40, 117 << 20)],
)
def test_parts_are_sixteen_mib_until_there_would_be_too_many(size: int, expected: int) -> None:
    assert digest.part_size_for(size) == expected
    assert -(-size // expected) <= 9000
