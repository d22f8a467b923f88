"""A pod's memory volume is a folder like /tmp: there Linux refuses O_CREAT on others' files.

The setting is fs.protected_regular, which systemd turns on; a machine without it hides the fault.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from spot_sidecar.trainer_api.start_routes import create_progress_file
from spot_training.progress import ProgressWriter

OPENERS: dict[str, Callable[[Path], object]] = {
    "trainer": ProgressWriter,
    "restarted sidecar": create_progress_file,
}


@pytest.fixture
def protected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose files belong to somebody else, on a kernel that protects them."""
    original = os.open

    def refuses(path: Any, flags: int, *mode: Any, **options: Any) -> int:
        theirs = Path(path).parent == tmp_path and Path(path).exists()
        if theirs and flags & os.O_CREAT and not flags & os.O_EXCL:
            raise PermissionError(13, "fs.protected_regular", str(path))
        return original(path, flags, *mode, **options)

    monkeypatch.setattr(os, "open", refuses)
    return tmp_path


@pytest.mark.parametrize("opens", OPENERS.values(), ids=OPENERS)
@pytest.mark.parametrize("there", [True, False])
def test_the_progress_file_is_opened_whoever_made_it(
    protected: Path, opens: Callable[[Path], object], there: bool
) -> None:
    path = protected / "progress-p0"
    if there:
        path.write_bytes(bytes(64))
    opens(path)
    assert path.stat().st_size == 64
