from pathlib import Path

import pytest
from kit.commands import Shell
from spot_training.checkpoint import verify
from spot_training.checkpoint.stores.directory import DirectoryStore

AT = "2026-01-02T03:04:05.000000Z"


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    found = DirectoryStore.prepare(tmp_path / "lineage")
    verify.open_lineage(found, created_at=AT)
    return found
