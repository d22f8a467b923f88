"""The sidecar and the SDK share no code with the operator; what they repeat is the same."""

from pathlib import Path
from typing import Any

from spot_operator.api import names
from spot_sidecar import annotations, config, pod_api
from spot_sidecar.paths import Paths
from spot_sidecar.resume import grant
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
    app = pod_api.build_pod_app(nobody, nobody, drain_token="", ready=bool)
    assert names.PATH_DRAIN in {one.canonical for one in app.router.resources()}


def test_the_exit_codes_of_the_sdk() -> None:
    assert exits.REFUSED_CODE == names.EXIT_REFUSED
    assert exits.STOPPED_CODE == names.EXIT_STOPPED
