"""The sidecar and the SDK share no code with the operator; what they repeat is the same."""

import re
from pathlib import Path
from typing import Any

import pytest
import spot_sidecar
from spot_operator.api import names
from spot_operator.api.events import Event, SidecarEvent, told
from spot_sidecar.config import spot_config as config
from spot_sidecar.config.paths import Paths
from spot_sidecar.operator_link import annotations, grant
from spot_sidecar.pod_api import routes as pod_api
from spot_sidecar.state.attempt_state import UNFINISHED_LINEAGE
from spot_training import exits


def test_where_the_sidecar_finds_its_volumes() -> None:
    usual = Paths()
    assert usual.shared == Path(names.PATH_SHARED)
    assert usual.private == Path(names.PATH_PRIVATE)
    assert usual.annotations == Path(names.PATH_PODINFO) / names.PODINFO_ANNOTATIONS
    assert usual.socket == Path(names.PATH_SOCKET)
    assert usual.token == Path(names.PATH_TOKEN) / "token"


def test_which_annotations_the_sidecar_reads() -> None:
    assert grant.ANNOTATION == names.ANNOTATION_GRANT
    assert annotations.NOTICE == names.ANNOTATION_NOTICE
    assert annotations.BUNDLE == names.ANNOTATION_CA
    assert annotations.ENDED == names.ANNOTATION_ENDED


def test_what_the_drain_hook_calls() -> None:
    assert config.PORT == names.SIDECAR_PORT
    assert pod_api.DRAIN_HEADER == names.HEADER_DRAIN
    nobody: Any = None
    app = pod_api.build_pod_app(nobody, nobody, nobody, drain_token="", ready=bool)
    assert names.PATH_DRAIN in {one.canonical for one in app.router.resources()}


def test_the_reasons_of_events_that_a_sidecar_may_use() -> None:
    sources = [path.read_text() for path in Path(spot_sidecar.__file__).parent.rglob("*.py")]
    noted = re.compile(r"\.(?:note|_warn)\(\s*\"?(\w+)")
    used = {one for text in sources for one in noted.findall(text)} - {"reason"}
    used = {UNFINISHED_LINEAGE if one == "UNFINISHED_LINEAGE" else one for one in used}
    assert used == set(SidecarEvent) - {SidecarEvent.NOTE}


@pytest.mark.parametrize(
    ("reason", "message", "expected"),
    [
        ("SnapshotLost", "step 3: full", ("SnapshotLost", "step 3: full")),
        ("Failed", "give up", ("SidecarNote", "the sidecar says Failed: give up")),
        ("NOTE", "x", ("SidecarNote", "the sidecar says NOTE: x")),
    ],
)
def test_no_sidecar_speaks_as_the_operator(
    reason: str, message: str, expected: tuple[str, str]
) -> None:
    assert told(reason, message) == expected
    assert reason not in set(SidecarEvent) or reason not in set(Event)


def test_the_exit_codes_of_the_sdk() -> None:
    assert exits.REFUSED_CODE == names.EXIT_REFUSED
    assert exits.STOPPED_CODE == names.EXIT_STOPPED
