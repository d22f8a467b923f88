"""Whatever the operator remembers has its place in the schema of the status, and nothing else."""

from collections.abc import Iterator
from typing import Any

from gen_crds import manifests
from kit.filled import filled
from spot_operator.api import status
from spot_operator.api.crd import field_schema
from spot_operator.api.names import Bucket
from spot_operator.domain.state.ledger import Ledger
from spot_operator.domain.state.status import ledger_of, status_of

Json = dict[str, Any]

JOB_CRD = next(iter(manifests().values()))
SCHEMA = field_schema(JOB_CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"], "status")


def _written(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, child in value.items():
            yield f"{path}.{name}"
            yield from _written(child, f"{path}.{name}")
    if isinstance(value, list):
        for child in value:
            yield from _written(child, f"{path}[]")


def _known(schema: Json, path: str = "") -> Iterator[str]:
    for name, child in schema.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from _known(child, f"{path}.{name}")
    if "items" in schema:
        yield from _known(schema["items"], f"{path}[]")


def test_every_field_is_written_and_no_other() -> None:
    assert set(_written(status_of(filled(Ledger)))) == set(_known(SCHEMA))


def test_what_is_written_is_read_back() -> None:
    ledger = filled(Ledger)
    again = status_of(ledger_of(status_of(ledger)))
    assert again == status_of(ledger)
    assert ledger_of(again).ranks == ledger.ranks
    assert ledger_of(again).attempts == ledger.attempts


def test_an_empty_status_is_an_empty_ledger() -> None:
    assert ledger_of(None) == Ledger()
    assert ledger_of(status_of(Ledger())) == Ledger()


def test_there_is_a_bucket_for_every_use_of_time() -> None:
    assert {one.alias for one in status.Buckets.model_fields.values()} == set(Bucket)


def test_the_lists_are_bounded_as_promised() -> None:
    assert SCHEMA["properties"]["attempts"]["maxItems"] == 20
    assert SCHEMA["properties"]["ranks"]["maxItems"] == 16
    message = field_schema(SCHEMA, "conditions[].message")
    assert message["maxLength"] == 1024
