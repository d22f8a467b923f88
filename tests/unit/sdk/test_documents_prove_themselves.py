import json
from dataclasses import replace

import pytest
from kit.checkpoints import AT, a_receipt
from spot_training.checkpoint import records
from spot_training.checkpoint.commit import build_manifest
from spot_training.checkpoint.manifest import Claim, Manifest, Receipt

CLAIM = Claim(attempt=3, rank=0, pod_uid="pod", nonce="0123abcd", node="n1", at=AT)


def test_a_document_reads_back_equal() -> None:
    receipt = a_receipt()
    assert records.load(Receipt, records.dump(receipt)) == receipt


def test_names_on_the_wire_are_camel_case() -> None:
    data = json.loads(records.dump(CLAIM))
    assert set(data) == {"schema", "attempt", "rank", "podUID", "nonce", "node", "at", "digest"}


def test_unknown_fields_are_kept_and_covered_by_the_digest() -> None:
    newer = replace(CLAIM, extra={"colour": "blue"})
    body = records.dump(newer)
    read = records.load(Claim, body)
    assert read.extra == {"colour": "blue"}
    assert records.dump(read) == body
    with pytest.raises(records.Damaged):
        records.load(Claim, body.replace(b"blue", b"grey"))


@pytest.mark.parametrize("at", range(0, 400, 7))
def test_every_flipped_bit_is_noticed(at: int) -> None:
    body = bytearray(records.dump(a_receipt()))
    body[at % len(body)] ^= 1 << (at % 8)
    with pytest.raises(records.FormatError):
        records.load(Receipt, bytes(body))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"nonsense", b"\xff", b'{"digest":"x"}'])
def test_what_is_no_document_is_damaged(body: bytes) -> None:
    with pytest.raises(records.Damaged):
        records.load(Claim, body)


@pytest.mark.parametrize("field", ["schema", "minReader"])
def test_a_newer_document_is_refused_with_the_remedy(field: str) -> None:
    data = records.to_json(CLAIM) | {field: 2}
    body = records.canonical(data)
    with pytest.raises(records.UnsupportedSchema, match="upgrade spot-training"):
        records.load(Claim, body)


@pytest.mark.parametrize("field", ["schema", "minReader"])
@pytest.mark.parametrize("digit", [b"3", b"5", b"9"])
def test_a_bit_that_makes_it_look_newer_is_damage(field: str, digit: bytes) -> None:
    """Else the job would stop, and ask for an upgrade, where an older checkpoint is whole."""
    body = records.dump(build_manifest([a_receipt()], committed_at=AT))
    flipped = body.replace(f'"{field}":1'.encode(), f'"{field}":'.encode() + digit)
    assert flipped != body
    with pytest.raises(records.Damaged, match="digest"):
        records.load(Manifest, flipped)


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"NaN", b"Infinity"])
def test_a_number_that_no_document_can_hold_is_damage(number: bytes) -> None:
    body = records.dump(a_receipt()).replace(b'"uploadSeconds":0.5', b'"uploadSeconds":' + number)
    assert number in body
    with pytest.raises(records.Damaged):
        records.load(Receipt, body)


@pytest.mark.parametrize(
    ("field", "value", "where"),
    [("attempt", "3", "Claim.attempt"), ("rank", True, "Claim.rank"), ("at", None, "Claim.at")],
)
def test_a_wrong_type_is_named(field: str, value: object, where: str) -> None:
    with pytest.raises(records.Damaged, match=where):
        records.from_json(Claim, records.to_json(CLAIM) | {field: value})


def test_a_missing_field_is_named() -> None:
    data = records.to_json(CLAIM)
    del data["nonce"]
    with pytest.raises(records.Damaged, match="nonce"):
        records.from_json(Claim, data)


def test_nested_lists_are_checked() -> None:
    data = records.to_json(a_receipt())
    data["objects"] = [{"key": "x"}]
    with pytest.raises(records.Damaged, match="StoredObject"):
        records.from_json(Receipt, data)
    with pytest.raises(records.Damaged, match="Manifest"):
        records.from_json(Manifest, [])  # type: ignore[arg-type]
